/* relu: y = max(0, x); dx = dy where y > 0, else 0.
 *
 * Saved: where y is positive, in whatever form the plan chose. That is enough: the derivative is 1
 * there and 0 elsewhere, at x = 0 as well. */
#include "op/relu.h"

#include "op/cost.h"
#include "op/elementwise.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    (void)engine, (void)node, (void)params;
    shapes_out->output = inputs[0];
    return PP_OK;
}

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    (void)q;
    saves[0] = (pp__save){.source = PP__SAVE_OUTPUT, .view = PP__VIEW_MASK};
    return 1;
}

static pp_status forward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/relu", "relu_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    return pp__launch_cover_line(&l, b->q.output);
}

pp_status pp__relu_backward(const pp__op_binding *b, const pp__stored *mask) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/relu", "relu_backward");
    pp__stored_prefix(mask, &l);
    pp__launch_tensor(&l, mask->code, 1);
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_pixels(&l, b->q.output);
}

static pp_status backward(const pp__op_binding *b) {
    return pp__relu_backward(b, b->q.stored[0]);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    pp__op_cost both = pp__cost_per_elem(q->output, 1, 2); /* x -> y and dy -> dx are alike */
    return pass == PP__PASS_FORWARD ? both : pp__cost_with_stored(both, q, 0);
}

const pp__op pp__op_relu = {
    .name = "relu",
    .input_count = 1,
    .infer = infer,
    .save = save,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_IN_PLACE | PP__OP_GRADIENT_IN_PLACE | PP__OP_RELU_OUTPUT | PP__OP_BANDS,
};
