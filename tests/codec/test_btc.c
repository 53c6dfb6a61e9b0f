/* btc on the device against its reference: codes, decoded activations and masks, through
 * batch-norm's kernels, with the gammas and betas of pretrained networks (METHODS A.10, D.3); and
 * METHODS B.5 measured on what the device wrote. */
#include <math.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "op/batchnorm.h"
#include "ref/btc_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const pp_batchnorm_params params = {.epsilon = 1e-5f, .momentum = 0.1f};

/* One run of a batch-norm in float32 on the host's side. */
typedef struct run {
    op_harness h;
    ref_btc btc;
    ref_shape shape;
    size_t count;
    float *gamma, *beta, *xhat, *y;
    uint8_t *code; /* what the device wrote */
    size_t code_bytes;
} run;

static float *floats(op_harness *h, size_t count) {
    return op_harness_bytes(h, count * sizeof(float));
}

/* x-hat with the kernel's own operations, so that it has the kernel's bits. */
static void compute_xhat(run *r, const double *x) {
    const size_t channels = r->shape.c;
    float *statistics = floats(&r->h, 2 * channels);
    op_harness_read(&r->h, r->h.b.auxiliary[PP__BATCHNORM_STATISTICS], statistics,
                    2 * channels * sizeof(float));
    for (size_t i = 0; i < r->count; i++) {
        float difference = (float)x[i] - statistics[i % channels];
        r->xhat[i] = difference * statistics[channels + i % channels];
    }
}

/* The first pixel of the first `poisoned` channels is a NaN, which makes all of their x-hat NaN. */
static void forward(run *r, const ref_btc *btc, pp__shape shape, const char *profile,
                    const float *gamma, const float *beta, size_t poisoned) {
    const char *const codings[] = {[2] = "btc:2", [4] = "btc:4", [8] = "btc:8"};
    op_case c = {.op = btc->relu ? &pp__op_batchnorm_relu : &pp__op_batchnorm,
                 .params = &params,
                 .inputs = {shape},
                 .codings = {codings[btc->side]},
                 .profile = profile,
                 .in_place = true};
    op_harness_create(&r->h, &c);
    r->btc = *btc;
    r->shape = (ref_shape){shape.n, shape.h, shape.w, shape.c};
    r->count = ref_elems(r->shape);
    r->gamma = floats(&r->h, shape.c), r->beta = floats(&r->h, shape.c);
    r->xhat = floats(&r->h, r->count), r->y = floats(&r->h, r->count);
    double *wide = op_harness_room(&r->h, shape.c);
    for (size_t i = 0; i < shape.c; i++) wide[i] = r->gamma[i] = gamma[i];
    op_harness_write(&r->h, r->h.b.parameters[0], wide, shape.c);
    for (size_t i = 0; i < shape.c; i++) wide[i] = r->beta[i] = beta[i];
    op_harness_write(&r->h, r->h.b.parameters[1], wide, shape.c);
    op_harness_random(&r->h, r->h.b.parameters[2], shape.c);
    op_harness_random(&r->h, r->h.b.parameters[3], shape.c);
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

/* The last images by themselves, which is what bands decode. */
static void check_decode(run *r, pp__shape shape) {
    const uint32_t first = shape.n / 2;
    const size_t skipped = first * (r->count / shape.n), count = r->count - skipped;
    float *value = floats(&r->h, r->count), *decoded = floats(&r->h, count);
    ref_btc_decode(&r->btc, r->shape, r->code, r->gamma, r->beta, NULL, NULL, value);
    pp__ref memory = op_harness_tensor(&r->h, count * sizeof(float));
    op_harness_begin(&r->h);
    TEST_OK(pp__stored_decode(&r->h.stored[PP__BATCHNORM_XHAT], first, shape.n - first, memory,
                              r->h.b.stream));
    op_harness_run(&r->h);
    op_harness_read(&r->h, memory, decoded, count * sizeof(float));
    test_close("decoded activation", decoded, value + skipped, count, 0, 0);
}

/* Codes equal to the bit; the decoded activation equal to the bit; masks as forward decided.
 * op_harness_destroy finds writes beyond the slot. */
static void check(const ref_btc *btc, pp__shape shape, const char *profile, const float *gamma,
                  const float *beta, size_t poisoned) {
    run r;
    forward(&r, btc, shape, profile, gamma, beta, poisoned);
    ck_assert_uint_eq(r.code_bytes, ref_btc_bytes(btc, r.shape));
    uint8_t *expected = op_harness_bytes(&r.h, r.code_bytes);
    ref_btc_encode(btc, r.shape, r.xhat, r.gamma, r.beta, expected);
    for (size_t i = 0; i < r.code_bytes; i++)
        ck_assert_msg(r.code[i] == expected[i],
                      "btc:%zu of [%u, %u, %u, %u], ReLU %d: byte %zu of %zu is %02x, not %02x",
                      btc->side, shape.n, shape.h, shape.w, shape.c, btc->relu, i, r.code_bytes,
                      r.code[i], expected[i]);
    check_decode(&r, shape);
    uint8_t *mask = op_harness_bytes(&r.h, r.count);
    ref_btc_decode(btc, r.shape, r.code, r.gamma, r.beta, NULL, mask, NULL);
    for (size_t i = 0; btc->relu && i < r.count; i++) {
        const size_t c = i % shape.c;
        if (isnan(r.y[i]) || (gamma[c] != 0 && !(fabsf(beta[c] / gamma[c]) <= REF_BTC_REACH)))
            continue;
        ck_assert_msg(
            (r.y[i] > 0) == mask[i], "element %zu (gamma %g, beta %g, x-hat %.9g): y %g, mask %d",
            i, (double)gamma[c], (double)beta[c], (double)r.xhat[i], (double)r.y[i], mask[i]);
    }
    op_harness_destroy(&r.h);
}

static const size_t sides[] = {2, 4, 8};
enum { SIDES = sizeof sides / sizeof *sides };

static void check_both(size_t side, pp__shape shape, const char *profile, const float *gamma,
                       const float *beta, size_t poisoned) {
    check(&(ref_btc){side, true}, shape, profile, gamma, beta, poisoned);
    check(&(ref_btc){side, false}, shape, profile, gamma, beta, poisoned);
}

static void check_random(size_t side, bool relu, pp__shape shape, const char *profile) {
    float *gamma = malloc(shape.c * sizeof *gamma), *beta = malloc(shape.c * sizeof *beta);
    ck_assert(gamma && beta);
    test_fill_normal(gamma, shape.c);
    test_fill_normal(beta, shape.c);
    check(&(ref_btc){side, relu}, shape, profile, gamma, beta, 0);
    free(gamma);
    free(beta);
}

/* Every map's extents make programs of their own, so with and without a ReLU take turns. Blocks are
 * whole, short on each side and on both, larger than the map; maps are of one pixel too; channels
 * are so few that other codes fold pixels into rows. */
START_TEST(codes_equal_the_reference) {
    static const pp__shape more[] = {{2, 7, 7, 16}, {3, 8, 8, 8},  {2, 16, 5, 24},
                                     {1, 1, 9, 3},  {5, 1, 1, 11}, {2, 13, 10, 130}};
    for (size_t i = 0; i < OP_SHAPES; i++) {
        pp__shape shape = op_harness_shape(i);
        if (pp__shape_pixels(shape) >= 2) /* no variance */
            check_random(sides[_i], (i + (size_t)_i) % 2, shape, NULL);
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        check_random(sides[_i], i % 2 == 0, more[i], NULL);
    check_random(sides[_i], true, more[0], "default");
    check_random(sides[_i], true, more[0], "pocl-cpu");
}
END_TEST

enum { WILD = 40 };

/* Negative, tiny and zero gammas; thresholds at the range's bend, at the reach and far outside. */
static void draw_wild(float gamma[WILD], float beta[WILD]) {
    static const float gammas[] = {1,      -1, 0.5f,  -0.3f, 1e-6f, -1e-6f,
                                   1e-30f, 0,  -0.0f, 2,     -2,    0.01f};
    static const float betas[] = {0,     0.4f,  -0.4f, 1,     -1,  0.8f, -0.8f,
                                  2.69f, -2.7f, 2.71f, -3.2f, 150, -150, 2.2f};
    enum { GAMMAS = sizeof gammas / sizeof *gammas, BETAS = sizeof betas / sizeof *betas };
    for (size_t i = 0; i < WILD; i++) {
        gamma[i] = gammas[i % GAMMAS];
        beta[i] = betas[(i * 5 + i / GAMMAS) % BETAS] * (i % 2 ? 1.0f : fabsf(gamma[i]));
    }
}

START_TEST(wild_channels_equal_the_reference) {
    float gamma[WILD], beta[WILD];
    draw_wild(gamma, beta);
    check_both(sides[_i], (pp__shape){2, 17, 9, WILD}, NULL, gamma, beta, 0);
    check_both(sides[_i], (pp__shape){1, 3, 5, WILD}, NULL, gamma, beta, 11);
}
END_TEST

/* A code stands for itself, image by image: each one's is what it is alone. */
START_TEST(images_stand_for_themselves) {
    const ref_btc btc = {sides[_i], true};
    const ref_shape one = {1, 7, 5, 11};
    float xhat[3 * 7 * 5 * 11], gamma[11], beta[11];
    uint8_t all[3 * 1024], alone[1024];
    const size_t bytes = ref_btc_bytes(&btc, one), elems = ref_elems(one);
    ck_assert_uint_le(bytes, sizeof alone);
    test_fill_normal(xhat, 3 * elems);
    test_fill_normal(gamma, 11);
    test_fill_normal(beta, 11);
    ref_btc_encode(&btc, (ref_shape){3, 7, 5, 11}, xhat, gamma, beta, all);
    for (size_t n = 0; n < 3; n++) {
        ref_btc_encode(&btc, one, xhat + n * elems, gamma, beta, alone);
        ck_assert_mem_eq(all + n * bytes, alone, bytes);
    }
}
END_TEST

/* METHODS E row 11 for this code: no mismatch as far as the plane follows the threshold, at most
 * 0.4 % of a channel elsewhere. */
START_TEST(masks_are_exact) {
    enum { CHANNELS = 16, PIXELS = 10000 };
    static const float thresholds[CHANNELS] = {0,     0.3f, -0.3f, 1, -1, 1.7f, -1.7f, 2.2f,
                                               -2.2f, 2.6f, -2.6f, 3, -3, 4,    -4,    150};
    const ref_btc btc = {sides[_i], true};
    float gamma[CHANNELS], beta[CHANNELS];
    for (size_t c = 0; c < CHANNELS; c++) {
        gamma[c] = c % 3 == 2 ? -1.3f : 0.7f;
        beta[c] = -thresholds[c] * gamma[c];
    }
    run r;
    forward(&r, &btc, (pp__shape){1, 100, 100, CHANNELS}, NULL, gamma, beta, 0);
    uint8_t *mask = op_harness_bytes(&r.h, r.count);
    ref_btc_decode(&btc, r.shape, r.code, r.gamma, r.beta, NULL, mask, NULL);
    for (size_t c = 0; c < CHANNELS; c++) {
        size_t wrong = 0;
        for (size_t i = c; i < r.count; i += CHANNELS) wrong += (r.y[i] > 0) != mask[i];
        ck_assert_msg(wrong <= (fabsf(thresholds[c]) < REF_BTC_REACH ? 0 : PIXELS * 4 / 1000),
                      "btc:%zu, threshold %g: %zu of %d masks are wrong", btc.side,
                      (double)thresholds[c], wrong, PIXELS);
    }
    op_harness_destroy(&r.h);
}
END_TEST

/* METHODS B.5 on white noise, and the squared error that the codec table claims; a million samples
 * scatter by 1e-3. */
START_TEST(errors_are_the_published_ones) {
    static const double cosines[SIDES] = {0.896, 0.824, 0.804};
    const ref_btc btc = {sides[_i], false};
    const float gamma[8] = {1, 1, 1, 1, 1, 1, 1, 1}, beta[8] = {0};
    run r;
    forward(&r, &btc, (pp__shape){1, 400, 400, 8}, NULL, gamma, beta, 0);
    float *decoded = floats(&r.h, r.count);
    ref_btc_decode(&btc, r.shape, r.code, r.gamma, r.beta, decoded, NULL, NULL);
    double error = 0, dot = 0, xx = 0, dd = 0;
    for (size_t i = 0; i < r.count; i++) {
        double x = (double)r.xhat[i], d = (double)decoded[i];
        error += (x - d) * (x - d), dot += x * d, xx += x * x, dd += d * d;
    }
    const pp__stored *stored = &r.h.stored[PP__BATCHNORM_XHAT];
    const double cosine = dot / sqrt(xx * dd), claimed = stored->coding.codec->error(stored);
    ck_assert_msg(fabs(cosine - cosines[_i]) <= 1.5e-3, "btc:%zu: cosine %.5f, not %.3f", btc.side,
                  cosine, cosines[_i]);
    ck_assert_msg(fabs(error / xx - claimed) <= 2e-3, "btc:%zu: error %.5f, not %.3f", btc.side,
                  error / xx, claimed);
    op_harness_destroy(&r.h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/btc");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, codes_equal_the_reference, 0, SIDES);
    tcase_add_loop_test(test, wild_channels_equal_the_reference, 0, SIDES);
    tcase_add_loop_test(test, images_stand_for_themselves, 0, SIDES);
    suite_add_tcase(suite, test);
    test = tcase_create("figures");
    tcase_add_loop_test(test, masks_are_exact, 0, SIDES);
    tcase_add_loop_test(test, errors_are_the_published_ones, 0, SIDES);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
