/* norm.cl: sign-preserving fixed point on batch-norm's x-hat (METHODS A.10, after Chakrabarti &
 * Moseley 2019).
 *
 * n = 2^NORM_BITS levels of width NORM_STEP = 2*clip/n, centred on x-hat = 0 but for a shift of
 * less than half a step that puts the ReLU's threshold t = -beta/gamma on a level's boundary:
 *
 *   j      = round(t/step) + n/2
 *   s, o   = j, t - step*(j - n/2)      where 0 <= j <= n: the boundary, and the shift
 *            clamp(j, 0, n), 0          elsewhere: the channel is always on or off, but for tails
 *   q      = clamp(floor((x-hat - o)/step) + n/2, 0, n-1)
 *   mask   = (q >= s) xor (gamma < 0);  gamma == 0: beta > 0 for the whole channel
 *   x-hat~ = (q - n/2 + 0.5)*step + o
 *
 * The forward pass decides by gamma*x-hat + beta > 0, rounded once. Next to a boundary the quotient
 * above may round to the other side, so the encoder moves such a q to the side that forward took:
 * where 1 <= s <= n-1 the mask is exact, always. Without a ReLU behind it (STORED_RELU 0), o = 0
 * and there is no mask.
 *
 * Packed layout, one octet (channel c0 lowest):
 *
 *   bits 8   | q0 | q1 | q2 | q3 | q4 | q5 | q6 | q7 |    a byte each
 *   bits 4   |q1 q0|q3 q2|q5 q4|q7 q6|              two to a byte, the even channel low
 */

/* Bits per element: 4 or 8. */
#ifndef NORM_BITS
#define NORM_BITS 4
#endif
/* Width of a level in standard deviations, and its inverse. */
#ifndef NORM_STEP
#define NORM_STEP 0.33625f
#define NORM_INVERSE_STEP 2.97397769f
#endif
/* 1: a ReLU follows the batch-norm. */
#ifndef STORED_RELU
#define STORED_RELU 1
#endif

#define CODEC_XHAT
#define NORM_LEVELS (1 << NORM_BITS)
#define NORM_HALF (NORM_LEVELS / 2)

typedef struct {
    float8 gamma, beta;
    float8 offset; /* o */
    int8 boundary; /* s */
    int8 negative; /* -1 where gamma < 0 */
    /* Encoding: the least level on s's upper side and the largest on its lower one. Where s says
     * nothing that a level could contradict, all levels. */
    int8 least, most;
} codec_channels;

static inline codec_channels codec_channel8(float8 mean, float8 inverse_deviation, float8 gamma,
                                            float8 beta) {
    codec_channels k;
    k.gamma = gamma;
    k.beta = beta;
#if STORED_RELU
    const float8 t = -beta / gamma;
    /* The clamp keeps far thresholds, infinities included, within an int's range. */
    const float8 steps =
        clamp(rint(t * NORM_INVERSE_STEP), (float8)(-2 * NORM_LEVELS), (float8)(2 * NORM_LEVELS));
    const int8 j = convert_int8(steps) + NORM_HALF;
    const int8 inside = (j >= 0) & (j <= NORM_LEVELS);
    const int8 dead = gamma == 0.0f;
    const int8 fixed = select((int8)(NORM_LEVELS), (int8)(0), beta > 0.0f);
    k.offset = select((float8)(0.0f), fma((float8)(-NORM_STEP), convert_float8(j - NORM_HALF), t),
                      inside & ~dead);
    k.boundary = select(clamp(j, (int8)(0), (int8)(NORM_LEVELS)), fixed, dead);
    k.negative = gamma < 0.0f;
    const int8 movable = (k.boundary >= 1) & (k.boundary < NORM_LEVELS) & ~dead;
    k.least = k.boundary & movable;
    k.most = select((int8)(NORM_LEVELS - 1), k.boundary - 1, movable);
#else
    k.offset = (float8)(0.0f);
    k.boundary = (int8)(0);
    k.negative = (int8)(0);
    k.least = (int8)(0);
    k.most = (int8)(NORM_LEVELS - 1);
#endif
    return k;
}

static inline int8 norm_load_levels(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels) {
    const size_t octet = pixel * ((channels + 7) / 8) + c0 / 8;
#if NORM_BITS == 8
    return convert_int8(vload8(octet, code));
#else
    __global const uchar *p = code + 4 * octet;
    const uint word = p[0] | (uint)p[1] << 8 | (uint)p[2] << 16 | (uint)p[3] << 24;
    return convert_int8((uint8)word >> (uint8)(0, 4, 8, 12, 16, 20, 24, 28) & 15);
#endif
}

static inline void norm_store_levels(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     int8 q) {
    const size_t octet = pixel * ((channels + 7) / 8) + c0 / 8;
#if NORM_BITS == 8
    vstore8(convert_uchar8(q), octet, code);
#else
    vstore4(convert_uchar4(q.even | (q.odd << 4)), octet, code);
#endif
}

static inline float8 codec_xhat8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                 const codec_channels *k) {
    const int8 q = norm_load_levels(code, pixel, c0, channels);
    return fma(convert_float8(q) - (NORM_HALF - 0.5f), (float8)(NORM_STEP), k->offset);
}

static inline int8 codec_xhat_mask8(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels, const codec_channels *k) {
    return (norm_load_levels(code, pixel, c0, channels) >= k->boundary) ^ k->negative;
}

static inline void codec_xhat_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     float8 xhat, const codec_channels *k) {
    /* Clamped as floats: a conversion to int is defined only within its range. A NaN ends up at
     * level 0. Rounding towards minus infinity by hand is cheaper than floor. */
    const float8 level = fmin(fmax((xhat - k->offset) * NORM_INVERSE_STEP, (float8)(-NORM_HALF)),
                              (float8)(NORM_HALF - 1));
    int8 q = convert_int8(level);
    q += (level < convert_float8(q)) + NORM_HALF;
#if STORED_RELU
    const int8 on = fma(k->gamma, xhat, k->beta) > 0.0f;
    const int8 above = on ^ k->negative;
    q = select(min(q, k->most), max(q, k->least), above);
#endif
    norm_store_levels(code, pixel, c0, channels, q);
}
