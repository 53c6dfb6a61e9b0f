/* What the references share: shapes and sliding windows. Everything is double and NHWC; references
 * overwrite their results, they never add to them, and they take no shortcuts: plain loops over the
 * definition. */
#ifndef PP_REF_REF_H
#define PP_REF_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An activation [n, h, w, c]. */
typedef struct ref_shape {
    size_t n, h, w, c;
} ref_shape;

static inline size_t ref_pixels(ref_shape s) {
    return s.n * s.h * s.w;
}
static inline size_t ref_elems(ref_shape s) {
    return ref_pixels(s) * s.c;
}
static inline size_t ref_at(ref_shape s, size_t n, size_t y, size_t x, size_t c) {
    return ((n * s.h + y) * s.w + x) * s.c + c;
}

/* A window that slides over height and width. No zero stands for a default here: strides and
 * dilations are at least 1. */
typedef struct ref_window {
    size_t kernel_h, kernel_w;
    size_t stride_h, stride_w;
    size_t pad_h, pad_w;
    size_t dilation_h, dilation_w;
} ref_window;

/* Output extent along one axis. */
static inline size_t ref_window_extent(size_t extent, size_t kernel, size_t stride, size_t pad,
                                       size_t dilation) {
    return (extent + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

/* The window's output [n, oh, ow, channels] over an input `x`. */
static inline ref_shape ref_window_output(const ref_window *w, ref_shape x, size_t channels) {
    return (ref_shape){
        x.n, ref_window_extent(x.h, w->kernel_h, w->stride_h, w->pad_h, w->dilation_h),
        ref_window_extent(x.w, w->kernel_w, w->stride_w, w->pad_w, w->dilation_w), channels};
}

/* Where tap (r, s) of output pixel (oy, ox) reads an input of shape `x`; false in the padding. */
static inline bool ref_window_tap(const ref_window *w, ref_shape x, size_t oy, size_t ox, size_t r,
                                  size_t s, size_t *iy_out, size_t *ix_out) {
    size_t y = oy * w->stride_h + r * w->dilation_h, z = ox * w->stride_w + s * w->dilation_w;
    if (y < w->pad_h || y - w->pad_h >= x.h || z < w->pad_w || z - w->pad_w >= x.w) return false;
    *iy_out = y - w->pad_h;
    *ix_out = z - w->pad_w;
    return true;
}

#endif
