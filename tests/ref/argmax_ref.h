/* Reference of the argmax codec: max-pool's index, the window position r * kernel_w + s of the
 * maximum, in K bits, packed as ref/packed_ref.h draws it. */
#ifndef PP_REF_ARGMAX_REF_H
#define PP_REF_ARGMAX_REF_H

#include <stddef.h>
#include <stdint.h>

/* The smallest K of 1, 2, 4, 8 with 2^K >= kernel_h * kernel_w; 0 where 8 bits are too few. */
unsigned ref_argmax_bits(size_t kernel_h, size_t kernel_w);

size_t ref_argmax_bytes(unsigned bits, size_t pixels, size_t channels);

/* index: [pixels, channels]; code: ref_argmax_bytes. */
void ref_argmax_encode(unsigned bits, size_t pixels, size_t channels, const uint8_t *index,
                       uint8_t *code);
void ref_argmax_decode(unsigned bits, size_t pixels, size_t channels, const uint8_t *code,
                       uint8_t *index);

#endif
