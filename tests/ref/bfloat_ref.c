#include "ref/bfloat_ref.h"

#include <math.h>

/* In units of the last place, which a double holds exactly; nearbyint rounds ties to even. */
uint16_t ref_bfloat_from_float(float value) {
    if (isnan(value)) return 0x7fc0;
    const unsigned sign = signbit(value) ? 0x8000 : 0;
    const double magnitude = fmin(fabs((double)value), 255 * 0x1p120);
    unsigned bits;
    if (magnitude < 0x1p-126) {
        bits = (unsigned)nearbyint(magnitude * 0x1p133);
        if (bits == 0 && value > 0) bits = 1;
    } else {
        /* A fraction that rounds up to 2 carries into the exponent, which is what the sum does. */
        int exponent;
        const double fraction = frexp(magnitude, &exponent);
        bits = ((unsigned)(exponent + 126) << 7) + ((unsigned)nearbyint(fraction * 256) - 128);
    }
    return (uint16_t)(sign | bits);
}

float ref_bfloat_to_float(uint16_t bfloat) {
    const int exponent = bfloat >> 7 & 255;
    const double fraction = bfloat & 127;
    double magnitude;
    if (exponent == 0)
        magnitude = fraction * 0x1p-133;
    else if (exponent == 255)
        magnitude = fraction > 0 ? NAN : INFINITY;
    else
        magnitude = ldexp(128 + fraction, exponent - 134);
    return (float)(bfloat & 0x8000 ? -magnitude : magnitude);
}

void ref_bfloat_encode(size_t count, const float *values, uint8_t *code) {
    for (size_t i = 0; i < count; i++) {
        const uint16_t bfloat = ref_bfloat_from_float(values[i]);
        code[2 * i] = (uint8_t)(bfloat & 255);
        code[2 * i + 1] = (uint8_t)(bfloat >> 8);
    }
}

void ref_bfloat_decode(size_t count, const uint8_t *code, float *values) {
    for (size_t i = 0; i < count; i++)
        values[i] = ref_bfloat_to_float((uint16_t)(code[2 * i] | code[2 * i + 1] << 8));
}
