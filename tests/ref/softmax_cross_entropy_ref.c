#include "ref/softmax_cross_entropy_ref.h"

#include <math.h>

/* Adds one sample to the result and writes its gradient to `gradient` unless that is NULL. */
static void sample(size_t classes, const double *logits, size_t label, double smoothing,
                   double scale, double *gradient, ref_cross_entropy_result *result) {
    size_t best = 0;
    double sum = 0;
    for (size_t k = 1; k < classes; k++)
        if (logits[k] > logits[best]) best = k;
    for (size_t k = 0; k < classes; k++) sum += exp(logits[k] - logits[best]);
    for (size_t k = 0; k < classes; k++) {
        double target = (k == label ? 1 - smoothing : 0) + smoothing / (double)classes;
        double logarithm = logits[k] - logits[best] - log(sum);
        result->sum -= target * logarithm;
        if (gradient) gradient[k] = scale * (exp(logarithm) - target);
    }
    result->hits += best == label;
}

ref_cross_entropy_result ref_softmax_cross_entropy(size_t n, size_t count, size_t classes,
                                                   const double *logits, const int32_t *labels,
                                                   double smoothing, double scale,
                                                   double *dlogits) {
    ref_cross_entropy_result result = {0};
    for (size_t i = 0; i < count; i++)
        sample(classes, logits + i * classes, (size_t)labels[i], smoothing, scale,
               dlogits ? dlogits + i * classes : NULL, &result);
    if (dlogits)
        for (size_t i = count * classes; i < n * classes; i++) dlogits[i] = 0;
    result.mean = result.sum / (double)count;
    return result;
}
