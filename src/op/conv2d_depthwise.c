/* Launches of the depthwise kernels: how a geometry is cut into work-items. Formulas:
 * cl/op/conv2d_depthwise.cl. */
#include "op/conv2d.h"
#include "profile/profile.h"
#include "util/size.h"

/* CONV2D_DEPTHWISE_PART: the kernel that a launch's program holds. */
enum { PART_GATHER = 1, PART_WEIGHT = 2 };

/* The taps of a window row are unrolled. */
enum { MOST_TAPS = 16 };

bool pp__conv2d_depthwise_fits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    (void)profile;
    return g->groups > 1 && g->groups == g->c && g->k == g->c && g->s <= MOST_TAPS &&
           g->stride_w <= MOST_TAPS && (uint64_t)g->w * g->c <= INT32_MAX / 2 &&
           (uint64_t)g->ow * g->c <= INT32_MAX / 2 && (uint64_t)g->n * g->oh <= INT32_MAX / 2;
}

/* Work-items along the channels. */
static uint32_t chunks_of(const pp__conv2d_geometry *g, const pp_profile *profile) {
    return pp__divide_up(pp__divide_up(g->c, pp__conv2d_vector(profile, g->c)),
                         pp__profile_u32(profile, "conv2d_depthwise.blocks"));
}

/* How many ways all images' rows are split, so that there are about conv2d_depthwise.weight_items
 * work-items. */
static uint32_t splits_of(const pp__conv2d_geometry *g, const pp_profile *profile) {
    const uint32_t wished = pp__divide_up(pp__profile_u32(profile, "conv2d_depthwise.weight_items"),
                                          chunks_of(g, profile));
    const uint32_t rows = g->n * g->oh;
    return wished > rows ? rows : wished;
}

size_t pp__conv2d_depthwise_bytes(const pp__conv2d_geometry *g, pp__pass pass,
                                  const pp_profile *profile) {
    if (pass != PP__PASS_BACKWARD_PARAMETERS) return 0;
    const uint32_t splits = splits_of(g, profile);
    return splits > 1 ? (size_t)splits * pp__conv2d_weight_elems(g) * sizeof(float) : 0;
}

static void begin(pp__launch *l, pp__stream *stream, const char *kernel, uint32_t part,
                  const pp__conv2d_geometry *g, bool adds) {
    const uint32_t vector = pp__conv2d_vector(pp__stream_profile(stream), g->c);
    pp__launch_begin(l, stream, "op/conv2d_depthwise", kernel);
    pp__launch_define(l, "CONV2D_DEPTHWISE_PART", part);
    pp__launch_define(l, "CONV2D_DEPTHWISE_VECTOR", vector);
    pp__launch_define(l, "CONV2D_DEPTHWISE_TAIL", g->c % vector != 0);
    pp__launch_define(l, "CONV2D_DEPTHWISE_ADD", adds);
    pp__launch_define(l, "CONV2D_DEPTHWISE_R", g->r);
    pp__launch_define(l, "CONV2D_DEPTHWISE_S", g->s);
    pp__launch_define(l, "CONV2D_DEPTHWISE_STRIDE_H", g->stride_h);
    pp__launch_define(l, "CONV2D_DEPTHWISE_STRIDE_W", g->stride_w);
    pp__launch_define(l, "CONV2D_DEPTHWISE_PAD_H", g->pad_h);
    pp__launch_define(l, "CONV2D_DEPTHWISE_PAD_W", g->pad_w);
    pp__launch_define(l, "CONV2D_DEPTHWISE_DILATION_H", g->dilation_h);
    pp__launch_define(l, "CONV2D_DEPTHWISE_DILATION_W", g->dilation_w);
}

static void append(pp__launch *l, const uint32_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) pp__launch_u32(l, values[i]);
}

/* The pixels of a row's first phase that read nothing outside, `in` columns wide. */
static uint32_t inner_pixels(const pp__conv2d_geometry *g, bool backward) {
    const int64_t scale = backward ? 1 : g->stride_w, in = backward ? g->ow : g->w,
                  by = backward ? g->stride_w : 1;
    int64_t low = 0, high = 0; /* what taps read beside a pixel's own column */
    for (uint32_t s = 0; s < g->s; s++) {
        const int64_t shift = (int64_t)s * g->dilation_w - g->pad_w;
        const int64_t first = (backward ? -shift : shift) / by;
        if (shift % by) continue;
        if (first < low) low = first;
        if (first > high) high = first;
    }
    const int64_t begin = (-low + scale - 1) / scale, end = (in - 1 - high) / scale + 1;
    const int64_t columns = backward ? pp__divide_up(g->w, g->stride_w) : g->ow;
    return in <= high || end <= begin ? 0 : (uint32_t)((end < columns ? end : columns) - begin);
}

/* The tile that takes least time: about that of a pixel more than it has, and a pixel alone that of
 * two. */
static uint32_t tile_of(const pp__conv2d_geometry *g, const pp_profile *profile, bool backward) {
    const uint32_t most = pp__profile_u32(profile, "conv2d_depthwise.tile"),
                   pixels = inner_pixels(g, backward);
    uint32_t best = most, best_time = UINT32_MAX;
    for (uint32_t tile = most; tile && 2 * tile >= most; tile--) {
        const uint32_t time = pixels / tile * (tile + 1) + pixels % tile * 2;
        if (time >= best_time) continue;
        best = tile;
        best_time = time;
    }
    return best;
}

/* in and out are what is read and written. */
static pp_status gather(pp__stream *stream, const pp__conv2d_geometry *g, pp__shape in,
                        pp__shape out, pp__ref x, pp__ref w, pp__ref bias, pp__ref y, bool backward,
                        bool adds) {
    const pp_profile *profile = pp__stream_profile(stream);
    pp__launch l;
    begin(&l, stream, "conv2d_depthwise_gather", PART_GATHER, g, adds);
    pp__launch_define(&l, "CONV2D_DEPTHWISE_TILE", tile_of(g, profile, backward));
    pp__launch_define(&l, "CONV2D_DEPTHWISE_BACKWARD", backward);
    pp__launch_define(&l, "CONV2D_DEPTHWISE_BIAS", bias.memory != NULL);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, w, sizeof(float));
    pp__launch_tensor(&l, bias, sizeof(float));
    pp__launch_tensor(&l, y, sizeof(float));
    const uint32_t extents[] = {in.h, in.w, out.h, out.w, g->c, g->n};
    append(&l, extents, sizeof extents / sizeof *extents);
    return pp__launch_cover(&l, chunks_of(g, profile),
                            pp__divide_up(out.h, pp__profile_u32(profile, "conv2d_depthwise.rows")),
                            g->n);
}

pp_status pp__conv2d_depthwise_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                       pp__ref w, pp__ref bias, pp__ref y) {
    return gather(stream, g, (pp__shape){g->n, g->h, g->w, g->c},
                  (pp__shape){g->n, g->oh, g->ow, g->k}, x, w, bias, y, false, false);
}

pp_status pp__conv2d_depthwise_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                              pp__ref w, pp__ref dy, pp__ref dx, bool adds) {
    return gather(stream, g, (pp__shape){g->n, g->oh, g->ow, g->k},
                  (pp__shape){g->n, g->h, g->w, g->c}, dy, w, (pp__ref){0}, dx, true, adds);
}

pp_status pp__conv2d_depthwise_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                               pp__ref x, pp__ref dy, pp__ref dw, bool adds,
                                               pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    const uint32_t splits = splits_of(g, profile);
    pp__launch l;
    begin(&l, stream, "conv2d_depthwise_backward_weight", PART_WEIGHT, g, adds && splits == 1);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, splits > 1 ? workspace : dw, sizeof(float));
    const uint32_t extents[] = {g->h, g->w, g->oh, g->ow, g->c, g->n, splits};
    append(&l, extents, sizeof extents / sizeof *extents);
    PP_TRY(pp__launch_cover(&l, chunks_of(g, profile), splits, 1));
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, dw, pp__conv2d_weight_elems(g), splits, adds);
}
