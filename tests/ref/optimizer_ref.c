#include "ref/optimizer_ref.h"

#include <math.h>
#include <string.h>

#include "util/rng.h"

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

static size_t block_count(size_t block, size_t count) {
    return (count + block - 1) / block;
}

size_t ref_coded_bytes(size_t block, size_t count) {
    return block_count(block, count) * sizeof(float) + (count + 7) / 8 * 8;
}

static float raised(int q, bool second) {
    float square = (float)(q * q);
    return second ? square * square : square;
}

static float decode(size_t block, size_t count, bool second, const uint8_t *moment, size_t i) {
    float unit;
    memcpy(&unit, moment + i / block * sizeof unit, sizeof unit);
    uint8_t code = moment[block_count(block, count) * sizeof unit + i];
    if (second) return raised(code, true) * unit;
    int q = code < 128 ? code : code - 256;
    return (q < 0 ? -raised(q, false) : raised(q, false)) * unit;
}

void ref_coded_decode(size_t block, size_t count, bool second, const uint8_t *moment,
                      float *values) {
    for (size_t i = 0; i < count; i++) values[i] = decode(block, count, second, moment, i);
}

static float random_of(const ref_coded *r, size_t i) {
    size_t b = i / r->block, e = i % r->block;
    uint32_t word =
        pp__rng(r->seed, (uint64_t)r->key << 32 | r->step, 8 * b + e % 8).word[e / 8 % 4];
    for (size_t round = 0; round < e / 32; round++) word = word * 747796405u + 2891336453u;
    return ((float)(word >> 16) + 0.5f) / 65536;
}

static uint8_t code_of(float value, float unit, float random, bool second) {
    const int most = second ? 255 : 127;
    float t = fabsf(value) * (1 / unit), top = raised(most, second);
    if (!(t < top)) t = top;
    int q = most;
    while (raised(q, second) > t) q--;
    if (random * (raised(q + 1, second) - raised(q, second)) < t - raised(q, second)) q++;
    if (second) return (uint8_t)(q == 0 && t > 0 ? 1 : q);
    return (uint8_t)(value < 0 ? -q : q);
}

/* Stores a block's values; the block begins at element `first`. */
static void store_block(const ref_coded *r, size_t count, bool second, size_t first,
                        const float *values, uint8_t *moment) {
    size_t length = count - first < r->block ? count - first : r->block;
    float largest = 0;
    for (size_t i = 0; i < length; i++)
        if (fabsf(values[i]) > largest) largest = fabsf(values[i]);
    float unit = largest * (1 / raised(second ? 255 : 127, second));
    if (unit < 0x1p-120f) unit = 0;
    memcpy(moment + first / r->block * sizeof unit, &unit, sizeof unit);
    uint8_t *codes = moment + block_count(r->block, count) * sizeof unit + first;
    for (size_t i = 0; i < length; i++)
        codes[i] = unit > 0 ? code_of(values[i], unit, random_of(r, first + i), second) : 0;
    for (size_t i = length; i % 8; i++) codes[i] = 0;
}

enum { BLOCK_MOST = 1024 };

void ref_coded_sgd(const ref_coded *r, size_t count, float *w, const float *dw, uint8_t *m) {
    static float values[BLOCK_MOST];
    for (size_t first = 0; first < count; first += r->block) {
        for (size_t i = first; i < first + r->block && i < count; i++) {
            float g = r->clip * dw[i] + r->decay * w[i];
            float value = r->momentum * decode(r->block, count, false, m, i) + g;
            values[i - first] = value;
            w[i] -= r->rate * (r->nesterov ? g + r->momentum * value : value);
        }
        store_block(r, count, false, first, values, m);
    }
}

void ref_coded_adam(const ref_coded *r, size_t count, float *w, const float *dw, uint8_t *m,
                    uint8_t *v) {
    static float first_values[BLOCK_MOST], second_values[BLOCK_MOST];
    for (size_t first = 0; first < count; first += r->block) {
        for (size_t i = first; i < first + r->block && i < count; i++) {
            float g = r->clip * dw[i];
            if (r->decoupled)
                w[i] -= r->rate * r->decay * w[i];
            else
                g += r->decay * w[i];
            float m1 = decode(r->block, count, false, m, i);
            float m2 = decode(r->block, count, true, v, i);
            m1 += (1 - r->beta1) * (g - m1);
            m2 = r->beta2 * m2 + (1 - r->beta2) * g * g;
            first_values[i - first] = m1;
            second_values[i - first] = m2;
            w[i] -= r->rate * (m1 * r->correction1) / (sqrtf(m2) * r->correction2 + r->epsilon);
        }
        store_block(r, count, false, first, first_values, m);
        store_block(r, count, true, first, second_values, v);
    }
}
