#include "ref/relu_ref.h"

void ref_relu_forward(size_t count, const double *x, double *y, uint8_t *mask) {
    for (size_t i = 0; i < count; i++) {
        if (mask) mask[i] = x[i] > 0;
        y[i] = x[i] > 0 ? x[i] : 0;
    }
}

void ref_relu_backward(size_t count, const double *dy, const uint8_t *mask, double *dx) {
    for (size_t i = 0; i < count; i++) dx[i] = mask[i] ? dy[i] : 0;
}
