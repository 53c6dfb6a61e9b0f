/* Launches of the gathering kernel, for forward and the data gradient: how a geometry is cut into
 * work-items. */
#include "op/conv2d.h"
#include "profile/profile.h"
#include "util/size.h"

enum { MAX_VECTOR = 16 };

void pp__conv2d_begin(pp__launch *l, pp__stream *stream, const char *kernel, pp__conv2d_part part) {
    pp__launch_begin(l, stream, "op/conv2d", kernel);
    pp__launch_define(l, "CONV2D_PART", part);
}

uint32_t pp__conv2d_vector(const pp_profile *profile, uint32_t channels) {
    uint32_t vector = pp__profile_u32(profile, "conv2d.vector");
    if (vector > MAX_VECTOR) vector = MAX_VECTOR;
    while (vector > channels) vector /= 2;
    return vector;
}

/* How one launch cuts its output: `channels` are those of a group. */
typedef struct cut {
    uint32_t vector, vectors, tile, blocks; /* blocks of a group */
    bool tail;
} cut;

/* Fewer vectors than the profile wishes where the last block, which overlaps the one before, would
 * waste more than a sixteenth of the work. */
static cut cut_channels(const pp_profile *profile, uint32_t channels) {
    cut c = {.vector = pp__conv2d_vector(profile, channels),
             .vectors = pp__profile_u32(profile, "conv2d.vectors")};
    while (c.vectors > 1 &&
           (c.vectors * c.vector > channels ||
            pp__round_up(channels, c.vectors * c.vector) - channels > channels / 16))
        c.vectors /= 2;
    c.blocks = pp__divide_up(channels, c.vectors * c.vector);
    c.tail = channels % (c.vectors * c.vector) != 0;
    return c;
}

/* The tile of least waste between the profile's bounds, the shorter of equal ones; a row that is
 * shorter than that is one tile. Where there are fewer vectors than the profile wishes, tiles are
 * longer instead. */
static uint32_t tile_of(const pp_profile *profile, uint32_t vectors, uint32_t columns) {
    uint32_t longer = pp__profile_u32(profile, "conv2d.vectors") / vectors;
    uint32_t best = pp__profile_u32(profile, "conv2d.tile") * longer;
    uint32_t most = pp__profile_u32(profile, "conv2d.tile_most") * longer;
    if (columns <= best) return columns;
    for (uint32_t tile = best + 1; tile <= most; tile++)
        if (pp__round_up(columns, tile) < pp__round_up(columns, best)) best = tile;
    return best;
}

static void append_axis(pp__launch *l, const pp__conv2d_axis *a) {
    pp__launch_i32(l, a->base);
    pp__launch_i32(l, a->step);
    pp__launch_u32(l, a->tap);
    pp__launch_u32(l, a->tap_step);
    pp__launch_u32(l, a->out_scale);
    pp__launch_u32(l, a->phase);
}

/* What one launch of conv2d_gather reads and writes; extents of both. */
typedef struct gather {
    pp__shape in, out;
    pp__conv2d_axis h, w;
    pp__ref x, weight, bias, y, moments;
    bool packed, adds;
} gather;

/* The tiles that a work-item goes through: so many that there are about
 * conv2d.items work-items; one each where that is 0. */
static uint32_t run_of(const pp_profile *profile, const cut *c, uint32_t groups, uint32_t places,
                       uint32_t images) {
    size_t wished = pp__profile_u32(profile, "conv2d.items");
    if (!wished) return 1;
    size_t items = (size_t)groups * c->blocks * images, runs = (wished + items - 1) / items;
    return runs >= places ? 1 : pp__divide_up(places, (uint32_t)runs);
}

static cut cut_output(const pp_profile *profile, uint32_t channels, uint32_t columns) {
    cut c = cut_channels(profile, channels);
    c.tile = tile_of(profile, c.vectors, columns);
    return c;
}

static pp_status record_gather(pp__stream *stream, const pp__conv2d_geometry *g, const gather *p) {
    const pp_profile *profile = pp__stream_profile(stream);
    cut c = cut_output(profile, p->out.c / g->groups, p->w.count);
    uint32_t places = p->h.count * pp__divide_up(p->w.count, c.tile);
    uint32_t run = run_of(profile, &c, g->groups, places, p->in.n);
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_gather", PP__CONV2D_GATHER);
    pp__launch_define(&l, "CONV2D_VECTOR", c.vector);
    pp__launch_define(&l, "CONV2D_VECTORS", c.vectors);
    pp__launch_define(&l, "CONV2D_TAIL", c.tail);
    pp__launch_define(&l, "CONV2D_TILE", c.tile);
    pp__launch_define(&l, "CONV2D_SCALE", p->w.scale);
    pp__launch_define(&l, "CONV2D_PACK", p->packed);
    pp__launch_define(&l, "CONV2D_BIAS", p->bias.memory != NULL);
    pp__launch_tensor(&l, p->x, sizeof(float));
    pp__launch_tensor(&l, p->weight, sizeof(float));
    pp__launch_tensor(&l, p->bias, sizeof(float));
    pp__launch_tensor(&l, p->y, sizeof(float));
    pp__launch_tensor(&l, p->moments, sizeof(float));
    const uint32_t extents[] = {p->in.h,  p->in.w, p->in.c, p->out.h,  p->out.w,
                                p->out.c, g->r,    g->s,    g->groups, p->h.scale};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    append_axis(&l, &p->h);
    append_axis(&l, &p->w);
    pp__launch_u32(&l, p->h.count);
    pp__launch_u32(&l, p->w.count);
    pp__launch_u32(&l, p->in.n);
    pp__launch_u32(&l, run);
    pp__launch_u32(&l, p->adds);
    pp__launch_u32(&l, p->moments.memory != NULL);
    size_t blocks = (size_t)g->groups * c.blocks, runs = pp__divide_up(places, run);
    return pp__profile_u32(profile, "conv2d.blocks_last")
               ? pp__launch_cover(&l, runs, p->in.n, blocks)
               : pp__launch_cover(&l, blocks, runs, p->in.n);
}

/* Bytes of the weights packed for an output (or, exchanged, input) of g->groups groups. */
static size_t packed_bytes(const pp__conv2d_geometry *g, bool exchange, const pp_profile *profile) {
    uint32_t wide = (exchange ? g->c : g->k) / g->groups,
             deep = (exchange ? g->k : g->c) / g->groups;
    cut c = cut_channels(profile, wide);
    return (size_t)g->groups * c.blocks * g->r * g->s * deep * c.vectors * c.vector * sizeof(float);
}

static pp_status pack(pp__stream *stream, const pp__conv2d_geometry *g, bool exchange, bool turn,
                      pp__ref w, pp__ref packed) {
    cut c = cut_channels(pp__stream_profile(stream), (exchange ? g->c : g->k) / g->groups);
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_pack_weight", PP__CONV2D_SMALL);
    pp__launch_tensor(&l, w, sizeof(float));
    pp__launch_tensor(&l, packed, sizeof(float));
    pp__launch_u32(&l, g->r * g->s);
    pp__launch_u32(&l, g->c);
    pp__launch_u32(&l, g->k);
    pp__launch_u32(&l, g->groups);
    pp__launch_u32(&l, exchange);
    pp__launch_u32(&l, turn);
    pp__launch_u32(&l, c.vectors * c.vector);
    return pp__launch_cover(&l, (size_t)g->groups * c.blocks, (size_t)g->r * g->s, 1);
}

/* A 1x1 window at stride 1 without padding sees no rows: all pixels are one row. */
static pp__conv2d_geometry flattened(const pp__conv2d_geometry *g) {
    pp__conv2d_geometry f = *g;
    bool flat = g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && !g->pad_h &&
                !g->pad_w && (uint64_t)g->n * g->h * g->w <= INT32_MAX;
    if (flat) {
        f.w = f.ow = g->n * g->h * g->w;
        f.n = f.h = f.oh = 1;
    }
    return f;
}

/* A 1x1 window with strides leaves most pixels out: conv2d_point fetches the others once, in bands
 * of so many places that there are about conv2d.items work-items. 0 where the geometry is another,
 * or the profile gives no scratch for it. */
static uint32_t band_of(const pp_profile *profile, const pp__conv2d_geometry *g, const cut *c,
                        uint32_t in_channels) {
    const uint64_t places = (uint64_t)g->n * g->oh * g->ow;
    if (g->r * g->s != 1 || g->stride_h * g->stride_w == 1 || g->pad_h || g->pad_w ||
        g->groups > 1 || places > INT32_MAX)
        return 0;
    const size_t room = pp__profile_bytes(profile, "conv2d.scratch_bytes") / sizeof(float);
    const uint32_t most = (uint32_t)(room / in_channels) / c->tile * c->tile;
    const uint32_t items = pp__profile_u32(profile, "conv2d.items");
    const uint32_t wished = pp__divide_up((uint32_t)places, items ? items : (uint32_t)places);
    return wished < most ? (uint32_t)pp__round_up(wished, c->tile) : most;
}

static cut cut_point(const pp_profile *profile, const pp__conv2d_geometry *g, uint32_t channels) {
    return cut_output(profile, channels, g->n * g->oh * g->ow);
}

static uint32_t forward_band(const pp_profile *profile, const pp__conv2d_geometry *g) {
    const cut c = cut_point(profile, g, g->k);
    return pp__profile_u32(profile, "conv2d.pack") ? band_of(profile, g, &c, g->c) : 0;
}

static uint32_t turned_band(const pp_profile *profile, const pp__conv2d_geometry *g) {
    const cut c = cut_point(profile, g, g->c);
    return band_of(profile, g, &c, g->k);
}

/* Forward, or, `turned`, the data gradient. */
static pp_status record_point(pp__stream *stream, const pp__conv2d_geometry *g, const gather *p,
                              bool turned, uint32_t band) {
    const cut c = cut_point(pp__stream_profile(stream), g, p->out.c);
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_point", PP__CONV2D_POINT);
    pp__launch_define(&l, "CONV2D_VECTOR", c.vector);
    pp__launch_define(&l, "CONV2D_VECTORS", c.vectors);
    pp__launch_define(&l, "CONV2D_TAIL", c.tail);
    pp__launch_define(&l, "CONV2D_TILE", c.tile);
    pp__launch_define(&l, "CONV2D_BIAS", p->bias.memory != NULL);
    pp__launch_tensor(&l, p->x, sizeof(float));
    pp__launch_tensor(&l, p->weight, sizeof(float));
    pp__launch_tensor(&l, p->bias, sizeof(float));
    pp__launch_tensor(&l, p->y, sizeof(float));
    pp__launch_tensor(&l, p->moments, sizeof(float));
    const uint32_t extents[] = {p->in.h, p->in.w, p->in.c, p->out.h, p->out.w, p->out.c};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    pp__launch_u32(&l, turned ? 1 : g->stride_h);
    pp__launch_u32(&l, turned ? 1 : g->stride_w);
    pp__launch_u32(&l, turned ? g->stride_h : 1);
    pp__launch_u32(&l, turned ? g->stride_w : 1);
    pp__launch_u32(&l, g->oh);
    pp__launch_u32(&l, g->ow);
    pp__launch_u32(&l, g->n);
    pp__launch_u32(&l, band);
    pp__launch_u32(&l, p->adds);
    pp__launch_u32(&l, p->moments.memory != NULL);
    return pp__launch_cover(&l, pp__divide_up(g->n * g->oh * g->ow, band), 1, 1);
}

size_t pp__conv2d_forward_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    return pp__profile_u32(profile, "conv2d.pack") ? packed_bytes(g, false, profile) : 0;
}

pp__conv2d_axis pp__conv2d_forward_axis(uint32_t count, uint32_t stride, uint32_t pad,
                                        uint32_t dilation) {
    return (pp__conv2d_axis){.count = count,
                             .scale = stride,
                             .base = -(int32_t)pad,
                             .step = (int32_t)dilation,
                             .tap_step = 1,
                             .out_scale = 1};
}

uint32_t pp__conv2d_moment_splits(const pp__conv2d_geometry *geometry, const pp_profile *profile) {
    const pp__conv2d_geometry g = flattened(geometry);
    const uint32_t band = forward_band(profile, &g);
    if (band) return pp__divide_up(g.n * g.oh * g.ow, band);
    cut c = cut_output(profile, g.k / g.groups, g.ow);
    uint32_t places = g.oh * pp__divide_up(g.ow, c.tile);
    return g.n * pp__divide_up(places, run_of(profile, &c, g.groups, places, g.n));
}

pp_status pp__conv2d_forward(pp__stream *stream, const pp__conv2d_geometry *geometry, pp__ref x,
                             pp__ref w, pp__ref bias, pp__ref y, pp__ref moments,
                             pp__ref workspace) {
    const pp__conv2d_geometry g = flattened(geometry);
    bool packs = pp__profile_u32(pp__stream_profile(stream), "conv2d.pack") != 0;
    if (packs) PP_TRY(pack(stream, &g, false, false, w, workspace));
    const gather pass = {.in = {g.n, g.h, g.w, g.c},
                         .out = {g.n, g.oh, g.ow, g.k},
                         .h = pp__conv2d_forward_axis(g.oh, g.stride_h, g.pad_h, g.dilation_h),
                         .w = pp__conv2d_forward_axis(g.ow, g.stride_w, g.pad_w, g.dilation_w),
                         .x = x,
                         .weight = packs ? workspace : w,
                         .bias = bias,
                         .y = y,
                         .moments = moments,
                         .packed = packs};
    const uint32_t band = forward_band(pp__stream_profile(stream), &g);
    return band ? record_point(stream, &g, &pass, false, band) : record_gather(stream, &g, &pass);
}

size_t pp__conv2d_backward_input_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    return packed_bytes(g, true, profile);
}

/* Stride 1 turns the window, so that the step is positive and window rows are read as a whole. */
static pp__conv2d_axis turned_axis(uint32_t extent, uint32_t pad, uint32_t dilation,
                                   uint32_t window) {
    return (pp__conv2d_axis){.count = extent,
                             .scale = 1,
                             .base = (int32_t)pad - (int32_t)((window - 1) * dilation),
                             .step = (int32_t)dilation,
                             .tap_step = 1,
                             .out_scale = 1};
}

/* Taps whose distance from the phase the stride divides follow each other at a constant step. */
pp__conv2d_axis pp__conv2d_phase_axis(uint32_t extent, uint32_t phase, uint32_t stride,
                                      uint32_t pad, uint32_t dilation, uint32_t window) {
    int32_t from = (int32_t)(phase + pad), by = (int32_t)stride;
    pp__conv2d_axis a = {.count = pp__divide_up(extent - phase, stride),
                         .scale = 1,
                         .tap_step = 1,
                         .out_scale = stride,
                         .phase = phase};
    while (a.tap_step * dilation % stride) a.tap_step++;
    while (a.tap < window && (from - (int32_t)(a.tap * dilation)) % by) a.tap++;
    a.base = (from - (int32_t)(a.tap * dilation)) / by;
    a.step = -(int32_t)(a.tap_step * dilation) / by;
    return a;
}

pp_status pp__conv2d_backward_input(pp__stream *stream, const pp__conv2d_geometry *geometry,
                                    pp__ref w, pp__ref dy, pp__ref dx, bool adds,
                                    pp__ref workspace) {
    const pp__conv2d_geometry g = flattened(geometry);
    bool turned = g.stride_h == 1 && g.stride_w == 1;
    PP_TRY(pack(stream, &g, true, turned, w, workspace));
    gather pass = {.in = {g.n, g.oh, g.ow, g.k},
                   .out = {g.n, g.h, g.w, g.c},
                   .x = dy,
                   .weight = workspace,
                   .y = dx,
                   .packed = true,
                   .adds = adds};
    const uint32_t band = turned_band(pp__stream_profile(stream), &g);
    if (band) return record_point(stream, &g, &pass, true, band);
    for (uint32_t ph = 0; ph < g.stride_h && ph < g.h; ph++)
        for (uint32_t pw = 0; pw < g.stride_w && pw < g.w; pw++) {
            pass.h = turned
                         ? turned_axis(g.h, g.pad_h, g.dilation_h, g.r)
                         : pp__conv2d_phase_axis(g.h, ph, g.stride_h, g.pad_h, g.dilation_h, g.r);
            pass.w = turned
                         ? turned_axis(g.w, g.pad_w, g.dilation_w, g.s)
                         : pp__conv2d_phase_axis(g.w, pw, g.stride_w, g.pad_w, g.dilation_w, g.s);
            PP_TRY(record_gather(stream, &g, &pass));
        }
    return PP_OK;
}
