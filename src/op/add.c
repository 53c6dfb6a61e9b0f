/* add: y = a + b; da = db = dy.
 *
 * Saved: nothing. There is no backward to record: the input gradients are the output gradient
 * itself, and the plan copies it or adds it up where others have a share in them
 * (plan/backward.c). */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    (void)params;
    if (!pp__shape_equal(inputs[0], inputs[1])) {
        char a[PP__SHAPE_TEXT], b[PP__SHAPE_TEXT];
        pp__shape_print(inputs[0], a);
        pp__shape_print(inputs[1], b);
        return pp__fail(engine, PP_ERROR_SHAPE, "node '%s' (add): inputs %s and %s differ", node, a,
                        b);
    }
    shapes_out->output = inputs[0];
    return PP_OK;
}

static pp_status forward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/add", "add_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->inputs[1], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    return pp__launch_cover_line(&l, b->q.output);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    if (pass == PP__PASS_FORWARD) return pp__cost_per_elem(q->output, 1, 3);
    return pp__cost_per_elem(q->output, 0, 0);
}

const pp__op pp__op_add = {
    .name = "add",
    .input_count = 2,
    .infer = infer,
    .forward = forward,
    .cost = cost,
    .traits = PP__OP_IN_PLACE | PP__OP_IN_PLACE_SECOND | PP__OP_GRADIENT_SHARED | PP__OP_BANDS,
};
