/* Reference of the bytes codec: an image's bytes, in the tensor's own element order, and the values
 * that they stand for.
 *
 *     value = (byte / maximum - mean) / deviation
 *
 * is computed in float32 as the kernel does: with m = mean * maximum and s = 1 / (maximum *
 * deviation) in double, m is cut into a centre of few bits and the rest, s into a float and the
 * rest:
 *
 *     d     = byte - centre                            exact
 *     value = d * s_high + (d * s_low + (centre - m) * s)      each bracket one fused multiply-add
 */
#ifndef PP_REF_BYTES_REF_H
#define PP_REF_BYTES_REF_H

#include <stddef.h>
#include <stdint.h>

float ref_bytes_value(unsigned maximum, float mean, float deviation, uint8_t byte);

/* code, values: [pixels, channels]; mean, deviation: [channels]. */
void ref_bytes_decode(size_t pixels, size_t channels, unsigned maximum, const float *mean,
                      const float *deviation, const uint8_t *code, float *values);

#endif
