/* Reference of the bfloat codec: the upper 16 bits of a float32, little-endian, in the tensor's own
 * element order.
 *
 * Encoding rounds to nearest, ties to even, after clamping to the largest number of 8 significant
 * bits, so that no infinity arises. A positive value that would round to zero becomes the smallest
 * subnormal, 2^-133. A NaN stays a NaN.
 */
#ifndef PP_REF_BFLOAT_REF_H
#define PP_REF_BFLOAT_REF_H

#include <stddef.h>
#include <stdint.h>

uint16_t ref_bfloat_from_float(float value);
float ref_bfloat_to_float(uint16_t bfloat);

void ref_bfloat_encode(size_t count, const float *values, uint8_t *code);
void ref_bfloat_decode(size_t count, const uint8_t *code, float *values);

#endif
