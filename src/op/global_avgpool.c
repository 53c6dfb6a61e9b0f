/* global_avgpool: the mean over height and width, [n, h, w, c] -> [n, 1, 1, c].
 *
 *     y[n, c] = sum over i, j of x[n, i, j, c] / (h * w)        dx[n, i, j, c] = dy[n, c] / (h * w)
 *
 * Saved: nothing; the map is linear and fixed. */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    (void)engine, (void)node, (void)params;
    shapes_out->output = (pp__shape){inputs[0].n, 1, 1, inputs[0].c};
    return PP_OK;
}

static uint32_t area(const pp__op_query *q) {
    return q->inputs[0].h * q->inputs[0].w;
}

static pp_status forward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/global_avgpool", "global_avgpool_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_u32(&l, area(&b->q));
    pp__launch_u32(&l, b->q.output.n);
    pp__launch_u32(&l, b->q.output.c);
    pp__launch_define(&l, "COMMON_WHOLE", b->q.output.c % 8 == 0);
    return pp__launch_cover(&l, pp__octet_groups(b->q.profile, b->q.output.c), b->q.output.n, 1);
}

static pp_status backward(const pp__op_binding *b) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/global_avgpool", "global_avgpool_backward");
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__launch_u32(&l, area(&b->q));
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_pixels(&l, b->q.inputs[0]);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    (void)pass;
    pp__op_cost in = pp__cost_per_elem(q->inputs[0], 1, 1),
                out = pp__cost_per_elem(q->output, 1, 1);
    return (pp__op_cost){.flops = in.flops + out.flops, .bytes = in.bytes + out.bytes};
}

const pp__op pp__op_global_avgpool = {
    .name = "global_avgpool",
    .input_count = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
};
