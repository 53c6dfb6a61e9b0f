/* Reference of shortcut: every stride-th pixel, channels moved up by front = (out_channels - c) / 2
 * and zeros around them.
 *
 *     y[n, oy, ox, front + c] = x[n, oy * stride, ox * stride, c]      every other y is 0
 *     dx[n, oy * stride, ox * stride, c] = dy[n, oy, ox, front + c]    every other dx is 0
 */
#ifndef PP_REF_SHORTCUT_REF_H
#define PP_REF_SHORTCUT_REF_H

#include "ref/ref.h"

/* [n, ceil(h / stride), ceil(w / stride), out_channels]; out_channels >= c. */
ref_shape ref_shortcut_output(ref_shape input, size_t stride, size_t out_channels);
void ref_shortcut_forward(ref_shape input, size_t stride, size_t out_channels, const double *x,
                          double *y);
void ref_shortcut_backward(ref_shape input, size_t stride, size_t out_channels, const double *dy,
                           double *dx);

#endif
