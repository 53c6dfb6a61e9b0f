/* half.cl: IEEE 754 binary16, [pixel][channel], two bytes an element without padding.
 *
 *     bits  15    14 ... 10   9 ... 0
 *           sign  exponent    fraction
 *
 * Rounds to nearest, ties to even. Values beyond the largest number are stored as +-65504. Positive
 * values that would round to zero are stored as the smallest subnormal, 2^-24, so that `value > 0`
 * survives. A NaN stays one. Only core functions (vload_half, vstore_half) are used: no half
 * arithmetic, no extension.
 */
#define CODEC_VALUE
#define CODEC_MASK
#define CODEC_XHAT
#define CODEC_STORE
#define CODEC_DENSE

static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    __global const half *p = (__global const half *)code + pixel * channels + c0;
    if (COMMON_WHOLE || channels - c0 >= 8) return vload_half8(0, p);
    float t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint i = 0; i < channels - c0; i++) t[i] = vload_half(i, p);
    return vload8(0, t);
}

static inline float codec_dense1(__global const uchar *code, size_t elem) {
    return vload_half(elem, (__global const half *)code);
}
static inline float8 codec_dense8(__global const uchar *code, size_t elem) {
    return vload_half8(0, (__global const half *)code + elem);
}

/* Positive numbers are 1..0x7C00 (infinity) as whole numbers; asking that needs no conversion. */
static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    __global const ushort *p = (__global const ushort *)code + pixel * channels + c0;
    ushort8 bits = (ushort8)(0);
    if (COMMON_WHOLE || channels - c0 >= 8) {
        bits = vload8(0, p);
    } else {
        ushort t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (uint i = 0; i < channels - c0; i++) t[i] = p[i];
        bits = vload8(0, t);
    }
    return convert_int8(bits - (ushort8)(1) < (ushort8)(0x7C00));
}

static inline void codec_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                float8 value) {
    __global half *p = (__global half *)code + pixel * channels + c0;
    float8 v = select(clamp(value, (float8)(-65504.0f), (float8)(65504.0f)), value, isnan(value));
    v = select(v, fmax(v, (float8)(0x1p-24f)), v > 0.0f);
    if (COMMON_WHOLE || channels - c0 >= 8) {
        vstore_half8_rte(v, 0, p);
    } else {
        float t[8];
        vstore8(v, 0, t);
        for (uint i = 0; i < channels - c0; i++) vstore_half_rte(t[i], i, p);
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
