/* Reference of maxpool. The window's dilation is 1; padding never wins.
 *
 *     y[n, oy, ox, c] = max over taps (r, s) inside the input of
 *                           x[n, oy * stride_h - pad_h + r, ox * stride_w - pad_w + s, c]
 *     index[n, oy, ox, c] = r * kernel_w + s of the first maximum in row-major order
 *     dx[n, iy, ix, c] = sum of dy over the outputs whose index points at (iy, ix)
 */
#ifndef PP_REF_MAXPOOL_REF_H
#define PP_REF_MAXPOOL_REF_H

#include "ref/ref.h"

/* y, index: the output's shape, ref_window_output(window, input, input.c). */
void ref_maxpool_forward(const ref_window *window, ref_shape input, const double *x, double *y,
                         uint8_t *index);
void ref_maxpool_backward(const ref_window *window, ref_shape input, const double *dy,
                          const uint8_t *index, double *dx);

#endif
