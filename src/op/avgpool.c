/* avgpool: the mean of each window.
 *
 *     y[n, i, j, c]  = sum over r, s of x[n, i * stride_h - pad_h + r, j * stride_w - pad_w + s, c]
 *                      / d(i, j)
 *     dx[n, a, b, c] = sum over the windows (i, j) that hold (a, b) of dy[n, i, j, c] / d(i, j)
 *
 * d is the window's area, or with count_valid_only the number of its pixels inside x. Saved:
 * nothing; the map is linear and fixed. */
#include "op/cost.h"
#include "op/elementwise.h"
#include "op/op.h"
#include "op/pool.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    return pp__pool_infer(engine, "avgpool", node, params, inputs[0], &shapes_out->output);
}

static pp_status forward(const pp__op_binding *b) {
    const pp_pool_params *p = b->q.params;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/avgpool", "avgpool_forward");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__pool_arguments(&l, p, b->q.inputs[0], b->q.output);
    pp__launch_u32(&l, p->count_valid_only);
    return pp__launch_cover_pixels(&l, b->q.output);
}

static pp_status backward(const pp__op_binding *b) {
    const pp_pool_params *p = b->q.params;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/avgpool", "avgpool_backward");
    pp__launch_tensor(&l, b->output_gradient, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__pool_arguments(&l, p, b->q.inputs[0], b->q.output);
    pp__launch_u32(&l, p->count_valid_only);
    pp__launch_u32(&l, b->input_gradient_adds[0]);
    return pp__launch_cover_pixels(&l, b->q.inputs[0]);
}

/* One addition per tap and one division per output; each tensor is read or written once. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    (void)pass;
    const pp_pool_params *p = q->params;
    pp__op_cost in = pp__cost_per_elem(q->inputs[0], 0, 1);
    pp__op_cost out = pp__cost_per_elem(q->output, (double)p->kernel_h * p->kernel_w + 1, 1);
    return (pp__op_cost){.flops = out.flops, .bytes = in.bytes + out.bytes};
}

const pp__op pp__op_avgpool = {
    .name = "avgpool",
    .params_bytes = sizeof(pp_pool_params),
    .input_count = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_BANDS,
};
