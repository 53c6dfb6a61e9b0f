#include "ref/mse_ref.h"

ref_mse_result ref_mse(size_t n, size_t count, size_t elems, const double *prediction,
                       const double *target, double scale, double *dprediction) {
    ref_mse_result result = {0};
    for (size_t i = 0; i < count * elems; i++) {
        double distance = prediction[i] - target[i];
        result.sum += distance * distance / (double)elems;
        if (dprediction) dprediction[i] = scale * 2 * distance / (double)elems;
    }
    if (dprediction)
        for (size_t i = count * elems; i < n * elems; i++) dprediction[i] = 0;
    result.mean = result.sum / (double)count;
    return result;
}
