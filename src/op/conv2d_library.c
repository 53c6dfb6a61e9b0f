/* 1x1 convolutions as products of matrices by a library (device/gemm.h): all pixels are rows.
 *
 *     y [pixels, k]  = x [pixels, c] w [c, k]  (+ b)
 *     dx [pixels, c] = dy [pixels, k] w^T
 *     dw [c, k]      = x^T dy
 */
#include "device/gemm.h"
#include "op/conv2d.h"
#include "profile/profile.h"

static size_t pixels_of(const pp__conv2d_geometry *g) {
    return (size_t)g->n * g->h * g->w;
}

bool pp__conv2d_library_fits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    return pp__gemm_available() && pp__profile_u32(profile, "gemm.library") && g->r == 1 &&
           g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && !g->pad_h && !g->pad_w &&
           g->groups == 1 &&
           (double)pixels_of(g) * g->c * g->k >= pp__profile_u32(profile, "gemm.library_least");
}

pp_status pp__conv2d_library_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                     pp__ref w, pp__ref bias, pp__ref y) {
    if (bias.memory) {
        pp__launch l;
        pp__launch_begin(&l, stream, "op/conv2d_library", "conv2d_library_bias");
        pp__launch_tensor(&l, bias, sizeof(float));
        pp__launch_tensor(&l, y, sizeof(float));
        PP_TRY(pp__launch_cover_octets(&l, pixels_of(g), g->k));
    }
    return pp__stream_gemm(stream, &(pp__gemm){.m = pixels_of(g),
                                               .n = g->k,
                                               .k = g->c,
                                               .adds = bias.memory != NULL,
                                               .a = x,
                                               .b = w,
                                               .c = y});
}

pp_status pp__conv2d_library_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                            pp__ref w, pp__ref dy, pp__ref dx, bool adds) {
    return pp__stream_gemm(stream, &(pp__gemm){.m = pixels_of(g),
                                               .n = g->c,
                                               .k = g->k,
                                               .b_transposed = true,
                                               .adds = adds,
                                               .a = dy,
                                               .b = w,
                                               .c = dx});
}

pp_status pp__conv2d_library_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                             pp__ref x, pp__ref dy, pp__ref dw, bool adds) {
    return pp__stream_gemm(stream, &(pp__gemm){.m = g->c,
                                               .n = g->k,
                                               .k = pixels_of(g),
                                               .a_transposed = true,
                                               .adds = adds,
                                               .a = x,
                                               .b = dy,
                                               .c = dw});
}
