/* norm.cl: sign-preserving fixed point on batch-norm's x-hat (METHODS A.10, after Chakrabarti &
 * Moseley 2019).
 *
 * n = 2^NORM_BITS levels of width NORM_STEP = 2*clip/n, centred on x-hat = 0 but for a shift o that
 * puts the ReLU's threshold t = -beta/gamma on the boundary s between two levels:
 *
 *   j      = round(t/step) + n/2
 *   s, o   = j, t - step*(j - n/2)      where 0 <= j <= n
 *            clamp(j, 0, n), 0          elsewhere: the channel is always on or off, but for tails
 *   q      = clamp(floor((x-hat - o)/step) + n/2, 0, n-1)
 *   mask   = (q >= s) xor (gamma < 0);  gamma == 0: beta > 0 for the whole channel
 *   x-hat~ = (q - n/2 + 0.5)*step + o
 *
 * Up to 3 bits the few levels' boundaries end well inside the tails: by the lines above a channel
 * of 2 bits that is on for 6 % of its elements would count as always off. There, the outermost
 * boundaries follow the threshold as far as 2.7 deviations, behind which 0.35 % of N(0,1) lie:
 *
 *   s, o   = clamp(j, 1, n-1), t - step*(s - n/2)   where |t| <= 2.7
 *            t > 0 ? n : 0, 0                       elsewhere
 *
 * One bit is the mask itself: s = 1, o = t. Two levels shifted by t would lie far from the elements
 * that they stand for, so they are the means of N(0,1) on either side of t instead, by polynomials
 * that err by 0.015 at most (at t = 0: +-0.798):
 *
 *   x-hat~ = (q - 0.5)*width(t) + centre(t)         t = 0 where |t| > 2.7
 *
 * NORM_LLOYD: Lloyd and Max's levels for N(0,1), 2 to 4 bits (METHODS D.2), of unequal width. With
 * b[0] = 0 and their positive boundaries b[1..n/2-1]:
 *
 *   s, o   = n/2 +- i, t -+ b[i]        where |t| <= 2.7, b[i] nearest to |t|, the sign that of t
 *            t > 0 ? n : 0, 0           elsewhere
 *   q      = n/2 + m, or n/2 - 1 - m where x-hat < o;  m: how many b[i >= 1] <= |x-hat - o|
 *   x-hat~ = P(q - n/2 + 0.5) + o       P: an odd polynomial through the levels
 *
 * The forward pass decides by gamma*x-hat + beta > 0, rounded once. Next to a boundary the quotient
 * above may round to the other side, so the encoder moves such a q to the side that forward took:
 * where 1 <= s <= n-1 the mask is exact, always. Without a ReLU behind it (STORED_RELU 0), o = 0
 * (and t = 0, for one bit), and there is no mask.
 *
 * Packed layout: an octet takes NORM_BITS bytes, which are one number of 8 * NORM_BITS bits, lowest
 * byte first; channel c0 + i has the bits from i * NORM_BITS on. Byte by byte, lowest bits left:
 *
 *   bits 8   |q0       |q1       |q2       |q3       |q4       |q5       |q6       |q7       |
 *   bits 6   |q0     q1:q1   q2:q2     q3|q4     q5:q5   q6:q6     q7|
 *   bits 5   |q0   q1:q1  q2  q3:q3   q4:q4  q5  q6:q6   q7|
 *   bits 4   |q0  q1  |q2  q3  |q4  q5  |q6  q7  |
 *   bits 3   |q0 q1 q2:q2 q3 q4 q5:q5 q6 q7|      ':' is a byte's end within an element
 *   bits 2   |q0 q1 q2 q3|q4 q5 q6 q7|
 *   bits 1   |q0 ... q7|
 */

/* Bits per element: 1 to 6, or 8. */
#ifndef NORM_BITS
#define NORM_BITS 4
#endif
/* Width of a level in standard deviations, and its inverse. */
#ifndef NORM_STEP
#define NORM_STEP 0.33625f
#define NORM_INVERSE_STEP 2.97397769f
#endif
/* 1: Lloyd and Max's levels; NORM_BITS is 2, 3 or 4. */
#ifndef NORM_LLOYD
#define NORM_LLOYD 0
#endif
/* 1: a ReLU follows the batch-norm. */
#ifndef STORED_RELU
#define STORED_RELU 1
#endif

#define CODEC_XHAT
#define NORM_LEVELS (1 << NORM_BITS)
#define NORM_HALF (NORM_LEVELS / 2)
/* How far a boundary between two levels follows the threshold: below 4 bits, and Lloyd's. */
#define NORM_REACH 2.7f

/* Lloyd and Max: X(i, middle of b[i-1] and b[i], b[i]) for i >= 1, and P(u) / u by v = u * u. */
#if NORM_BITS == 2
#define NORM_BOUNDARIES(X) X(1, 0.490799411f, 0.981598822f)
#define NORM_POLYNOMIAL(v) fma(v, (float8)(0.0506925015f), (float8)(0.892886944f))
#elif NORM_BITS == 3
#define NORM_BOUNDARIES(X)          \
    X(1, 0.250274865f, 0.50054973f) \
    X(2, 0.775253505f, 1.04995728f) \
    X(3, 1.39894239f, 1.74792749f)
#define NORM_POLYNOMIAL(v)                                                 \
    fma(fma(fma(v, (float8)(1.68235703e-5f), (float8)(9.98714581e-5f)), v, \
            (float8)(6.56221876e-3f)),                                     \
        v, (float8)(0.488541298f))
#elif NORM_BITS == 4
#define NORM_BOUNDARIES(X)           \
    X(1, 0.129110832f, 0.258221665f) \
    X(2, 0.390312687f, 0.522403709f) \
    X(3, 0.660976748f, 0.799549788f) \
    X(4, 0.949417807f, 1.09928583f)  \
    X(5, 1.26821231f, 1.43713879f)   \
    X(6, 1.6403353f, 1.84353181f)    \
    X(7, 2.1221676f, 2.4008034f)
/* Five terms for eight levels: 0.0004 off at most, which adds 4e-8 to the mean square of 0.0095. */
#define NORM_POLYNOMIAL(v)                                                      \
    fma(fma(fma(fma(v, (float8)(7.49166136e-9f), (float8)(-4.27451629e-7f)), v, \
                (float8)(1.97527290e-5f)),                                      \
            v, (float8)(8.19141792e-4f)),                                       \
        v, (float8)(0.256836225f))
#endif

typedef struct {
    float8 gamma, beta;
    float8 offset; /* o */
    int8 boundary; /* s */
    int8 negative; /* -1 where gamma < 0 */
    /* Encoding: the least level on s's upper side and the largest on its lower one. Where s says
     * nothing that a level could contradict, all levels. */
    int8 least, most;
#if NORM_BITS == 1
    float8 centre, width;
#endif
} codec_channels;

/* s and o for thresholds t. */
static inline void norm_place(float8 t, codec_channels *k) {
#if NORM_LLOYD
    const float8 distance = fabs(t);
    int8 steps = (int8)(0);
    float8 nearest = (float8)(0.0f);
#define NORM_NEAREST(i, middle, b)                                  \
    steps = select(steps, (int8)(i), distance >= (float8)(middle)); \
    nearest = select(nearest, (float8)(b), distance >= (float8)(middle));
    NORM_BOUNDARIES(NORM_NEAREST)
    const int8 within = NORM_HALF + select(steps, -steps, t < 0.0f);
    const float8 offset = t - copysign(nearest, t);
#else
    /* The clamp keeps far thresholds, infinities included, within an int's range. */
    const float8 steps =
        clamp(rint(t * NORM_INVERSE_STEP), (float8)(-2 * NORM_LEVELS), (float8)(2 * NORM_LEVELS));
    const int8 j = convert_int8(steps) + NORM_HALF;
#if NORM_BITS < 4
    const int8 within = clamp(j, (int8)(1), (int8)(NORM_LEVELS - 1));
#else
    const int8 within = clamp(j, (int8)(0), (int8)(NORM_LEVELS));
#endif
    const float8 offset = fma((float8)(-NORM_STEP), convert_float8(within - NORM_HALF), t);
#endif
#if NORM_LLOYD || NORM_BITS < 4
    const int8 inside = fabs(t) <= NORM_REACH;
    const int8 outside = select((int8)(0), (int8)(NORM_LEVELS), t > 0.0f);
    k->boundary = select(outside, within, inside);
#else
    const int8 inside = j == within;
    k->boundary = within;
#endif
    k->offset = select((float8)(0.0f), offset, inside);
}

static inline codec_channels codec_channel8(float8 mean, float8 inverse_deviation, float8 gamma,
                                            float8 beta) {
    codec_channels k;
    k.gamma = gamma;
    k.beta = beta;
#if STORED_RELU
    norm_place(-beta / gamma, &k);
    const int8 dead = gamma == 0.0f;
    const int8 fixed = select((int8)(NORM_LEVELS), (int8)(0), beta > 0.0f);
    k.offset = select(k.offset, (float8)(0.0f), dead);
    k.boundary = select(k.boundary, fixed, dead);
    k.negative = gamma < 0.0f;
    const int8 movable = (k.boundary >= 1) & (k.boundary < NORM_LEVELS);
    k.least = k.boundary & movable;
    k.most = select((int8)(NORM_LEVELS - 1), k.boundary - 1, movable);
#else
    k.offset = (float8)(0.0f);
    k.boundary = (int8)(0);
    k.negative = (int8)(0);
    k.least = (int8)(0);
    k.most = (int8)(NORM_LEVELS - 1);
#endif
#if NORM_BITS == 1
    const float8 v = k.offset * k.offset;
    k.centre = k.offset * fma(v, (float8)(-0.0102126f), (float8)(0.623752f));
    k.width = fma(fma(v, (float8)(-0.0037775f), (float8)(0.222777f)), v, (float8)(NORM_STEP));
#endif
    return k;
}

static inline int8 norm_load_levels(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels) {
    const size_t octet = pixel * ((channels + 7) / 8) + c0 / 8;
#if NORM_BITS == 8
    return convert_int8(vload8(octet, code));
#else
    __global const uchar *p = code + NORM_BITS * octet;
#if NORM_BITS <= 4
    uint word = p[0];
#if NORM_BITS >= 2
    word |= (uint)p[1] << 8;
#endif
#if NORM_BITS >= 3
    word |= (uint)p[2] << 16;
#endif
#if NORM_BITS == 4
    word |= (uint)p[3] << 24;
#endif
    const uint8 words = (uint8)(word);
    const uint8 shifts = (uint8)(0, 1, 2, 3, 4, 5, 6, 7) * NORM_BITS;
#else
    /* Four elements at a time, in the lower half of the bits and in the upper one. */
    const uint lower = p[0] | (uint)p[1] << 8 | (uint)p[2] << 16;
#if NORM_BITS == 5
    const uint upper = p[2] >> 4 | (uint)p[3] << 4 | (uint)p[4] << 12;
#else
    const uint upper = p[3] | (uint)p[4] << 8 | (uint)p[5] << 16;
#endif
    const uint8 words = (uint8)((uint4)(lower), (uint4)(upper));
    const uint8 shifts = (uint8)(0, 1, 2, 3, 0, 1, 2, 3) * NORM_BITS;
#endif
    return convert_int8(words >> shifts & (NORM_LEVELS - 1));
#endif
}

static inline void norm_store_levels(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     int8 q) {
    const size_t octet = pixel * ((channels + 7) / 8) + c0 / 8;
#if NORM_BITS == 8
    vstore8(convert_uchar8(q), octet, code);
#elif NORM_BITS == 4
    vstore4(convert_uchar4(q.even | (q.odd << 4)), octet, code);
#else
    __global uchar *p = code + NORM_BITS * octet;
    /* The elements of either half of the bits side by side; then both halves. */
    const int8 placed = q << (int8)(0, 1, 2, 3, 0, 1, 2, 3) * NORM_BITS;
    const int4 pairs = placed.even | placed.odd;
    const int2 halves = pairs.even | pairs.odd;
#if NORM_BITS <= 3
    const uint word = (uint)halves.x | (uint)halves.y << 4 * NORM_BITS;
#else
    const ulong word = (ulong)(uint)halves.x | (ulong)(uint)halves.y << 4 * NORM_BITS;
#endif
    for (uint i = 0; i < NORM_BITS; i++) p[i] = (uchar)(word >> 8 * i);
#endif
}

static inline float8 codec_xhat8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                 const codec_channels *k) {
    const int8 q = norm_load_levels(code, pixel, c0, channels);
    const float8 u = convert_float8(q) - (NORM_HALF - 0.5f);
#if NORM_LLOYD
    const float8 v = u * u;
    return fma(u, NORM_POLYNOMIAL(v), k->offset);
#elif NORM_BITS == 1
    return fma(u, k->width, k->centre);
#else
    return fma(u, (float8)(NORM_STEP), k->offset);
#endif
}

static inline int8 codec_xhat_mask8(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels, const codec_channels *k) {
    return (norm_load_levels(code, pixel, c0, channels) >= k->boundary) ^ k->negative;
}

static inline int8 norm_level8(float8 xhat, const codec_channels *k) {
#if NORM_LLOYD
    const float8 from = xhat - k->offset, distance = fabs(from);
    int8 q = (int8)(NORM_HALF);
#define NORM_PASSED(i, middle, b) q = select(q, (int8)(NORM_HALF + i), distance >= (float8)(b));
    NORM_BOUNDARIES(NORM_PASSED)
    return q ^ ((from < 0.0f) & (NORM_LEVELS - 1)); /* n - 1 - q below o; a NaN counts as o */
#else
    /* Clamped as floats: a conversion to int is defined only within its range. A NaN ends up at
     * level 0. Rounding towards minus infinity by hand is cheaper than floor. */
    const float8 level = fmin(fmax((xhat - k->offset) * NORM_INVERSE_STEP, (float8)(-NORM_HALF)),
                              (float8)(NORM_HALF - 1));
    const int8 q = convert_int8(level);
    return q + (level < convert_float8(q)) + NORM_HALF;
#endif
}

static inline void codec_xhat_store8(__global uchar *code, size_t pixel, uint c0, uint channels,
                                     float8 xhat, const codec_channels *k) {
    int8 q = norm_level8(xhat, k);
#if STORED_RELU
    const int8 on = fma(k->gamma, xhat, k->beta) > 0.0f;
    const int8 above = on ^ k->negative;
    q = select(min(q, k->most), max(q, k->least), above);
#endif
    norm_store_levels(code, pixel, c0, channels, q);
}
