/* Reference of the codec group:K, element by element. An image is its octets in line (eight
 * channels of a pixel, the last ones short), cut into groups of `size / 8` octets of which the last
 * may be shorter:
 *
 *     | header: 4 bytes | octet: K bytes | octet | ... | header | ...
 *
 * All arithmetic is float32, one rounding per written operation. bf16 stands for the upper half of
 * a float32's bits. Of a group's elements, behind a ReLU of those above 0:
 *
 *     lo    = the smallest, rounded to bf16 towards minus infinity; a zero is +0
 *     step  = 0 where the largest is lo; else (largest - lo) * (1 / top), rounded to bf16 away from
 *             zero, at least 2^-110, and the next bf16 where fma(top, step, lo) is still below the
 *             largest. top = 2^K - 1, behind a ReLU 2^K - 2
 *     t     = min((x - lo) * (65536 / step), 65536 * top), cut to a whole number
 *     q     = floor((t + r) / 65536), behind a ReLU 1 more, and 0 for x <= 0
 *     value = lo + q * step, behind a ReLU lo + (q - 1) * step, and 0 for q = 0
 *
 * r: the 16 bits of the Philox block (seed, number with its highest bit set, step; index) with
 * index = (g * ceil(size / 64) + o / 8) * 8 + lane, g the group's place in the whole value, o the
 * octet's in the group: word o / 2 % 4, its low half for even o.
 *
 * K = 1 behind a ReLU: q = x > 0, and the header is the float32 mean of the positive elements (sums
 * per lane first, then lanes 4, 2 and 1 apart).
 *
 * A group with a NaN, an infinity or a last level beyond float32 has lo = NaN, and comes back as
 * NaN. Its levels: t = 65536 * top for what is not finite, 0 for the rest.
 */
#ifndef PP_REF_GROUP_REF_H
#define PP_REF_GROUP_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ref/ref.h"

typedef struct ref_group {
    unsigned bits; /* K */
    size_t size;   /* elements of a group, a multiple of 8 */
    bool relu;
} ref_group;

typedef struct ref_group_key {
    uint64_t seed;
    uint32_t number, step;
} ref_group_key;

size_t ref_group_bytes(const ref_group *group, ref_shape shape);

/* Bits of lanes behind the last channel are 0. */
void ref_group_encode(const ref_group *group, ref_shape shape, const float *x,
                      const ref_group_key *key, uint8_t *code);
void ref_group_decode(const ref_group *group, ref_shape shape, const uint8_t *code, float *value);

/* 1 where the element was positive; asks for relu. */
void ref_group_decode_mask(const ref_group *group, ref_shape shape, const uint8_t *code,
                           uint8_t *mask);

/* The distance of the levels beside element `i`; K = 1 behind a ReLU has none. */
float ref_group_step(const ref_group *group, ref_shape shape, const uint8_t *code, size_t i);

#endif
