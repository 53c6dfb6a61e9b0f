#include "ref/packed_ref.h"

#include <string.h>

/* The number of an element's first bit, counted from the code's beginning. */
static size_t first_bit(unsigned bits, size_t channels, size_t pixel, size_t channel) {
    size_t octet = pixel * ((channels + 7) / 8) + channel / 8;
    return octet * bits * 8 + channel % 8 * bits;
}

size_t ref_packed_bytes(unsigned bits, size_t pixels, size_t channels) {
    return pixels * ((channels + 7) / 8) * bits;
}

void ref_packed_write(unsigned bits, size_t pixels, size_t channels, const uint8_t *elements,
                      uint8_t *code) {
    memset(code, 0, ref_packed_bytes(bits, pixels, channels));
    for (size_t i = 0; i < pixels * channels; i++) {
        size_t first = first_bit(bits, channels, i / channels, i % channels);
        for (size_t b = 0; b < bits; b++)
            if (elements[i] >> b & 1)
                code[(first + b) / 8] = (uint8_t)(code[(first + b) / 8] | 1u << (first + b) % 8);
    }
}

void ref_packed_read(unsigned bits, size_t pixels, size_t channels, const uint8_t *code,
                     uint8_t *elements) {
    for (size_t i = 0; i < pixels * channels; i++) {
        size_t first = first_bit(bits, channels, i / channels, i % channels);
        unsigned value = 0;
        for (size_t b = 0; b < bits; b++)
            value |= (unsigned)(code[(first + b) / 8] >> ((first + b) % 8) & 1) << b;
        elements[i] = (uint8_t)value;
    }
}
