#include "ref/batchnorm_relu_ref.h"

#include "ref/batchnorm_ref.h"

void ref_batchnorm_relu_forward(size_t pixels, size_t channels, const double *xhat,
                                const double *gamma, const double *beta, double *y, uint8_t *mask) {
    ref_batchnorm_affine(pixels, channels, xhat, gamma, beta, y);
    for (size_t i = 0; i < pixels * channels; i++) {
        if (mask) mask[i] = y[i] > 0;
        if (y[i] <= 0) y[i] = 0;
    }
}

void ref_batchnorm_relu_backward(size_t pixels, size_t channels, const double *dy,
                                 const double *xhat, const uint8_t *mask, const double *gamma,
                                 const double *inverse_deviation, double *dx, double *dgamma,
                                 double *dbeta) {
    for (size_t i = 0; i < pixels * channels; i++) dx[i] = mask[i] ? dy[i] : 0;
    ref_batchnorm_backward(pixels, channels, dx, xhat, gamma, inverse_deviation, dx, dgamma, dbeta);
}
