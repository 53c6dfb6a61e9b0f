/* The weight gradient for devices with caches and few work-items: how it is cut. Layout of the
 * scratch and the order of the sums: cl/op/conv2d_weight.cl. */
#include <string.h>

#include "codec/blockmean.h"
#include "op/conv2d.h"
#include "profile/profile.h"
#include "util/size.h"

/* Blocks of channels. */
enum { BLOCK_C = 16, MOST_WHOLE_C = 24 };
/* The largest of a window of one position, and of one with strides: each copied element serves
 * fewer sums there. */
enum { POINT_BLOCK_C = 128, STRIDED_BLOCK_C = 32, LARGE_BLOCK_K = 128 };
enum { LEAST_PLACES = 64 };      /* of a band, if there are so many */
enum { SCRATCH_ALIGNMENT = 16 }; /* elements: dy begins on a vector's boundary */

/* One axis of the sums: outputs, or blocks of a pooled map. */
typedef struct axis {
    uint32_t count;        /* places that are summed over */
    uint32_t in, out;      /* extents of x as it is stored, and of dy */
    uint32_t stride, copy; /* cl/op/conv2d_weight.cl */
    uint32_t window, dilation, pad;
    uint32_t box;  /* outputs that meet one block; 1 where x is no pooled map */
    uint32_t band; /* places of one band */
} axis;

typedef struct cut {
    axis h, w;
    uint32_t batch, in_c, k, groups;
    uint32_t vector, vectors, rows; /* of a register tile */
    uint32_t block_c, block_k, image_count;
    bool pooled, tail;
} cut;

/* Where x is a pooled map, every output must meet exactly one block per tap, and boxes must lie on
 * a grid. */
static bool read_axis(axis *a, uint32_t window_side) {
    a->box = 1;
    if (window_side) {
        if (window_side % a->stride || a->in % window_side) return false;
        a->box = window_side / a->stride;
        a->in /= window_side;
        a->count = a->in;
    } else {
        a->count = a->out;
        if (a->window == 1) {
            a->copy = a->stride;
            a->stride = 1;
        }
    }
    return true;
}

static int32_t first_output(const axis *a, uint32_t tap) {
    int32_t distance = (int32_t)a->pad - (int32_t)(tap * a->dilation), stride = (int32_t)a->stride;
    return distance > 0 ? (distance + stride - 1) / stride : -(-distance / stride);
}

/* Rows (or columns) of a band of `band` places as they are copied. */
static uint32_t x_extent(const cut *c, const axis *a, uint32_t band) {
    return c->pooled ? band : (band - 1) * a->stride + (a->window - 1) * a->dilation + 1;
}
static uint32_t dy_extent(const cut *c, const axis *a, uint32_t band) {
    if (!c->pooled) return band;
    return (band - 1) * a->box + (uint32_t)(first_output(a, 0) - first_output(a, a->window - 1)) +
           1;
}

static size_t sums_elems(const cut *c) {
    return (size_t)c->h.window * c->w.window * c->block_c * c->block_k;
}
static size_t band_elems(const cut *c, uint32_t rows, uint32_t columns) {
    return (size_t)x_extent(c, &c->h, rows) * x_extent(c, &c->w, columns) * c->block_c +
           (size_t)dy_extent(c, &c->h, rows) * dy_extent(c, &c->w, columns) * c->block_k;
}

/* The largest divisor of `count` up to `most`. */
static uint32_t divisor_up_to(uint32_t count, uint32_t most) {
    while (most > 1 && count % most) most--;
    return most ? most : 1;
}

/* Doubles a block while the group has channels for it and the sums leave a third of the scratch to
 * the copies. */
static void enlarge(const cut *c, uint32_t *block, uint32_t most, size_t scratch_elems) {
    while (2 * *block <= most && 3 * 2 * sums_elems(c) <= 2 * scratch_elems) *block *= 2;
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Blocks of channels and the register tile that divides them. */
static void cut_channels(cut *c, const pp_profile *profile, size_t scratch_elems) {
    uint32_t group_c = c->in_c / c->groups, group_k = c->k / c->groups;
    bool point = c->h.window * c->w.window == 1,
         strided = !c->pooled && c->h.stride * c->w.stride > 1;
    c->vector = pp__conv2d_vector(profile, group_k);
    c->vectors = pp__profile_u32(profile, "conv2d_weight.vectors");
    while (c->vectors > 1 && c->vectors * c->vector > group_k) c->vectors /= 2;
    c->block_k = c->vectors * c->vector;
    c->block_c = group_c <= MOST_WHOLE_C ? group_c : BLOCK_C;
    if (point || strided || group_c < 8)
        enlarge(c, &c->block_k, smaller(group_k, LARGE_BLOCK_K), scratch_elems);
    if (point || strided)
        enlarge(c, &c->block_c, smaller(group_c, point ? POINT_BLOCK_C : STRIDED_BLOCK_C),
                scratch_elems);
    c->tail = group_k % c->block_k != 0;
    bool merged = !c->pooled && c->w.dilation == 1;
    uint32_t most = pp__profile_u32(profile, "conv2d_weight.rows") *
                    pp__profile_u32(profile, "conv2d_weight.vectors") / c->vectors;
    c->rows = divisor_up_to((merged ? c->w.window : 1) * c->block_c, most);
}

/* How many bands there should be, so that there are about conv2d.weight_items work-items. */
static uint32_t wished_bands(const cut *c, const pp_profile *profile) {
    uint32_t group_c = c->in_c / c->groups, group_k = c->k / c->groups;
    uint32_t items =
        c->groups * pp__divide_up(group_k, c->block_k) * pp__divide_up(group_c, c->block_c);
    return pp__divide_up(pp__profile_u32(profile, "conv2d.weight_items"), items);
}

/* Images of a band, or rows of it where there are fewer images than wished bands, but so many that
 * the sums' coming and going is no matter. */
static void cut_smaller(cut *c, uint32_t wished) {
    uint32_t per_band = c->batch / wished;
    if (c->image_count > per_band) c->image_count = per_band ? per_band : 1;
    uint32_t of_image = pp__divide_up(wished, c->batch);
    uint32_t rows = pp__divide_up(c->h.count, of_image);
    uint32_t least = pp__divide_up(LEAST_PLACES, c->w.band);
    if (rows < least) rows = least;
    if (c->h.band > rows) c->h.band = rows;
    if (c->h.count > 1) return;
    uint32_t columns = pp__divide_up(c->w.count, of_image);
    if (columns < LEAST_PLACES) columns = LEAST_PLACES;
    if (c->w.band > columns) c->w.band = columns;
}

/* Bands as large as the scratch allows: columns first, then rows, then images; false where not even
 * one place fits. */
static bool cut_bands(cut *c, size_t scratch_elems, uint32_t wished) {
    size_t taken = sums_elems(c) + SCRATCH_ALIGNMENT;
    if (taken >= scratch_elems) return false;
    size_t room = scratch_elems - taken;
    uint32_t parts = 1;
    do {
        c->w.band = pp__divide_up(c->w.count, parts++);
    } while (c->w.band > 1 && band_elems(c, 1, c->w.band) > room);
    if (band_elems(c, 1, c->w.band) > room) return false;
    parts = 1;
    do {
        c->h.band = pp__divide_up(c->h.count, parts++);
    } while (band_elems(c, c->h.band, c->w.band) > room);
    c->image_count = 1;
    if (c->h.band == c->h.count && c->w.band == c->w.count) {
        size_t images = room / band_elems(c, c->h.band, c->w.band);
        c->image_count = images > c->batch ? c->batch : (uint32_t)images;
    }
    cut_smaller(c, wished);
    return true;
}

/* How `stored` and dy are cut; false where this kernel cannot or should not. */
static bool cut_gradient(const pp__conv2d_geometry *g, const pp__stored *stored,
                         const pp_profile *profile, cut *c) {
    size_t scratch = pp__profile_bytes(profile, "conv2d_weight.scratch_bytes");
    uint32_t group_c = g->c / g->groups;
    bool plain = pp__stored_is_plain(stored);
    /* Codes lie in octets of the stored value's channels. */
    if (!scratch || (!plain && (stored->shape.c != g->c || stored->shape.h != g->h ||
                                stored->shape.w != g->w || stored->shape.n != g->n)))
        return false;
    if (g->groups > 1 && group_c % 8) return false;
    memset(c, 0, sizeof *c);
    c->batch = g->n, c->in_c = g->c, c->k = g->k, c->groups = g->groups;
    c->pooled = stored->coding.codec->pooled;
    c->h = (axis){0, g->h, g->oh, g->stride_h, 1, g->r, g->dilation_h, g->pad_h, 1, 0};
    c->w = (axis){0, g->w, g->ow, g->stride_w, 1, g->s, g->dilation_w, g->pad_w, 1, 0};
    bool flat = !c->pooled && g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 &&
                !g->pad_h && !g->pad_w;
    if (flat) { /* no pixel has neighbours: all of them are one row */
        c->w.in = c->w.out = g->n * g->h * g->w;
        c->h.in = c->h.out = c->batch = 1;
    }
    uint32_t side = c->pooled ? stored->coding.window : 0;
    if (!read_axis(&c->h, side) || !read_axis(&c->w, side)) return false;
    cut_channels(c, profile, scratch / sizeof(float));
    return cut_bands(c, scratch / sizeof(float), wished_bands(c, profile));
}

/* How many ways the bands are split. */
static uint32_t splits_of(const pp__conv2d_geometry *g, const cut *c, const pp_profile *profile) {
    size_t bands = (size_t)pp__divide_up(c->batch, c->image_count) *
                   pp__divide_up(c->h.count, c->h.band) * pp__divide_up(c->w.count, c->w.band);
    uint32_t wished = wished_bands(c, profile);
    return pp__conv2d_splits(g, profile, bands < wished ? bands : wished);
}

bool pp__conv2d_weight_fits(const pp__conv2d_geometry *g, const pp__stored *stored,
                            const pp_profile *profile) {
    cut c;
    return cut_gradient(g, stored, profile, &c);
}

size_t pp__conv2d_weight_bytes(const pp__conv2d_geometry *g, const pp__stored *stored,
                               const pp_profile *profile) {
    cut c;
    if (!cut_gradient(g, stored, profile, &c)) return 0;
    uint32_t splits = splits_of(g, &c, profile);
    return splits > 1 ? (size_t)splits * pp__conv2d_weight_elems(g) * sizeof(float) : 0;
}

void pp__conv2d_append_stored(pp__launch *l, const pp__stored *stored) {
    pp__stored plain = *stored;
    if (stored->coding.codec->pooled) plain = pp__blockmean_means(stored);
    bool normalised = plain.subject == PP__SUBJECT_NORMALISED;
    pp__stored_prefix(&plain, l);
    pp__launch_prefix(l, "codec/stored");
    pp__launch_define(l, "STORED_NORMALISED", normalised);
    pp__launch_define(l, "STORED_RELU", normalised && plain.relu);
    pp__launch_define(l, "STORED_MASK",
                      normalised && plain.coding.codec->views[plain.subject] & PP__VIEW_MASK);
    pp__stored_arguments(&plain, l);
}

pp_status pp__conv2d_weight_backward(pp__stream *stream, const pp__conv2d_geometry *g,
                                     const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                     pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    cut c;
    if (!cut_gradient(g, stored, profile, &c))
        return pp__fail(pp__stream_engine(stream), PP_ERROR_INTERNAL,
                        "conv2d_weight: a geometry that does not fit");
    uint32_t splits = splits_of(g, &c, profile);
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_weight", "conv2d_weight_backward");
    pp__launch_define(&l, "CONV2D_WEIGHT_VECTOR", c.vector);
    pp__launch_define(&l, "CONV2D_WEIGHT_VECTORS", c.vectors);
    pp__launch_define(&l, "CONV2D_WEIGHT_ROWS", c.rows);
    pp__launch_define(&l, "CONV2D_WEIGHT_POOLED", c.pooled);
    pp__launch_define(&l, "CONV2D_WEIGHT_TAIL", c.tail);
    pp__launch_define(&l, "CONV2D_WEIGHT_ADD", adds && splits == 1);
    pp__conv2d_append_stored(&l, stored);
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, splits > 1 ? workspace : dw, sizeof(float));
    const uint32_t extents[] = {c.h.in,
                                c.w.in,
                                c.in_c,
                                c.h.out,
                                c.w.out,
                                c.k,
                                c.h.window,
                                c.w.window,
                                c.groups,
                                c.h.stride,
                                c.w.stride,
                                c.h.copy,
                                c.w.copy,
                                c.h.dilation,
                                c.w.dilation,
                                c.h.pad,
                                c.w.pad,
                                c.block_c,
                                c.block_k,
                                x_extent(&c, &c.h, c.h.band),
                                x_extent(&c, &c.w, c.w.band),
                                dy_extent(&c, &c.h, c.h.band),
                                dy_extent(&c, &c.w, c.w.band),
                                c.h.box,
                                c.w.box,
                                c.image_count,
                                c.h.band,
                                c.w.band,
                                c.h.count,
                                c.w.count,
                                c.batch,
                                splits,
                                pp__conv2d_weight_elems(g)};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    PP_TRY(pp__launch_cover(&l, (size_t)c.groups * pp__divide_up(c.k / c.groups, c.block_k),
                            pp__divide_up(c.in_c / c.groups, c.block_c), splits));
    if (splits == 1) return PP_OK;
    return pp__conv2d_reduce(stream, workspace, dw, pp__conv2d_weight_elems(g), splits, adds);
}
