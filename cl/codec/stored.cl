/* stored.cl: the activation behind a stored code, for kernels that decode as they load. A codec's
 * file stands in front of this one.
 *
 *   of an activation       what the codec gives back
 *   of a batch-norm's x-hat  y = gamma * x-hat~ + beta, and 0 where the ReLU behind it stopped it
 *
 * stored_channels8 reads what depends on the channels alone, for the octet at c0.
 */

/* 1: the code is a batch-norm's x-hat. */
#ifndef STORED_NORMALISED
#define STORED_NORMALISED 0
#endif
/* 1: a ReLU follows the batch-norm. */
#ifndef STORED_RELU
#define STORED_RELU 1
#endif
/* 1: the code of x-hat gives the ReLU's exact mask; 0: the sign of y decides. */
#ifndef STORED_MASK
#define STORED_MASK 0
#endif

#if STORED_NORMALISED && defined(CODEC_XHAT)
#define STORED_VALUE
typedef struct {
    float8 gamma, beta;
    codec_channels codec;
} stored_channels;

static inline stored_channels stored_channels8(__global const float *statistics,
                                               __global const float *gamma,
                                               __global const float *beta, uint c0, uint channels) {
    const uint count = channels - c0;
    stored_channels k;
    k.gamma = load8(gamma + c0, count);
    k.beta = load8(beta + c0, count);
    k.codec = codec_channel8(load8(statistics + c0, count),
                             load8(statistics + channels + c0, count), k.gamma, k.beta);
    return k;
}

static inline float8 stored_value8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                   const stored_channels *k) {
    const float8 y = fma(k->gamma, codec_xhat8(code, pixel, c0, channels, &k->codec), k->beta);
#if STORED_RELU && STORED_MASK
    return select((float8)(0.0f), y, codec_xhat_mask8(code, pixel, c0, channels, &k->codec));
#elif STORED_RELU
    return select(y, (float8)(0.0f), y <= 0.0f); /* a NaN passes */
#else
    return y;
#endif
}
#endif

#if !STORED_NORMALISED && defined(CODEC_VALUE)
#define STORED_VALUE
#ifdef CODEC_DENSE
#define STORED_DENSE /* codec_dense8 gives the activation */
#endif
typedef int stored_channels; /* nothing depends on the channel */

static inline stored_channels stored_channels8(__global const float *statistics,
                                               __global const float *gamma,
                                               __global const float *beta, uint c0, uint channels) {
    (void)statistics, (void)gamma, (void)beta, (void)c0, (void)channels;
    return 0;
}

static inline float8 stored_value8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                   const stored_channels *k) {
    (void)k;
    return codec_value8(code, pixel, c0, channels);
}
#endif
