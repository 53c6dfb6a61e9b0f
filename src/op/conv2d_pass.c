/* The ways in which a pass of a convolution can be computed, and the choice among them: the first
 * that fits the geometry, that the profile wants, and whose self-test on this device did not
 * fail; the plain loops where there is none. */
#include <inttypes.h>
#include <stdio.h>

#include "device/self_test.h"
#include "op/conv2d.h"
#include "op/winograd.h"
#include "profile/profile.h"
#include "util/size.h"

pp__conv2d_job pp__conv2d_job_of(const pp__op_binding *b, pp__pass pass, pp__conv2d_geometry g) {
    const bool parameters = pass == PP__PASS_BACKWARD_PARAMETERS;
    pp__conv2d_job job = {
        .pass = pass,
        .g = g,
        .x = b->inputs[0],
        .y = b->output,
        .moments = b->output_moments,
        .w = b->parameters[0],
        .bias = b->parameters[1],
        .dy = b->output_gradient,
        .dx = b->input_gradients[0],
        .dw = b->parameter_gradients[0],
        .adds = parameters ? b->parameter_gradients_add : b->input_gradient_adds[0],
        .workspace = b->workspace,
    };
    if (b->q.stored[0]) job.stored = *b->q.stored[0];
    return job;
}

typedef struct way {
    const char *name;
    bool (*fits)(const pp__conv2d_job *job, const pp_profile *profile);
    size_t (*bytes)(const pp__conv2d_job *job, const pp_profile *profile); /* NULL: no scratch */
    pp_status (*record)(const pp__conv2d_job *job, pp__stream *stream);
    /* Splits of the moments that forward writes. NULL: it leaves them out. */
    uint32_t (*splits)(const pp__conv2d_geometry *g, const pp_profile *profile);
    float noise; /* rounding errors beside those of plain loops */
} way;

static bool reads_values(const pp__conv2d_job *job) {
    return job->pass != PP__PASS_BACKWARD_PARAMETERS || pp__stored_is_plain(&job->stored);
}

static bool library_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    return reads_values(job) && pp__conv2d_library_fits(&job->g, profile);
}

static bool winograd_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    return pp__winograd_fits(&job->g, job->pass, profile) &&
           (job->pass != PP__PASS_BACKWARD_PARAMETERS ||
            pp__winograd_reads(&job->g, &job->stored, profile));
}

static size_t winograd_bytes(const pp__conv2d_job *job, const pp_profile *profile) {
    return job->pass == PP__PASS_BACKWARD_PARAMETERS ? pp__winograd_partial_bytes(&job->g, profile)
                                                     : 0;
}

static pp_status winograd_record(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__winograd_forward(stream, &j->g, j->x, j->w, j->bias, j->y, j->moments);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__winograd_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds);
    return pp__winograd_backward_weight(stream, &j->g, &j->stored, j->dy, j->dw, j->adds,
                                        j->workspace);
}

static pp_status library_record(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__conv2d_library_forward(stream, &j->g, j->x, j->w, j->bias, j->y);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__conv2d_library_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds);
    return pp__conv2d_library_backward_weight(stream, &j->g, j->stored.code, j->dy, j->dw, j->adds);
}

static bool depthwise_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    return reads_values(job) && pp__conv2d_depthwise_fits(&job->g, profile);
}

static size_t depthwise_bytes(const pp__conv2d_job *j, const pp_profile *profile) {
    return pp__conv2d_depthwise_bytes(&j->g, j->pass, profile);
}

static pp_status depthwise_record(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__conv2d_depthwise_forward(stream, &j->g, j->x, j->w, j->bias, j->y);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__conv2d_depthwise_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds);
    return pp__conv2d_depthwise_backward_weight(stream, &j->g, j->stored.code, j->dy, j->dw,
                                                j->adds, j->workspace);
}

static bool tiled_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    return reads_values(job) && pp__conv2d_tiled_fits(&job->g, profile);
}

static size_t tiled_bytes(const pp__conv2d_job *j, const pp_profile *profile) {
    return pp__conv2d_tiled_bytes(&j->g, j->pass, profile);
}

static pp_status tiled_record(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__conv2d_tiled_forward(stream, &j->g, j->x, j->w, j->bias, j->y, j->workspace);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__conv2d_tiled_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds,
                                               j->workspace);
    return pp__conv2d_tiled_backward_weight(stream, &j->g, j->stored.code, j->dy, j->dw, j->adds,
                                            j->workspace);
}

static bool own_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    (void)job, (void)profile;
    return true;
}

static size_t own_bytes(const pp__conv2d_job *j, const pp_profile *profile) {
    if (j->pass == PP__PASS_FORWARD) return pp__conv2d_forward_bytes(&j->g, profile);
    if (j->pass == PP__PASS_BACKWARD) return pp__conv2d_backward_input_bytes(&j->g, profile);
    return pp__conv2d_stored_bytes(&j->g, &j->stored, profile);
}

static pp_status own_record(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__conv2d_forward(stream, &j->g, j->x, j->w, j->bias, j->y, j->moments,
                                  j->workspace);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__conv2d_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds, j->workspace);
    return pp__conv2d_backward_weight_stored(stream, &j->g, &j->stored, j->dy, j->dw, j->adds,
                                             j->workspace);
}

/* Codes whose elements are dear to read are decoded, a band of images at a time, for whichever way is
 * best for values. */
static bool decoded_fits(const pp__conv2d_job *job, const pp_profile *profile) {
    (void)profile;
    return job->pass == PP__PASS_BACKWARD_PARAMETERS && job->stored.coding.codec->dear;
}

static size_t image_bytes(const pp__conv2d_geometry *g) {
    return (size_t)g->h * g->w * g->c * sizeof(float);
}

static uint32_t decoded_images(const pp__conv2d_job *job, const pp_profile *profile) {
    const size_t images = pp__profile_bytes(profile, "conv2d.band_bytes") / image_bytes(&job->g);
    return images < 1 ? 1 : images > job->g.n ? job->g.n : (uint32_t)images;
}

/* The same of so many images as values. */
static pp__conv2d_job values_job(const pp__conv2d_job *job, uint32_t images) {
    pp__conv2d_job values = *job;
    values.g.n = images;
    values.stored = (pp__stored){.coding = {.codec = pp__codec_find("raw")},
                                 .subject = PP__SUBJECT_ACTIVATION,
                                 .shape = {images, job->g.h, job->g.w, job->g.c}};
    return values;
}

static const way *first_way(const pp__conv2d_job *job, const pp_profile *profile);

static size_t values_bytes(const pp__conv2d_job *job, uint32_t images, const pp_profile *profile) {
    if (!images) return 0;
    const pp__conv2d_job values = values_job(job, images);
    const way *best = first_way(&values, profile);
    return best->bytes ? best->bytes(&values, profile) : 0;
}

/* Where the values lie, behind the scratch of the way that takes them. */
static size_t decoded_offset(const pp__conv2d_job *job, const pp_profile *profile) {
    const uint32_t images = decoded_images(job, profile);
    const size_t most = values_bytes(job, images, profile),
                 last = values_bytes(job, job->g.n % images, profile);
    return pp__round_up(most > last ? most : last, 64);
}

static size_t decoded_bytes(const pp__conv2d_job *job, const pp_profile *profile) {
    return decoded_offset(job, profile) + decoded_images(job, profile) * image_bytes(&job->g);
}

static pp_status decoded_record(const pp__conv2d_job *job, pp__stream *stream) {
    const pp_profile *profile = pp__stream_profile(stream);
    const uint32_t most = decoded_images(job, profile);
    const size_t dy_bytes = (size_t)job->g.oh * job->g.ow * job->g.k * sizeof(float);
    for (uint32_t first = 0; first < job->g.n; first += most) {
        const uint32_t images = job->g.n - first < most ? job->g.n - first : most;
        pp__conv2d_job values = values_job(job, images);
        values.stored.code = job->workspace;
        values.stored.code.offset_bytes += decoded_offset(job, profile);
        values.dy.offset_bytes += first * dy_bytes;
        values.adds = job->adds || first > 0;
        PP_TRY(pp__stored_decode(&job->stored, first, images, values.stored.code, stream));
        PP_TRY(first_way(&values, profile)->record(&values, stream));
    }
    return PP_OK;
}

/* The best first. A way with numbers of its own in the profile is a row more. */
static const way ways[] = {
    {"decoded", decoded_fits, decoded_bytes, decoded_record, NULL, PP__WINOGRAD_NOISE},
    {"library", library_fits, NULL, library_record, NULL, 1},
    {"depthwise", depthwise_fits, depthwise_bytes, depthwise_record, NULL, 1},
    {"tiled", tiled_fits, tiled_bytes, tiled_record, NULL, 1},
    {"Winograd", winograd_fits, winograd_bytes, winograd_record, pp__winograd_moment_splits,
     PP__WINOGRAD_NOISE},
    {"own", own_fits, own_bytes, own_record, pp__conv2d_moment_splits, 1},
};
enum { WAYS = sizeof ways / sizeof *ways };

static const way *first_way(const pp__conv2d_job *job, const pp_profile *profile) {
    size_t i = 0;
    while (!ways[i].fits(job, profile)) i++; /* the last fits everything */
    return &ways[i];
}

static pp_status record_plain(const pp__conv2d_job *j, pp__stream *stream) {
    if (j->pass == PP__PASS_FORWARD)
        return pp__conv2d_plain_forward(stream, &j->g, j->x, j->w, j->bias, j->y);
    if (j->pass == PP__PASS_BACKWARD)
        return pp__conv2d_plain_backward_input(stream, &j->g, j->w, j->dy, j->dx, j->adds);
    return pp__conv2d_plain_backward_weight(stream, &j->g, &j->stored, j->dy, j->dw, j->adds);
}

/* As the first way that fits makes them, whichever is taken in the end. */
uint32_t pp__conv2d_pass_splits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    const pp__conv2d_job job = {.pass = PP__PASS_FORWARD, .g = *g};
    const way *first = first_way(&job, profile);
    return first->splits ? first->splits(g, profile) : 0;
}

/* `way` NULL: the plain loops. Moments that it leaves out, or would split in another way than the
 * plan has it, are read off the output. */
static pp_status record_way(const way *way, const pp__conv2d_job *job, pp__stream *stream) {
    const pp_profile *profile = pp__stream_profile(stream);
    pp__conv2d_job j = *job;
    uint32_t splits = j.moments.memory ? pp__conv2d_pass_splits(&j.g, profile) : 0;
    bool apart = splits && !(way && way->splits && way->splits(&j.g, profile) == splits);
    if (apart) j.moments = (pp__ref){0};
    PP_TRY(way ? way->record(&j, stream) : record_plain(&j, stream));
    return apart ? pp__conv2d_plain_moments(stream, &j.g, j.y, job->moments, splits) : PP_OK;
}

/* Room for any way, because which one a device can be trusted with is not known to a plan. */
size_t pp__conv2d_pass_bytes(const pp__conv2d_job *job, const pp_profile *profile) {
    size_t most = 0;
    for (size_t i = 0; i < WAYS; i++) {
        if (!ways[i].bytes || !ways[i].fits(job, profile)) continue;
        const size_t bytes = ways[i].bytes(job, profile);
        if (bytes > most) most = bytes;
    }
    return most;
}

static pp_status probe(pp__stream *stream, const way *way, const pp__conv2d_job *job,
                       uint64_t *programs_out) {
    pp__probe_begin(stream);
    pp_status status = record_way(way, job, stream);
    *programs_out = pp__probe_end(stream);
    return status;
}

/* *way_out is NULL for the plain loops. */
static pp_status choose(pp__stream *stream, const pp__conv2d_job *job, const way **way_out,
                        uint64_t *programs_out) {
    *way_out = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (!ways[i].fits(job, pp__stream_profile(stream))) continue;
        PP_TRY(probe(stream, &ways[i], job, programs_out));
        if (pp__device_verdict(stream, *programs_out) == PP__VERDICT_WRONG) continue;
        *way_out = &ways[i];
        return PP_OK;
    }
    return PP_OK;
}

pp_status pp__conv2d_pass(pp__stream *stream, const pp__conv2d_job *job) {
    const way *way;
    uint64_t programs;
    PP_TRY(choose(stream, job, &way, &programs));
    return record_way(way, job, stream);
}

/* Self-tests. A geometry is made smaller as long as it makes the same programs. */

/* The fewest channels and columns that show boundaries between blocks, tiles and octets; how
 * channels are counted off, so that a last block keeps its length; tries for one extent. */
enum { WIDE = 33, DEEP = 9, COLUMNS = 33, VECTOR = 16, MOST_TRIES = 160 };

typedef struct search {
    pp__stream *stream;
    const way *way;
    uint64_t programs;
    bool imagewise; /* x was stored with the extents that the geometry has */
    pp__conv2d_job job;
} search;

static bool is_imagewise(const pp__conv2d_job *j) {
    const pp__shape s = j->stored.shape;
    return j->pass != PP__PASS_BACKWARD_PARAMETERS || pp__stored_is_plain(&j->stored) ||
           (s.h == j->g.h && s.w == j->g.w && s.c == j->g.c);
}

/* Sets the numbers that follow from the extents, and says whether the way takes the job and makes
 * the same programs. */
static pp_status adapt(const search *s, pp__conv2d_job *j, bool *same_out) {
    pp__conv2d_geometry *g = &j->g;
    g->oh = pp__conv2d_output_extent(g->h, g->r, g->stride_h, g->pad_h, g->dilation_h);
    g->ow = pp__conv2d_output_extent(g->w, g->s, g->stride_w, g->pad_w, g->dilation_w);
    if (s->imagewise) j->stored.shape = (pp__shape){g->n, g->h, g->w, g->c};
    j->stored.shape.n = g->n;
    *same_out = false;
    if (!g->oh || !g->ow || !s->way->fits(j, pp__stream_profile(s->stream))) return PP_OK;
    uint64_t programs;
    PP_TRY(probe(s->stream, s->way, j, &programs));
    *same_out = programs == s->programs;
    return PP_OK;
}

/* Lets an extent, a member of s->job.g, be the first of those from `least` on that differ from it by
 * a multiple of `period` and make the same programs. */
static pp_status shrink(search *s, uint32_t *extent, uint32_t least, uint32_t period) {
    const pp__conv2d_job before = s->job;
    const uint32_t whole = *extent;
    uint32_t first = whole % period;
    while (first < least) first += period;
    for (uint32_t i = 0; i < MOST_TRIES && first + i * period < whole; i++) {
        *extent = first + i * period;
        bool same;
        PP_TRY(adapt(s, &s->job, &same));
        if (same) return PP_OK;
        s->job = before;
    }
    return PP_OK;
}

static uint32_t three_outputs(uint32_t window, uint32_t stride, uint32_t dilation) {
    return dilation * (window - 1) + 1 + 2 * stride;
}

static pp_status find_small(search *s) {
    pp__conv2d_geometry *g = &s->job.g;
    const bool turned = s->job.pass == PP__PASS_BACKWARD;
    const uint32_t window = s->job.stored.coding.window, side = window ? window : 1;
    s->imagewise = is_imagewise(&s->job);
    if (g->groups == 1) {
        if (s->imagewise) PP_TRY(shrink(s, &g->c, turned ? WIDE : DEEP, VECTOR));
        PP_TRY(shrink(s, &g->k, turned ? DEEP : WIDE, VECTOR));
    }
    if (s->imagewise) {
        PP_TRY(
            shrink(s, &g->h, three_outputs(g->r, g->stride_h, g->dilation_h), g->stride_h * side));
        PP_TRY(shrink(s, &g->w, COLUMNS, g->stride_w * side));
    }
    return shrink(s, &g->n, 2, 1);
}

/* What a test keeps in the workspace behind the way's own scratch: the code that is made from
 * values, or the moments. */
static size_t scratch_end(const search *s) {
    const size_t bytes = s->way->bytes ? s->way->bytes(&s->job, pp__stream_profile(s->stream)) : 0;
    return pp__round_up(bytes, 128);
}

/* Inputs 1 to 4 are what x is stored as: values, or a code as it is where only an operator's kernel
 * writes such codes; statistics, gamma, beta. */
static pp_status store(const search *s, pp__stream *stream, const pp__ref *inputs,
                       pp__ref workspace, pp__stored *stored) {
    const pp__codec *codec = stored->coding.codec;
    stored->code = inputs[1];
    stored->statistics = inputs[2];
    stored->gamma = inputs[3];
    stored->beta = inputs[4];
    if (codec->stores_itself || !codec->encode) return PP_OK;
    stored->code = (pp__ref){workspace.memory, scratch_end(s)};
    pp__stored values = *stored;
    values.subject = PP__SUBJECT_ACTIVATION;
    return codec->encode(&values, inputs[1], stream);
}

static size_t output_elems(const pp__conv2d_geometry *g) {
    return (size_t)g->n * g->oh * g->ow * g->k;
}

static pp_status record_twin(const pp__self_test *test, pp__stream *stream,
                             const pp__ref inputs[PP__SELF_TEST_INPUTS], pp__ref output,
                             pp__ref workspace, bool plain) {
    const search *s = test->subject;
    pp__conv2d_job j = s->job;
    j.workspace = workspace;
    j.dy = j.x = inputs[0];
    j.w = inputs[1];
    j.y = j.dx = j.dw = output;
    if (j.bias.memory) j.bias = inputs[2];
    if (j.moments.memory) j.moments = (pp__ref){workspace.memory, scratch_end(s)};
    if (j.pass == PP__PASS_BACKWARD_PARAMETERS)
        PP_TRY(store(s, stream, inputs, workspace, &j.stored));
    PP_TRY(record_way(plain ? NULL : s->way, &j, stream));
    if (!j.moments.memory) return PP_OK;
    const pp__ref merged = {output.memory,
                            output.offset_bytes + output_elems(&j.g) * sizeof(float)};
    return pp__conv2d_plain_merge(stream, &j.g, j.moments,
                                  pp__conv2d_pass_splits(&j.g, pp__stream_profile(stream)), merged);
}

/* The sizes of operands; returns how many products one output sums up. */
static size_t size_forward(const search *s, pp__self_test *test) {
    const pp__conv2d_geometry *g = &s->job.g;
    test->input_bytes[0] = (size_t)g->n * g->h * g->w * g->c * sizeof(float);
    test->input_bytes[1] = pp__conv2d_weight_elems(g) * sizeof(float);
    test->output_bytes = output_elems(g) * sizeof(float);
    if (s->job.bias.memory) test->input_bytes[2] = g->k * sizeof(float);
    if (s->job.moments.memory) {
        const size_t splits = pp__conv2d_pass_splits(g, pp__stream_profile(s->stream));
        test->output_bytes += 2 * g->k * sizeof(float);
        test->workspace_bytes += splits * 3 * g->k * sizeof(float);
    }
    return (size_t)g->r * g->s * (g->c / g->groups);
}

static size_t size_backward(const search *s, pp__self_test *test) {
    const pp__conv2d_geometry *g = &s->job.g;
    test->input_bytes[0] = output_elems(g) * sizeof(float);
    test->input_bytes[1] = pp__conv2d_weight_elems(g) * sizeof(float);
    test->output_bytes = (size_t)g->n * g->h * g->w * g->c * sizeof(float);
    return (size_t)g->r * g->s * (g->k / g->groups);
}

static size_t size_backward_weight(const search *s, pp__self_test *test) {
    const pp__conv2d_geometry *g = &s->job.g;
    const pp__stored *stored = &s->job.stored;
    const size_t code = pp__coding_bytes(&stored->coding, stored->shape);
    const size_t x = pp__shape_bytes(stored->shape), channel = stored->shape.c * sizeof(float);
    test->input_bytes[0] = output_elems(g) * sizeof(float);
    test->input_bytes[1] = x > code ? x : code;
    test->input_bytes[2] = 2 * channel;
    test->input_bytes[3] = test->input_bytes[4] = channel;
    test->output_bytes = pp__conv2d_weight_elems(g) * sizeof(float);
    test->workspace_bytes += code;
    return (size_t)g->n * g->oh * g->ow;
}

/* Operands lie between -1 and 1, or a code's about twice as far, so a partial sum of n products
 * reaches 4 sqrt(n), and n roundings of it in either twin, of random signs, stay below this. */
static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-20f;
}

static pp_status test_way(search *s) {
    static const char *const passes[] = {"forward", "weight gradient", "data gradient"};
    PP_TRY(find_small(s));
    const pp__conv2d_geometry *g = &s->job.g;
    char coding[PP__CODING_TEXT] = "", what[192];
    if (s->job.pass == PP__PASS_BACKWARD_PARAMETERS)
        pp__coding_print(&s->job.stored.coding, coding);
    snprintf(what, sizeof what,
             "convolution, %s kernels, %s%s%s, %" PRIu32 "x%" PRIu32 "x%" PRIu32 "x%" PRIu32
             " by %" PRIu32 "x%" PRIu32 "/%" PRIu32 " to %" PRIu32 " channels",
             s->way->name, passes[s->job.pass], *coding ? " from " : "", coding, g->n, g->h, g->w,
             g->c, g->r, g->s, g->stride_h, g->k);
    pp__self_test test = {
        .what = what, .programs = s->programs, .record = record_twin, .subject = s};
    test.workspace_bytes = scratch_end(s);
    test.tolerance = tolerance(s->job.pass == PP__PASS_FORWARD    ? size_forward(s, &test)
                               : s->job.pass == PP__PASS_BACKWARD ? size_backward(s, &test)
                                                                  : size_backward_weight(s, &test));
    test.tolerance *= s->way->noise;
    return pp__self_test_run(s->stream, &test);
}

pp_status pp__conv2d_self_test(pp__stream *stream, const pp__conv2d_job *job) {
    for (size_t i = 0; i <= WAYS; i++) {
        search s = {.stream = stream, .job = *job};
        PP_TRY(choose(stream, job, &s.way, &s.programs));
        if (!s.way || pp__device_verdict(stream, s.programs) == PP__VERDICT_RIGHT) return PP_OK;
        PP_TRY(test_way(&s));
    }
    return PP_OK;
}
