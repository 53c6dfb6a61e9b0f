#include "ref/add_ref.h"

void ref_add_forward(size_t count, const double *a, const double *b, double *y) {
    for (size_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}
