#include "ref/global_avgpool_ref.h"

void ref_global_avgpool_forward(ref_shape input, const double *x, double *y) {
    size_t area = input.h * input.w;
    for (size_t n = 0; n < input.n; n++)
        for (size_t c = 0; c < input.c; c++) {
            double sum = 0;
            for (size_t p = 0; p < area; p++) sum += x[(n * area + p) * input.c + c];
            y[n * input.c + c] = sum / (double)area;
        }
}

void ref_global_avgpool_backward(ref_shape input, const double *dy, double *dx) {
    size_t area = input.h * input.w;
    for (size_t n = 0; n < input.n; n++)
        for (size_t p = 0; p < area; p++)
            for (size_t c = 0; c < input.c; c++)
                dx[(n * area + p) * input.c + c] = dy[n * input.c + c] / (double)area;
}
