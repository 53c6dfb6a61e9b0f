#include "ref/optimizer_ref.h"

#include <math.h>

void ref_sgd(size_t count, double *w, const double *dw, double *moment, double rate,
             double momentum, bool nesterov, double weight_decay) {
    for (size_t i = 0; i < count; i++) {
        double g = dw[i] + weight_decay * w[i];
        if (momentum != 0) {
            moment[i] = momentum * moment[i] + g;
            g = nesterov ? g + momentum * moment[i] : moment[i];
        }
        w[i] -= rate * g;
    }
}

void ref_adam(size_t count, double *w, const double *dw, double *m, double *v, uint64_t step,
              double rate, const ref_adam_params *params) {
    double correction1 = 1 - pow(params->beta1, (double)step);
    double correction2 = 1 - pow(params->beta2, (double)step);
    for (size_t i = 0; i < count; i++) {
        double g = dw[i] + params->weight_decay * w[i];
        m[i] = params->beta1 * m[i] + (1 - params->beta1) * g;
        v[i] = params->beta2 * v[i] + (1 - params->beta2) * g * g;
        w[i] -= rate / correction1 * m[i] / (sqrt(v[i]) / sqrt(correction2) + params->epsilon);
    }
}

void ref_adamw(size_t count, double *w, const double *dw, double *m, double *v, uint64_t step,
               double rate, const ref_adam_params *params) {
    ref_adam_params plain = *params;
    plain.weight_decay = 0;
    for (size_t i = 0; i < count; i++) w[i] *= 1 - rate * params->weight_decay;
    ref_adam(count, w, dw, m, v, step, rate, &plain);
}

double ref_sum_of_squares(size_t count, const double *dw) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += dw[i] * dw[i];
    return sum;
}

double ref_clip_factor(double norm, double clip_norm) {
    return fmin(1, clip_norm / (norm + 1e-6));
}
