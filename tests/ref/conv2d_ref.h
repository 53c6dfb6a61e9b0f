/* Reference of conv2d. With group(k) = k / (out_channels / groups), C = c / groups,
 *
 *     y[n, oy, ox, k] = b[k] + sum_{r, s, c < C}
 *                           x[n, iy(oy, r), ix(ox, s), group(k) * C + c] * w[r, s, c, k]
 *
 * where iy = oy * stride - pad + r * dilation, and x is zero outside its extents. Weights are
 * [kernel_h, kernel_w, c / groups, out_channels].
 */
#ifndef PP_REF_CONV2D_REF_H
#define PP_REF_CONV2D_REF_H

#include "ref/ref.h"

typedef struct ref_conv2d {
    ref_shape input;
    size_t out_channels, groups;
    ref_window window;
} ref_conv2d;

ref_shape ref_conv2d_output(const ref_conv2d *g);
size_t ref_conv2d_weight_elems(const ref_conv2d *g);

/* x: input, w: weights, b: [out_channels] or NULL; y: output. */
void ref_conv2d_forward(const ref_conv2d *g, const double *x, const double *w, const double *b,
                        double *y);

/* dx: input, the sum over every output that read the element of dy * w. */
void ref_conv2d_backward_input(const ref_conv2d *g, const double *w, const double *dy, double *dx);

/* dw: weights, the sum over all uses of the weight of x * dy. */
void ref_conv2d_backward_weight(const ref_conv2d *g, const double *x, const double *dy, double *dw);

/* db: [out_channels], the sum of dy over images and pixels. */
void ref_conv2d_backward_bias(const ref_conv2d *g, const double *dy, double *db);

#endif
