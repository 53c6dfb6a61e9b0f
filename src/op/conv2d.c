/* conv2d: 2-D convolution. Formulas: cl/op/conv2d.cl.
 *
 * Saved for backward: the input, lossy allowed, because only dw reads it and dw does not propagate
 * further; dx needs the weights and dy alone. Nothing where the weights are frozen. */
#include "op/conv2d.h"

#include <inttypes.h>
#include <math.h>

#include "op/cost.h"
#include "op/params.h"
#include "util/size.h"

enum { MOMENT_PIXELS = 64 }; /* fewest outputs of a split of the moments, on average */

uint32_t pp__conv2d_output_extent(uint32_t in, uint32_t window, uint32_t stride, uint32_t pad,
                                  uint32_t dilation) {
    uint64_t span = (uint64_t)dilation * (window - 1) + 1, padded = in + 2 * (uint64_t)pad;
    return span > padded ? 0 : (uint32_t)((padded - span) / stride + 1);
}

static pp_status check_params(pp_engine *engine, const char *node, const pp_conv2d_params *p,
                              pp__shape in) {
    /* Keeps every product of two of them far below 2^63, and signed kernel arguments valid. */
    const uint64_t limit = 1u << 20;
    if (!p->out_channels || !p->kernel_h || !p->kernel_w)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (conv2d): %" PRIu32 " output channels, window %" PRIu32
                        "x%" PRIu32 "; each must be at least 1",
                        node, p->out_channels, p->kernel_h, p->kernel_w);
    if (p->out_channels > limit || p->kernel_h > limit || p->kernel_w > limit ||
        p->stride_h > limit || p->stride_w > limit || p->pad_h > limit || p->pad_w > limit ||
        p->dilation_h > limit || p->dilation_w > limit)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (conv2d): a parameter is larger than 2^20", node);
    if (in.c % p->groups || p->out_channels % p->groups)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (conv2d): %" PRIu32 " groups do not divide %" PRIu32
                        " input and %" PRIu32 " output channels",
                        node, p->groups, in.c, p->out_channels);
    return PP_OK;
}

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp_conv2d_params *p = params;
    const pp__shape in = inputs[0];
    PP_TRY(check_params(engine, node, p, in));
    uint32_t oh = pp__conv2d_output_extent(in.h, p->kernel_h, p->stride_h, p->pad_h, p->dilation_h);
    uint32_t ow = pp__conv2d_output_extent(in.w, p->kernel_w, p->stride_w, p->pad_w, p->dilation_w);
    if (!oh || !ow) {
        char text[PP__SHAPE_TEXT];
        pp__shape_print(in, text);
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (conv2d): window %" PRIu32 "x%" PRIu32 " with dilation %" PRIu32
                        "x%" PRIu32 " and padding %" PRIu32 "x%" PRIu32 " does not fit input %s",
                        node, p->kernel_h, p->kernel_w, p->dilation_h, p->dilation_w, p->pad_h,
                        p->pad_w, text);
    }
    uint32_t group_c = in.c / p->groups;
    double fan_in = (double)p->kernel_h * p->kernel_w * group_c;
    shapes_out->output = (pp__shape){in.n, oh, ow, p->out_channels};
    shapes_out->parameters[0] =
        (pp__parameter_spec){.suffix = "weight",
                             .shape = {p->kernel_h, p->kernel_w, group_c, p->out_channels},
                             .axis_count = 4,
                             .init = PP__INIT_NORMAL,
                             .deviation = (float)sqrt(2.0 / fan_in),
                             .trainable = true,
                             .decayed = true};
    shapes_out->parameters[1] = (pp__parameter_spec){.suffix = "bias",
                                                     .shape = {1, 1, 1, p->out_channels},
                                                     .axis_count = 1,
                                                     .init = PP__INIT_ZERO,
                                                     .trainable = true};
    shapes_out->parameter_count = p->bias ? 2 : 1;
    return PP_OK;
}

/* The order of the parameters. */
enum { WEIGHT, BIAS };

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    if (q->frozen[WEIGHT]) return 0;
    saves[0] = (pp__save){.source = PP__SAVE_INPUT, .view = PP__VIEW_VALUE};
    return 1;
}

static pp__conv2d_geometry geometry_of(const pp__op_query *q) {
    const pp_conv2d_params *p = q->params;
    const pp__shape in = q->inputs[0], out = q->output;
    return (pp__conv2d_geometry){in.n,        in.h,          in.w,          in.c,
                                 out.h,       out.w,         out.c,         p->kernel_h,
                                 p->kernel_w, p->stride_h,   p->stride_w,   p->pad_h,
                                 p->pad_w,    p->dilation_h, p->dilation_w, p->groups};
}

static pp__conv2d_job job_of(const pp__op_binding *b, pp__pass pass) {
    return pp__conv2d_job_of(b, pass, geometry_of(&b->q));
}

static size_t workspace(const pp__op_query *q, pp__pass pass) {
    if (pass == PP__PASS_BACKWARD_PARAMETERS && q->frozen[WEIGHT]) return 0;
    const pp__op_binding b = {.q = *q};
    const pp__conv2d_job job = job_of(&b, pass);
    return pp__conv2d_pass_bytes(&job, q->profile);
}

/* Where they take little memory beside the output. */
static uint32_t moments(const pp__op_query *q) {
    pp__conv2d_geometry g = geometry_of(q);
    uint32_t splits = pp__conv2d_pass_splits(&g, q->profile);
    return splits <= pp__shape_pixels(q->output) / MOMENT_PIXELS ? splits : 0;
}

static pp_status self_test(const pp__op_binding *b, pp__pass pass) {
    if (pass == PP__PASS_BACKWARD_PARAMETERS && b->q.frozen[WEIGHT]) return PP_OK;
    const pp__conv2d_job job = job_of(b, pass);
    return pp__conv2d_self_test(b->stream, &job);
}

static pp_status forward(const pp__op_binding *b) {
    const pp__conv2d_job job = job_of(b, PP__PASS_FORWARD);
    return pp__conv2d_pass(b->stream, &job);
}

static pp_status backward_parameters(const pp__op_binding *b) {
    const pp_conv2d_params *p = b->q.params;
    const pp__conv2d_job job = job_of(b, PP__PASS_BACKWARD_PARAMETERS);
    if (!b->q.frozen[WEIGHT]) PP_TRY(pp__conv2d_pass(b->stream, &job));
    if (!p->bias || b->q.frozen[BIAS]) return PP_OK;
    return pp__conv2d_backward_bias(b->stream, job.g.n * job.g.oh * job.g.ow, job.g.k, job.dy,
                                    b->parameter_gradients[BIAS], job.adds);
}

static pp_status backward(const pp__op_binding *b) {
    const pp__conv2d_job job = job_of(b, PP__PASS_BACKWARD);
    return pp__conv2d_pass(b->stream, &job);
}

/* Pairs of an output position and a tap of one axis that meet a value, not padding. */
static double tap_count(uint32_t in, uint32_t out, uint32_t window, uint32_t stride, uint32_t pad,
                        uint32_t dilation) {
    double count = 0;
    for (uint32_t r = 0; r < window; r++) {
        /* Output o reads input o * stride - before. */
        const int64_t before = (int64_t)pad - (int64_t)r * dilation;
        const int64_t end = (int64_t)in + before; /* o * stride lies in [before, end) */
        const int64_t first = before > 0 ? (before + stride - 1) / stride : 0;
        const int64_t stop = end > 0 ? (end + stride - 1) / stride : 0;
        const int64_t last = stop < out ? stop : out;
        if (last > first) count += (double)(last - first);
    }
    return count;
}

/* Multiply-adds count twice, those with padding not at all; all three passes have the same
 * products. A pooled map shrinks the weight gradient's sum over pixels by its block, and adds one
 * sum of dy per tap. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    pp__conv2d_geometry g = geometry_of(q);
    double x = (double)pp__shape_bytes(q->inputs[0]), y = (double)pp__shape_bytes(q->output);
    double w = (double)g.r * g.s * (g.c / g.groups) * g.k * sizeof(float);
    double taps = tap_count(g.h, g.oh, g.r, g.stride_h, g.pad_h, g.dilation_h) *
                  tap_count(g.w, g.ow, g.s, g.stride_w, g.pad_w, g.dilation_w) * g.n;
    double flops = 2 * taps * (g.c / g.groups) * g.k;
    if (pass == PP__PASS_BACKWARD_PARAMETERS && q->stored[0]) {
        const pp__coding *coding = &q->stored[0]->coding;
        x = pp__cost_stored(q, 0);
        if (coding->codec->pooled) {
            double blocks = (double)g.n * pp__divide_up(g.h, coding->window) *
                            pp__divide_up(g.w, coding->window);
            flops = 2 * blocks * g.k * g.r * g.s * (g.c / g.groups) + taps * g.k;
        }
    }
    return (pp__op_cost){.flops = flops, .bytes = x + y + w, .is_product = true};
}

const pp__op pp__op_conv2d = {
    .name = "conv2d",
    .params_bytes = sizeof(pp_conv2d_params),
    .input_count = 1,
    .infer = infer,
    .save = save,
    .workspace = workspace,
    .moments = moments,
    .self_test = self_test,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward = backward,
    .cost = cost,
    .traits = PP__OP_BANDS,
};
