/* Reference of the update rules, PyTorch's formulas (torch.optim.SGD, Adam, AdamW,
 * clip_grad_norm_), one parameter of `count` elements at a time. Moments start at zero and are
 * updated in place. */
#ifndef PP_REF_OPTIMIZER_REF_H
#define PP_REF_OPTIMIZER_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* g = dw + weight_decay * w;  m = momentum * m + g;  w -= rate * (nesterov ? g + momentum * m : m).
 * Without momentum, moment may be NULL and w -= rate * g. */
void ref_sgd(size_t count, double *w, const double *dw, double *moment, double rate,
             double momentum, bool nesterov, double weight_decay);

typedef struct ref_adam_params {
    double beta1, beta2, epsilon, weight_decay;
} ref_adam_params;

/* `step` counts from 1. g = dw + weight_decay * w;  m = beta1 * m + (1 - beta1) * g;
 * v = beta2 * v + (1 - beta2) * g^2;
 * w -= rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon). */
void ref_adam(size_t count, double *w, const double *dw, double *m, double *v, uint64_t step,
              double rate, const ref_adam_params *params);

/* w *= 1 - rate * weight_decay, then Adam without weight decay. */
void ref_adamw(size_t count, double *w, const double *dw, double *m, double *v, uint64_t step,
               double rate, const ref_adam_params *params);

/* The sum of squares of one gradient. The global norm is the root of the sum of this over all
 * parameters. */
double ref_sum_of_squares(size_t count, const double *dw);

/* What clipping multiplies every gradient with: min(1, clip_norm / (norm + 1e-6)). */
double ref_clip_factor(double norm, double clip_norm);

#endif
