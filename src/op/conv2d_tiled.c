/* Launches of the kernels that work in tiles through local memory: how a geometry is cut into
 * work-groups. Formulas: cl/op/conv2d_tiled.cl. */
#include "op/conv2d.h"
#include "profile/profile.h"
#include "util/size.h"

/* CONV2D_TILED_PART: the kernel that a launch's program holds. */
enum { PART_GATHER = 1, PART_WEIGHT = 2 };

/* What one work-group computes, and with how many work-items. */
typedef struct cut {
    uint32_t rows, columns, depth, vector, items;
} cut;

static cut cut_of(const pp_profile *profile) {
    cut c = {.rows = pp__profile_u32(profile, "conv2d_tiled.rows"),
             .columns = pp__profile_u32(profile, "conv2d_tiled.columns"),
             .depth = pp__profile_u32(profile, "conv2d_tiled.depth"),
             .vector = pp__profile_u32(profile, "conv2d_tiled.vector")};
    c.items = c.rows / pp__profile_u32(profile, "conv2d_tiled.item_rows") *
              (c.columns / pp__profile_u32(profile, "conv2d_tiled.item_columns"));
    return c;
}

/* What cl/op/conv2d_tiled.cl declares. */
static size_t local_bytes(const cut *c) {
    const size_t floats = (size_t)c->depth * (c->rows + c->columns + 2 * c->vector);
    return (floats + 3 * ((size_t)c->rows + c->depth)) * sizeof(float);
}

static bool is_within(size_t value, size_t limit) {
    return !limit || value <= limit;
}

/* The kernels count elements in int, up to a tile behind the last. */
static bool is_countable(uint64_t pixels, uint32_t channels) {
    return pixels <= INT32_MAX / 2 / channels;
}

bool pp__conv2d_tiled_fits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    const cut c = cut_of(profile);
    return c.rows && g->groups == 1 &&
           is_within(c.items, pp__profile_u32(profile, "launch.max_work_group_size")) &&
           is_within(local_bytes(&c), pp__profile_bytes(profile, "launch.local_memory_bytes")) &&
           is_countable((uint64_t)g->n * g->h * g->w, g->c) &&
           is_countable((uint64_t)g->n * g->oh * g->ow, g->k) &&
           is_countable((uint64_t)g->r * g->s * g->c, g->k);
}

/* The product of matrices that a pass is. */
typedef struct product {
    uint32_t rows, columns, steps;
} product;

/* The data gradient's is that of its first phase. */
static product product_of(const pp__conv2d_geometry *g, pp__pass pass, const cut *c) {
    if (pass == PP__PASS_FORWARD)
        return (product){g->n * g->oh * g->ow, g->k, g->r * g->s * pp__divide_up(g->c, c->depth)};
    if (pass == PP__PASS_BACKWARD)
        return (product){g->n * pp__divide_up(g->h, g->stride_h) * pp__divide_up(g->w, g->stride_w),
                         g->c,
                         pp__divide_up(g->r, g->stride_h) * pp__divide_up(g->s, g->stride_w) *
                             pp__divide_up(g->k, c->depth)};
    return (product){g->r * g->s * g->c, g->k, pp__divide_up(g->n * g->oh * g->ow, c->depth)};
}

static uint32_t tiles_of(const cut *c, uint32_t rows, uint32_t columns) {
    return pp__divide_up(rows, c->rows) * pp__divide_up(columns, c->columns);
}

/* How many ways the sums are split, so that there are up to conv2d_tiled.groups work-groups; each
 * sums at least conv2d_tiled.split_depth products. */
static uint32_t splits_of(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile) {
    const cut c = cut_of(profile);
    const product p = product_of(g, pass, &c);
    const uint32_t least =
        pp__divide_up(pp__profile_u32(profile, "conv2d_tiled.split_depth"), c.depth);
    uint32_t splits =
        pp__profile_u32(profile, "conv2d_tiled.groups") / tiles_of(&c, p.rows, p.columns);
    if (splits > p.steps / least) splits = p.steps / least;
    return splits ? splits : 1;
}

static uint32_t output_elems(const pp__conv2d_geometry *g, pp__pass pass) {
    return pass == PP__PASS_FORWARD    ? g->n * g->oh * g->ow * g->k
           : pass == PP__PASS_BACKWARD ? g->n * g->h * g->w * g->c
                                       : pp__conv2d_weight_elems(g);
}

size_t pp__conv2d_tiled_bytes(const pp__conv2d_geometry *g, pp__pass pass,
                              const pp_profile *profile) {
    const uint32_t splits = splits_of(g, pass, profile);
    return splits > 1 ? (size_t)splits * output_elems(g, pass) * sizeof(float) : 0;
}

/* A and B lie along channels of these numbers in memory, C along its columns. */
static void begin(pp__launch *l, pp__stream *stream, const char *kernel, uint32_t part,
                  uint32_t channels_a, uint32_t channels_b, uint32_t columns) {
    const pp_profile *profile = pp__stream_profile(stream);
    const cut c = cut_of(profile);
    const bool aligned =
        pp__profile_bytes(profile, "memory.alignment_bytes") % (c.vector * sizeof(float)) == 0;
    pp__launch_begin(l, stream, "op/conv2d_tiled", kernel);
    pp__launch_group(l, c.items, 1, 1);
    pp__launch_define(l, "CONV2D_TILED_PART", part);
    pp__launch_define(l, "CONV2D_TILED_WHOLE_A", aligned && channels_a % c.vector == 0);
    pp__launch_define(l, "CONV2D_TILED_WHOLE_B", aligned && channels_b % c.vector == 0);
    pp__launch_define(l, "CONV2D_TILED_WHOLE_C", aligned && columns % c.vector == 0);
}

static void append(pp__launch *l, const uint32_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) pp__launch_u32(l, values[i]);
}

static pp_status cover(pp__launch *l, const product *p, uint32_t splits) {
    const cut c = cut_of(pp__stream_profile(l->stream));
    return pp__launch_cover(l, (size_t)tiles_of(&c, p->rows, p->columns) * c.items, splits, 1);
}

/* What one launch of conv2d_tiled_gather reads and writes; extents of both. */
typedef struct gather {
    pp__pass pass;
    pp__shape in, out;
    pp__conv2d_axis h, w;
    pp__ref x, weight, bias, y;
    uint32_t splits;
    bool adds;
} gather;

static uint32_t tap_count(const pp__conv2d_axis *a, uint32_t window) {
    return a->tap < window ? pp__divide_up(window - a->tap, a->tap_step) : 0;
}

/* Element counts in place of columns where `elems` is the channels. */
static void append_axis(pp__launch *l, const pp__conv2d_axis *a, uint32_t taps, uint32_t elems) {
    pp__launch_u32(l, a->scale);
    pp__launch_i32(l, a->base);
    pp__launch_i32(l, a->step * (int32_t)elems);
    pp__launch_u32(l, a->tap);
    pp__launch_u32(l, a->tap_step);
    pp__launch_u32(l, taps);
    pp__launch_u32(l, a->out_scale);
    pp__launch_u32(l, a->phase);
}

static pp_status record_gather(pp__stream *stream, const pp__conv2d_geometry *g, const gather *p) {
    /* Forward, a window row's elements (s, c) are neighbours in x as in w: one long segment. */
    const bool turned = p->pass == PP__PASS_BACKWARD, merged = !turned && g->dilation_w == 1;
    const product product = {p->in.n * p->h.count * p->w.count, p->out.c, 0};
    pp__launch l;
    begin(&l, stream, "conv2d_tiled_gather", PART_GATHER, p->in.c, g->k, p->out.c);
    pp__launch_define(&l, "CONV2D_TILED_TURNED", turned);
    pp__launch_define(&l, "CONV2D_TILED_ADD", p->adds);
    pp__launch_define(&l, "CONV2D_TILED_BIAS", p->bias.memory != NULL);
    pp__launch_tensor(&l, p->x, sizeof(float));
    pp__launch_tensor(&l, p->weight, sizeof(float));
    pp__launch_tensor(&l, p->bias, sizeof(float));
    pp__launch_tensor(&l, p->y, sizeof(float));
    const uint32_t extents[] = {p->in.h,  p->in.w,     p->in.c,
                                p->out.h, p->out.w,    p->out.c,
                                g->s,     g->c * g->k, merged ? g->s * p->in.c : p->in.c};
    append(&l, extents, sizeof extents / sizeof *extents);
    append_axis(&l, &p->h, tap_count(&p->h, g->r), 1);
    append_axis(&l, &p->w, merged ? 1 : tap_count(&p->w, g->s), p->in.c);
    const uint32_t counts[] = {p->h.count, p->w.count, product.rows, p->splits,
                               output_elems(g, p->pass)};
    append(&l, counts, sizeof counts / sizeof *counts);
    return cover(&l, &product, p->splits);
}

pp_status pp__conv2d_tiled_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                   pp__ref w, pp__ref bias, pp__ref y, pp__ref workspace) {
    const uint32_t splits = splits_of(g, PP__PASS_FORWARD, pp__stream_profile(stream));
    const gather pass = {.pass = PP__PASS_FORWARD,
                         .in = {g->n, g->h, g->w, g->c},
                         .out = {g->n, g->oh, g->ow, g->k},
                         .h = pp__conv2d_forward_axis(g->oh, g->stride_h, g->pad_h, g->dilation_h),
                         .w = pp__conv2d_forward_axis(g->ow, g->stride_w, g->pad_w, g->dilation_w),
                         .x = x,
                         .weight = w,
                         .bias = bias,
                         .y = splits > 1 ? workspace : y,
                         .splits = splits};
    PP_TRY(record_gather(stream, g, &pass));
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, y, output_elems(g, PP__PASS_FORWARD), splits,
                             false);
}

pp_status pp__conv2d_tiled_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                          pp__ref w, pp__ref dy, pp__ref dx, bool adds,
                                          pp__ref workspace) {
    const uint32_t splits = splits_of(g, PP__PASS_BACKWARD, pp__stream_profile(stream));
    gather pass = {.pass = PP__PASS_BACKWARD,
                   .in = {g->n, g->oh, g->ow, g->k},
                   .out = {g->n, g->h, g->w, g->c},
                   .x = dy,
                   .weight = w,
                   .y = splits > 1 ? workspace : dx,
                   .splits = splits,
                   .adds = adds && splits == 1};
    for (uint32_t ph = 0; ph < g->stride_h && ph < g->h; ph++)
        for (uint32_t pw = 0; pw < g->stride_w && pw < g->w; pw++) {
            pass.h = pp__conv2d_phase_axis(g->h, ph, g->stride_h, g->pad_h, g->dilation_h, g->r);
            pass.w = pp__conv2d_phase_axis(g->w, pw, g->stride_w, g->pad_w, g->dilation_w, g->s);
            PP_TRY(record_gather(stream, g, &pass));
        }
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, dx, output_elems(g, PP__PASS_BACKWARD), splits,
                             adds);
}

pp_status pp__conv2d_tiled_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                           pp__ref x, pp__ref dy, pp__ref dw, bool adds,
                                           pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    const cut c = cut_of(profile);
    const product p = product_of(g, PP__PASS_BACKWARD_PARAMETERS, &c);
    const uint32_t splits = splits_of(g, PP__PASS_BACKWARD_PARAMETERS, profile);
    const uint32_t elems = pp__conv2d_weight_elems(g);
    pp__launch l;
    begin(&l, stream, "conv2d_tiled_backward_weight", PART_WEIGHT, g->c, g->k, g->k);
    pp__launch_define(&l, "CONV2D_TILED_ADD", adds && splits == 1);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, splits > 1 ? workspace : dw, sizeof(float));
    const uint32_t extents[] = {
        g->h,     g->w,          g->c,          g->oh,       g->ow,
        g->k,     g->s,          g->stride_h,   g->stride_w, g->pad_h,
        g->pad_w, g->dilation_h, g->dilation_w, p.rows,      g->n * g->oh * g->ow,
        splits,   elems};
    append(&l, extents, sizeof extents / sizeof *extents);
    PP_TRY(cover(&l, &p, splits));
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, dw, elems, splits, adds);
}
