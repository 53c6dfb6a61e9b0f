/* softmax_cross_entropy: a loss. For logits x [n, 1, 1, c] and labels int32 [n]:
 *
 *     t = (1 - smoothing) * onehot(label) + smoothing / c
 *     loss[n] = -sum over k of t[k] * log softmax(x[n])[k]
 *     dx[n]   = (softmax(x[n]) - t) * loss scale
 *
 * The output holds the per-sample losses [n, 1, 1, 1]; their sum and the number of hits are added
 * to the metrics. Samples behind SCALAR_COUNT pad the batch and count nothing. Saved: x, exactly;
 * the softmax follows from it, and any error in it would be the gradient's. */
#include "op/cost.h"
#include "op/loss.h"
#include "op/op.h"
#include "op/params.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp__cross_entropy_params *p = params;
    if (inputs[0].h != 1 || inputs[0].w != 1) {
        char shape[PP__SHAPE_TEXT];
        pp__shape_print(inputs[0], shape);
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (softmax_cross_entropy): logits %s are not [n, 1, 1, classes]",
                        node, shape);
    }
    if (!(p->label_smoothing >= 0 && p->label_smoothing < 1))
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "node '%s' (softmax_cross_entropy): label smoothing %g is not in [0, 1)",
                        node, (double)p->label_smoothing);
    shapes_out->output = (pp__shape){inputs[0].n, 1, 1, 1};
    return PP_OK;
}

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    (void)q;
    saves[0] = (pp__save){.source = PP__SAVE_INPUT, .view = PP__VIEW_VALUE, .exact = true};
    return 1;
}

/* Forward: the samples' hits, float32 [n]. */
static size_t workspace(const pp__op_query *q, pp__pass pass) {
    return pass == PP__PASS_FORWARD ? pp__shape_bytes(q->output) : 0;
}

static pp_status forward(const pp__op_binding *b) {
    const pp__cross_entropy_params *p = b->q.params;
    pp__shape x = b->q.inputs[0];
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/softmax_cross_entropy", "softmax_cross_entropy_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->labels, sizeof(int32_t));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_tensor(&l, b->workspace, sizeof(float));
    pp__launch_u32(&l, x.n);
    pp__launch_u32(&l, x.c);
    pp__launch_f32(&l, p->label_smoothing);
    PP_TRY(pp__launch_cover(&l, x.n, 1, 1));
    return pp__loss_forward(b, b->workspace);
}

static pp_status backward(const pp__op_binding *b) {
    const pp__cross_entropy_params *p = b->q.params;
    pp__shape x = b->q.inputs[0];
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/softmax_cross_entropy", "softmax_cross_entropy_backward");
    pp__launch_tensor(&l, b->q.stored[0]->code, sizeof(float));
    pp__launch_tensor(&l, b->labels, sizeof(int32_t));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__launch_u32(&l, x.n);
    pp__launch_u32(&l, x.c);
    pp__launch_f32(&l, p->label_smoothing);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover(&l, x.n, 1, 1);
}

/* An exponential counts as one operation. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    return pass == PP__PASS_FORWARD ? pp__cost_per_elem(q->inputs[0], 5, 1)
                                    : pp__cost_per_elem(q->inputs[0], 8, 2);
}

const pp__op pp__op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .params_bytes = sizeof(pp__cross_entropy_params),
    .input_count = 1,
    .infer = infer,
    .save = save,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_LOSS,
};
