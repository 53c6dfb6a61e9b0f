/* Reference of the codec bitmap, element by element. An image is its octets in line (eight channels
 * of a pixel, the last ones short), 32 of them to a block:
 *
 *     | header: 16 bytes | block: 36 bytes | block | ... | values: 4 * capacity bytes |
 *
 *     header   uint count, uint width, float step, float zero
 *     block    uint start, then a byte an octet: bit i is set where lane i's element is > 0
 *     values   those elements, `width` bits each, a block's from byte `start` of the values on
 *
 * All numbers have their low byte first, values of less than 8 bits the low bits. capacity =
 * ceil(density * elements of the image); width is the largest of 32, 16, 8, 4, 2 with which the
 * blocks' values, each block's rounded up to whole bytes, fit. All arithmetic is float32:
 *
 *     width 32   the element
 *     width 16   half_ref.h's code of it
 *     else       step = max(largest / 2^width, 2^-100)
 *                q = min(x * (1 / step), 2^width - 1), cut to a whole number
 *                value = (q + 0.5) * step
 *
 * Elements without a bit come back as `zero`: 0, and NaN in an image with a NaN. */
#ifndef PP_REF_BITMAP_REF_H
#define PP_REF_BITMAP_REF_H

#include <stddef.h>
#include <stdint.h>

#include "ref/ref.h"

/* `density` in units of 1/10000. */
size_t ref_bitmap_capacity(unsigned density, ref_shape shape);
size_t ref_bitmap_bytes(unsigned density, ref_shape shape);

/* Bytes that mean nothing, behind an image's last value, become 0. */
void ref_bitmap_encode(unsigned density, ref_shape shape, const float *x, uint8_t *code);
void ref_bitmap_decode(unsigned density, ref_shape shape, const uint8_t *code, float *value);
void ref_bitmap_decode_mask(unsigned density, ref_shape shape, const uint8_t *code, uint8_t *mask);

/* What an image's code says of it. */
typedef struct ref_bitmap_header {
    size_t count;
    unsigned width;
    float step;
    size_t used_bytes; /* in front of those that mean nothing */
} ref_bitmap_header;

ref_bitmap_header ref_bitmap_read(unsigned density, ref_shape shape, const uint8_t *code,
                                  size_t image);

#endif
