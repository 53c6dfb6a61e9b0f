#include "ref/bytes_ref.h"

#include <math.h>

float ref_bytes_value(unsigned maximum, float mean, float deviation, uint8_t byte) {
    double m = (double)mean * maximum, s = 1.0 / ((double)maximum * (double)deviation);
    /* 13 fractional bits below 512, one less for every further doubling. */
    int bits = 13;
    for (double limit = 512; fabs(m) >= limit; limit *= 2) bits--;
    double centre = nearbyint(m * ldexp(1, bits)) / ldexp(1, bits);
    float high = (float)s, low = (float)(s - (double)high), shift = (float)((centre - m) * s);
    float d = (float)((double)byte - centre);
    return fmaf(d, high, fmaf(d, low, shift));
}

void ref_bytes_decode(size_t pixels, size_t channels, unsigned maximum, const float *mean,
                      const float *deviation, const uint8_t *code, float *values) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            values[p * channels + c] =
                ref_bytes_value(maximum, mean[c], deviation[c], code[p * channels + c]);
}
