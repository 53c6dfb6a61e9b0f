/* argmax.cl: small whole numbers of K = ARGMAX_BITS bits (1, 2, 4 or 8), the K bytes of an octet,
 * the first channel in the lowest bits. For K = 2:
 *
 *     byte     0                          1
 *     bits     7..6  5..4  3..2  1..0     7..6  5..4  3..2  1..0
 *     channel  c0+3  c0+2  c0+1  c0       c0+7  c0+6  c0+5  c0+4
 *
 * Octet o of pixel p begins at byte (p * ceil(c / 8) + o) * K. Bits behind the last channel are 0.
 */
#define CODEC_INDEX

/* Bits per element. */
#ifndef ARGMAX_BITS
#define ARGMAX_BITS 8
#endif

/* Octet `octet` of a tensor, which has `count` channels or more than 8. */
static inline void argmax_store8(__global uchar *code, size_t octet, uint count, int8 index) {
    const int8 lane = (int8)(0, 1, 2, 3, 4, 5, 6, 7);
    const int8 inside = lane < (int8)(int)min(count, 8u);
    const int8 v = COMMON_WHOLE ? index : index & inside;
    __global uchar *p = code + octet * ARGMAX_BITS;
#if ARGMAX_BITS == 8
    vstore8(convert_uchar8(v), 0, p);
#elif ARGMAX_BITS == 4
    vstore4(convert_uchar4(v.even | v.odd << 4), 0, p);
#elif ARGMAX_BITS == 2
    int4 pairs = v.even | v.odd << 2;
    vstore2(convert_uchar2(pairs.even | pairs.odd << 4), 0, p);
#else
    *p = pack_mask8(-v);
#endif
}

/* Where the numbers of octet `octet` equal `index`, as truth values. Those of fewer than 8 bits are
 * compared where they lie, in a word that holds the whole octet. */
static inline int8 argmax_equal8(__global const uchar *code, size_t octet, uint index) {
    __global const uchar *p = code + octet * ARGMAX_BITS;
#if ARGMAX_BITS == 8
    return convert_int8(vload8(0, p)) == (int8)(int)index;
#else
    const uint8 shift = (uint8)(0, 1, 2, 3, 4, 5, 6, 7) * ARGMAX_BITS;
    const uint8 mask = (uint8)((1u << ARGMAX_BITS) - 1) << shift;
#if ARGMAX_BITS == 4
    const uint word = p[0] | (uint)p[1] << 8 | (uint)p[2] << 16 | (uint)p[3] << 24;
#elif ARGMAX_BITS == 2
    const uint word = p[0] | (uint)p[1] << 8;
#else
    const uint word = p[0];
#endif
    return ((uint8)(word)&mask) == (uint8)(index) << shift;
#endif
}
