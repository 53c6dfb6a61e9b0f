/* batchnorm: batch normalisation per channel. Formulas: cl/op/batchnorm.cl.
 *
 * Saved for backward: x-hat, lossy allowed (only the variance term of dx and dgamma read it,
 * METHODS A.4), and the batch's mean and 1/deviation. Where x-hat's codec stores itself, the input
 * is kept instead and x-hat is recomputed from it with the same operations, so the result is the
 * same to the bit. */
#include "op/batchnorm.h"

#include "op/elementwise.h"
#include "op/params.h"
#include "profile/profile.h"
#include "util/size.h"

pp_status pp__batchnorm_infer(pp_engine *engine, const char *node, const void *params,
                              const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp_batchnorm_params *p = params;
    if (!(p->epsilon > 0) || !(p->momentum > 0 && p->momentum <= 1))
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "node '%s' (batchnorm): epsilon %g, momentum %g; expected epsilon > 0, "
                        "momentum in (0, 1]",
                        node, (double)p->epsilon, (double)p->momentum);
    static const struct {
        const char *suffix;
        pp__init init;
        bool trainable;
    } parameters[] = {{"weight", PP__INIT_ONE, true},
                      {"bias", PP__INIT_ZERO, true},
                      {"running_mean", PP__INIT_ZERO, false},
                      {"running_var", PP__INIT_ONE, false}};
    shapes_out->output = inputs[0];
    shapes_out->parameter_count = sizeof parameters / sizeof *parameters;
    for (size_t i = 0; i < shapes_out->parameter_count; i++)
        shapes_out->parameters[i] = (pp__parameter_spec){.suffix = parameters[i].suffix,
                                                         .shape = {1, 1, 1, inputs[0].c},
                                                         .axis_count = 1,
                                                         .init = parameters[i].init,
                                                         .trainable = parameters[i].trainable};
    return PP_OK;
}

static size_t channel_bytes(const pp__op_query *q) {
    return q->output.c * sizeof(float);
}

size_t pp__batchnorm_save(const pp__op_query *q, pp__save saves[PP__OP_SAVES], bool relu) {
    saves[PP__BATCHNORM_XHAT] = (pp__save){.source = PP__SAVE_OUTPUT, .view = PP__VIEW_XHAT};
    saves[PP__BATCHNORM_STATISTICS] =
        (pp__save){.source = PP__SAVE_AUXILIARY, .bytes = 2 * channel_bytes(q)};
    saves[PP__BATCHNORM_MASK] = (pp__save){.source = PP__SAVE_OUTPUT, .view = PP__VIEW_MASK};
    return relu ? 3 : 2;
}

static uint32_t split_count(const pp__op_query *q) {
    return pp__divide_up((uint32_t)pp__shape_pixels(q->output),
                         pp__profile_u32(q->profile, "batchnorm.split_pixels"));
}

/* Two partial sums per split and channel; in backward two means per channel in front of them.
 * Inference puts its statistics there. */
size_t pp__batchnorm_workspace(const pp__op_query *q, pp__pass pass) {
    size_t partial = 2 * split_count(q) * channel_bytes(q), channels = 2 * channel_bytes(q);
    if (pass == PP__PASS_FORWARD) return partial > channels ? partial : channels;
    return channels + partial;
}

static pp_status cover_channels(pp__launch *l, uint32_t channels) {
    return pp__launch_cover(l, pp__divide_up(channels, 8), 1, 1);
}

static pp_status record_batch_statistics(const pp__op_binding *b, pp__ref statistics) {
    const pp_batchnorm_params *p = b->q.params;
    uint32_t pixels = (uint32_t)pp__shape_pixels(b->q.output), channels = b->q.output.c;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_moments");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->workspace, sizeof(float));
    pp__launch_u32(&l, pixels);
    pp__launch_u32(&l, channels);
    PP_TRY(pp__launch_cover(&l, pp__divide_up(channels, 8), split_count(&b->q), 1));
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_statistics");
    pp__launch_tensor(&l, b->workspace, sizeof(float));
    pp__launch_tensor(&l, statistics, sizeof(float));
    pp__launch_tensor(&l, b->parameters[2], sizeof(float));
    pp__launch_tensor(&l, b->parameters[3], sizeof(float));
    pp__launch_u32(&l, pixels);
    pp__launch_u32(&l, channels);
    pp__launch_f32(&l, p->epsilon);
    pp__launch_f32(&l, p->momentum);
    return cover_channels(&l, channels);
}

static pp_status record_running_statistics(const pp__op_binding *b, pp__ref statistics) {
    const pp_batchnorm_params *p = b->q.params;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_running");
    pp__launch_tensor(&l, b->parameters[2], sizeof(float));
    pp__launch_tensor(&l, b->parameters[3], sizeof(float));
    pp__launch_tensor(&l, statistics, sizeof(float));
    pp__launch_u32(&l, b->q.output.c);
    pp__launch_f32(&l, p->epsilon);
    return cover_channels(&l, b->q.output.c);
}

pp_status pp__batchnorm_forward(const pp__op_binding *b, bool relu) {
    const pp__stored *stored = b->q.training ? b->q.stored[PP__BATCHNORM_XHAT] : NULL;
    pp__ref statistics = stored ? b->auxiliary[PP__BATCHNORM_STATISTICS] : b->workspace;
    PP_TRY(stored ? record_batch_statistics(b, statistics)
                  : record_running_statistics(b, statistics));
    bool encodes = stored && !stored->coding.codec->stores_itself;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_forward");
    if (encodes) pp__stored_prefix(stored, &l);
    pp__launch_define(&l, "STORED_RELU", relu);
    pp__launch_define(&l, "BATCHNORM_ENCODE", encodes);
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, statistics, sizeof(float));
    pp__launch_tensor(&l, b->parameters[0], sizeof(float));
    pp__launch_tensor(&l, b->parameters[1], sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_tensor(&l, encodes ? stored->code : (pp__ref){0}, 1);
    return pp__launch_cover_pixels(&l, b->q.output);
}

/* The bit plane, where the mask is no view of x-hat's code. */
static pp__ref separate_mask(const pp__op_binding *b, bool relu) {
    const pp__stored *mask = relu ? b->q.stored[PP__BATCHNORM_MASK] : NULL;
    return mask && mask->subject != PP__SUBJECT_NORMALISED ? mask->code : (pp__ref){0};
}

static void begin_backward(pp__launch *l, const pp__op_binding *b, bool relu, const char *kernel) {
    const pp__stored *stored = b->q.stored[PP__BATCHNORM_XHAT];
    pp__ref mask = separate_mask(b, relu);
    pp__launch_begin(l, b->stream, "op/batchnorm", kernel);
    pp__stored_prefix(stored, l);
    pp__launch_define(l, "STORED_RELU", relu);
    pp__launch_define(l, "BATCHNORM_SEPARATE_MASK", mask.memory != NULL);
    pp__launch_tensor(l, b->output_gradient, sizeof(float));
    pp__stored_arguments(stored, l);
    pp__launch_tensor(l, mask, 1);
}

pp_status pp__batchnorm_backward(const pp__op_binding *b, bool relu) {
    uint32_t pixels = (uint32_t)pp__shape_pixels(b->q.output), channels = b->q.output.c;
    pp__ref means = b->workspace, partial = b->workspace;
    partial.offset_bytes += 2 * channel_bytes(&b->q);
    pp__launch l;
    begin_backward(&l, b, relu, "batchnorm_backward_sums");
    pp__launch_tensor(&l, partial, sizeof(float));
    pp__launch_u32(&l, pixels);
    pp__launch_u32(&l, channels);
    PP_TRY(pp__launch_cover(&l, pp__divide_up(channels, 8), split_count(&b->q), 1));

    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_backward_parameters");
    pp__launch_define(&l, "BATCHNORM_ADD_PARAMETERS", b->parameter_gradients_add);
    pp__launch_tensor(&l, partial, sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[0], sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[1], sizeof(float));
    pp__launch_tensor(&l, means, sizeof(float));
    pp__launch_u32(&l, pixels);
    pp__launch_u32(&l, channels);
    PP_TRY(cover_channels(&l, channels));

    if (!b->q.input_gradient[0]) return PP_OK;
    begin_backward(&l, b, relu, "batchnorm_backward");
    pp__launch_define(&l, "BATCHNORM_ADD", b->input_gradient_adds[0]);
    pp__launch_tensor(&l, means, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    return pp__launch_cover_pixels(&l, b->q.output);
}

/* Forward reads x three times and writes y; backward reads dy and the code twice and writes dx. */
pp__op_cost pp__batchnorm_cost(const pp__op_query *q, pp__pass pass) {
    double bytes = (double)pp__shape_bytes(q->output), elems = bytes / sizeof(float);
    if (pass == PP__PASS_FORWARD) return (pp__op_cost){8 * elems, 4 * bytes};
    const pp__stored *stored = q->stored[PP__BATCHNORM_XHAT];
    double code = stored ? (double)pp__coding_bytes(&stored->coding, stored->shape) : bytes;
    return (pp__op_cost){10 * elems, 3 * bytes + 2 * code};
}

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    return pp__batchnorm_save(q, saves, false);
}
static pp_status forward(const pp__op_binding *b) {
    return pp__batchnorm_forward(b, false);
}
static pp_status backward(const pp__op_binding *b) {
    return pp__batchnorm_backward(b, false);
}

const pp__op pp__op_batchnorm = {
    .name = "batchnorm",
    .params_bytes = sizeof(pp_batchnorm_params),
    .input_count = 1,
    .infer = pp__batchnorm_infer,
    .save = save,
    .workspace = pp__batchnorm_workspace,
    .forward = forward,
    .backward = backward,
    .cost = pp__batchnorm_cost,
    .traits = PP__OP_IN_PLACE | PP__OP_GRADIENT_IN_PLACE | PP__OP_NORMALISES,
};
