/* add_relu: y = max(0, a + b); da = db = dy where y > 0, else 0.
 *
 * Saved: where y is positive (see relu). Both input gradients are the same numbers: backward writes
 * them once, with relu's kernel, and the plan lets the inputs share them. */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"
#include "op/relu.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    (void)params;
    if (!pp__shape_equal(inputs[0], inputs[1])) {
        char a[PP__SHAPE_TEXT], b[PP__SHAPE_TEXT];
        pp__shape_print(inputs[0], a);
        pp__shape_print(inputs[1], b);
        return pp__fail(engine, PP_ERROR_SHAPE, "node '%s' (add_relu): inputs %s and %s differ",
                        node, a, b);
    }
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
    pp__launch_begin(&l, b->stream, "op/add_relu", "add_relu_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->inputs[1], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    return pp__launch_cover_line(&l, b->q.output);
}

static pp_status backward(const pp__op_binding *b) {
    return pp__relu_backward(b, b->q.stored[0]);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    if (pass == PP__PASS_FORWARD) return pp__cost_per_elem(q->output, 2, 3);
    return pp__cost_with_stored(pp__cost_per_elem(q->output, 1, 2), q, 0);
}

const pp__op pp__op_add_relu = {
    .name = "add_relu",
    .input_count = 2,
    .infer = infer,
    .save = save,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_IN_PLACE | PP__OP_IN_PLACE_SECOND | PP__OP_GRADIENT_IN_PLACE |
              PP__OP_GRADIENT_COMMON | PP__OP_RELU_OUTPUT | PP__OP_BANDS,
};
