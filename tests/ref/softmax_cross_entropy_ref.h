/* Reference of softmax_cross_entropy with label smoothing e over C classes. Per sample,
 *
 *     target = (1 - e) * onehot(label) + e / C
 *     loss = -sum_k target[k] * log(softmax(logits)[k])
 *     dlogits = scale * (softmax(logits) - target)
 */
#ifndef PP_REF_SOFTMAX_CROSS_ENTROPY_REF_H
#define PP_REF_SOFTMAX_CROSS_ENTROPY_REF_H

#include <stddef.h>
#include <stdint.h>

typedef struct ref_cross_entropy_result {
    double sum;  /* of the samples' losses */
    double mean; /* sum / count */
    size_t hits; /* samples whose label has the largest logit; ties go to the first */
} ref_cross_entropy_result;

/* logits: [n, classes], labels: [n]. Only the first `count` samples are real: the others' labels
 * are not read, and their gradient is 0. dlogits: [n, classes], or NULL. For the gradient of the
 * mean, scale is 1 / count. */
ref_cross_entropy_result ref_softmax_cross_entropy(size_t n, size_t count, size_t classes,
                                                   const double *logits, const int32_t *labels,
                                                   double smoothing, double scale, double *dlogits);

#endif
