/* Launches of the plain loops, cl/op/conv2d_plain.cl. */
#include "op/conv2d.h"

static void append_extents(pp__launch *l, const pp__conv2d_geometry *g) {
    const uint32_t extents[] = {g->h,          g->w,          g->c,      g->oh,
                                g->ow,         g->k,          g->r,      g->s,
                                g->stride_h,   g->stride_w,   g->pad_h,  g->pad_w,
                                g->dilation_h, g->dilation_w, g->groups, g->n};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) pp__launch_u32(l, extents[i]);
}

pp_status pp__conv2d_plain_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                   pp__ref w, pp__ref bias, pp__ref y) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_forward");
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, w, sizeof(float));
    pp__launch_tensor(&l, bias, sizeof(float));
    pp__launch_tensor(&l, y, sizeof(float));
    append_extents(&l, g);
    pp__launch_u32(&l, bias.memory != NULL);
    return pp__launch_cover(&l, g->k, (size_t)g->oh * g->ow, g->n);
}

pp_status pp__conv2d_plain_moments(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref y,
                                   pp__ref moments, uint32_t splits) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_moments");
    pp__launch_tensor(&l, y, sizeof(float));
    pp__launch_tensor(&l, moments, sizeof(float));
    pp__launch_u32(&l, g->n * g->oh * g->ow);
    pp__launch_u32(&l, g->k);
    pp__launch_u32(&l, splits);
    return pp__launch_cover(&l, g->k, splits, 1);
}

pp_status pp__conv2d_plain_merge(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref moments,
                                 uint32_t splits, pp__ref merged) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_merge");
    pp__launch_tensor(&l, moments, sizeof(float));
    pp__launch_tensor(&l, merged, sizeof(float));
    pp__launch_u32(&l, g->k);
    pp__launch_u32(&l, splits);
    return pp__launch_cover(&l, g->k, 1, 1);
}

pp_status pp__conv2d_plain_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                          pp__ref w, pp__ref dy, pp__ref dx, bool adds) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_backward_input");
    pp__launch_tensor(&l, w, sizeof(float));
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, dx, sizeof(float));
    append_extents(&l, g);
    pp__launch_u32(&l, adds);
    return pp__launch_cover(&l, g->c, (size_t)g->h * g->w, g->n);
}

static pp_status cover_weights(pp__launch *l, const pp__conv2d_geometry *g) {
    return pp__launch_cover(l, g->k, g->c / g->groups, (size_t)g->r * g->s);
}

/* Decodes every element that it multiplies. */
static pp_status backward_weight_stored(pp__stream *stream, const pp__conv2d_geometry *g,
                                        const pp__stored *stored, pp__ref dy, pp__ref dw,
                                        bool adds) {
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_backward_weight_stored");
    pp__conv2d_append_stored(&l, stored);
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, dw, sizeof(float));
    append_extents(&l, g);
    pp__launch_u32(&l, adds);
    pp__launch_u32(&l, stored->shape.h);
    pp__launch_u32(&l, stored->shape.w);
    pp__launch_u32(&l, stored->shape.c);
    pp__launch_u32(&l, stored->coding.codec->pooled ? stored->coding.window : 1);
    return cover_weights(&l, g);
}

pp_status pp__conv2d_plain_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                           const pp__stored *stored, pp__ref dy, pp__ref dw,
                                           bool adds) {
    if (!pp__stored_is_plain(stored))
        return backward_weight_stored(stream, g, stored, dy, dw, adds);
    pp__launch l;
    pp__launch_begin(&l, stream, "op/conv2d_plain", "conv2d_plain_backward_weight");
    pp__launch_tensor(&l, stored->code, sizeof(float));
    pp__launch_tensor(&l, dy, sizeof(float));
    pp__launch_tensor(&l, dw, sizeof(float));
    append_extents(&l, g);
    pp__launch_u32(&l, adds);
    return cover_weights(&l, g);
}
