#include "ref/residual_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t count_of(size_t extent, size_t side) {
    return (extent + side - 1) / side;
}

static size_t mean_bytes(size_t side, ref_shape s) {
    return count_of(s.h, side) * count_of(s.w, side) * ((s.c + 7) / 8) * 16;
}

static ref_shape image_of(ref_shape s) {
    return (ref_shape){1, s.h, s.w, s.c};
}

size_t ref_residual_bytes(const ref_group *group, size_t side, ref_shape s) {
    return s.n * mean_bytes(side, s) + ref_group_bytes(group, s);
}

static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) return 0x7FC0;
    const uint32_t rest = bits & 0xFFFF, half = 0x8000;
    uint32_t high = bits >> 16;
    if (rest > half || (rest == half && (high & 1))) high++;
    return (uint16_t)high;
}
static float from_bf16(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float mean_of(size_t side, ref_shape s, const float *image, size_t i, size_t j, size_t c) {
    float sum = 0;
    size_t count = 0;
    for (size_t h = i * side; h < s.h && h < (i + 1) * side; h++)
        for (size_t w = j * side; w < s.w && w < (j + 1) * side; w++, count++)
            sum += image[(h * s.w + w) * s.c + c];
    return sum / (float)count;
}

/* The two bytes of a mean. */
static size_t mean_place(size_t side, ref_shape s, size_t i, size_t j, size_t c) {
    return ((i * count_of(s.w, side) + j) * ((s.c + 7) / 8) + c / 8) * 16 + c % 8 * 2;
}

static float stored_mean(size_t side, ref_shape s, const uint8_t *means, size_t pixel, size_t c) {
    const uint8_t *at = means + mean_place(side, s, pixel / s.w / side, pixel % s.w / side, c);
    return from_bf16((uint16_t)(at[0] | at[1] << 8));
}

/* Group's random numbers count the groups of all images, so the residuals are encoded at once and
 * dealt out. */
void ref_residual_encode(const ref_group *group, size_t side, ref_shape s, const float *x,
                         const ref_group_key *key, uint8_t *code) {
    const size_t elems = s.h * s.w * s.c, lead = mean_bytes(side, s);
    const size_t rest_bytes = ref_group_bytes(group, image_of(s));
    float *rest = malloc(s.n * elems * sizeof *rest);
    uint8_t *rest_code = malloc(s.n * rest_bytes);
    if (!rest || !rest_code) abort();
    for (size_t n = 0; n < s.n; n++) {
        uint8_t *means = code + n * (lead + rest_bytes);
        const float *image = x + n * elems;
        memset(means, 0, lead);
        for (size_t i = 0; i < count_of(s.h, side); i++)
            for (size_t j = 0; j < count_of(s.w, side); j++)
                for (size_t c = 0; c < s.c; c++) {
                    const uint16_t mean = to_bf16(mean_of(side, s, image, i, j, c));
                    uint8_t *at = means + mean_place(side, s, i, j, c);
                    at[0] = (uint8_t)mean, at[1] = (uint8_t)(mean >> 8);
                }
        for (size_t e = 0; e < elems; e++)
            rest[n * elems + e] = image[e] - stored_mean(side, s, means, e / s.c, e % s.c);
    }
    ref_group_encode(group, s, rest, key, rest_code);
    for (size_t n = 0; n < s.n; n++)
        memcpy(code + n * (lead + rest_bytes) + lead, rest_code + n * rest_bytes, rest_bytes);
    free(rest);
    free(rest_code);
}

void ref_residual_decode(const ref_group *group, size_t side, ref_shape s, const uint8_t *code,
                         float *value) {
    const size_t elems = s.h * s.w * s.c, lead = mean_bytes(side, s);
    const size_t bytes = lead + ref_group_bytes(group, image_of(s));
    for (size_t n = 0; n < s.n; n++) {
        ref_group_decode(group, image_of(s), code + n * bytes + lead, value + n * elems);
        for (size_t e = 0; e < elems; e++)
            value[n * elems + e] =
                stored_mean(side, s, code + n * bytes, e / s.c, e % s.c) + value[n * elems + e];
    }
}
