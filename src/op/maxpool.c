/* maxpool: the largest value of each window; padding is left out.
 *
 *     y[n, i, j, c]  = max over r, s of x[n, i * stride_h - pad_h + r, j * stride_w - pad_w + s, c]
 *     dx[n, a, b, c] = sum of dy[n, i, j, c] over the windows whose maximum lies on (a, b)
 *
 * Saved: for each output the tap r * kernel_w + s of its first maximum, in the smallest of 1, 2, 4
 * or 8 bits that holds every tap. With the geometry it says where each gradient goes; neither x nor
 * y is needed. */
#include <inttypes.h>

#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"
#include "op/pool.h"

enum { TAPS_MAX = 256 };

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp_pool_params *p = params;
    PP_TRY(pp__pool_infer(engine, "maxpool", node, p, inputs[0], &shapes_out->output));
    if ((uint64_t)p->kernel_h * p->kernel_w > TAPS_MAX)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (maxpool): window %" PRIu32 "x%" PRIu32 " has more than %d taps",
                        node, p->kernel_h, p->kernel_w, TAPS_MAX);
    return PP_OK;
}

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    const pp_pool_params *p = q->params;
    uint32_t taps = p->kernel_h * p->kernel_w, bits = 1;
    while (taps > 1u << bits) bits *= 2;
    saves[0] = (pp__save){.source = PP__SAVE_AUXILIARY, .view = PP__VIEW_INDEX, .bits = bits};
    return 1;
}

static pp_status forward(const pp__op_binding *b) {
    const pp__stored *index = b->q.training ? b->q.stored[0] : NULL;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/maxpool",
                     index ? "maxpool_forward_index" : "maxpool_forward");
    if (index) pp__stored_prefix(index, &l);
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    if (index) pp__launch_tensor(&l, b->auxiliary[0], 1);
    pp__pool_arguments(&l, b->q.params, b->q.inputs[0], b->q.output);
    return pp__launch_cover_pixels(&l, b->q.output);
}

static pp_status backward(const pp__op_binding *b) {
    const pp__stored *index = b->q.stored[0];
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/maxpool", "maxpool_backward");
    pp__stored_prefix(index, &l);
    pp__launch_tensor(&l, index->code, 1);
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__pool_arguments(&l, b->q.params, b->q.inputs[0], b->q.output);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_pixels(&l, b->q.inputs[0]);
}

/* One comparison or addition per tap; each tensor is read or written once. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    (void)pass;
    const pp_pool_params *p = q->params;
    pp__op_cost in = pp__cost_per_elem(q->inputs[0], 0, 1);
    pp__op_cost out = pp__cost_per_elem(q->output, (double)p->kernel_h * p->kernel_w, 1);
    out.bytes += in.bytes;
    return pp__cost_with_stored(out, q, 0);
}

const pp__op pp__op_maxpool = {
    .name = "maxpool",
    .params_bytes = sizeof(pp_pool_params),
    .input_count = 1,
    .infer = infer,
    .save = save,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_POOL_INPUT | PP__OP_BANDS,
};
