/* Reference of relu: y = max(0, x); dx = dy where x > 0, 0 elsewhere. */
#ifndef PP_REF_RELU_REF_H
#define PP_REF_RELU_REF_H

#include <stddef.h>
#include <stdint.h>

/* mask (x > 0 as 0 or 1) may be NULL. y may be x. */
void ref_relu_forward(size_t count, const double *x, double *y, uint8_t *mask);

/* dx may be dy. */
void ref_relu_backward(size_t count, const double *dy, const uint8_t *mask, double *dx);

#endif
