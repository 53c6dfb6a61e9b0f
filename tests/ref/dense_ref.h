/* Reference of dense: y[n, k] = b[k] + sum_i x[n, i] * w[i, k], where i counts the input in h, w, c
 * order, as it lies in memory. */
#ifndef PP_REF_DENSE_REF_H
#define PP_REF_DENSE_REF_H

#include <stddef.h>

/* x: [n, in], w: [in, out], b: [out] or NULL; y: [n, out]. */
void ref_dense_forward(size_t n, size_t in, size_t out, const double *x, const double *w,
                       const double *b, double *y);

/* dx: [n, in] = dy * w^T. */
void ref_dense_backward_input(size_t n, size_t in, size_t out, const double *w, const double *dy,
                              double *dx);

/* dw: [in, out] = x^T * dy. */
void ref_dense_backward_weight(size_t n, size_t in, size_t out, const double *x, const double *dy,
                               double *dw);

/* db: [out], the sum of dy [n, out] over n. */
void ref_dense_backward_bias(size_t n, size_t out, const double *dy, double *db);

#endif
