/* The packed layout that norm, signmask and argmax share (cl/codec/README.md): elements of K bits,
 * 1 <= K <= 8.
 *
 *     pixel p, octet o (channels 8o .. 8o+7) begins at byte (p * ceil(channels / 8) + o) * K
 *
 *     bit of the octet   0       K       2K            8K
 *                        | ch 0  | ch 1  |  ...  ch 7  |      bit i lies in byte i / 8, bit i % 8
 *
 * A short last octet takes its full K bytes. The bits behind its last channel mean nothing: the
 * references write zeros there, kernels may write anything, and tests compare elements, not those
 * bits.
 */
#ifndef PP_REF_PACKED_REF_H
#define PP_REF_PACKED_REF_H

#include <stddef.h>
#include <stdint.h>

size_t ref_packed_bytes(unsigned bits, size_t pixels, size_t channels);

/* elements: [pixels, channels], each below 2^bits; code: ref_packed_bytes. */
void ref_packed_write(unsigned bits, size_t pixels, size_t channels, const uint8_t *elements,
                      uint8_t *code);
void ref_packed_read(unsigned bits, size_t pixels, size_t channels, const uint8_t *code,
                     uint8_t *elements);

#endif
