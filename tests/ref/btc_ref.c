#include "ref/btc_ref.h"

#include <math.h>
#include <string.h>

enum { CLEAR, SET, LEVELS = 16 };

/* What depends on the channel alone. */
typedef struct channel {
    float gamma, beta, threshold;
    float step[2]; /* by CLEAR and SET */
    bool follows;
} channel;

static channel channel_of(const ref_btc *btc, float gamma, float beta) {
    channel k = {.gamma = gamma, .beta = beta};
    float t = -beta / gamma, side = 1;
    k.follows = btc->relu && fabsf(t) <= REF_BTC_REACH;
    if (k.follows) {
        k.threshold = t;
        if (gamma < 0) side = -1;
    }
    float upper = 1.6f - side * k.threshold, lower = 1.6f + side * k.threshold;
    k.step[SET] = side * fmaxf(2.4f, upper) / LEVELS;
    k.step[CLEAR] = -side * fmaxf(2.4f, lower) / LEVELS;
    return k;
}

static int side_of(const channel *k, float xhat) {
    return (k->follows ? fmaf(k->gamma, xhat, k->beta) : xhat) > 0 ? SET : CLEAR;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The map in blocks, and in octets of channels. */
static ref_shape blocks_of(const ref_btc *btc, ref_shape s) {
    return (ref_shape){s.n, (s.h + btc->side - 1) / btc->side, (s.w + btc->side - 1) / btc->side,
                       s.c};
}
static size_t octets_of(ref_shape s) {
    return (s.c + 7) / 8;
}
static size_t image_bytes(const ref_btc *btc, ref_shape s) {
    ref_shape blocks = blocks_of(btc, s);
    return s.h * s.w * octets_of(s) + blocks.h * blocks.w * octets_of(s) * 8;
}

size_t ref_btc_bytes(const ref_btc *btc, ref_shape s) {
    return s.n * image_bytes(btc, s);
}

/* Where an element's plane byte lies, and its block's level. */
static size_t plane_at(const ref_btc *btc, ref_shape s, size_t n, size_t y, size_t x, size_t c) {
    return n * image_bytes(btc, s) + (y * s.w + x) * octets_of(s) + c / 8;
}
static size_t level_at(const ref_btc *btc, ref_shape s, size_t n, size_t y, size_t x, size_t c) {
    size_t block = y / btc->side * blocks_of(btc, s).w + x / btc->side;
    return n * image_bytes(btc, s) + s.h * s.w * octets_of(s) + block * octets_of(s) * 8 + c;
}

static unsigned level_of(float sum, size_t count, float step) {
    if (!count) return 0;
    float level = sum / (float)count * (1 / step);
    if (!(level > 0)) return 0; /* a NaN too */
    return level >= LEVELS - 1 ? LEVELS - 1 : (unsigned)level;
}

/* One channel of the block that begins at (y0, x0). */
static void encode_block(const ref_btc *btc, ref_shape s, size_t n, size_t y0, size_t x0, size_t c,
                         const channel *k, const float *xhat, uint8_t *code) {
    float sum[2] = {0, 0};
    size_t count[2] = {0, 0};
    for (size_t y = y0; y < smaller(s.h, y0 + btc->side); y++)
        for (size_t x = x0; x < smaller(s.w, x0 + btc->side); x++) {
            float value = xhat[ref_at(s, n, y, x, c)];
            int side = side_of(k, value);
            sum[side] += value - k->threshold;
            count[side]++;
            if (side == SET) code[plane_at(btc, s, n, y, x, c)] |= (uint8_t)(1u << c % 8);
        }
    code[level_at(btc, s, n, y0, x0, c)] =
        (uint8_t)(level_of(sum[SET], count[SET], k->step[SET]) << 4 |
                  level_of(sum[CLEAR], count[CLEAR], k->step[CLEAR]));
}

void ref_btc_encode(const ref_btc *btc, ref_shape s, const float *xhat, const float *gamma,
                    const float *beta, uint8_t *code) {
    memset(code, 0, ref_btc_bytes(btc, s));
    for (size_t c = 0; c < s.c; c++) {
        channel k = channel_of(btc, gamma[c], beta[c]);
        for (size_t n = 0; n < s.n; n++)
            for (size_t y = 0; y < s.h; y += btc->side)
                for (size_t x = 0; x < s.w; x += btc->side)
                    encode_block(btc, s, n, y, x, c, &k, xhat, code);
    }
}

void ref_btc_decode(const ref_btc *btc, ref_shape s, const uint8_t *code, const float *gamma,
                    const float *beta, float *xhat, uint8_t *mask, float *value) {
    for (size_t i = 0; i < ref_elems(s); i++) {
        size_t c = i % s.c, x = i / s.c % s.w, y = i / s.c / s.w % s.h, n = i / s.c / s.w / s.h;
        channel k = channel_of(btc, gamma[c], beta[c]);
        int side = code[plane_at(btc, s, n, y, x, c)] >> c % 8 & 1;
        unsigned levels = code[level_at(btc, s, n, y, x, c)];
        unsigned level = side == SET ? levels >> 4 : levels & 15;
        float found = fmaf((float)level, k.step[side], fmaf(k.step[side], 0.5f, k.threshold));
        bool pass = k.follows ? side == SET : beta[c] > 0;
        if (xhat) xhat[i] = found;
        if (mask) mask[i] = pass;
        if (value) value[i] = pass || !btc->relu ? fmaf(gamma[c], found, beta[c]) : 0;
    }
}
