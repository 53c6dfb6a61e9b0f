/* Launches of the weight and bias gradients: how a geometry is cut into work-items. */
#include "codec/blockmean.h"
#include "op/conv2d.h"
#include "profile/profile.h"
#include "util/size.h"

/* The largest divisor of a group's input channels up to the profile's block. */
static uint32_t block_of(const pp_profile *profile, uint32_t group_c) {
    uint32_t block = pp__profile_u32(profile, "conv2d.block");
    while (block > 1 && group_c % block) block--;
    return block ? block : 1;
}

/* How many ways the images are split, so that there are about conv2d.weight_items work-items. */
static uint32_t splits_of(const pp__conv2d_geometry *g, const pp_profile *profile) {
    uint32_t group_k = g->k / g->groups, group_c = g->c / g->groups;
    size_t items = (size_t)g->groups * pp__divide_up(group_k, pp__conv2d_vector(profile, group_k)) *
                   (group_c / block_of(profile, group_c)) * g->r * g->s;
    size_t wished = pp__profile_u32(profile, "conv2d.weight_items");
    size_t splits = (wished + items - 1) / items;
    return pp__conv2d_splits(g, profile, splits > g->n ? g->n : splits);
}

uint32_t pp__conv2d_weight_elems(const pp__conv2d_geometry *g) {
    return g->r * g->s * (g->c / g->groups) * g->k;
}

size_t pp__conv2d_partial_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    uint32_t splits = splits_of(g, profile);
    return splits > 1 ? (size_t)splits * pp__conv2d_weight_elems(g) * sizeof(float) : 0;
}

uint32_t pp__conv2d_splits(const pp__conv2d_geometry *g, const pp_profile *profile, size_t wished) {
    size_t most = pp__profile_bytes(profile, "conv2d.partial_bytes") /
                  (pp__conv2d_weight_elems(g) * sizeof(float));
    if (wished > most) wished = most;
    return wished ? (uint32_t)wished : 1;
}

pp_status pp__conv2d_reduce(pp__stream *stream, pp__ref partial, pp__ref dw, uint32_t elems,
                            uint32_t splits, bool adds) {
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_reduce", PP__CONV2D_SMALL);
    pp__launch_define(&l, "CONV2D_ADD", adds);
    pp__launch_tensor(&l, partial, sizeof(float));
    pp__launch_tensor(&l, dw, sizeof(float));
    pp__launch_u32(&l, elems);
    pp__launch_u32(&l, splits);
    pp__launch_u32(&l, elems);
    return pp__launch_cover(&l, pp__divide_up(elems, 64), 1, 1);
}

pp_status pp__conv2d_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                     pp__ref dy, pp__ref dw, bool adds, pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    uint32_t group_k = g->k / g->groups, group_c = g->c / g->groups;
    uint32_t splits = splits_of(g, profile), block = block_of(profile, group_c);
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_backward_weight", PP__CONV2D_WEIGHT);
    uint32_t vector = pp__conv2d_vector(profile, group_k);
    pp__launch_define(&l, "CONV2D_VECTOR", vector);
    pp__launch_define(&l, "CONV2D_TAIL", group_k % vector != 0);
    pp__launch_define(&l, "CONV2D_BLOCK", block);
    pp__launch_define(&l, "CONV2D_ADD", adds && splits == 1);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, splits > 1 ? workspace : dw, sizeof(float));
    const uint32_t extents[] = {g->h,        g->w,          g->c,
                                g->oh,       g->ow,         g->k,
                                g->r,        g->s,          g->groups,
                                g->stride_h, g->stride_w,   g->pad_h,
                                g->pad_w,    g->dilation_h, g->dilation_w,
                                g->n,        splits,        pp__conv2d_weight_elems(g)};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    PP_TRY(pp__launch_cover(
        &l, (size_t)g->groups * pp__divide_up(group_k, pp__conv2d_vector(profile, group_k)),
        group_c / block, (size_t)g->r * g->s * splits));
    return splits > 1
               ? pp__conv2d_reduce(stream, workspace, dw, pp__conv2d_weight_elems(g), splits, adds)
               : PP_OK;
}

static size_t image_bytes(const pp__conv2d_geometry *g) {
    return (size_t)g->h * g->w * g->c * sizeof(float);
}
static size_t gradient_bytes(const pp__conv2d_geometry *g) {
    return (size_t)g->oh * g->ow * g->k * sizeof(float);
}

/* Images whose scratch of `each` bytes fits conv2d.band_bytes; at least one. */
static uint32_t band_images(const pp__conv2d_geometry *g, size_t each, const pp_profile *profile) {
    size_t images = pp__profile_bytes(profile, "conv2d.band_bytes") / each;
    return images < 1 ? 1 : images > g->n ? g->n : (uint32_t)images;
}

static bool in_pooled_domain(const pp__conv2d_geometry *g, const pp__stored *stored) {
    return stored->coding.codec->pooled && stored->shape.h == g->h && stored->shape.w == g->w &&
           g->n == stored->shape.n;
}

/* Scratch for a band of images in the pooled domain: the block sums of dy, and the means where they
 * are not float32 as they lie. */
static size_t pooled_scratch_bytes(const pp__conv2d_geometry *tap, const pp__stored *means) {
    return gradient_bytes(tap) + (pp__stored_is_plain(means) ? 0 : image_bytes(tap));
}

/* The block sums of dy for one tap, as the gradient of a 1x1 convolution over the pooled map. */
static pp__conv2d_geometry tap_geometry(const pp__conv2d_geometry *g, uint32_t window,
                                        uint32_t images) {
    uint32_t blocks_h = pp__divide_up(g->h, window), blocks_w = pp__divide_up(g->w, window);
    return (pp__conv2d_geometry){images, blocks_h, blocks_w, g->c,     blocks_h, blocks_w,
                                 g->k,   1,        1,        1,        1,        0,
                                 0,      1,        1,        g->groups};
}

/* The gradient from values in float32, by the kernels that suit the geometry, and its workspace. */
static size_t values_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    if (pp__conv2d_depthwise_fits(g, profile))
        return pp__conv2d_depthwise_bytes(g, PP__PASS_BACKWARD_PARAMETERS, profile);
    if (pp__conv2d_tiled_fits(g, profile))
        return pp__conv2d_tiled_bytes(g, PP__PASS_BACKWARD_PARAMETERS, profile);
    return pp__conv2d_partial_bytes(g, profile);
}

static pp_status backward_weight_values(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                        pp__ref dy, pp__ref dw, bool adds, pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    if (pp__conv2d_depthwise_fits(g, profile))
        return pp__conv2d_depthwise_backward_weight(stream, g, x, dy, dw, adds, workspace);
    if (pp__conv2d_tiled_fits(g, profile))
        return pp__conv2d_tiled_backward_weight(stream, g, x, dy, dw, adds, workspace);
    return pp__conv2d_backward_weight(stream, g, x, dy, dw, adds, workspace);
}

/* The most partial sums that any band needs: splits depend on the number of images. */
static size_t partial_bytes_up_to(pp__conv2d_geometry g, uint32_t images,
                                  const pp_profile *profile) {
    size_t most = 0;
    for (g.n = 1; g.n <= images; g.n++) {
        size_t bytes = values_bytes(&g, profile);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Where the scratch lies behind the partial sums, on a vector's boundary. */
static size_t scratch_offset(size_t partial_bytes) {
    return pp__round_up(partial_bytes, 64);
}

size_t pp__conv2d_stored_bytes(const pp__conv2d_geometry *g, const pp__stored *stored,
                               const pp_profile *profile) {
    if (pp__conv2d_weight_fits(g, stored, profile))
        return pp__conv2d_weight_bytes(g, stored, profile);
    if (pp__stored_is_plain(stored)) return pp__conv2d_partial_bytes(g, profile);
    if (in_pooled_domain(g, stored)) {
        const pp__stored means = pp__blockmean_means(stored);
        pp__conv2d_geometry tap = tap_geometry(g, stored->coding.window, 1);
        uint32_t images = band_images(g, pooled_scratch_bytes(&tap, &means), profile);
        return scratch_offset(partial_bytes_up_to(tap, images, profile)) +
               images * pooled_scratch_bytes(&tap, &means);
    }
    uint32_t images = band_images(g, image_bytes(g), profile);
    return scratch_offset(partial_bytes_up_to(*g, images, profile)) + images * image_bytes(g);
}

static pp__ref behind(pp__ref ref, size_t bytes) {
    return (pp__ref){ref.memory, ref.offset_bytes + bytes};
}

static pp_status pooled_gradient(pp__stream *stream, const pp__conv2d_geometry *g, uint32_t window,
                                 uint32_t r, uint32_t s, const pp__conv2d_geometry *tap, pp__ref dy,
                                 pp__ref sums) {
    uint32_t chunk = pp__profile_u32(pp__stream_profile(stream), "conv2d_pooled.chunk");
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_pooled", "conv2d_pooled_gradient");
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, sums, sizeof(float));
    const uint32_t extents[] = {g->h, g->w, g->oh, g->ow, g->k, g->stride_h, g->stride_w};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(&l, extents[i]);
    pp__launch_i32(&l, (int32_t)(r * g->dilation_h) - (int32_t)g->pad_h);
    pp__launch_i32(&l, (int32_t)(s * g->dilation_w) - (int32_t)g->pad_w);
    pp__launch_u32(&l, window);
    pp__launch_u32(&l, tap->h);
    pp__launch_u32(&l, tap->w);
    pp__launch_u32(&l, tap->n);
    return pp__launch_cover(&l, pp__divide_up(g->k, 8),
                            pp__divide_up(tap->n * tap->h * tap->w, chunk), 1);
}

static pp_status backward_weight_pooled(pp__stream *stream, const pp__conv2d_geometry *g,
                                        const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                        pp__ref workspace) {
    const pp_profile *profile = pp__stream_profile(stream);
    const pp__stored means = pp__blockmean_means(stored);
    uint32_t window = stored->coding.window;
    pp__conv2d_geometry tap = tap_geometry(g, window, 1);
    uint32_t images = band_images(g, pooled_scratch_bytes(&tap, &means), profile);
    pp__ref sums = behind(workspace, scratch_offset(partial_bytes_up_to(tap, images, profile)));
    const pp__ref decoded = behind(sums, images * gradient_bytes(&tap));
    for (uint32_t first = 0; first < g->n; first += images) {
        tap.n = g->n - first < images ? g->n - first : images;
        pp__ref band_dy = behind(dy, first * gradient_bytes(g));
        pp__ref band_x = behind(means.code, first * image_bytes(&tap));
        if (!pp__stored_is_plain(&means)) {
            band_x = decoded;
            PP_TRY(pp__stored_decode(&means, first, tap.n, band_x, stream));
        }
        for (uint32_t t = 0; t < g->r * g->s; t++) {
            PP_TRY(pooled_gradient(stream, g, window, t / g->s, t % g->s, &tap, band_dy, sums));
            PP_TRY(backward_weight_values(
                stream, &tap, band_x, sums,
                behind(dw, (size_t)t * pp__conv2d_weight_elems(&tap) * sizeof(float)),
                adds || first > 0, workspace));
        }
    }
    return PP_OK;
}

pp_status pp__conv2d_backward_weight_stored(pp__stream *stream, const pp__conv2d_geometry *g,
                                            const pp__stored *stored, pp__ref dy, pp__ref dw,
                                            bool adds, pp__ref workspace) {
    if (pp__conv2d_weight_fits(g, stored, pp__stream_profile(stream)))
        return pp__conv2d_weight_backward(stream, g, stored, dy, dw, adds, workspace);
    if (pp__stored_is_plain(stored))
        return pp__conv2d_backward_weight(stream, g, stored->code, dy, dw, adds, workspace);
    if (in_pooled_domain(g, stored))
        return backward_weight_pooled(stream, g, stored, dy, dw, adds, workspace);
    const pp_profile *profile = pp__stream_profile(stream);
    uint32_t images = band_images(g, image_bytes(g), profile);
    pp__ref x = behind(workspace, scratch_offset(partial_bytes_up_to(*g, images, profile)));
    for (uint32_t first = 0; first < g->n; first += images) {
        pp__conv2d_geometry band = *g;
        band.n = g->n - first < images ? g->n - first : images;
        PP_TRY(pp__stored_decode(stored, first, band.n, x, stream));
        PP_TRY(backward_weight_values(stream, &band, x, behind(dy, first * gradient_bytes(g)), dw,
                                      adds || first > 0, workspace));
    }
    return PP_OK;
}

pp_status pp__conv2d_backward_bias(pp__stream *stream, uint32_t pixels, uint32_t k, pp__ref dy,
                                   pp__ref db, bool adds) {
    pp__launch l;
    pp__conv2d_begin(&l, stream, "conv2d_backward_bias", PP__CONV2D_SMALL);
    pp__launch_define(&l, "CONV2D_ADD", adds);
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, db, sizeof(float));
    pp__launch_u32(&l, pixels);
    pp__launch_u32(&l, k);
    return pp__launch_cover(&l, pp__divide_up(k, 8), 1, 1);
}
