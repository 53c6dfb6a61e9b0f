/* mse: a loss, the mean of squared differences. For x [n, h, w, c] and float32 targets of the same
 * shape, with m = h * w * c:
 *
 *     loss[n] = sum over elements of (x - target)^2 / m
 *     dx      = 2 * (x - target) / m * loss scale
 *
 * The output holds the per-sample losses [n, 1, 1, 1]; their sum is added to the metrics, hits stay
 * as they are. Samples behind SCALAR_COUNT pad the batch and count nothing. Saved: x, exactly, as
 * the gradient is made of it. */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/loss.h"
#include "op/op.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    (void)engine, (void)node, (void)params;
    shapes_out->output = (pp__shape){inputs[0].n, 1, 1, 1};
    return PP_OK;
}

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    (void)q;
    saves[0] = (pp__save){.source = PP__SAVE_INPUT, .view = PP__VIEW_VALUE, .exact = true};
    return 1;
}

static pp_status forward(const pp__op_binding *b) {
    pp__shape x = b->q.inputs[0];
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/mse", "mse_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->labels, sizeof(float));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_u32(&l, x.n);
    pp__launch_u32(&l, x.h * x.w * x.c);
    PP_TRY(pp__launch_cover(&l, x.n, 1, 1));
    return pp__loss_forward(b, (pp__ref){0});
}

static pp_status backward(const pp__op_binding *b) {
    pp__shape x = b->q.inputs[0];
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/mse", "mse_backward");
    pp__launch_tensor(&l, b->q.stored[0]->code, sizeof(float));
    pp__launch_tensor(&l, b->labels, sizeof(float));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__launch_u32(&l, x.h * x.w * x.c);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_line(&l, x);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    return pass == PP__PASS_FORWARD ? pp__cost_per_elem(q->inputs[0], 3, 2)
                                    : pp__cost_per_elem(q->inputs[0], 2, 3);
}

const pp__op pp__op_mse = {
    .name = "mse",
    .input_count = 1,
    .infer = infer,
    .save = save,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_LOSS | PP__OP_TARGETS,
};
