/* Reference of the update rules, PyTorch's formulas (torch.optim.SGD, Adam, AdamW,
 * clip_grad_norm_), one parameter of `count` elements at a time. Moments start at zero and are
 * updated in place. At the end the same with moments in 8 bits, to the bit. */
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

/* The same rules in float32, one rounding per written operation, with moments in 8 bits:
 *
 *     | unit of each block: float32 | codes: a byte each, filled up with zeros to a multiple of 8 |
 *
 *     first moment   m = q * |q| * unit, q from -127 to 127;  unit = max |m| * (1 / 127^2)
 *     second moment  v = q^4 * unit,     q from 0 to 255;     unit = max v * (1 / 255^4)
 *
 * with the maximum over a block of `block` elements, and unit = 0, every code 0, where that is
 * below 2^-120. With t = min(|m| * (1 / unit), 127^2) or min(v * (1 / unit), 255^4), and p = 2 or
 * 4, q is the largest whole number of q^p <= t, and 1 more where
 * r * ((q + 1)^p - q^p) < t - q^p; a second moment above 0 has q of 1 at least.
 *
 * r = (bits + 0.5) / 2^16, the upper 16 bits: element e of block b draws word e / 8 % 4 of the
 * Philox block (seed, stream key << 32 | step; index 8 * b + e % 8), after e / 32 rounds of
 * x -> x * 747796405 + 2891336453. The weight follows the moments before they are rounded.
 */
typedef struct ref_coded {
    size_t block; /* a multiple of 8 */
    uint64_t seed;
    uint32_t step, key;
    float rate, clip, decay;
    float momentum;
    bool nesterov;
    float beta1, beta2, epsilon, correction1, correction2; /* of update.cl's formulas */
    bool decoupled;
} ref_coded;

size_t ref_coded_bytes(size_t block, size_t count);
void ref_coded_sgd(const ref_coded *rule, size_t count, float *w, const float *dw, uint8_t *m);
void ref_coded_adam(const ref_coded *rule, size_t count, float *w, const float *dw, uint8_t *m,
                    uint8_t *v);
/* What a moment stands for. */
void ref_coded_decode(size_t block, size_t count, bool second, const uint8_t *moment,
                      float *values);

#endif
