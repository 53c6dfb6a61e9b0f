#include "ref/argmax_ref.h"

#include "ref/packed_ref.h"

unsigned ref_argmax_bits(size_t kernel_h, size_t kernel_w) {
    for (unsigned bits = 1; bits <= 8; bits *= 2)
        if (kernel_h * kernel_w <= (size_t)1 << bits) return bits;
    return 0;
}

size_t ref_argmax_bytes(unsigned bits, size_t pixels, size_t channels) {
    return ref_packed_bytes(bits, pixels, channels);
}

void ref_argmax_encode(unsigned bits, size_t pixels, size_t channels, const uint8_t *index,
                       uint8_t *code) {
    ref_packed_write(bits, pixels, channels, index, code);
}

void ref_argmax_decode(unsigned bits, size_t pixels, size_t channels, const uint8_t *code,
                       uint8_t *index) {
    ref_packed_read(bits, pixels, channels, code, index);
}
