/* norm on the device against its reference: codes, decoded activations and masks, through
 * batchnorm_relu's kernels, with the gammas and betas of pretrained networks (METHODS A.10); and
 * METHODS E rows 11 and 12 measured on what the device wrote. */
#include <math.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "op/batchnorm.h"
#include "ref/norm_ref.h"
#include "ref/packed_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const pp_batchnorm_params params = {.epsilon = 1e-5f, .momentum = 0.1f};

/* One run of a batch-norm in float32 on the host's side. */
typedef struct run {
    op_harness h;
    size_t pixels, channels, count;
    float *gamma, *beta, *xhat, *y;
    uint8_t *code; /* what the device wrote */
    size_t code_bytes;
} run;

static float *floats(op_harness *h, size_t count) {
    return op_harness_bytes(h, count * sizeof(float));
}

/* x-hat with the kernel's own operations, so that it has the kernel's bits. */
static void compute_xhat(run *r, const double *x) {
    float *statistics = floats(&r->h, 2 * r->channels);
    op_harness_read(&r->h, r->h.b.auxiliary[PP__BATCHNORM_STATISTICS], statistics,
                    2 * r->channels * sizeof(float));
    for (size_t i = 0; i < r->count; i++) {
        float difference = (float)x[i] - statistics[i % r->channels];
        r->xhat[i] = difference * statistics[r->channels + i % r->channels];
    }
}

/* The first pixel of the first `poisoned` channels is a NaN, which makes all of their x-hat NaN. */
static void forward(run *r, const char *coding, pp__shape shape, bool relu, const float *gamma,
                    const float *beta, size_t poisoned) {
    op_case c = {.op = relu ? &pp__op_batchnorm_relu : &pp__op_batchnorm,
                 .params = &params,
                 .inputs = {shape}};
    c.codings[PP__BATCHNORM_XHAT] = coding;
    op_harness_create(&r->h, &c);
    r->channels = shape.c;
    r->pixels = pp__shape_pixels(shape);
    r->count = r->pixels * r->channels;
    r->gamma = floats(&r->h, r->channels), r->beta = floats(&r->h, r->channels);
    r->xhat = floats(&r->h, r->count), r->y = floats(&r->h, r->count);
    double *wide = op_harness_room(&r->h, r->channels);
    for (size_t i = 0; i < r->channels; i++) wide[i] = r->gamma[i] = gamma[i];
    op_harness_write(&r->h, r->h.b.parameters[0], wide, r->channels);
    for (size_t i = 0; i < r->channels; i++) wide[i] = r->beta[i] = beta[i];
    op_harness_write(&r->h, r->h.b.parameters[1], wide, r->channels);
    op_harness_random(&r->h, r->h.b.parameters[2], r->channels);
    op_harness_random(&r->h, r->h.b.parameters[3], r->channels);
    double *x = op_harness_random(&r->h, r->h.b.inputs[0], r->count);
    for (size_t i = 0; i < poisoned; i++) x[i] = (double)NAN;
    if (poisoned) op_harness_write(&r->h, r->h.b.inputs[0], x, r->count);
    op_harness_forward(&r->h);
    compute_xhat(r, x);
    op_harness_read(&r->h, r->h.b.output, r->y, r->count * sizeof(float));
    r->code_bytes = pp__coding_bytes(&r->h.stored[PP__BATCHNORM_XHAT].coding, shape);
    r->code = op_harness_bytes(&r->h, r->code_bytes);
    op_harness_read(&r->h, r->h.stored[PP__BATCHNORM_XHAT].code, r->code, r->code_bytes);
}

/* Codes equal to the bit; the decoded activation equal to the bit. op_harness_destroy finds writes
 * beyond the slot. */
static void check(const char *coding, const ref_norm *norm, pp__shape shape, const float *gamma,
                  const float *beta, size_t poisoned) {
    run r;
    forward(&r, coding, shape, norm->relu, gamma, beta, poisoned);
    ck_assert_uint_eq(r.code_bytes, ref_norm_bytes(norm, r.pixels, r.channels));
    uint8_t *expected = op_harness_bytes(&r.h, r.code_bytes);
    uint8_t *expected_q = op_harness_bytes(&r.h, r.count),
            *found_q = op_harness_bytes(&r.h, r.count);
    ref_norm_encode(norm, r.pixels, r.channels, r.xhat, r.gamma, r.beta, expected);
    ref_packed_read(norm->bits, r.pixels, r.channels, expected, expected_q);
    ref_packed_read(norm->bits, r.pixels, r.channels, r.code, found_q);
    for (size_t i = 0; i < r.count; i++)
        ck_assert_msg(found_q[i] == expected_q[i],
                      "%s: element %zu of channel %zu (gamma %g, beta %g, x-hat %.9g): %u, not %u",
                      coding, i, i % r.channels, (double)r.gamma[i % r.channels],
                      (double)r.beta[i % r.channels], (double)r.xhat[i], found_q[i], expected_q[i]);

    float *value = floats(&r.h, r.count), *decoded = floats(&r.h, r.count);
    ref_norm_decode_value(norm, r.pixels, r.channels, r.code, r.gamma, r.beta, value);
    pp__ref memory = op_harness_tensor(&r.h, r.count * sizeof(float));
    op_harness_begin(&r.h);
    TEST_OK(pp__stored_decode(&r.h.stored[PP__BATCHNORM_XHAT], 0, shape.n, memory, r.h.b.stream));
    op_harness_run(&r.h);
    op_harness_read(&r.h, memory, decoded, r.count * sizeof(float));
    test_close("decoded activation", decoded, value, r.count, 0, 0);
    op_harness_destroy(&r.h);
}

enum { WILD = 40 };

/* Negative, tiny and zero gammas; thresholds on level boundaries, at the window's edge and far
 * outside. */
static void draw_wild(float gamma[WILD], float beta[WILD]) {
    static const float gammas[] = {1,      -1, 0.5f,  -0.3f, 1e-6f, -1e-6f,
                                   1e-30f, 0,  -0.0f, 2,     -2,    0.01f};
    static const float betas[] = {0,     0.4f,  -0.4f, 1,      -1,          2.69f, -2.69f,
                                  3.2f,  -3.2f, 2.71f, -2.7f,  150,         -150,  0.168125f,
                                  1.75f, -2.2f, 0.98f, -1.05f, 0.258221665f};
    enum { GAMMAS = sizeof gammas / sizeof *gammas, BETAS = sizeof betas / sizeof *betas };
    for (size_t i = 0; i < WILD; i++) {
        gamma[i] = gammas[i % GAMMAS];
        beta[i] = betas[(i * 5 + i / GAMMAS) % BETAS] * (i % 2 ? 1.0f : fabsf(gamma[i]));
    }
}

static const struct {
    const char *text;
    ref_norm norm;
} codings[] = {{"norm:1", {1, 1.596f, true, false}},   {"norm:2", {2, 1.99f, true, false}},
               {"norm:3", {3, 2.34f, true, false}},    {"norm:4", {4, 2.69f, true, false}},
               {"norm:5", {5, 3.01f, true, false}},    {"norm:6", {6, 3.33f, true, false}},
               {"norm:8", {8, 3.84f, true, false}},    {"norm:2,clip=1.9", {2, 1.9f, true, false}},
               {"norm:4,clip=3", {4, 3, true, false}}, {"norm:8,clip=3", {8, 3, true, false}},
               {"norm:2,lloyd", {2, 0, true, true}},   {"norm:3,lloyd", {3, 0, true, true}},
               {"norm:4,lloyd", {4, 0, true, true}}};
enum { CODINGS = sizeof codings / sizeof *codings };

static void check_both(size_t coding, pp__shape shape, const float *gamma, const float *beta,
                       size_t poisoned) {
    ref_norm norm = codings[coding].norm;
    check(codings[coding].text, &norm, shape, gamma, beta, poisoned);
    norm.relu = false;
    check(codings[coding].text, &norm, shape, gamma, beta, poisoned);
}

START_TEST(codes_equal_the_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++) {
        pp__shape shape = op_harness_shape(i);
        if (pp__shape_pixels(shape) < 2) continue; /* no variance */
        float *gamma = malloc(shape.c * sizeof *gamma), *beta = malloc(shape.c * sizeof *beta);
        ck_assert(gamma && beta);
        for (size_t c = 0; c < shape.c; c++) {
            gamma[c] = test_random_normal();
            beta[c] = test_random_normal();
        }
        check_both((size_t)_i, shape, gamma, beta, 0);
        free(gamma);
        free(beta);
    }
}
END_TEST

START_TEST(wild_channels_equal_the_reference) {
    float gamma[WILD], beta[WILD];
    draw_wild(gamma, beta);
    check_both((size_t)_i, (pp__shape){2, 17, 9, WILD}, gamma, beta, 0);
    check_both((size_t)_i, (pp__shape){1, 3, 5, WILD}, gamma, beta, 11);
}
END_TEST

/* What the device decided in forward (y > 0) against what its code says. Returns mismatches of
 * channel c. */
static size_t mask_mismatches(run *r, size_t c, const uint8_t *mask) {
    size_t wrong = 0;
    for (size_t i = c; i < r->count; i += r->channels) wrong += (r->y[i] > 0) != (mask[i] != 0);
    return wrong;
}

static double rmse_of_channel(const run *r, size_t c, const float *decoded) {
    double sum = 0;
    for (size_t i = c; i < r->count; i += r->channels)
        sum += pow((double)decoded[i] - (double)r->xhat[i], 2);
    return sqrt(sum / (double)r->pixels);
}

/* METHODS E row 11, for every code: no mismatch for b as far as a boundary follows it, which for
 * the paper's 4 bits and clip of 3 is nearly all of [-2.5, 4]; at most 0.4 % of a channel for any
 * b. The error of x-hat stays below `rmse` everywhere. */
static void measure_masks(const char *coding, const ref_norm *norm, float reach, double rmse) {
    enum { CHANNELS = 32, PIXELS = 40000 };
    float gamma[CHANNELS], beta[CHANNELS];
    for (size_t c = 0; c < CHANNELS; c++) {
        float b = c < 27 ? -2.5f + 0.25f * (float)c : (float[]){-6, -3, -2.65f, 5, 6}[c - 27];
        gamma[c] = c % 2 ? 0.7f : -1.3f;
        /* b is beta over gamma in the paper's form, gamma > 0: the share of x-hat above -b. With
         * gamma < 0 the same share is below b, so the sign of beta's ratio stays with |gamma|. */
        beta[c] = b * fabsf(gamma[c]);
    }
    run r;
    forward(&r, coding, (pp__shape){1, 200, 200, CHANNELS}, true, gamma, beta, 0);
    uint8_t *mask = op_harness_bytes(&r.h, r.count);
    float *decoded = floats(&r.h, r.count);
    ref_norm_decode_mask(norm, r.pixels, r.channels, r.code, r.gamma, r.beta, mask);
    ref_norm_decode_xhat(norm, r.pixels, r.channels, r.code, r.gamma, r.beta, decoded);
    for (size_t c = 0; c < CHANNELS; c++) {
        size_t wrong = mask_mismatches(&r, c, mask);
        float b = beta[c] / fabsf(gamma[c]);
        size_t allowed = fabsf(b) <= reach ? 0 : PIXELS * 4 / 1000;
        ck_assert_msg(wrong <= allowed, "%s, b = %g: %zu of %d masks are wrong", coding, (double)b,
                      wrong, PIXELS);
        double found = rmse_of_channel(&r, c, decoded);
        ck_assert_msg(found <= rmse, "%s, b = %g: rmse %.4f", coding, (double)b, found);
    }
    op_harness_destroy(&r.h);
}

/* The window of 4 bits and more ends half a step inside the clip; below, and with Lloyd's levels,
 * boundaries follow as far as 2.7. */
START_TEST(masks_are_exact_inside_the_window) {
    measure_masks("norm:4,clip=3", &(ref_norm){4, 3, true, false}, 2.6f, 0.115);
    measure_masks("norm:8,clip=3", &(ref_norm){8, 3, true, false}, 2.9f, 0.032);
    measure_masks("norm:6", &(ref_norm){6, 3.33f, true, false}, 3.2f, 0.037);
    measure_masks("norm:5", &(ref_norm){5, 3.01f, true, false}, 2.9f, 0.063);
    measure_masks("norm:3", &(ref_norm){3, 2.34f, true, false}, 2.69f, 0.296);
    measure_masks("norm:2", &(ref_norm){2, 1.99f, true, false}, 2.69f, 0.865);
    measure_masks("norm:1", &(ref_norm){1, 1.596f, true, false}, 2.69f, 0.998);
    measure_masks("norm:4,lloyd", &(ref_norm){4, 0, true, true}, 2.69f, 0.104);
    measure_masks("norm:3,lloyd", &(ref_norm){3, 0, true, true}, 2.69f, 0.283);
    measure_masks("norm:2,lloyd", &(ref_norm){2, 0, true, true}, 2.69f, 0.865);
}
END_TEST

/* METHODS E row 12: error and cosine of x-hat on N(0,1), within 1 %. At 8 bits the clip's tails
 * dominate the error and a million samples scatter by more; there the cosine is checked. One bit's
 * cosine scatters by 2e-4, of which five are allowed. */
static void measure_error(const char *coding, const ref_norm *norm, double rmse, double cosine) {
    float gamma[8], beta[8];
    for (size_t c = 0; c < 8; c++) gamma[c] = 1, beta[c] = 0;
    run r;
    forward(&r, coding, (pp__shape){1, 400, 400, 8}, norm->relu, gamma, beta, 0);
    float *decoded = floats(&r.h, r.count);
    ref_norm_decode_xhat(norm, r.pixels, r.channels, r.code, r.gamma, r.beta, decoded);
    double error = 0, dot = 0, xx = 0, dd = 0;
    for (size_t i = 0; i < r.count; i++) {
        double x = (double)r.xhat[i], d = (double)decoded[i];
        error += (x - d) * (x - d), dot += x * d, xx += x * x, dd += d * d;
    }
    double found = sqrt(error / (double)r.count), found_cosine = dot / sqrt(xx * dd);
    double band = norm->bits == 8 ? 0.04 : 0.01, cosine_band = norm->bits == 1 ? 1e-3 : 1e-4;
    ck_assert_msg(fabs(found - rmse) <= band * rmse, "%s: rmse %.5f, not %.5f", coding, found,
                  rmse);
    ck_assert_msg(fabs(found_cosine - cosine) <= cosine_band, "%s: cosine %.5f, not %.5f", coding,
                  found_cosine, cosine);
    op_harness_destroy(&r.h);
}

START_TEST(errors_are_the_published_ones) {
    measure_error("norm:4,clip=3", &(ref_norm){4, 3, false, false}, 0.1117, 0.99378);
    measure_error("norm:8,clip=3", &(ref_norm){8, 3, false, false}, 0.0217, 0.99977);
    measure_error("norm:8", &(ref_norm){8, 3.84f, false, false}, 0.0094, 0.99996);
    measure_error("norm:6", &(ref_norm){6, 3.33f, false, false}, 0.0322, 0.9995);
    measure_error("norm:5", &(ref_norm){5, 3.01f, false, false}, 0.0591, 0.9983);
    measure_error("norm:4", &(ref_norm){4, 2.69f, false, false}, 0.1074, 0.99421);
    measure_error("norm:3", &(ref_norm){3, 2.34f, false, false}, 0.1935, 0.9811);
    measure_error("norm:2", &(ref_norm){2, 1.99f, false, false}, 0.3447, 0.93870);
    measure_error("norm:1", &(ref_norm){1, 1.596f, false, false}, 0.6028, 0.7979);
}
END_TEST

/* The mean squares of the literature (Max 1960; METHODS D.2). A level is the mean of its elements,
 * so the cosine is the root of what is left of the variance. */
START_TEST(lloyds_errors_are_the_published_ones) {
    static const struct {
        const char *text;
        unsigned bits;
        double square;
    } figures[] = {
        {"norm:2,lloyd", 2, 0.1175}, {"norm:3,lloyd", 3, 0.03454}, {"norm:4,lloyd", 4, 0.009497}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        measure_error(figures[i].text, &(ref_norm){figures[i].bits, 0, false, true},
                      sqrt(figures[i].square), sqrt(1 - figures[i].square));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/norm");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, codes_equal_the_reference, 0, CODINGS);
    tcase_add_loop_test(test, wild_channels_equal_the_reference, 0, CODINGS);
    suite_add_tcase(suite, test);
    test = tcase_create("figures");
    tcase_add_test(test, masks_are_exact_inside_the_window);
    tcase_add_test(test, errors_are_the_published_ones);
    tcase_add_test(test, lloyds_errors_are_the_published_ones);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
