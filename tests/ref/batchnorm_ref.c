#include "ref/batchnorm_ref.h"

#include <math.h>

void ref_batchnorm_statistics(size_t pixels, size_t channels, const double *x, double epsilon,
                              double *mean, double *inverse_deviation, double momentum,
                              double *running_mean, double *running_variance) {
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (size_t p = 0; p < pixels; p++) sum += x[p * channels + c];
        mean[c] = sum / (double)pixels;
        for (size_t p = 0; p < pixels; p++) {
            double distance = x[p * channels + c] - mean[c];
            squares += distance * distance;
        }
        inverse_deviation[c] = 1 / sqrt(squares / (double)pixels + epsilon);
        if (running_mean) running_mean[c] += momentum * (mean[c] - running_mean[c]);
        if (running_variance) {
            double unbiased = pixels > 1 ? squares / (double)(pixels - 1) : 0;
            running_variance[c] += momentum * (unbiased - running_variance[c]);
        }
    }
}

void ref_batchnorm_normalise(size_t pixels, size_t channels, const double *x, const double *mean,
                             const double *inverse_deviation, double *xhat) {
    for (size_t i = 0; i < pixels * channels; i++)
        xhat[i] = (x[i] - mean[i % channels]) * inverse_deviation[i % channels];
}

void ref_batchnorm_affine(size_t pixels, size_t channels, const double *xhat, const double *gamma,
                          const double *beta, double *y) {
    for (size_t i = 0; i < pixels * channels; i++)
        y[i] = gamma[i % channels] * xhat[i] + beta[i % channels];
}

void ref_batchnorm_inference(size_t pixels, size_t channels, const double *x,
                             const double *running_mean, const double *running_variance,
                             double epsilon, const double *gamma, const double *beta, double *y) {
    for (size_t i = 0; i < pixels * channels; i++) {
        size_t c = i % channels;
        y[i] = gamma[c] * (x[i] - running_mean[c]) / sqrt(running_variance[c] + epsilon) + beta[c];
    }
}

void ref_batchnorm_backward(size_t pixels, size_t channels, const double *dy, const double *xhat,
                            const double *gamma, const double *inverse_deviation, double *dx,
                            double *dgamma, double *dbeta) {
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, products = 0;
        for (size_t p = 0; p < pixels; p++) {
            sum += dy[p * channels + c];
            products += dy[p * channels + c] * xhat[p * channels + c];
        }
        dbeta[c] = sum;
        dgamma[c] = products;
        for (size_t p = 0; p < pixels; p++) {
            size_t i = p * channels + c;
            dx[i] = gamma[c] * inverse_deviation[c] *
                    (dy[i] - sum / (double)pixels - xhat[i] * products / (double)pixels);
        }
    }
}
