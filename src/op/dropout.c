/* dropout: y = x / (1 - probability) where the element's draw is at least `probability`, else 0; dx
 * the same of dy. The identity in inference.
 *
 * Element i draws word i % 4 of Philox block (seed, node << 32 | step, i / 4). Saved: nothing;
 * backward runs in the same step and draws the same again. */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"
#include "op/params.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp__dropout_params *p = params;
    if (!(p->probability >= 0 && p->probability < 1))
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "node '%s' (dropout): probability %g is not in [0, 1)", node,
                        (double)p->probability);
    shapes_out->output = inputs[0];
    return PP_OK;
}

/* Appends the number of elements and covers groups of 32 of them. */
static pp_status cover_groups(pp__launch *l, const pp__op_binding *b) {
    uint32_t elems = (uint32_t)(pp__shape_pixels(b->q.output) * b->q.output.c);
    uint32_t groups = pp__divide_up(elems, 32);
    pp__launch_u32(l, elems);
    return pp__launch_cover(l, pp__divide_up(groups, pp__profile_u32(b->q.profile, "common.chunk")),
                            1, 1);
}

/* Appends node, probability, scale. */
static void append_draw(pp__launch *l, const pp__op_binding *b) {
    const pp__dropout_params *p = b->q.params;
    pp__launch_u32(l, b->node_number);
    pp__launch_f32(l, p->probability);
    pp__launch_f32(l, 1.0f / (1.0f - p->probability));
}

static pp_status forward(const pp__op_binding *b) {
    pp__ref x = b->inputs[0], y = b->output;
    if (!b->q.training) {
        if (x.memory == y.memory && x.offset_bytes == y.offset_bytes) return PP_OK;
        return pp__stream_copy(b->stream, x, y, pp__shape_bytes(b->q.output));
    }
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/dropout", "dropout_forward");
    pp__launch_prefix(&l, "rng");
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, y, sizeof(float));
    append_draw(&l, b);
    return cover_groups(&l, b);
}

static pp_status backward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/dropout", "dropout_backward");
    pp__launch_prefix(&l, "rng");
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    append_draw(&l, b);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return cover_groups(&l, b);
}

/* The draw is whole-number work and is not counted. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    (void)pass;
    return pp__cost_per_elem(q->output, q->training ? 2 : 0, 2);
}

const pp__op pp__op_dropout = {
    .name = "dropout",
    .params_bytes = sizeof(pp__dropout_params),
    .input_count = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_IN_PLACE | PP__OP_GRADIENT_IN_PLACE,
};
