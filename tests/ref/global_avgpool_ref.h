/* Reference of global_avgpool:
 *
 *     y[n, c] = mean over h, w of x[n, h, w, c]        dx[n, h, w, c] = dy[n, c] / (h * w)
 */
#ifndef PP_REF_GLOBAL_AVGPOOL_REF_H
#define PP_REF_GLOBAL_AVGPOOL_REF_H

#include "ref/ref.h"

/* y, dy: [n, c]. */
void ref_global_avgpool_forward(ref_shape input, const double *x, double *y);
void ref_global_avgpool_backward(ref_shape input, const double *dy, double *dx);

#endif
