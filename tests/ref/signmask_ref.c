#include "ref/signmask_ref.h"

#include <stdlib.h>

#include "ref/packed_ref.h"

size_t ref_signmask_bytes(size_t pixels, size_t channels) {
    return ref_packed_bytes(1, pixels, channels);
}

void ref_signmask_encode(size_t pixels, size_t channels, const float *values, uint8_t *code) {
    uint8_t *mask = malloc(pixels * channels);
    for (size_t i = 0; i < pixels * channels; i++) mask[i] = values[i] > 0;
    ref_packed_write(1, pixels, channels, mask, code);
    free(mask);
}

void ref_signmask_decode(size_t pixels, size_t channels, const uint8_t *code, uint8_t *mask) {
    ref_packed_read(1, pixels, channels, code, mask);
}
