#include "ref/half_ref.h"

#include <math.h>

uint16_t ref_half_from_float(float value) {
    if (isnan(value)) return 0x7e00;
    unsigned sign = signbit(value) ? 0x8000 : 0, bits;
    double magnitude = fmin(fabs((double)value), 65504);
    if (magnitude < 0x1p-14) {
        /* Subnormals count units of 2^-24; 1024 of them are the smallest normal number, whose bits
         * are 1024. */
        bits = (unsigned)nearbyint(magnitude * 0x1p24);
        if (bits == 0 && value > 0) bits = 1;
    } else {
        /* A fraction that rounds up to 2 carries into the exponent, which is what the sum below
         * does. */
        int exponent;
        double fraction = frexp(magnitude, &exponent);
        bits = ((unsigned)(exponent + 14) << 10) + ((unsigned)nearbyint(fraction * 2048) - 1024);
    }
    return (uint16_t)(sign | bits);
}

float ref_half_to_float(uint16_t half) {
    int exponent = half >> 10 & 31;
    double fraction = half & 1023, magnitude;
    if (exponent == 0)
        magnitude = fraction * 0x1p-24;
    else if (exponent == 31)
        magnitude = fraction > 0 ? NAN : INFINITY;
    else
        magnitude = ldexp(1024 + fraction, exponent - 25);
    return (float)(half & 0x8000 ? -magnitude : magnitude);
}

size_t ref_half_bytes(size_t count) {
    return 2 * count;
}

void ref_half_encode(size_t count, const float *values, uint8_t *code) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half = ref_half_from_float(values[i]);
        code[2 * i] = (uint8_t)(half & 255);
        code[2 * i + 1] = (uint8_t)(half >> 8);
    }
}

void ref_half_decode(size_t count, const uint8_t *code, float *values) {
    for (size_t i = 0; i < count; i++)
        values[i] = ref_half_to_float((uint16_t)(code[2 * i] | code[2 * i + 1] << 8));
}

void ref_half_decode_mask(size_t count, const uint8_t *code, uint8_t *mask) {
    for (size_t i = 0; i < count; i++)
        mask[i] = ref_half_to_float((uint16_t)(code[2 * i] | code[2 * i + 1] << 8)) > 0;
}
