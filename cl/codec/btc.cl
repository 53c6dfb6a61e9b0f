/* btc.cl: the codec btc:W, block truncation coding of batch-norm's x-hat with the ReLU's threshold
 * as the truncation's (METHODS D.3): an exact sign plane, and two means per block and channel.
 *
 *   t     = -beta / gamma where |t| <= 2.7 and a ReLU follows: the threshold on x-hat; otherwise 0
 *   set   = gamma * x-hat + beta > 0, rounded once, as forward decides; for that other t: x-hat > 0
 *   means = of x-hat - t, over the set and over the clear elements of each block of W x W pixels
 *   mask  = set; where t does not follow the ReLU: beta > 0 for the whole channel
 *
 * Set elements lie on one side of t, above unless gamma < 0, and clear ones on the other. A mean
 * takes 16 levels of equal width on its side, from t on:
 *
 *   range  = max(2.4, 1.6 - u)         u = t on the upper side, -t on the lower one
 *   q      = clamp(floor(16 * |mean| / range), 0, 15)
 *   x-hat~ = t +- (q + 0.5) * range / 16
 *
 * so that no level lies on t, and a set element's activation is positive. The range holds the means
 * of N(0,1), of single elements (W = 2) as of many, of neighbours alike as of independent ones: for
 * any W and t the squared error of x-hat is within 0.5 % of what the best range gives on white
 * noise, and within 6 % on noise box-filtered 5 x 5. Behind |t| = 2.7 lie 0.35 % of N(0,1), and a
 * plane split there says nothing about x-hat. A side without elements has level 0.
 *
 * Layout of one image [h, w, c] in O = ceil(c / 8) octets a pixel and B = ceil(h / W) * ceil(w / W)
 * blocks, which at the right and bottom borders are short and count the elements that there are:
 *
 *   |plane: h * w * O bytes, one an octet |levels: B * O * 8 bytes, one a channel     |
 *   |pixel 0: o0 o1 ... |pixel 1 |  ...   |block 0: o0: c0 c1 ... c7, o1: ... |block 1 | ...
 *
 *   plane byte   bit      7    6   ...  0         1: set
 *                channel  c0+7 c0+6     c0
 *   level byte   bits     7..4       3..0
 *                level    of set     of clear
 *
 * Pixels, and blocks row by row, follow each other; so do images. Bits behind the last channel are
 * 0. h * w * O * (1 + 8 / W^2) bytes where no block is short. The plane stands in front by itself,
 * so that a pixel's bits are found without its block.
 */

/* Side of a block. */
#ifndef BTC_WINDOW
#define BTC_WINDOW 4
#endif
/* Extents of the map. */
#ifndef BTC_H
#define BTC_H 8
#define BTC_W 8
#endif
/* 1: a ReLU follows the batch-norm. */
#ifndef STORED_RELU
#define STORED_RELU 1
#endif

#define CODEC_XHAT
#define BTC_REACH 2.7f
#define BTC_LEVELS 16
#define BTC_PIXELS (BTC_H * BTC_W)
#define BTC_ROWS ((BTC_H + BTC_WINDOW - 1) / BTC_WINDOW)
#define BTC_COLUMNS ((BTC_W + BTC_WINDOW - 1) / BTC_WINDOW)
#define BTC_BLOCKS (BTC_ROWS * BTC_COLUMNS)

typedef struct {
    float8 threshold;              /* t */
    float8 set_step, clear_step;   /* a level's width, negative on the lower side */
    float8 set_first, clear_first; /* level 0 */
    int8 follows;                  /* -1 where the plane is the mask */
    int8 passes;                   /* elsewhere: -1 where all of the channel passes */
} codec_channels;

static inline codec_channels codec_channel8(float8 mean, float8 inverse_deviation, float8 gamma,
                                            float8 beta) {
    codec_channels k;
    (void)mean, (void)inverse_deviation;
#if STORED_RELU
    const float8 t = -beta / gamma; /* gamma == 0: no number, or infinite */
    k.follows = fabs(t) <= BTC_REACH;
    k.passes = (beta > 0.0f) & ~k.follows;
    k.threshold = select((float8)(0.0f), t, k.follows);
    const float8 up = select((float8)(1.0f), (float8)(-1.0f), (gamma < 0.0f) & k.follows);
#else
    k.follows = k.passes = (int8)(0);
    k.threshold = (float8)(0.0f);
    const float8 up = (float8)(1.0f);
#endif
    const float8 u = up * k.threshold;
    k.set_step = up * fmax((float8)(2.4f), 1.6f - u) * (1.0f / BTC_LEVELS);
    k.clear_step = -up * fmax((float8)(2.4f), 1.6f + u) * (1.0f / BTC_LEVELS);
    k.set_first = fma(k.set_step, (float8)(0.5f), k.threshold);
    k.clear_first = fma(k.clear_step, (float8)(0.5f), k.threshold);
    return k;
}

/* Where the plane byte of an octet lies, and where its eight level bytes in block (i, j). */
static inline size_t btc_plane_at(uint image, uint pixel, uint c0, uint channels) {
    const uint octets = (channels + 7) / 8;
    return ((size_t)image * (8 * BTC_BLOCKS) + pixel) * octets + c0 / 8;
}
static inline size_t btc_levels_at(uint image, uint i, uint j, uint c0, uint channels) {
    const uint octets = (channels + 7) / 8;
    const size_t pixels = (size_t)(image + 1) * BTC_PIXELS;
    return (pixels + 8 * ((size_t)image * BTC_BLOCKS + i * BTC_COLUMNS + j)) * octets + c0;
}

static inline int8 btc_plane8(__global const uchar *code, uint pixel, uint c0, uint channels) {
    return unpack_mask8(code[btc_plane_at(pixel / BTC_PIXELS, pixel, c0, channels)]);
}

static inline float8 codec_xhat8(__global const uchar *code, size_t pixel, uint c0, uint channels,
                                 const codec_channels *k) {
    const int8 set = btc_plane8(code, (uint)pixel, c0, channels);
    const common_place at = common_place_of(pixel, BTC_H, BTC_W);
    const size_t levels = btc_levels_at(at.n, at.i / BTC_WINDOW, at.j / BTC_WINDOW, c0, channels);
    const int8 q = convert_int8(vload8(0, code + levels)) >> (set & 4) & (BTC_LEVELS - 1);
    return fma(convert_float8(q), select(k->clear_step, k->set_step, set),
               select(k->clear_first, k->set_first, set));
}

static inline int8 codec_xhat_mask8(__global const uchar *code, size_t pixel, uint c0,
                                    uint channels, const codec_channels *k) {
    return (btc_plane8(code, (uint)pixel, c0, channels) & k->follows) | k->passes;
}
