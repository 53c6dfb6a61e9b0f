/* Reference of the signmask codec: one bit per element, set where value > 0, packed as
 * ref/packed_ref.h draws it with K = 1. */
#ifndef PP_REF_SIGNMASK_REF_H
#define PP_REF_SIGNMASK_REF_H

#include <stddef.h>
#include <stdint.h>

size_t ref_signmask_bytes(size_t pixels, size_t channels);

/* values, mask (0 or 1): [pixels, channels]; code: ref_signmask_bytes. */
void ref_signmask_encode(size_t pixels, size_t channels, const float *values, uint8_t *code);
void ref_signmask_decode(size_t pixels, size_t channels, const uint8_t *code, uint8_t *mask);

#endif
