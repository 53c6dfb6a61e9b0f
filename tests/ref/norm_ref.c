#include "ref/norm_ref.h"

#include <math.h>
#include <stdlib.h>

#include "ref/packed_ref.h"

float ref_norm_clip(unsigned bits) {
    static const float clips[] = {
        [2] = 1.99f, [3] = 2.34f, [4] = 2.69f, [5] = 3.01f, [6] = 3.33f, [8] = 3.84f};
    return bits < sizeof clips / sizeof *clips ? clips[bits] : 0;
}

static float levels(const ref_norm *norm) {
    return (float)(1 << norm->bits);
}
static float step_of(const ref_norm *norm) {
    return 2 * norm->clip / levels(norm);
}
static float clamp(float value, float low, float high) {
    return fminf(fmaxf(value, low), high);
}

ref_norm_channel ref_norm_channel_of(const ref_norm *norm, float gamma, float beta) {
    float n = levels(norm), step = step_of(norm), inverse_step = 1 / step;
    ref_norm_channel channel = {.gamma = gamma, .beta = beta};
    if (!norm->relu) return channel;
    channel.inverted = gamma < 0;
    if (gamma == 0) {
        channel.boundary = beta > 0 ? 0 : (int)n;
        return channel;
    }
    float t = -beta / gamma;
    float j = rintf(t * inverse_step) + n / 2;
    if (j >= 0 && j <= n) channel.origin = fmaf(-step, j - n / 2, t);
    channel.boundary = (int)clamp(j, 0, n);
    return channel;
}

unsigned ref_norm_quantise(const ref_norm *norm, const ref_norm_channel *channel, float xhat) {
    float n = levels(norm), inverse_step = 1 / step_of(norm);
    int q = (int)clamp(floorf((xhat - channel->origin) * inverse_step) + n / 2, 0, n - 1);
    int s = channel->boundary;
    if (norm->relu && s >= 1 && s < (int)n) {
        bool on = fmaf(channel->gamma, xhat, channel->beta) > 0, above = on != channel->inverted;
        if (above && q < s) q = s;
        if (!above && q >= s) q = s - 1;
    }
    return (unsigned)q;
}

static float reconstruct(const ref_norm *norm, const ref_norm_channel *channel, unsigned q) {
    return fmaf((float)q - (levels(norm) / 2 - 0.5f), step_of(norm), channel->origin);
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
