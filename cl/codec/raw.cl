/* raw.cl: the code is the float32 tensor itself, [pixel][channel].
 *
 * Of an activation it is the activation. Of a batch-norm it is the *input* x, so that x-hat and the
 * mask are computed again with the formulas of the forward pass:
 *
 *     x-hat = (x - mean) * inverse_deviation        mask = gamma * x-hat + beta > 0 (one fma)
 */
#define CODEC_VALUE
#define CODEC_MASK
#define CODEC_XHAT
#define CODEC_DENSE

static inline float8 raw_load8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    return load8((__global const float *)code + pixel * channels + c0, channels - c0);
}

static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    return raw_load8(code, pixel, c0, channels);
}

static inline float codec_dense1(__global const uchar *code, size_t elem) {
    return ((__global const float *)code)[elem];
}
static inline float8 codec_dense8(__global const uchar *code, size_t elem) {
    return vload8(0, (__global const float *)code + elem);
}

static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    return raw_load8(code, pixel, c0, channels) > 0.0f;
}

typedef struct codec_channels {
    float8 mean, inverse_deviation, gamma, beta;
} codec_channels;

static inline codec_channels codec_channel8(float8 mean, float8 inverse_deviation, float8 gamma,
                                            float8 beta) {
    codec_channels k = {mean, inverse_deviation, gamma, beta};
    return k;
}

static inline float8 codec_xhat8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                 const codec_channels *k) {
    return (raw_load8(code, pixel, c0, channels) - k->mean) * k->inverse_deviation;
}

static inline int8 codec_xhat_mask8(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels, const codec_channels *k) {
    return fma(k->gamma, codec_xhat8(code, pixel, c0, channels, k), k->beta) > 0.0f;
}

/* Nothing to store: the tensor stays where it is. */
static inline void codec_xhat_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     float8 xhat, const codec_channels *k) {
    (void)code, (void)pixel, (void)c0, (void)channels, (void)xhat, (void)k;
}
