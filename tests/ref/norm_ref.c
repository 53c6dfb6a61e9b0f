#include "ref/norm_ref.h"

#include <math.h>
#include <stdlib.h>

#include "ref/packed_ref.h"

float ref_norm_clip(unsigned bits) {
    static const float clips[] = {
        [1] = 1.596f, [2] = 1.99f, [3] = 2.34f, [4] = 2.69f, [5] = 3.01f, [6] = 3.33f, [8] = 3.84f};
    return bits < sizeof clips / sizeof *clips ? clips[bits] : 0;
}

enum { MOST_BOUNDARIES = 8, MOST_TERMS = 5 };

/* Lloyd and Max's quantiser of N(0,1): its boundaries from 0 on, the middle between each and the
 * one before, and the levels' polynomial in odd powers. */
typedef struct lloyd_max {
    float boundaries[MOST_BOUNDARIES], middles[MOST_BOUNDARIES];
    size_t term_count;
    float terms[MOST_TERMS];
} lloyd_max;

static const lloyd_max lloyd_maxs[] = {
    [2] = {{0, 0.981598822f}, {0, 0.490799411f}, 2, {0.892886944f, 0.0506925015f}},
    [3] = {{0, 0.50054973f, 1.04995728f, 1.74792749f},
           {0, 0.250274865f, 0.775253505f, 1.39894239f},
           4,
           {0.488541298f, 6.56221876e-3f, 9.98714581e-5f, 1.68235703e-5f}},
    [4] = {{0, 0.258221665f, 0.522403709f, 0.799549788f, 1.09928583f, 1.43713879f, 1.84353181f,
            2.4008034f},
           {0, 0.129110832f, 0.390312687f, 0.660976748f, 0.949417807f, 1.26821231f, 1.6403353f,
            2.1221676f},
           5,
           {0.256836225f, 8.19141792e-4f, 1.97527290e-5f, -4.27451629e-7f, 7.49166136e-9f}}};

static float levels(const ref_norm *norm) {
    return (float)(1 << norm->bits);
}
static float step_of(const ref_norm *norm) {
    return 2 * norm->clip / levels(norm);
}
static float clamp(float value, float low, float high) {
    return fminf(fmaxf(value, low), high);
}

/* The boundary nearest to t, and o. */
static void place_lloyd(const ref_norm *norm, float t, ref_norm_channel *channel) {
    const lloyd_max *q = &lloyd_maxs[norm->bits];
    int half = 1 << (norm->bits - 1), i = 0;
    while (i + 1 < half && fabsf(t) >= q->middles[i + 1]) i++;
    channel->boundary = t < 0 ? half - i : half + i;
    channel->origin = t < 0 ? t + q->boundaries[i] : t - q->boundaries[i];
}

static void place(const ref_norm *norm, float t, ref_norm_channel *channel) {
    float n = levels(norm), step = step_of(norm), inverse_step = 1 / step;
    if ((norm->lloyd || norm->bits < 4) && !(fabsf(t) <= REF_NORM_REACH)) {
        channel->boundary = t > 0 ? (int)n : 0;
        return;
    }
    if (norm->lloyd) {
        place_lloyd(norm, t, channel);
        return;
    }
    float j = rintf(t * inverse_step) + n / 2, s = clamp(j, 0, n);
    if (norm->bits < 4) s = clamp(j, 1, n - 1);
    if (norm->bits < 4 || s == j) channel->origin = fmaf(-step, s - n / 2, t);
    channel->boundary = (int)s;
}

ref_norm_channel ref_norm_channel_of(const ref_norm *norm, float gamma, float beta) {
    ref_norm_channel channel = {.gamma = gamma, .beta = beta};
    if (!norm->relu) return channel;
    channel.inverted = gamma < 0;
    if (gamma == 0)
        channel.boundary = beta > 0 ? 0 : 1 << norm->bits;
    else
        place(norm, -beta / gamma, &channel);
    return channel;
}

static int level_of(const ref_norm *norm, float from) {
    float n = levels(norm);
    if (!norm->lloyd) return (int)clamp(floorf(from * (1 / step_of(norm))) + n / 2, 0, n - 1);
    const lloyd_max *q = &lloyd_maxs[norm->bits];
    int half = 1 << (norm->bits - 1), m = 0;
    while (m + 1 < half && fabsf(from) >= q->boundaries[m + 1]) m++;
    return from < 0 ? half - 1 - m : half + m;
}

unsigned ref_norm_quantise(const ref_norm *norm, const ref_norm_channel *channel, float xhat) {
    int q = level_of(norm, xhat - channel->origin), n = 1 << norm->bits;
    int s = channel->boundary;
    if (norm->relu && s >= 1 && s < n) {
        bool on = fmaf(channel->gamma, xhat, channel->beta) > 0, above = on != channel->inverted;
        if (above && q < s) q = s;
        if (!above && q >= s) q = s - 1;
    }
    return (unsigned)q;
}

static float reconstruct(const ref_norm *norm, const ref_norm_channel *channel, unsigned q) {
    float u = (float)q - (levels(norm) / 2 - 0.5f), o = channel->origin;
    if (norm->bits == 1) {
        float v = o * o, centre = o * fmaf(v, -0.0102126f, 0.623752f);
        return fmaf(u, fmaf(fmaf(v, -0.0037775f, 0.222777f), v, step_of(norm)), centre);
    }
    if (!norm->lloyd) return fmaf(u, step_of(norm), o);
    const lloyd_max *table = &lloyd_maxs[norm->bits];
    size_t i = table->term_count - 1;
    float slope = table->terms[i];
    while (i-- > 0) slope = fmaf(slope, u * u, table->terms[i]);
    return fmaf(u, slope, o);
}

static bool passes(const ref_norm_channel *channel, unsigned q) {
    return ((int)q >= channel->boundary) != channel->inverted;
}

size_t ref_norm_bytes(const ref_norm *norm, size_t pixels, size_t channels) {
    return ref_packed_bytes(norm->bits, pixels, channels);
}

void ref_norm_encode(const ref_norm *norm, size_t pixels, size_t channels, const float *xhat,
                     const float *gamma, const float *beta, uint8_t *code) {
    uint8_t *q = malloc(pixels * channels);
    for (size_t c = 0; c < channels; c++) {
        ref_norm_channel channel = ref_norm_channel_of(norm, gamma[c], beta[c]);
        for (size_t i = c; i < pixels * channels; i += channels)
            q[i] = (uint8_t)ref_norm_quantise(norm, &channel, xhat[i]);
    }
    ref_packed_write(norm->bits, pixels, channels, q, code);
    free(q);
}

/* Fills in whichever of xhat, mask and value is not NULL. */
static void decode(const ref_norm *norm, size_t pixels, size_t channels, const uint8_t *code,
                   const float *gamma, const float *beta, float *xhat, uint8_t *mask,
                   float *value) {
    uint8_t *q = malloc(pixels * channels);
    ref_packed_read(norm->bits, pixels, channels, code, q);
    for (size_t c = 0; c < channels; c++) {
        ref_norm_channel channel = ref_norm_channel_of(norm, gamma[c], beta[c]);
        for (size_t i = c; i < pixels * channels; i += channels) {
            float approximate = reconstruct(norm, &channel, q[i]);
            bool pass = !norm->relu || passes(&channel, q[i]);
            if (xhat) xhat[i] = approximate;
            if (mask) mask[i] = pass;
            if (value) value[i] = pass ? fmaf(gamma[c], approximate, beta[c]) : 0;
        }
    }
    free(q);
}

void ref_norm_decode_xhat(const ref_norm *norm, size_t pixels, size_t channels, const uint8_t *code,
                          const float *gamma, const float *beta, float *xhat) {
    decode(norm, pixels, channels, code, gamma, beta, xhat, NULL, NULL);
}

void ref_norm_decode_mask(const ref_norm *norm, size_t pixels, size_t channels, const uint8_t *code,
                          const float *gamma, const float *beta, uint8_t *mask) {
    decode(norm, pixels, channels, code, gamma, beta, NULL, mask, NULL);
}

void ref_norm_decode_value(const ref_norm *norm, size_t pixels, size_t channels,
                           const uint8_t *code, const float *gamma, const float *beta,
                           float *value) {
    decode(norm, pixels, channels, code, gamma, beta, NULL, NULL, value);
}
