/* shortcut: every stride-th pixel, the channels padded with zeros on both sides (He et al. 2016,
 * option A).
 *
 *     y[n, i, j, k]  = x[n, i * stride, j * stride, k - front] where that channel exists, else 0
 *     dx[n, i, j, c] = dy[n, i / stride, j / stride, c + front] where stride divides both, else 0
 *
 * front = (out_channels - c) / 2 rounded down, so the odd channel lies behind. Saved: nothing; the
 * map is linear and fixed. */
#include <inttypes.h>

#include <pocketprop/graph.h>

#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"
#include "util/size.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp_shortcut_params *p = params;
    pp__shape x = inputs[0];
    if (!p->stride)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (shortcut): stride is 0, expected at least 1", node);
    if (p->out_channels < x.c) {
        char shape[PP__SHAPE_TEXT];
        pp__shape_print(x, shape);
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (shortcut): %" PRIu32
                        " output channels are fewer than those of input %s",
                        node, p->out_channels, shape);
    }
    shapes_out->output = (pp__shape){x.n, pp__divide_up(x.h, p->stride),
                                     pp__divide_up(x.w, p->stride), p->out_channels};
    return PP_OK;
}

static uint32_t front(const pp__op_query *q) {
    return (q->output.c - q->inputs[0].c) / 2;
}

/* Appends h, w, out_h, out_w, the channels of the tensor that is read, stride, front. */
static void append_geometry(pp__launch *l, const pp__op_query *q, uint32_t channels_read) {
    const pp_shortcut_params *p = q->params;
    pp__launch_u32(l, q->inputs[0].h);
    pp__launch_u32(l, q->inputs[0].w);
    pp__launch_u32(l, q->output.h);
    pp__launch_u32(l, q->output.w);
    pp__launch_u32(l, channels_read);
    pp__launch_u32(l, p->stride);
    pp__launch_u32(l, front(q));
}

static pp_status forward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/shortcut", "shortcut_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    append_geometry(&l, &b->q, b->q.inputs[0].c);
    return pp__launch_cover_pixels(&l, b->q.output);
}

static pp_status backward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/shortcut", "shortcut_backward");
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    append_geometry(&l, &b->q, b->q.output.c);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_pixels(&l, b->q.inputs[0]);
}

/* The larger tensor is written, the elements that both have are read. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    pp__shape both = q->output;
    both.c = q->inputs[0].c;
    double read = pp__cost_per_elem(both, 0, 1).bytes;
    pp__shape written = pass == PP__PASS_FORWARD ? q->output : q->inputs[0];
    return (pp__op_cost){.bytes = read + pp__cost_per_elem(written, 0, 1).bytes};
}

const pp__op pp__op_shortcut = {
    .name = "shortcut",
    .params_bytes = sizeof(pp_shortcut_params),
    .input_count = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_BANDS,
};
