/* The reference codecs against the figures of METHODS E: quantiser error (row 12), mask exactness
 * (row 11), the exact terms of a lossy batch-norm backward (row 13), the pooled-domain weight
 * gradient (row 14); and the packed layout byte by byte. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/argmax_ref.h"
#include "ref/blockmean_ref.h"
#include "ref/batchnorm_ref.h"
#include "ref/bfloat_ref.h"
#include "ref/half_ref.h"
#include "ref/norm_ref.h"
#include "ref/packed_ref.h"
#include "ref/signmask_ref.h"
#include "support/support.h"

enum { SAMPLES = 1 << 20 };

/* Row 12, the table of METHODS A.9, and the roots of Lloyd and Max's mean squares, 0.1175, 0.03454
 * and 0.009497 (D.2). */
static const struct {
    unsigned bits;
    float clip;
    double rmse, cosine;
    bool lloyd;
} figures[] = {
    {8, 3, 0.0217, 0.99977, false},       {4, 3, 0.1117, 0.99378, false},
    {8, 3.84f, 0.0094, 0.99996, false},   {6, 3.33f, 0.0322, 0.9995, false},
    {5, 3.01f, 0.0591, 0.9983, false},    {4, 2.69f, 0.1074, 0.99421, false},
    {3, 2.34f, 0.1935, 0.9811, false},    {2, 1.99f, 0.3447, 0.93870, false},
    {1, 1.596f, 0.6028, 0.7979, false},   {2, 1.99f, 0.342783, 0.939415, true},
    {3, 2.34f, 0.185849, 0.982578, true}, {4, 2.69f, 0.097453, 0.995240, true},
};
enum { FIGURE_COUNT = sizeof figures / sizeof *figures };

/* N(0,1) by integration rather than by drawing: at 8 bits half of what a million draws vary by is
 * the error beyond the clip, which some hundred of them make. The printed figures are good to 0.3 %
 * and 6e-5. */
START_TEST(quantiser_error) {
    ref_norm norm = {
        .bits = figures[_i].bits, .clip = figures[_i].clip, .lloyd = figures[_i].lloyd};
    float gamma = 1, beta = 0, *x = malloc(SAMPLES * sizeof *x),
          *decoded = malloc(SAMPLES * sizeof *x);
    uint8_t *code = malloc(ref_norm_bytes(&norm, SAMPLES, 1));
    for (size_t i = 0; i < SAMPLES; i++) x[i] = ((float)i + 0.5f) * (16.0f / SAMPLES) - 8;
    ref_norm_encode(&norm, SAMPLES, 1, x, &gamma, &beta, code);
    ref_norm_decode_xhat(&norm, SAMPLES, 1, code, &gamma, &beta, decoded);
    double total = 0, squares = 0, xx = 0, dd = 0, xd = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        double a = x[i], b = decoded[i], weight = exp(-a * a / 2);
        total += weight;
        squares += weight * (a - b) * (a - b);
        xx += weight * a * a, dd += weight * b * b, xd += weight * a * b;
    }
    double rmse = sqrt(squares / total), cosine = xd / sqrt(xx * dd);
    ck_assert_msg(fabs(rmse / figures[_i].rmse - 1) <= 0.003,
                  "%u bits, clip %g: rmse %.6f, not %.4f", norm.bits, (double)norm.clip, rmse,
                  figures[_i].rmse);
    ck_assert_msg(fabs(cosine - figures[_i].cosine) <= 6e-5,
                  "%u bits, clip %g: cosine %.6f, not %.5f", norm.bits, (double)norm.clip, cosine,
                  figures[_i].cosine);
    free(x);
    free(code);
    free(decoded);
}
END_TEST

START_TEST(tuned_clips) {
    for (size_t i = 2; i < FIGURE_COUNT; i++)
        ck_assert(ref_norm_clip(figures[i].bits) == figures[i].clip);
    ck_assert(ref_norm_clip(0) == 0 && ref_norm_clip(7) == 0 && ref_norm_clip(9) == 0);
}
END_TEST

/* What forward computes, in one rounding. */
static bool forward_passes(float gamma, float xhat, float beta) {
    return fmaf(gamma, xhat, beta) > 0;
}

typedef struct mask_errors {
    size_t wrong; /* masks that differ from forward's */
    size_t bad;   /* levels whose value is not positive (mask set) or not 0 (mask clear) */
    double rmse;
} mask_errors;

/* A channel has only 2^K codes, so each is decoded once and the samples look theirs up. */
static mask_errors count_mask_errors(const ref_norm *norm, const float *x, float gamma,
                                     float beta) {
    enum { MOST = 256 };
    size_t levels = (size_t)1 << norm->bits;
    uint8_t q[MOST], code[MOST * 8], mask[MOST];
    float xhat[MOST], value[MOST];
    for (size_t i = 0; i < levels; i++) q[i] = (uint8_t)i;
    ref_packed_write(norm->bits, levels, 1, q, code);
    ref_norm_decode_mask(norm, levels, 1, code, &gamma, &beta, mask);
    ref_norm_decode_xhat(norm, levels, 1, code, &gamma, &beta, xhat);
    ref_norm_decode_value(norm, levels, 1, code, &gamma, &beta, value);

    mask_errors errors = {0};
    ref_norm_channel channel = ref_norm_channel_of(norm, gamma, beta);
    double squares = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        unsigned level = ref_norm_quantise(norm, &channel, x[i]);
        errors.wrong += mask[level] != forward_passes(gamma, x[i], beta);
        squares += ((double)x[i] - xhat[level]) * ((double)x[i] - xhat[level]);
    }
    /* The floats next to the threshold, where the quotient's rounding matters. */
    float near = -beta / gamma;
    for (int i = 0; i < 20; i++) near = nextafterf(near, -INFINITY);
    for (int i = 0; i < 40 && channel.boundary >= 1 && channel.boundary < (int)levels; i++) {
        near = nextafterf(near, INFINITY);
        unsigned level = ref_norm_quantise(norm, &channel, near);
        errors.wrong += mask[level] != forward_passes(gamma, near, beta);
    }
    for (size_t i = 0; i < levels; i++) errors.bad += mask[i] ? !(value[i] > 0) : value[i] != 0;
    errors.rmse = sqrt(squares / SAMPLES);
    return errors;
}

/* Where no mask is wrong, and how far x-hat is off for any threshold. */
static const struct {
    ref_norm norm;
    float reach;
    double rmse;
} windows[] = {
    {{4, 3, true, false}, 2.6f, 0.115},      {{8, 3, true, false}, 2.6f, 0.023},
    {{1, 1.596f, true, false}, 2.69f, 0.99}, {{2, 1.99f, true, false}, 2.69f, 0.86},
    {{3, 2.34f, true, false}, 2.69f, 0.293}, {{5, 3.01f, true, false}, 2.9f, 0.061},
    {{6, 3.33f, true, false}, 3.2f, 0.034},  {{2, 0, true, true}, 2.69f, 0.86},
    {{3, 0, true, true}, 2.69f, 0.279},      {{4, 0, true, true}, 2.69f, 0.103},
};
enum { WINDOWS = sizeof windows / sizeof *windows };

/* Row 11, for gamma of either sign: no wrong mask for |b| within the reach, where b = beta /
 * |gamma|, and at most 0.4 % elsewhere. */
START_TEST(mask_is_exact) {
    static const float gammas[] = {1, 0.37f, -0.81f};
    const ref_norm *norm = &windows[_i].norm;
    float *x = malloc(SAMPLES * sizeof *x);
    test_fill_normal(x, SAMPLES);
    for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g++)
        for (float b = -6; b <= 6; b += 0.4f) {
            float beta = b * fabsf(gammas[g]);
            mask_errors errors = count_mask_errors(norm, x, gammas[g], beta);
            double limit = fabsf(b) <= windows[_i].reach ? 0 : 0.004 * SAMPLES;
            ck_assert_msg((double)errors.wrong <= limit,
                          "%u bits, gamma %g, beta %g: %zu of %d masks are wrong", norm->bits,
                          (double)gammas[g], (double)beta, errors.wrong, SAMPLES);
            ck_assert_msg(errors.bad == 0, "%u bits, gamma %g, beta %g: %zu values contradict",
                          norm->bits, (double)gammas[g], (double)beta, errors.bad);
            ck_assert_msg(errors.rmse <= windows[_i].rmse, "%u bits, gamma %g, beta %g: rmse %.4f",
                          norm->bits, (double)gammas[g], (double)beta, errors.rmse);
        }
    free(x);
}
END_TEST

/* Channels whose threshold lies outside: one mask for all, whatever gamma's size. */
START_TEST(mask_of_constant_channels) {
    static const struct {
        float gamma, beta;
        bool passes;
    } channels[] = {
        {0, 1, true},
        {0, -1, false},
        {0, 0, false},
        {0x1p-140f, 1, true},
        {-0x1p-140f, -1, false},
        {0x1p-100f, 1, true},
        {-0x1p-100f, 1, true},
        {0x1p-100f, -1, false},
        {-0x1p-100f, -1, false},
        {0x1p-120f, 1e10f, true},
        {-0x1p-120f, -1e10f, false},
        {-1, 9, true},
        {-1, -9, false},
    };
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
            ref_norm norm = {.bits = bits, .clip = 3, .relu = true};
            ref_norm_channel channel =
                ref_norm_channel_of(&norm, channels[i].gamma, channels[i].beta);
            ck_assert(channel.origin == 0);
            ck_assert_int_eq(channel.boundary,
                             channels[i].passes != channel.inverted ? 0 : 1 << bits);
        }
}
END_TEST

/* METHODS A.4: sigma * (dx_approximate - dx_exact) = -(e * c + xhat~ * mean(dA1 * e)), with dA1 =
 * gamma * dy, e = xhat~ - xhat and c = mean(dA1 * xhat). dbeta does not see the error at all. */
START_TEST(lossy_backward_closed_form) {
    enum { PIXELS = 211, CHANNELS = 3, COUNT = PIXELS * CHANNELS };
    static const float gamma[CHANNELS] = {1.25f, -0.5f, 0.75f}, beta[CHANNELS] = {0.25f, 0.5f, -1};
    double wide[CHANNELS], inverse_deviation[CHANNELS], mean[CHANNELS], x[COUNT], dy[COUNT];
    double xhat[COUNT], approximate[COUNT], exact_dx[COUNT], dx[COUNT], dgamma[CHANNELS];
    double exact_dbeta[CHANNELS], dbeta[CHANNELS];
    float narrow[COUNT];
    uint8_t code[PIXELS * 8];
    ref_norm norm = {.bits = 3, .clip = ref_norm_clip(3), .relu = true};
    for (size_t i = 0; i < COUNT; i++)
        x[i] = 3 * test_random_normal(), dy[i] = test_random_normal();
    for (size_t c = 0; c < CHANNELS; c++) wide[c] = gamma[c];
    ref_batchnorm_statistics(PIXELS, CHANNELS, x, 1e-5, mean, inverse_deviation, 0, NULL, NULL);
    ref_batchnorm_normalise(PIXELS, CHANNELS, x, mean, inverse_deviation, xhat);
    for (size_t i = 0; i < COUNT; i++) narrow[i] = (float)xhat[i];
    ref_norm_encode(&norm, PIXELS, CHANNELS, narrow, gamma, beta, code);
    ref_norm_decode_xhat(&norm, PIXELS, CHANNELS, code, gamma, beta, narrow);
    for (size_t i = 0; i < COUNT; i++) approximate[i] = narrow[i];
    ref_batchnorm_backward(PIXELS, CHANNELS, dy, xhat, wide, inverse_deviation, exact_dx, dgamma,
                           exact_dbeta);
    ref_batchnorm_backward(PIXELS, CHANNELS, dy, approximate, wide, inverse_deviation, dx, dgamma,
                           dbeta);
    for (size_t c = 0; c < CHANNELS; c++) {
        double correlation = 0, leak = 0;
        for (size_t i = c; i < COUNT; i += CHANNELS) {
            correlation += wide[c] * dy[i] * xhat[i] / PIXELS;
            leak += wide[c] * dy[i] * (approximate[i] - xhat[i]) / PIXELS;
        }
        for (size_t i = c; i < COUNT; i += CHANNELS) {
            double error = approximate[i] - xhat[i];
            double found = (dx[i] - exact_dx[i]) / inverse_deviation[c];
            ck_assert_double_le(fabs(found + error * correlation + approximate[i] * leak), 1e-12);
        }
        ck_assert(dbeta[c] == exact_dbeta[c]);
    }
}
END_TEST

/* Row 14, over strides, padding, dilation, groups and sizes that the block side does not divide. */
static const struct {
    ref_conv2d conv;
    size_t side;
} pooled[] = {
    {{{2, 7, 9, 4}, 6, 1, {3, 3, 1, 1, 1, 1, 1, 1}}, 2},
    {{{2, 7, 9, 4}, 6, 1, {3, 3, 1, 1, 1, 1, 1, 1}}, 4},
    {{{1, 9, 8, 3}, 5, 1, {3, 3, 2, 2, 1, 1, 1, 1}}, 2},
    {{{2, 5, 7, 5}, 3, 1, {1, 1, 1, 1, 0, 0, 1, 1}}, 3},
    {{{1, 6, 7, 4}, 8, 4, {3, 2, 1, 2, 1, 0, 2, 1}}, 2},
    {{{1, 13, 11, 3}, 2, 1, {7, 7, 2, 2, 3, 3, 1, 1}}, 4},
    {{{2, 3, 3, 2}, 2, 1, {3, 3, 1, 1, 1, 1, 1, 1}}, 8},
};
enum { POOLED_COUNT = sizeof pooled / sizeof *pooled };

static double *doubles(size_t count) {
    double *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = test_random_normal();
    return values;
}

START_TEST(pooled_weight_gradient) {
    const ref_conv2d *conv = &pooled[_i].conv;
    ref_shape blocks = ref_blockmean_shape(conv->input, pooled[_i].side);
    size_t weights = ref_conv2d_weight_elems(conv), values = ref_elems(conv->input);
    double *x = doubles(values), *dy = doubles(ref_elems(ref_conv2d_output(conv)));
    double *means = doubles(ref_elems(blocks)), *expanded = doubles(values);
    double *dw = doubles(weights), *expected = doubles(weights);
    ref_blockmean_encode(conv->input, pooled[_i].side, x, means);
    ref_blockmean_backward_weight(conv, pooled[_i].side, means, dy, dw);
    ref_blockmean_decode(conv->input, pooled[_i].side, means, expanded);
    ref_conv2d_backward_weight(conv, expanded, dy, expected);
    for (size_t i = 0; i < weights; i++)
        ck_assert_double_le(fabs(dw[i] - expected[i]), 1e-12 * (1 + fabs(expected[i])));
    /* Block means and their expansion are an orthogonal projection: <x~, x> = |x~|^2. */
    double product = 0, square = 0;
    for (size_t i = 0; i < values; i++)
        product += expanded[i] * x[i], square += expanded[i] * expanded[i];
    ck_assert_double_le(fabs(product - square), 1e-12 * (1 + square));
    free(x), free(dy), free(means), free(expanded), free(dw), free(expected);
}
END_TEST

/* 3 x 3 pixels, side 2: means of four, two, two and one pixels, computed by hand. */
START_TEST(pooled_means_by_hand) {
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, expected[] = {3, 4.5, 7.5, 9};
    ref_shape shape = {1, 3, 3, 1};
    double means[4];
    ref_blockmean_encode(shape, 2, x, means);
    for (size_t i = 0; i < 4; i++) ck_assert(means[i] == expected[i]);
    ck_assert_uint_eq(ref_blockmean_bytes(shape, 2), 16);
    ck_assert_uint_eq(ref_blockmean_bytes((ref_shape){5, 8, 9, 3}, 4), 5 * 2 * 3 * 3 * 4);
}
END_TEST

/* Two pixels of nine channels: two octets each, the second with one channel. Bytes written out by
 * hand. */
START_TEST(packed_layout) {
    const uint8_t elements[18] = {1, 2, 3, 0, 1, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3};
    const uint8_t two_bits[8] = {0x39, 0xc1, 0x02, 0, 0, 0, 0x03, 0};
    const uint8_t four_bits[16] = {0x21, 0x03, 0x01, 0x30, 0x02, 0, 0, 0,
                                   0,    0,    0,    0,    0x03, 0, 0, 0};
    /* Three bits: 001 010 011 000 001 000 000 011, the first channel lowest. */
    const uint8_t three_bits[12] = {0xd1, 0x10, 0x60, 0x02, 0, 0, 0, 0, 0, 0x03, 0, 0};
    uint8_t code[32], read[18];
    ck_assert_uint_eq(ref_packed_bytes(2, 2, 9), sizeof two_bits);
    ref_packed_write(2, 2, 9, elements, code);
    ck_assert_mem_eq(code, two_bits, sizeof two_bits);
    ck_assert_uint_eq(ref_packed_bytes(4, 2, 9), sizeof four_bits);
    ref_packed_write(4, 2, 9, elements, code);
    ck_assert_mem_eq(code, four_bits, sizeof four_bits);
    ck_assert_uint_eq(ref_packed_bytes(3, 2, 9), sizeof three_bits);
    ref_packed_write(3, 2, 9, elements, code);
    ck_assert_mem_eq(code, three_bits, sizeof three_bits);
    ref_packed_read(3, 2, 9, code, read);
    ck_assert_mem_eq(read, elements, sizeof elements);
}
END_TEST

/* Writing touches exactly the stored bytes, and reading gives back what was written, for every
 * width. */
START_TEST(packed_round_trip) {
    unsigned bits = (unsigned)_i;
    for (size_t channels = 1; channels <= 17; channels++) {
        enum { PIXELS = 5, MOST = PIXELS * 17 };
        uint8_t elements[MOST], read[MOST], code[PIXELS * 3 * 8 + 1];
        size_t count = PIXELS * channels, bytes = ref_packed_bytes(bits, PIXELS, channels);
        for (size_t i = 0; i < count; i++) elements[i] = (uint8_t)test_random_below(1u << bits);
        memset(code, 0xa5, sizeof code);
        ref_packed_write(bits, PIXELS, channels, elements, code);
        for (size_t i = bytes; i < sizeof code; i++) ck_assert_uint_eq(code[i], 0xa5);
        ref_packed_read(bits, PIXELS, channels, code, read);
        ck_assert_mem_eq(read, elements, count);
    }
}
END_TEST

START_TEST(signmask_and_argmax) {
    const float values[] = {1, -1, 0, -0.0f, 0x1p-149f, -0x1p-149f, INFINITY, 3, 2};
    uint8_t code[8], mask[9];
    ck_assert_uint_eq(ref_signmask_bytes(1, 9), 2);
    ref_signmask_encode(1, 9, values, code);
    ck_assert_uint_eq(code[0], 0xd1);
    ck_assert_uint_eq(code[1], 0x01);
    ref_signmask_decode(1, 9, code, mask);
    for (size_t i = 0; i < 9; i++) ck_assert_int_eq(mask[i], values[i] > 0);

    const struct {
        size_t h, w;
        unsigned bits;
    } sides[] = {{1, 1, 1}, {1, 2, 1}, {2, 2, 2},   {1, 5, 4},  {3, 3, 4},
                 {4, 4, 4}, {5, 5, 8}, {16, 16, 8}, {16, 17, 0}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        ck_assert_uint_eq(ref_argmax_bits(sides[i].h, sides[i].w), sides[i].bits);
    const uint8_t index[] = {8, 0, 3}, expected[] = {0x08, 0x03, 0, 0};
    ck_assert_uint_eq(ref_argmax_bytes(4, 1, 3), 4);
    ref_argmax_encode(4, 1, 3, index, code);
    ck_assert_mem_eq(code, expected, sizeof expected);
    ref_argmax_decode(4, 1, 3, code, mask);
    ck_assert_mem_eq(mask, index, sizeof index);
}
END_TEST

/* Every half survives float and back; clamping and the smallest positive value as the header
 * promises. */
START_TEST(half_limits) {
    for (unsigned half = 0; half < 0x10000; half++) {
        if ((half & 0x7c00) == 0x7c00) continue; /* infinities and NaNs */
        ck_assert_uint_eq(ref_half_from_float(ref_half_to_float((uint16_t)half)), half);
    }
    ck_assert_uint_eq(ref_half_from_float(65505), 0x7bff);
    ck_assert_uint_eq(ref_half_from_float(1e30f), 0x7bff);
    ck_assert_uint_eq(ref_half_from_float(-INFINITY), 0xfbff);
    ck_assert_uint_eq(ref_half_from_float(0x1p-25f), 1);
    ck_assert_uint_eq(ref_half_from_float(0x1p-149f), 1);
    ck_assert_uint_eq(ref_half_from_float(0), 0);
    ck_assert_uint_eq(ref_half_from_float(-0x1p-25f), 0x8000);
    ck_assert(isnan(ref_half_to_float(ref_half_from_float(NAN))));
    const float values[] = {1, -2, 0x1p-30f, 0};
    const uint8_t expected[] = {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x00};
    uint8_t code[8], mask[4];
    ck_assert_uint_eq(ref_half_bytes(4), 8);
    ref_half_encode(4, values, code);
    ck_assert_mem_eq(code, expected, sizeof expected);
    ref_half_decode_mask(4, code, mask);
    for (size_t i = 0; i < 4; i++) ck_assert_int_eq(mask[i], values[i] > 0);
}
END_TEST

/* The same of the upper half of a float32. */
START_TEST(bfloat_limits) {
    for (unsigned bfloat = 0; bfloat < 0x10000; bfloat++) {
        if ((bfloat & 0x7f80) == 0x7f80) continue; /* infinities and NaNs */
        const float value = ref_bfloat_to_float((uint16_t)bfloat);
        const uint32_t bits = (uint32_t)bfloat << 16;
        ck_assert_mem_eq(&value, &bits, sizeof bits);
        ck_assert_uint_eq(ref_bfloat_from_float(value), bfloat);
    }
    ck_assert_uint_eq(ref_bfloat_from_float(INFINITY), 0x7f7f);
    ck_assert_uint_eq(ref_bfloat_from_float(-INFINITY), 0xff7f);
    ck_assert_uint_eq(ref_bfloat_from_float(1), 0x3f80);
    ck_assert_uint_eq(ref_bfloat_from_float(0x1.01p0f), 0x3f80); /* ties to even: down, ... */
    ck_assert_uint_eq(ref_bfloat_from_float(0x1.03p0f), 0x3f82); /* ... and up */
    ck_assert_uint_eq(ref_bfloat_from_float(0x1.010002p0f), 0x3f81);
    ck_assert_uint_eq(ref_bfloat_from_float(0x1.fffp0f), 0x4000);
    ck_assert_uint_eq(ref_bfloat_from_float(0x1p-149f), 1);
    ck_assert_uint_eq(ref_bfloat_from_float(-0x1p-149f), 0x8000);
    ck_assert(isnan(ref_bfloat_to_float(ref_bfloat_from_float(NAN))));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec references");
    TCase *tcase = tcase_create("figures and layouts");
    tcase_add_loop_test(tcase, quantiser_error, 0, FIGURE_COUNT);
    tcase_add_test(tcase, tuned_clips);
    tcase_add_loop_test(tcase, mask_is_exact, 0, WINDOWS);
    tcase_add_test(tcase, mask_of_constant_channels);
    tcase_add_test(tcase, lossy_backward_closed_form);
    tcase_add_loop_test(tcase, pooled_weight_gradient, 0, POOLED_COUNT);
    tcase_add_test(tcase, pooled_means_by_hand);
    tcase_add_test(tcase, packed_layout);
    tcase_add_loop_test(tcase, packed_round_trip, 1, 9);
    tcase_add_test(tcase, signmask_and_argmax);
    tcase_add_test(tcase, half_limits);
    tcase_add_test(tcase, bfloat_limits);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
