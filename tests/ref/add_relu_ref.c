#include "ref/add_relu_ref.h"

#include "ref/add_ref.h"
#include "ref/relu_ref.h"

void ref_add_relu_forward(size_t count, const double *a, const double *b, double *y,
                          uint8_t *mask) {
    ref_add_forward(count, a, b, y);
    ref_relu_forward(count, y, y, mask);
}

void ref_add_relu_backward(size_t count, const double *dy, const uint8_t *mask, double *d_input) {
    ref_relu_backward(count, dy, mask, d_input);
}
