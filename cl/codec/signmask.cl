/* signmask.cl: one bit per element, set where the value is positive; one byte per octet.
 *
 *     bit      7    6    5    4    3    2    1    0
 *     channel  c0+7 ...                 c0+1 c0
 *
 * Octet o of pixel p is byte p * ceil(c / 8) + o. Bits behind the last channel are 0.
 */
#define CODEC_MASK
#define CODEC_STORE

static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    return unpack_mask8(code[pixel * ((channels + 7) / 8) + c0 / 8]);
}

/* Lanes behind the last channel are zeros (load8), and so are their bits. */
static inline void codec_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                float8 value) {
    code[pixel * ((channels + 7) / 8) + c0 / 8] = pack_mask8(value > 0.0f);
}
