/* What the tests of batchnorm and batchnorm_relu share: both on the device against their
 * references.
 *
 * The gradients are compared with the reference fed with what the code of x-hat decodes to, so a
 * lossy codec loosens nothing; that code is compared with x-hat itself in check_code.
 *
 * Channels have means up to 3 and deviations from 0.3. A float32 sum over a split of 512 pixels
 * gives a mean that errs by 2^-24 * 3 * sqrt(512) / 3 = 1.4e-6 (one deviation); over the channel's
 * 0.3 and times a gamma of 2 that is 9e-6 of y, of which six deviations are allowed. */
#ifndef PP_TEST_OP_BATCHNORM_CASES_H
#define PP_TEST_OP_BATCHNORM_CASES_H

#include <math.h>
#include <string.h>

#include "op/batchnorm.h"
#include "ref/batchnorm_ref.h"
#include "ref/batchnorm_relu_ref.h"
#include "ref/btc_ref.h"
#include "ref/half_ref.h"
#include "ref/norm_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const double epsilon = 1e-5, momentum = 0.1;
static const float forward_tolerance = 6e-5f, gradient_tolerance = 6e-5f;

typedef struct batchnorm_case {
    pp__shape shape;
    bool relu;
    const char *coding;
    bool adds;
    const char *profile; /* NULL: the device's */
    bool frozen[4];      /* gamma, beta, both running statistics */
} batchnorm_case;

/* The values on the host; all [pixels, channels] or [channels]. */
typedef struct values {
    size_t pixels, channels, count;
    double *x, *gamma, *beta, *running_mean, *running_variance;
    double *mean, *inverse_deviation, *xhat, *y;
    double *seen; /* x-hat as decoded */
    uint8_t *mask;
} values;

static void draw(op_harness *h, values *v) {
    size_t channels = v->channels;
    v->gamma = op_harness_room(h, channels), v->beta = op_harness_room(h, channels);
    v->running_mean = op_harness_random(h, h->b.parameters[2], channels);
    v->running_variance = op_harness_random(h, h->b.parameters[3], channels);
    for (size_t c = 0; c < channels; c++)
        v->running_variance[c] = (double)(float)(fabs(v->running_variance[c]) + 0.1);
    op_harness_write(h, h->b.parameters[3], v->running_variance, channels);
    v->x = op_harness_random(h, h->b.inputs[0], v->count);
    for (size_t c = 0; c < channels; c++) {
        double mean = (double)test_random_uniform(-3, 3),
               deviation = (double)test_random_uniform(0.3f, 3);
        for (size_t i = c; i < v->count; i += channels)
            v->x[i] = (double)(float)(mean + deviation * v->x[i]);
        /* Negative and zero gammas have branches of their own. */
        v->gamma[c] =
            c % 7 == 3 ? 0 : (double)(test_random_uniform(0.3f, 2) * (c % 3 == 2 ? -1.0f : 1.0f));
        v->beta[c] = (double)test_random_uniform(-1, 1);
    }
    op_harness_write(h, h->b.inputs[0], v->x, v->count);
    op_harness_write(h, h->b.parameters[0], v->gamma, channels);
}

/* Three channels of four get a beta that puts one pixel's x-hat on the ReLU's threshold, but for
 * rounding. */
static void refer(op_harness *h, values *v) {
    v->mean = op_harness_room(h, v->channels),
    v->inverse_deviation = op_harness_room(h, v->channels);
    v->xhat = op_harness_room(h, v->count), v->y = op_harness_room(h, v->count);
    if (h->c.frozen[2])
        for (size_t c = 0; c < v->channels; c++) {
            v->mean[c] = v->running_mean[c];
            v->inverse_deviation[c] = 1 / sqrt(v->running_variance[c] + epsilon);
        }
    else
        ref_batchnorm_statistics(v->pixels, v->channels, v->x, epsilon, v->mean,
                                 v->inverse_deviation, momentum, v->running_mean,
                                 v->running_variance);
    ref_batchnorm_normalise(v->pixels, v->channels, v->x, v->mean, v->inverse_deviation, v->xhat);
    for (size_t c = 0; c < v->channels; c++)
        if (c % 4)
            v->beta[c] = (double)(float)(-v->gamma[c] * v->xhat[c % v->pixels * v->channels + c]);
    op_harness_write(h, h->b.parameters[1], v->beta, v->channels);
    if (h->c.op == &pp__op_batchnorm_relu)
        ref_batchnorm_relu_forward(v->pixels, v->channels, v->xhat, v->gamma, v->beta, v->y, NULL);
    else
        ref_batchnorm_affine(v->pixels, v->channels, v->xhat, v->gamma, v->beta, v->y);
}

static void check_half(values *v, const uint8_t *code, float *xhat) {
    ref_half_decode(v->count, code, xhat);
    for (size_t i = 0; i < v->count; i++)
        ck_assert_double_le(fabs((double)xhat[i] - v->xhat[i]),
                            fabs(v->xhat[i]) * 0x1p-11 + (double)forward_tolerance);
}

/* How far a code may be from its x-hat where that lies `within` so much of the shifted grid's
 * centre; and the thresholds that the grid surely follows. */
typedef struct norm_bound {
    double within, most, threshold;
} norm_bound;

/* Lloyd and Max's inner boundaries, and their widest distance from a level. One bit has two open
 * sides; its levels are at most 3.03 apart. */
static norm_bound bound_of(const ref_norm *norm) {
    static const norm_bound lloyd[] = {
        [2] = {0.9815, 0.5289, 2.69}, [3] = {1.7479, 0.4041, 2.69}, [4] = {2.4008, 0.3318, 2.69}};
    if (norm->lloyd) return lloyd[norm->bits];
    double clip = (double)norm->clip, step = 2 * clip / (double)(1u << norm->bits);
    if (norm->bits == 1) return (norm_bound){clip, 3.03, 2.69};
    return (norm_bound){clip, step / 2, norm->bits < 4 ? 2.69 : clip - step};
}

/* Where the threshold lies on the grid, the mask is forward's own, always; elsewhere it is what the
 * code says. */
static void check_norm(op_harness *h, values *v, const uint8_t *code, float *xhat) {
    const pp__stored *stored = &h->stored[PP__BATCHNORM_XHAT];
    const ref_norm norm = {.bits = stored->coding.bits,
                           .clip = stored->coding.clip,
                           .relu = stored->relu,
                           .lloyd = stored->coding.lloyd};
    const norm_bound bound = bound_of(&norm);
    float *gamma = op_harness_bytes(h, v->channels * sizeof *gamma);
    float *beta = op_harness_bytes(h, v->channels * sizeof *beta);
    uint8_t *mask = op_harness_bytes(h, v->count);
    for (size_t c = 0; c < v->channels; c++)
        gamma[c] = (float)v->gamma[c], beta[c] = (float)v->beta[c];
    ref_norm_decode_xhat(&norm, v->pixels, v->channels, code, gamma, beta, xhat);
    for (size_t i = 0; i < v->count; i++) {
        size_t c = i % v->channels;
        float origin = ref_norm_channel_of(&norm, gamma[c], beta[c]).origin;
        if (fabs(v->xhat[i] - (double)origin) < bound.within - (double)forward_tolerance)
            ck_assert_double_le(fabs((double)xhat[i] - v->xhat[i]),
                                bound.most + (double)forward_tolerance);
    }
    if (!norm.relu) return;
    ref_norm_decode_mask(&norm, v->pixels, v->channels, code, gamma, beta, mask);
    for (size_t i = 0; i < v->count; i++) {
        size_t c = i % v->channels;
        if (v->gamma[c] == 0 || fabs(v->beta[c] / v->gamma[c]) < bound.threshold)
            ck_assert_msg(mask[i] == v->mask[i],
                          "element %zu: x-hat %.9g, gamma %.9g, beta %.9g: mask %d", i, v->xhat[i],
                          v->gamma[c], v->beta[c], mask[i]);
        v->mask[i] = mask[i];
    }
}

/* No level is further from its element than the block's own spread, of which a level's width may be
 * added; and the mask is forward's where the plane follows the threshold. */
static void check_btc(op_harness *h, values *v, const uint8_t *code, float *xhat) {
    const pp__stored *stored = &h->stored[PP__BATCHNORM_XHAT];
    const ref_btc btc = {stored->coding.window, stored->relu};
    const ref_shape shape = {stored->shape.n, stored->shape.h, stored->shape.w, stored->shape.c};
    float *gamma = op_harness_bytes(h, v->channels * sizeof *gamma);
    float *beta = op_harness_bytes(h, v->channels * sizeof *beta);
    uint8_t *mask = op_harness_bytes(h, v->count);
    for (size_t c = 0; c < v->channels; c++)
        gamma[c] = (float)v->gamma[c], beta[c] = (float)v->beta[c];
    ref_btc_decode(&btc, shape, code, gamma, beta, xhat, mask, NULL);
    for (size_t c = 0; c < v->channels; c++) {
        double error = 0, squares = 0;
        for (size_t i = c; i < v->count; i += v->channels) {
            error += pow((double)xhat[i] - v->xhat[i], 2);
            squares += v->xhat[i] * v->xhat[i];
        }
        ck_assert_msg(error <= squares, "channel %zu: a code of zeros is better", c);
    }
    for (size_t i = 0; btc.relu && i < v->count; i++) {
        size_t c = i % v->channels;
        if (v->gamma[c] == 0 || fabs(v->beta[c] / v->gamma[c]) < (double)REF_BTC_REACH)
            ck_assert_msg(mask[i] == v->mask[i],
                          "element %zu: x-hat %.9g, gamma %.9g, beta %.9g: mask %d", i, v->xhat[i],
                          v->gamma[c], v->beta[c], mask[i]);
        v->mask[i] = mask[i];
    }
}

/* What backward sees: x-hat as the code holds it, and the mask, which is the sign of forward's own
 * y. */
static void check_code(op_harness *h, values *v) {
    const pp__stored *stored = &h->stored[PP__BATCHNORM_XHAT];
    float *y = op_harness_bytes(h, v->count * sizeof *y);
    op_harness_read(h, h->b.output, y, v->count * sizeof *y);
    v->mask = op_harness_bytes(h, v->count);
    for (size_t i = 0; i < v->count; i++) v->mask[i] = y[i] > 0;
    v->seen = v->xhat;
    if (!h->b.q.stored[PP__BATCHNORM_XHAT] || stored->coding.codec->stores_itself) return;
    size_t bytes = pp__coding_bytes(&stored->coding, stored->shape);
    uint8_t *code = op_harness_bytes(h, bytes);
    float *xhat = op_harness_bytes(h, v->count * sizeof *xhat);
    op_harness_read(h, stored->code, code, bytes);
    if (stored->coding.window)
        check_btc(h, v, code, xhat);
    else if (stored->coding.bits)
        check_norm(h, v, code, xhat);
    else
        check_half(v, code, xhat);
    v->seen = op_harness_room(h, v->count);
    for (size_t i = 0; i < v->count; i++) v->seen[i] = (double)xhat[i];
}

static void check_backward(op_harness *h, values *v, const batchnorm_case *c) {
    double *dy = op_harness_random(h, h->b.output_gradient, v->count), *before = NULL;
    double *parameters_before[2] = {NULL, NULL};
    if (c->adds) {
        before = op_harness_random(h, h->b.input_gradients[0], v->count);
        for (size_t i = 0; i < 2; i++)
            if (!c->frozen[i])
                parameters_before[i] =
                    op_harness_random(h, h->b.parameter_gradients[i], v->channels);
    }
    op_harness_backward(h);
    double *dx = op_harness_room(h, v->count), *dgamma = op_harness_room(h, v->channels),
           *dbeta = op_harness_room(h, v->channels);
    if (c->relu)
        ref_batchnorm_relu_backward(v->pixels, v->channels, dy, v->seen, v->mask, v->gamma,
                                    v->inverse_deviation, dx, dgamma, dbeta);
    else
        ref_batchnorm_backward(v->pixels, v->channels, dy, v->seen, v->gamma, v->inverse_deviation,
                               dx, dgamma, dbeta);
    for (size_t i = 0; c->frozen[2] && i < v->count; i++) {
        const size_t channel = i % v->channels;
        dx[i] =
            c->relu && !v->mask[i] ? 0 : v->gamma[channel] * v->inverse_deviation[channel] * dy[i];
    }
    op_harness_add(dx, before, v->count);
    op_harness_add(dgamma, parameters_before[0], v->channels);
    op_harness_add(dbeta, parameters_before[1], v->channels);
    op_harness_expect(h, "dx", h->b.input_gradients[0], dx, v->count, gradient_tolerance,
                      gradient_tolerance);
    if (!c->frozen[0])
        op_harness_expect(h, "dgamma", h->b.parameter_gradients[0], dgamma, v->channels,
                          gradient_tolerance, gradient_tolerance);
    if (!c->frozen[1])
        op_harness_expect(h, "dbeta", h->b.parameter_gradients[1], dbeta, v->channels,
                          gradient_tolerance, gradient_tolerance);
}

static void open_case(op_harness *h, values *v, const batchnorm_case *c, bool inference) {
    static const pp_batchnorm_params params = {.epsilon = 1e-5f, .momentum = 0.1f};
    op_case oc = {.op = c->relu ? &pp__op_batchnorm_relu : &pp__op_batchnorm,
                  .params = &params,
                  .inputs = {c->shape},
                  .codings = {c->coding},
                  .profile = c->profile,
                  .inference = inference,
                  .frozen = {c->frozen[0], c->frozen[1], c->frozen[2], c->frozen[3]},
                  .in_place = !inference && strcmp(c->coding, "raw") != 0,
                  .gradient_in_place = !c->adds,
                  .adds = c->adds,
                  .parameters_add = c->adds};
    op_harness_create(h, &oc);
    *v = (values){.pixels = pp__shape_pixels(c->shape), .channels = c->shape.c};
    v->count = v->pixels * v->channels;
    draw(h, v);
}

static void check(const batchnorm_case *c) {
    op_harness h;
    values v;
    open_case(&h, &v, c, false);
    refer(&h, &v);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, v.y, v.count, forward_tolerance, forward_tolerance);
    op_harness_expect(&h, "running_mean", h.b.parameters[2], v.running_mean, v.channels, 1e-6f,
                      1e-6f);
    op_harness_expect(&h, "running_var", h.b.parameters[3], v.running_variance, v.channels, 1e-6f,
                      1e-5f);
    check_code(&h, &v);
    check_backward(&h, &v, c);
    op_harness_destroy(&h);
}

static const pp__shape shapes[] = {
    {2, 3, 5, 7}, {3, 1, 17, 8}, {2, 5, 7, 19}, {4, 13, 11, 24}, {3, 20, 19, 5}};

static bool with_relu; /* which of the two this program tests */

START_TEST(agrees_with_reference) {
    static const char *const codings[] = {
        "raw",          "half",   "norm:1", "norm:2",       "norm:3", "norm:4", "norm:4,clip=3",
        "norm:3,lloyd", "norm:6", "norm:8", "norm:4,lloyd", "btc:2",  "btc:4",  "btc:8"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t k = 0; k < sizeof codings / sizeof *codings; k++)
            check(&(batchnorm_case){shapes[i], with_relu, codings[k], (i + k) % 2, NULL, {false}});
}
END_TEST

/* Frozen parameters have no gradients, frozen statistics stand for the batch's; with gamma frozen too,
 * nothing but the mask is there to read. */
START_TEST(frozen_agrees_with_reference) {
    static const char *const codings[] = {"raw", "half", "norm:4", "btc:4"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned bits = 1; bits < 8; bits++) {
            const bool statistics = bits & 4;
            check(&(batchnorm_case){.shape = shapes[i],
                                    .relu = with_relu,
                                    .coding = codings[(i + bits) % 4],
                                    .adds = (i + bits / 2) % 2,
                                    .profile = bits % 3 ? NULL : "pocl-cpu",
                                    .frozen = {bits & 1, bits & 2, statistics, statistics}});
        }
}
END_TEST

/* Work-items of one octet and of whole rows; the splits combined by a launch of their own and by
 * each work-item. */
START_TEST(profiles_agree_with_reference) {
    static const char *const profiles[] = {"default", "pocl-cpu"};
    for (size_t k = 0; k < sizeof profiles / sizeof *profiles; k++) {
        check(&(batchnorm_case){shapes[2], with_relu, "raw", false, profiles[k], {false}});
        check(&(batchnorm_case){shapes[3], with_relu, "norm:4", true, profiles[k], {false}});
        check(&(batchnorm_case){shapes[3], with_relu, "btc:4", true, profiles[k], {false}});
    }
}
END_TEST

/* Statistics of values whose mean is thousands of deviations, and of values of which the first is
 * the odd one out: a sum of squares without a shift, or with that value as its shift, goes wrong.
 * What is left is a sum's rounding, 2^-24 * sqrt(512), six times. */
START_TEST(extreme_statistics) {
    static const struct {
        double mean, deviation, first;
    } extremes[] = {{4000, 0.5, 4000}, {0, 1, 300}, {1e6, 1e3, -1e6}};
    for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
        op_harness h;
        values v;
        open_case(&h, &v,
                  &(batchnorm_case){{8, 16, 16, 16}, with_relu, "raw", false, NULL, {false}},
                  false);
        for (size_t i = 0; i < v.count; i++)
            v.x[i] = i < v.channels
                         ? extremes[e].first
                         : (double)(float)(extremes[e].mean +
                                           extremes[e].deviation * (double)test_random_normal());
        op_harness_write(&h, h.b.inputs[0], v.x, v.count);
        refer(&h, &v);
        op_harness_forward(&h);
        pp__ref statistics = h.b.auxiliary[PP__BATCHNORM_STATISTICS];
        op_harness_expect(&h, "mean", statistics, v.mean, v.channels,
                          8e-6f * (float)extremes[e].deviation, 1.2e-7f);
        statistics.offset_bytes += v.channels * sizeof(float);
        op_harness_expect(&h, "inverse deviation", statistics, v.inverse_deviation, v.channels, 0,
                          8e-6f);
        op_harness_destroy(&h);
    }
}
END_TEST

START_TEST(inference_uses_running_statistics) {
    op_harness h;
    values v;
    open_case(&h, &v, &(batchnorm_case){shapes[2], with_relu, "raw", false, NULL, {false}}, true);
    op_harness_write(&h, h.b.parameters[1], v.beta, v.channels);
    for (size_t c = 0; c < v.channels; c++)
        v.running_variance[c] = fabs(v.running_variance[c]) + 0.1;
    op_harness_write(&h, h.b.parameters[3], v.running_variance, v.channels);
    v.y = op_harness_room(&h, v.count);
    ref_batchnorm_inference(v.pixels, v.channels, v.x, v.running_mean, v.running_variance, epsilon,
                            v.gamma, v.beta, v.y);
    for (size_t i = 0; with_relu && i < v.count; i++) v.y[i] = fmax(0, v.y[i]);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, v.y, v.count, forward_tolerance, forward_tolerance);
    op_harness_expect(&h, "running_mean", h.b.parameters[2], v.running_mean, v.channels, 0, 0);
    op_harness_destroy(&h);
}
END_TEST

/* As in relu.cl, so that a diverging network shows in its loss. */
START_TEST(nan_passes_forward) {
    op_harness h;
    values v;
    open_case(&h, &v, &(batchnorm_case){shapes[2], with_relu, "norm:4", false, NULL, {false}},
              false);
    op_harness_write(&h, h.b.parameters[1], v.beta, v.channels);
    v.x[0] = (double)NAN;
    op_harness_write(&h, h.b.inputs[0], v.x, v.count);
    op_harness_forward(&h);
    float *y = op_harness_bytes(&h, v.count * sizeof *y);
    op_harness_read(&h, h.b.output, y, v.count * sizeof *y);
    for (size_t i = 0; i < v.count; i++) ck_assert_int_eq(isnan(y[i]) != 0, i % v.channels == 0);
    op_harness_destroy(&h);
}
END_TEST

static int run_batchnorm(const char *name, bool relu) {
    with_relu = relu;
    Suite *suite = suite_create(name);
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, frozen_agrees_with_reference);
    tcase_add_test(test, profiles_agree_with_reference);
    tcase_add_test(test, extreme_statistics);
    tcase_add_test(test, inference_uses_running_statistics);
    tcase_add_test(test, nan_passes_forward);
    suite_add_tcase(suite, test);
    return test_run(suite);
}

#endif
