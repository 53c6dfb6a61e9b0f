/* bfloat.cl: the upper 16 bits of a float32, [pixel][channel], two bytes an element without padding.
 *
 *     bits  15    14 ... 7    6 ... 0
 *           sign  exponent    fraction
 *
 * Rounds to nearest, ties to even, on whole numbers: no device flushes or widens anything.
 * Values beyond the largest number, +-0x7F7F, are stored as that. Positive values that would round
 * to zero are stored as the smallest subnormal, so that `value > 0` survives. A NaN stays one.
 */
#define CODEC_VALUE
#define CODEC_MASK
#define CODEC_XHAT
#define CODEC_STORE
#define CODEC_DENSE

static inline ushort8 codec_bits8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    __global const ushort *p = (__global const ushort *)code + pixel * channels + c0;
    if (COMMON_WHOLE || channels - c0 >= 8) return vload8(0, p);
    ushort t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint i = 0; i < channels - c0; i++) t[i] = p[i];
    return vload8(0, t);
}

static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    return as_float8(convert_uint8(codec_bits8(code, pixel, c0, channels)) << 16);
}

static inline float codec_dense1(__global const uchar *code, size_t elem) {
    return as_float((uint)((__global const ushort *)code)[elem] << 16);
}
static inline float8 codec_dense8(__global const uchar *code, size_t elem) {
    return as_float8(convert_uint8(vload8(0, (__global const ushort *)code + elem)) << 16);
}

/* Positive numbers are 1..0x7F80 (infinity) as whole numbers. */
static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    const ushort8 bits = codec_bits8(code, pixel, c0, channels);
    return convert_int8(bits - (ushort8)(1) < (ushort8)(0x7F80));
}

static inline void codec_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                float8 value) {
    __global ushort *p = (__global ushort *)code + pixel * channels + c0;
    const uint8 bits = as_uint8(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    uint8 rounded = min((magnitude + 0x7FFFu + (magnitude >> 16 & 1u)) >> 16, (uint8)(0x7F7Fu));
    rounded = select(rounded, max(rounded, (uint8)(1)), bits - 1u < 0x7F800000u);
    rounded = select(sign | rounded, (uint8)(0x7FC0u), magnitude > 0x7F800000u);
    const ushort8 half_words = convert_ushort8(rounded);
    if (COMMON_WHOLE || channels - c0 >= 8) {
        vstore8(half_words, 0, p);
    } else {
        ushort t[8];
        vstore8(half_words, 0, t);
        for (uint i = 0; i < channels - c0; i++) p[i] = t[i];
    }
}

typedef struct codec_channels {
    float8 gamma, beta;
} codec_channels;

static inline codec_channels codec_channel8(float8 mean, float8 inverse_deviation, float8 gamma,
                                            float8 beta) {
    codec_channels k = {gamma, beta};
    return k;
}

static inline float8 codec_xhat8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                 const codec_channels *k) {
    return codec_value8(code, pixel, c0, channels);
}

/* Wrong for the few x-hat whose rounding crosses -beta / gamma: the codec table does not offer this
 * view. */
static inline int8 codec_xhat_mask8(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels, const codec_channels *k) {
    return fma(k->gamma, codec_value8(code, pixel, c0, channels), k->beta) > 0.0f;
}

static inline void codec_xhat_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     float8 xhat, const codec_channels *k) {
    codec_store8(code, pixel, c0, channels, xhat);
}
