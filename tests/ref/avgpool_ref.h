/* Reference of avgpool. The window's dilation is 1; padding is zeros.
 *
 *     y[n, oy, ox, c] = (sum over taps inside the input of x) / count
 *     dx[n, iy, ix, c] = sum over the windows that cover (iy, ix) of dy / count
 *
 * count is kernel_h * kernel_w, or with count_valid_only the number of taps inside the input.
 */
#ifndef PP_REF_AVGPOOL_REF_H
#define PP_REF_AVGPOOL_REF_H

#include "ref/ref.h"

/* y: ref_window_output(window, input, input.c). */
void ref_avgpool_forward(const ref_window *window, bool count_valid_only, ref_shape input,
                         const double *x, double *y);
void ref_avgpool_backward(const ref_window *window, bool count_valid_only, ref_shape input,
                          const double *dy, double *dx);

#endif
