/* Reference of mse. A sample's loss is the mean of (prediction - target)^2 over its elements;
 *
 *     dprediction = scale * 2 * (prediction - target) / elems
 */
#ifndef PP_REF_MSE_REF_H
#define PP_REF_MSE_REF_H

#include <stddef.h>

typedef struct ref_mse_result {
    double sum;  /* of the samples' losses */
    double mean; /* sum / count */
} ref_mse_result;

/* prediction, target: [n, elems]. Only the first `count` samples are real: the others' targets are
 * not read, and their gradient is 0. dprediction: [n, elems], or NULL. For the gradient of the
 * mean, scale is 1 / count. */
ref_mse_result ref_mse(size_t n, size_t count, size_t elems, const double *prediction,
                       const double *target, double scale, double *dprediction);

#endif
