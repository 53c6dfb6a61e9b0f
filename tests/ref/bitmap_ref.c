#include "ref/bitmap_ref.h"

#include <math.h>
#include <string.h>

#include "ref/half_ref.h"

enum { HEADER = 16, BLOCK = 36, OCTETS = 32 };

static size_t octets_of(ref_shape s) {
    return s.h * s.w * ((s.c + 7) / 8);
}
static size_t blocks_of(ref_shape s) {
    return (octets_of(s) + OCTETS - 1) / OCTETS;
}
static size_t image_elems(ref_shape s) {
    return s.h * s.w * s.c;
}
static size_t image_bytes(unsigned density, ref_shape s) {
    return HEADER + BLOCK * blocks_of(s) + 4 * ref_bitmap_capacity(density, s);
}

size_t ref_bitmap_capacity(unsigned density, ref_shape s) {
    return (image_elems(s) * density + 9999) / 10000;
}

size_t ref_bitmap_bytes(unsigned density, ref_shape s) {
    return s.n * image_bytes(density, s);
}

static void write_word(uint8_t *to, uint32_t word) {
    for (size_t b = 0; b < 4; b++) to[b] = (uint8_t)(word >> 8 * b);
}
static uint32_t read_word(const uint8_t *from) {
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}
static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Element i of an image: its block, and its bit in the block's mask. */
static size_t block_of(ref_shape s, size_t i) {
    return (i / s.c * ((s.c + 7) / 8) + i % s.c / 8) / OCTETS;
}
static size_t bit_of(ref_shape s, size_t i) {
    return (i / s.c * ((s.c + 7) / 8) + i % s.c / 8) % OCTETS * 8 + i % s.c % 8;
}

/* Bytes that the values take with `width` bits each, block by block. */
static size_t bytes_with(ref_shape s, const float *x, unsigned width) {
    size_t bytes = 0, own = 0;
    for (size_t i = 0; i < image_elems(s); i++) {
        if (i && block_of(s, i) != block_of(s, i - 1)) {
            bytes += (own * width + 7) / 8;
            own = 0;
        }
        own += x[i] > 0;
    }
    return bytes + (own * width + 7) / 8;
}

static unsigned width_of(unsigned density, ref_shape s, const float *x) {
    unsigned width = 32;
    while (bytes_with(s, x, width) > 4 * ref_bitmap_capacity(density, s)) width /= 2;
    return width;
}

/* The code of one value, in its lowest `width` bits. */
static uint32_t value_code(float x, unsigned width, float step) {
    if (width == 32) return bits_of(x);
    if (width == 16) return ref_half_from_float(x);
    const float top = (float)((1 << width) - 1), t = x * (1.0f / step);
    return t < top ? (uint32_t)t : (uint32_t)top;
}

static void encode_image(unsigned density, ref_shape s, const float *x, uint8_t *code) {
    uint8_t *values = code + HEADER + BLOCK * blocks_of(s);
    const unsigned width = width_of(density, s, x);
    float largest = 0, step = 0, zero = 0;
    size_t count = 0, bit = 0; /* `bit` of the values is the next to write */
    memset(code, 0, image_bytes(density, s));
    for (size_t i = 0; i < image_elems(s); i++) {
        if (x[i] > largest) largest = x[i];
        if (isnan(x[i])) zero = NAN;
    }
    if (width <= 8) step = fmaxf(largest / (float)(1 << width), ldexpf(1, -100));
    for (size_t i = 0; i < image_elems(s); i++) {
        uint8_t *block = code + HEADER + BLOCK * block_of(s, i);
        if (i == 0 || block_of(s, i) != block_of(s, i - 1)) {
            bit = (bit + 7) / 8 * 8;
            write_word(block, (uint32_t)(bit / 8));
        }
        if (!(x[i] > 0)) continue;
        const size_t mask = bit_of(s, i);
        block[4 + mask / 8] = (uint8_t)(block[4 + mask / 8] | 1u << mask % 8);
        const uint32_t value = value_code(x[i], width, step);
        for (unsigned b = 0; b < width; b++, bit++)
            if (value >> b & 1) values[bit / 8] = (uint8_t)(values[bit / 8] | 1u << bit % 8);
        count++;
    }
    write_word(code, (uint32_t)count);
    write_word(code + 4, width);
    write_word(code + 8, bits_of(step));
    write_word(code + 12, isnan(zero) ? 0x7FC00000u : 0);
}

void ref_bitmap_encode(unsigned density, ref_shape s, const float *x, uint8_t *code) {
    for (size_t n = 0; n < s.n; n++)
        encode_image(density, s, x + n * image_elems(s), code + n * image_bytes(density, s));
}

static void decode_image(ref_shape s, const uint8_t *code, float *value) {
    const uint8_t *values = code + HEADER + BLOCK * blocks_of(s);
    const unsigned width = read_word(code + 4);
    const float step = float_of(read_word(code + 8)), zero = float_of(read_word(code + 12));
    size_t bit = 0;
    for (size_t i = 0; i < image_elems(s); i++) {
        const uint8_t *block = code + HEADER + BLOCK * block_of(s, i);
        const size_t mask = bit_of(s, i);
        if (i == 0 || block_of(s, i) != block_of(s, i - 1)) bit = 8 * (size_t)read_word(block);
        value[i] = zero;
        if (!(block[4 + mask / 8] >> mask % 8 & 1)) continue;
        uint32_t word = 0;
        for (unsigned b = 0; b < width; b++, bit++)
            word |= (uint32_t)(values[bit / 8] >> bit % 8 & 1) << b;
        value[i] = width == 32   ? float_of(word)
                   : width == 16 ? ref_half_to_float((uint16_t)word)
                                 : ((float)word + 0.5f) * step;
    }
}

void ref_bitmap_decode(unsigned density, ref_shape s, const uint8_t *code, float *value) {
    for (size_t n = 0; n < s.n; n++)
        decode_image(s, code + n * image_bytes(density, s), value + n * image_elems(s));
}

void ref_bitmap_decode_mask(unsigned density, ref_shape s, const uint8_t *code, uint8_t *mask) {
    for (size_t n = 0; n < s.n; n++)
        for (size_t i = 0; i < image_elems(s); i++) {
            const uint8_t *block =
                code + n * image_bytes(density, s) + HEADER + BLOCK * block_of(s, i);
            mask[n * image_elems(s) + i] = block[4 + bit_of(s, i) / 8] >> bit_of(s, i) % 8 & 1;
        }
}

ref_bitmap_header ref_bitmap_read(unsigned density, ref_shape s, const uint8_t *code,
                                  size_t image) {
    code += image * image_bytes(density, s);
    const uint8_t *last = code + HEADER + BLOCK * (blocks_of(s) - 1);
    ref_bitmap_header header = {read_word(code), read_word(code + 4), float_of(read_word(code + 8)),
                                0};
    size_t own = 0;
    for (size_t b = 0; b < 8 * OCTETS; b++) own += last[4 + b / 8] >> b % 8 & 1;
    header.used_bytes =
        HEADER + BLOCK * blocks_of(s) + read_word(last) + (own * header.width + 7) / 8;
    return header;
}
