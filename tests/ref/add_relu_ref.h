/* Reference of add_relu: y = max(0, a + b); both input gradients are dy where a + b > 0, 0
 * elsewhere. */
#ifndef PP_REF_ADD_RELU_REF_H
#define PP_REF_ADD_RELU_REF_H

#include <stddef.h>
#include <stdint.h>

/* mask (a + b > 0 as 0 or 1) may be NULL. y may be a or b. */
void ref_add_relu_forward(size_t count, const double *a, const double *b, double *y, uint8_t *mask);

/* d_input is the gradient of a and of b. It may be dy. */
void ref_add_relu_backward(size_t count, const double *dy, const uint8_t *mask, double *d_input);

#endif
