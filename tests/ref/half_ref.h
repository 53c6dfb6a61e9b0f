/* Reference of the half codec: IEEE 754 binary16, little-endian, in the tensor's own element order.
 *
 * Encoding rounds to nearest, ties to even, after clamping to +-65504, so that no infinity arises.
 * A positive value that would round to zero becomes the smallest subnormal, 2^-24, so that "value >
 * 0" says the same of the code as of the value: the ReLU's mask survives. A NaN stays a NaN.
 */
#ifndef PP_REF_HALF_REF_H
#define PP_REF_HALF_REF_H

#include <stddef.h>
#include <stdint.h>

uint16_t ref_half_from_float(float value);
float ref_half_to_float(uint16_t half);

size_t ref_half_bytes(size_t count);
void ref_half_encode(size_t count, const float *values, uint8_t *code);
void ref_half_decode(size_t count, const uint8_t *code, float *values);
void ref_half_decode_mask(size_t count, const uint8_t *code,
                          uint8_t *mask); /* value > 0 as 0 or 1 */

#endif
