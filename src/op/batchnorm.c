/* batchnorm: batch normalisation per channel. Formulas: cl/op/batchnorm.cl.
 *
 * Saved for backward: x-hat, lossy allowed (only the variance term of dx and dgamma read it,
 * METHODS A.4), and the batch's mean and 1/deviation. Where x-hat's codec stores itself, the input
 * is kept instead and x-hat is recomputed from it with the same operations, so the result is the
 * same to the bit. With frozen statistics and a frozen gamma nothing reads x-hat, and only a ReLU's
 * mask is saved. */
#include "op/batchnorm.h"

#include "op/cost.h"
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

/* The order of the parameters. */
enum { GAMMA, BETA, RUNNING_MEAN, RUNNING_VARIANCE };

static bool frozen_statistics(const pp__op_query *q) {
    return q->frozen[RUNNING_MEAN];
}

static bool is_affine(const pp__op_query *q) {
    return frozen_statistics(q) && q->frozen[GAMMA];
}

size_t pp__batchnorm_save(const pp__op_query *q, pp__save saves[PP__OP_SAVES], bool relu) {
    if (!is_affine(q)) {
        saves[PP__BATCHNORM_XHAT] = (pp__save){.source = PP__SAVE_OUTPUT, .view = PP__VIEW_XHAT};
        saves[PP__BATCHNORM_STATISTICS] =
            (pp__save){.source = PP__SAVE_AUXILIARY, .bytes = 2 * channel_bytes(q)};
    }
    saves[PP__BATCHNORM_MASK] = (pp__save){.source = PP__SAVE_OUTPUT, .view = PP__VIEW_MASK};
    return relu ? 3 : 2;
}

/* How the passes see a tensor: rows of `width` channels, whole pixels of which `fold` make a row;
 * and in how many splits of `split_rows` rows they sum it up. */
typedef struct layout {
    uint32_t rows, width, fold;
    uint32_t split_rows, split_count;
} layout;

/* Codes of blocks tell pixels of a row apart by their place in the image, and only backward reads
 * them: forward writes them by a launch of its own. */
static bool reads_blocks(const pp__op_query *q, pp__pass pass) {
    const pp__stored *stored = q->stored[PP__BATCHNORM_XHAT];
    return pass != PP__PASS_FORWARD && stored && stored->coding.codec->blocks;
}

/* Pixels of few channels are folded into rows as wide as a work-item's share, where whole octets
 * and the code allow it. */
static uint32_t choose_fold(const pp__op_query *q, pp__pass pass, uint32_t pixels) {
    if (reads_blocks(q, pass)) return 1;
    uint32_t channels = q->output.c, most = 8 * pp__profile_u32(q->profile, "common.octets");
    uint32_t fold = channels % 8 ? 1 : most / channels;
    while (fold > 1 && pixels % fold) fold--;
    return fold ? fold : 1;
}

/* A split is at least batchnorm.split_octets of a work-item's, and there are at most
 * batchnorm.splits. */
static layout lay_out(const pp__op_query *q, pp__pass pass) {
    uint32_t pixels = (uint32_t)pp__shape_pixels(q->output);
    layout l = {.fold = choose_fold(q, pass, pixels)};
    l.rows = pixels / l.fold;
    l.width = q->output.c * l.fold;
    uint32_t octets = pp__divide_up(l.width, 8),
             across = pp__profile_u32(q->profile, "common.octets");
    if (across > octets) across = octets;
    uint32_t least = pp__divide_up(pp__profile_u32(q->profile, "batchnorm.split_octets"), across);
    l.split_rows = pp__divide_up(l.rows, pp__profile_u32(q->profile, "batchnorm.splits"));
    if (l.split_rows < least) l.split_rows = least;
    l.split_count = pp__divide_up(l.rows, l.split_rows);
    return l;
}

/* Bands whose sums come together; with frozen statistics each band stands for itself. */
static uint32_t band_count(const pp__op_query *q) {
    return q->bands && !frozen_statistics(q) ? q->bands : 1;
}

/* Backward has two totals per channel, in whose place an affine one has its statistics, and two
 * partial sums per split of a band and channel. Forward keeps the moments there that do not come
 * with x; inference its statistics. */
size_t pp__batchnorm_workspace(const pp__op_query *q, pp__pass pass) {
    size_t splits = lay_out(q, pass).split_count, channels = 2 * channel_bytes(q);
    if (pass != PP__PASS_FORWARD) return channels + 2 * splits * band_count(q) * channel_bytes(q);
    if (frozen_statistics(q)) return channels;
    size_t moments = q->input_moments ? 0 : PP__OP_MOMENTS * splits * channel_bytes(q);
    return moments > channels ? moments : channels;
}

static bool combines(const pp__op_query *q) {
    return pp__profile_u32(q->profile, "batchnorm.combine") != 0;
}

static pp_status cover_channels(pp__launch *l, uint32_t channels) {
    return pp__launch_cover(l, pp__divide_up(channels, 8), 1, 1);
}

/* Appends channels, rows, width; each work-item has one octet group of one split. */
static pp_status cover_splits(pp__launch *l, const pp__op_binding *b, const layout *at) {
    pp__launch_define(l, "COMMON_WHOLE", at->width % 8 == 0);
    pp__launch_u32(l, at->split_rows);
    pp__launch_u32(l, b->q.output.c);
    pp__launch_u32(l, at->rows);
    pp__launch_u32(l, at->width);
    return pp__launch_cover(l, pp__octet_groups(b->q.profile, at->width), at->split_count, 1);
}

static pp_status record_moments(const pp__op_binding *b, const layout *at) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_moments");
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, b->workspace, sizeof(float));
    return cover_splits(&l, b, at);
}

static pp__ref moments_of(const pp__op_binding *b) {
    return b->q.input_moments ? b->input_moments : b->workspace;
}
static uint32_t moment_splits(const pp__op_query *q, const layout *at) {
    return q->input_moments ? q->input_moments : at->split_count;
}

static pp_status record_statistics(const pp__op_binding *b, const layout *at) {
    const pp_batchnorm_params *p = b->q.params;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_statistics");
    pp__launch_tensor(&l, moments_of(b), sizeof(float));
    pp__launch_tensor(&l, b->auxiliary[PP__BATCHNORM_STATISTICS], sizeof(float));
    pp__launch_tensor(&l, b->parameters[RUNNING_MEAN], sizeof(float));
    pp__launch_tensor(&l, b->parameters[RUNNING_VARIANCE], sizeof(float));
    pp__launch_u32(&l, moment_splits(&b->q, at));
    pp__launch_u32(&l, at->rows * at->fold);
    pp__launch_u32(&l, b->q.output.c);
    pp__launch_f32(&l, p->epsilon);
    pp__launch_f32(&l, p->momentum);
    return cover_channels(&l, b->q.output.c);
}

static pp_status record_running_statistics(const pp__op_binding *b, pp__ref statistics) {
    const pp_batchnorm_params *p = b->q.params;
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_running");
    pp__launch_tensor(&l, b->parameters[RUNNING_MEAN], sizeof(float));
    pp__launch_tensor(&l, b->parameters[RUNNING_VARIANCE], sizeof(float));
    pp__launch_tensor(&l, statistics, sizeof(float));
    pp__launch_u32(&l, b->q.output.c);
    pp__launch_f32(&l, p->epsilon);
    return cover_channels(&l, b->q.output.c);
}

/* The last pass, behind statistics that are there, or that it makes (`combine`). */
static pp_status record_normalise(const pp__op_binding *b, const layout *at, pp__ref statistics,
                                  const pp__stored *encoded, bool combine, bool relu) {
    const pp_batchnorm_params *p = b->q.params;
    pp__ref none = {0};
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_forward");
    if (encoded) pp__stored_prefix(encoded, &l);
    pp__launch_define(&l, "STORED_RELU", relu);
    pp__launch_define(&l, "BATCHNORM_ENCODE", encoded != NULL);
    pp__launch_tensor(&l, b->inputs[0], sizeof(float));
    pp__launch_tensor(&l, combine ? moments_of(b) : none, sizeof(float));
    pp__launch_tensor(&l, b->parameters[GAMMA], sizeof(float));
    pp__launch_tensor(&l, b->parameters[BETA], sizeof(float));
    pp__launch_tensor(&l, statistics, sizeof(float));
    pp__launch_tensor(&l, combine ? b->parameters[RUNNING_MEAN] : none, sizeof(float));
    pp__launch_tensor(&l, combine ? b->parameters[RUNNING_VARIANCE] : none, sizeof(float));
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_tensor(&l, encoded ? encoded->code : none, 1);
    pp__launch_u32(&l, combine ? moment_splits(&b->q, at) : 0);
    pp__launch_f32(&l, p->epsilon);
    pp__launch_f32(&l, p->momentum);
    pp__launch_u32(&l, b->q.output.c);
    return pp__launch_cover_octets(&l, at->rows, at->width);
}

uint32_t pp__batchnorm_input_splits(const pp__op_query *q) {
    return lay_out(q, PP__PASS_FORWARD).split_count;
}

pp_status pp__batchnorm_input_moments(const pp__op_binding *b) {
    layout at = lay_out(&b->q, PP__PASS_FORWARD);
    return record_moments(b, &at);
}

pp_status pp__batchnorm_statistics(const pp__op_binding *b) {
    layout at = lay_out(&b->q, PP__PASS_FORWARD);
    if (!b->q.input_moments) PP_TRY(record_moments(b, &at));
    return record_statistics(b, &at);
}

pp_status pp__batchnorm_forward(const pp__op_binding *b, bool relu) {
    const pp__stored *stored = b->q.training ? b->q.stored[PP__BATCHNORM_XHAT] : NULL;
    layout at = lay_out(&b->q, PP__PASS_FORWARD);
    if (!stored) {
        PP_TRY(record_running_statistics(b, b->workspace));
        return record_normalise(b, &at, b->workspace, NULL, false, relu);
    }
    const pp__codec *codec = stored->coding.codec;
    const bool frozen = frozen_statistics(&b->q), wanted = !frozen && !b->divided;
    bool combine = combines(&b->q) && wanted && !codec->encode_xhat;
    if (!b->q.input_moments && wanted) PP_TRY(record_moments(b, &at));
    if (!combine && wanted) PP_TRY(record_statistics(b, &at));
    if (frozen) PP_TRY(record_running_statistics(b, b->auxiliary[PP__BATCHNORM_STATISTICS]));
    if (codec->encode_xhat) PP_TRY(codec->encode_xhat(stored, b->inputs[0], b->stream));
    bool encodes = !codec->stores_itself && !codec->encode_xhat;
    return record_normalise(b, &at, b->auxiliary[PP__BATCHNORM_STATISTICS], encodes ? stored : NULL,
                            combine, relu);
}

/* The bit plane, where the mask is no view of x-hat's code. */
static pp__ref separate_mask(const pp__op_binding *b, bool relu) {
    const pp__stored *mask = relu ? b->q.stored[PP__BATCHNORM_MASK] : NULL;
    return mask && mask->subject != PP__SUBJECT_NORMALISED ? mask->code : (pp__ref){0};
}

static void begin_backward(pp__launch *l, const pp__op_binding *b, bool relu, const char *kernel) {
    const pp__stored affine = {
        .statistics = b->workspace, .gamma = b->parameters[GAMMA], .beta = b->parameters[BETA]};
    const pp__stored *stored = b->q.stored[PP__BATCHNORM_XHAT];
    pp__ref mask = separate_mask(b, relu);
    pp__launch_begin(l, b->stream, "op/batchnorm", kernel);
    if (stored)
        pp__stored_prefix(stored, l);
    else
        pp__launch_define(l, "BATCHNORM_AFFINE", 1);
    pp__launch_define(l, "BATCHNORM_FROZEN", frozen_statistics(&b->q));
    pp__launch_define(l, "STORED_RELU", relu);
    pp__launch_define(l, "BATCHNORM_SEPARATE_MASK", mask.memory != NULL);
    pp__launch_tensor(l, b->output_gradient, sizeof(float));
    pp__stored_arguments(stored ? stored : &affine, l);
    pp__launch_tensor(l, mask, 1);
}

/* How what is made of the sums is kept. */
static void define_parameters(pp__launch *l, const pp__op_binding *b) {
    pp__launch_define(l, "BATCHNORM_ADD_PARAMETERS", b->parameter_gradients_add);
    pp__launch_define(l, "BATCHNORM_TRAINS_GAMMA", !b->q.frozen[GAMMA]);
    pp__launch_define(l, "BATCHNORM_TRAINS_BETA", !b->q.frozen[BETA]);
}

static pp_status record_totals(const pp__op_binding *b, const layout *at, pp__ref partial,
                               pp__ref totals) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/batchnorm", "batchnorm_backward_parameters");
    define_parameters(&l, b);
    pp__launch_tensor(&l, partial, sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[0], sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[1], sizeof(float));
    pp__launch_tensor(&l, totals, sizeof(float));
    pp__launch_u32(&l, at->split_count * band_count(&b->q));
    pp__launch_u32(&l, b->q.output.c);
    return cover_channels(&l, b->q.output.c);
}

/* Behind the totals in the workspace lie each band's partial sums. */
static pp__ref partial_sums(const pp__op_binding *b) {
    pp__ref partial = b->workspace;
    partial.offset_bytes += 2 * channel_bytes(&b->q);
    return partial;
}

static pp_status record_sums(const pp__op_binding *b, const layout *at, bool relu) {
    pp__ref partial = partial_sums(b);
    if (!frozen_statistics(&b->q))
        partial.offset_bytes += 2 * (size_t)b->band * at->split_count * channel_bytes(&b->q);
    pp__launch l;
    begin_backward(&l, b, relu, "batchnorm_backward_sums");
    pp__launch_tensor(&l, partial, sizeof(float));
    return cover_splits(&l, b, at);
}

pp_status pp__batchnorm_backward_sums(const pp__op_binding *b) {
    layout at = lay_out(&b->q, PP__PASS_BACKWARD);
    return record_sums(b, &at, b->q.stored[PP__BATCHNORM_XHAT]->relu);
}

pp_status pp__batchnorm_backward_totals(const pp__op_binding *b) {
    layout at = lay_out(&b->q, PP__PASS_BACKWARD);
    return record_totals(b, &at, partial_sums(b), b->workspace);
}

pp_status pp__batchnorm_backward(const pp__op_binding *b, bool relu) {
    layout at = lay_out(&b->q, PP__PASS_BACKWARD);
    pp__ref totals = b->workspace, partial = partial_sums(b);
    const bool frozen = frozen_statistics(&b->q),
               sums = frozen ? !b->q.frozen[GAMMA] || !b->q.frozen[BETA] : !b->divided;
    bool combine = combines(&b->q) && b->q.input_gradient[0] && sums && !frozen;
    if (sums) PP_TRY(record_sums(b, &at, relu));
    if (sums && !combine) PP_TRY(record_totals(b, &at, partial, totals));
    if (!b->q.input_gradient[0]) return PP_OK;
    if (is_affine(&b->q)) PP_TRY(record_running_statistics(b, b->workspace));
    pp__launch l;
    begin_backward(&l, b, relu, "batchnorm_backward");
    pp__launch_define(&l, "BATCHNORM_COMBINE", combine);
    pp__launch_define(&l, "BATCHNORM_ADD", b->input_gradient_adds[0]);
    define_parameters(&l, b);
    pp__launch_tensor(&l, combine ? partial : totals, sizeof(float));
    pp__launch_tensor(&l, b->input_gradients[0], sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[0], sizeof(float));
    pp__launch_tensor(&l, b->parameter_gradients[1], sizeof(float));
    pp__launch_u32(&l, at.split_count);
    pp__launch_u32(&l, at.rows * at.fold * band_count(&b->q));
    pp__launch_u32(&l, b->q.output.c);
    return pp__launch_cover_octets(&l, at.rows, at.width);
}

/* Forward reads x and writes y and the code; backward reads dy and the code, writes dx. That the
 * kernels come by some of them twice is theirs to answer for. */
pp__op_cost pp__batchnorm_cost(const pp__op_query *q, pp__pass pass) {
    double bytes = (double)pp__shape_bytes(q->output), elems = bytes / sizeof(float);
    const pp__stored *stored = q->stored[PP__BATCHNORM_XHAT], *mask = q->stored[PP__BATCHNORM_MASK];
    double code = pp__cost_stored(q, PP__BATCHNORM_XHAT);
    if (pass == PP__PASS_FORWARD) {
        bool encodes = stored && !stored->coding.codec->stores_itself;
        return (pp__op_cost){.flops = 8 * elems, .bytes = 2 * bytes + (encodes ? code : 0)};
    }
    if (mask && mask->subject != PP__SUBJECT_NORMALISED)
        code += pp__cost_stored(q, PP__BATCHNORM_MASK);
    return (pp__op_cost){.flops = 10 * elems, .bytes = 2 * bytes + code};
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
    .input_splits = pp__batchnorm_input_splits,
    .input_moments = pp__batchnorm_input_moments,
    .statistics = pp__batchnorm_statistics,
    .backward_sums = pp__batchnorm_backward_sums,
    .backward_totals = pp__batchnorm_backward_totals,
    .cost = pp__batchnorm_cost,
    .traits = PP__OP_IN_PLACE | PP__OP_GRADIENT_IN_PLACE | PP__OP_NORMALISES | PP__OP_BANDS,
};
