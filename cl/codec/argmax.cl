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

static inline void argmax_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                 int8 index) {
    const int8 lane = (int8)(0, 1, 2, 3, 4, 5, 6, 7);
    int8 inside = lane < (int8)(int)min(channels - c0, 8u);
    int8 v = index & inside;
    __global uchar *p = code + (pixel * ((channels + 7) / 8) + c0 / 8) * ARGMAX_BITS;
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

static inline int8 argmax_load8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    __global const uchar *p = code + (pixel * ((channels + 7) / 8) + c0 / 8) * ARGMAX_BITS;
#if ARGMAX_BITS == 8
    return convert_int8(vload8(0, p));
#elif ARGMAX_BITS == 4
    const uint word = p[0] | (uint)p[1] << 8 | (uint)p[2] << 16 | (uint)p[3] << 24;
    return convert_int8((uint8)word >> (uint8)(0, 4, 8, 12, 16, 20, 24, 28) & 15);
#elif ARGMAX_BITS == 2
    int word = p[0] | p[1] << 8;
    return (int8)word >> (int8)(0, 2, 4, 6, 8, 10, 12, 14) & 3;
#else
    return (int8)(int)*p >> (int8)(0, 1, 2, 3, 4, 5, 6, 7) & 1;
#endif
}
