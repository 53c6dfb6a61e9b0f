/* add: y = a + b; da = db = dy.
 *
 * Saved: nothing. The plan lets both input gradients be the output gradient where it can; backward
 * is for the places where it cannot. */
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

static pp_status sum(pp__stream *stream, pp__ref a, pp__ref b, pp__ref y, pp__shape shape) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/add", "add_forward");
    pp__launch_tensor(&l, a, sizeof(float));
    pp__launch_tensor(&l, b, sizeof(float));
    pp__launch_tensor(&l, y, sizeof(float));
    return pp__launch_cover_pixels(&l, shape);
}

static pp_status forward(const pp__op_binding *b) {
    return sum(b->stream, b->inputs[0], b->inputs[1], b->output, b->q.output);
}

static bool same(pp__ref a, pp__ref b) {
    return a.memory == b.memory && a.offset_bytes == b.offset_bytes;
}

static pp_status backward(const pp__op_binding *b) {
    pp__ref dy = b->output_gradient;
    for (size_t i = 0; i < 2; i++) {
        pp__ref dx = b->input_gradients[i];
        if (!b->q.input_gradient[i]) continue;
        if (b->input_gradient_adds[i])
            PP_TRY(sum(b->stream, dx, dy, dx, b->q.output));
        else if (!same(dx, dy))
            PP_TRY(pp__stream_copy(b->stream, dy, dx, pp__shape_bytes(b->q.output)));
    }
    return PP_OK;
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
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_IN_PLACE | PP__OP_IN_PLACE_SECOND | PP__OP_GRADIENT_SHARED,
};
