#include "ref/dense_ref.h"

void ref_dense_forward(size_t n, size_t in, size_t out, const double *x, const double *w,
                       const double *b, double *y) {
    for (size_t image = 0; image < n; image++)
        for (size_t k = 0; k < out; k++) {
            double sum = b ? b[k] : 0;
            for (size_t i = 0; i < in; i++) sum += x[image * in + i] * w[i * out + k];
            y[image * out + k] = sum;
        }
}

void ref_dense_backward_input(size_t n, size_t in, size_t out, const double *w, const double *dy,
                              double *dx) {
    for (size_t image = 0; image < n; image++)
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t k = 0; k < out; k++) sum += dy[image * out + k] * w[i * out + k];
            dx[image * in + i] = sum;
        }
}

void ref_dense_backward_weight(size_t n, size_t in, size_t out, const double *x, const double *dy,
                               double *dw) {
    for (size_t i = 0; i < in; i++)
        for (size_t k = 0; k < out; k++) {
            double sum = 0;
            for (size_t image = 0; image < n; image++)
                sum += x[image * in + i] * dy[image * out + k];
            dw[i * out + k] = sum;
        }
}

void ref_dense_backward_bias(size_t n, size_t out, const double *dy, double *db) {
    for (size_t k = 0; k < out; k++) {
        db[k] = 0;
        for (size_t image = 0; image < n; image++) db[k] += dy[image * out + k];
    }
}
