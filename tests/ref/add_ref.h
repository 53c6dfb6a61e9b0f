/* Reference of add: y = a + b. Both input gradients are dy itself, so there is no backward
 * function. */
#ifndef PP_REF_ADD_REF_H
#define PP_REF_ADD_REF_H

#include <stddef.h>

/* y may be a or b. */
void ref_add_forward(size_t count, const double *a, const double *b, double *y);

#endif
