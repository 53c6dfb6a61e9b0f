/* Golden -> reference: every case that PyTorch computed in double (tests/golden) against the
 * plain-C references. Both sides are double, so what is left is the order of summation: 1e-12 of 1
 * + |value|. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/add_ref.h"
#include "ref/add_relu_ref.h"
#include "ref/avgpool_ref.h"
#include "ref/batchnorm_ref.h"
#include "ref/batchnorm_relu_ref.h"
#include "ref/conv2d_ref.h"
#include "ref/dense_ref.h"
#include "ref/dropout_ref.h"
#include "ref/global_avgpool_ref.h"
#include "ref/half_ref.h"
#include "ref/maxpool_ref.h"
#include "ref/mse_ref.h"
#include "ref/norm_ref.h"
#include "ref/optimizer_ref.h"
#include "ref/relu_ref.h"
#include "ref/shortcut_ref.h"
#include "ref/softmax_cross_entropy_ref.h"
#include "support/golden.h"
#include "support/support.h"

static const double tolerance = 1e-12;

static void expect_values(const golden *g, const char *name, const double *found,
                          const double *expected, size_t count) {
    char what[128];
    snprintf(what, sizeof what, "%s: %s", g->name, name);
    golden_close(what, found, expected, count, tolerance);
}

/* The golden tensor `name` must have these `count` values. */
static void expect(const golden *g, const char *name, const double *found, size_t count) {
    expect_values(g, name, found, golden_values(g, name, count), count);
}

static const golden_tensor *tensor(const golden *g, const char *name) {
    const golden_tensor *t = golden_find(g, name);
    ck_assert_msg(t != NULL, "%s has no tensor %s", g->name, name);
    return t;
}

static ref_shape shape_of(const golden *g, const char *name) {
    const golden_tensor *t = tensor(g, name);
    ck_assert_msg(t->rank == 4, "%s: %s has %zu axes", g->name, name, t->rank);
    return (ref_shape){t->extents[0], t->extents[1], t->extents[2], t->extents[3]};
}

static size_t whole(const golden *g, const char *name, size_t count, size_t place) {
    return (size_t)golden_values(g, name, count)[place];
}

/* The values as small whole numbers: masks, indices, codes. */
static void bytes_of(const golden *g, const char *name, size_t count, uint8_t *bytes) {
    const double *values = golden_values(g, name, count);
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)values[i];
}

static void check_conv2d(golden *g) {
    ref_shape x = shape_of(g, "x"), w = shape_of(g, "w");
    ref_conv2d conv = {.input = x,
                       .out_channels = w.c,
                       .groups = whole(g, "groups", 1, 0),
                       .window = {.kernel_h = w.n,
                                  .kernel_w = w.h,
                                  .stride_h = whole(g, "stride", 2, 0),
                                  .stride_w = whole(g, "stride", 2, 1),
                                  .pad_h = whole(g, "pad", 2, 0),
                                  .pad_w = whole(g, "pad", 2, 1),
                                  .dilation_h = whole(g, "dilation", 2, 0),
                                  .dilation_w = whole(g, "dilation", 2, 1)}};
    ref_shape y = ref_conv2d_output(&conv);
    const double *xv = tensor(g, "x")->values, *wv = tensor(g, "w")->values;
    const double *dyv = golden_values(g, "dy", ref_elems(y));
    const double *b = golden_find(g, "b") ? golden_values(g, "b", w.c) : NULL;
    double *result = golden_room(g, ref_elems(y)), *dx = golden_room(g, ref_elems(x));
    double *dw = golden_room(g, ref_conv2d_weight_elems(&conv)), *db = golden_room(g, w.c);
    ref_conv2d_forward(&conv, xv, wv, b, result);
    expect(g, "y", result, ref_elems(y));
    ref_conv2d_backward_input(&conv, wv, dyv, dx);
    expect(g, "dx", dx, ref_elems(x));
    ref_conv2d_backward_weight(&conv, xv, dyv, dw);
    expect(g, "dw", dw, ref_elems(w));
    ref_conv2d_backward_bias(&conv, dyv, db);
    if (b) expect(g, "db", db, w.c);
}

static void check_dense(golden *g) {
    const golden_tensor *x = tensor(g, "x"), *w = tensor(g, "w");
    size_t n = x->extents[0], in = w->extents[0], out = w->extents[1];
    const double *b = golden_find(g, "b") ? golden_values(g, "b", out) : NULL;
    const double *dy = golden_values(g, "dy", n * out);
    double *y = golden_room(g, n * out), *dx = golden_room(g, n * in);
    double *dw = golden_room(g, in * out), *db = golden_room(g, out);
    ref_dense_forward(n, in, out, x->values, w->values, b, y);
    expect(g, "y", y, n * out);
    ref_dense_backward_input(n, in, out, w->values, dy, dx);
    expect(g, "dx", dx, n * in);
    ref_dense_backward_weight(n, in, out, x->values, dy, dw);
    expect(g, "dw", dw, in * out);
    ref_dense_backward_bias(n, out, dy, db);
    if (b) expect(g, "db", db, out);
}

/* Statistics, running statistics and x-hat, which batchnorm and batchnorm_relu share. */
static void check_statistics(golden *g, size_t pixels, size_t c, double *inverse_deviation,
                             double *xhat) {
    const double *x = tensor(g, "x")->values;
    double *mean = golden_room(g, c), *running_mean = golden_room(g, c),
           *running = golden_room(g, c);
    for (size_t i = 0; i < c; i++) {
        running_mean[i] = golden_values(g, "running_mean", c)[i];
        running[i] = golden_values(g, "running_variance", c)[i];
    }
    ref_batchnorm_statistics(pixels, c, x, golden_scalar(g, "epsilon"), mean, inverse_deviation,
                             golden_scalar(g, "momentum"), running_mean, running);
    expect(g, "mean", mean, c);
    expect(g, "inverse_deviation", inverse_deviation, c);
    expect(g, "running_mean_after", running_mean, c);
    expect(g, "running_variance_after", running, c);
    ref_batchnorm_normalise(pixels, c, x, mean, inverse_deviation, xhat);
}

static void check_batchnorm_with(golden *g, bool relu) {
    ref_shape shape = shape_of(g, "x");
    size_t pixels = ref_pixels(shape), c = shape.c, count = ref_elems(shape);
    const double *gamma = golden_values(g, "gamma", c), *beta = golden_values(g, "beta", c);
    const double *dy = golden_values(g, "dy", count);
    double *inverse_deviation = golden_room(g, c), *xhat = golden_room(g, count);
    double *y = golden_room(g, count), *dx = golden_room(g, count);
    double *dgamma = golden_room(g, c), *dbeta = golden_room(g, c);
    uint8_t *mask = malloc(count);
    check_statistics(g, pixels, c, inverse_deviation, xhat);
    ref_batchnorm_inference(pixels, c, tensor(g, "x")->values, golden_values(g, "running_mean", c),
                            golden_values(g, "running_variance", c), golden_scalar(g, "epsilon"),
                            gamma, beta, y);
    if (relu) ref_relu_forward(count, y, y, NULL);
    expect(g, "y_inference", y, count);
    if (relu) {
        ref_batchnorm_relu_forward(pixels, c, xhat, gamma, beta, y, mask);
        ref_batchnorm_relu_backward(pixels, c, dy, xhat, mask, gamma, inverse_deviation, dx, dgamma,
                                    dbeta);
    } else {
        ref_batchnorm_affine(pixels, c, xhat, gamma, beta, y);
        ref_batchnorm_backward(pixels, c, dy, xhat, gamma, inverse_deviation, dx, dgamma, dbeta);
    }
    expect(g, "y", y, count);
    expect(g, "dx", dx, count);
    expect(g, "dgamma", dgamma, c);
    expect(g, "dbeta", dbeta, c);
    free(mask);
}

static void check_batchnorm(golden *g) {
    check_batchnorm_with(g, false);
}
static void check_batchnorm_relu(golden *g) {
    check_batchnorm_with(g, true);
}

static void check_relu(golden *g) {
    size_t count = tensor(g, "x")->count;
    double *y = golden_room(g, count), *dx = golden_room(g, count);
    uint8_t *mask = malloc(count);
    ref_relu_forward(count, tensor(g, "x")->values, y, mask);
    expect(g, "y", y, count);
    ref_relu_backward(count, golden_values(g, "dy", count), mask, dx);
    expect(g, "dx", dx, count);
    free(mask);
}

static void check_add(golden *g) {
    size_t count = tensor(g, "a")->count;
    double *y = golden_room(g, count);
    ref_add_forward(count, tensor(g, "a")->values, golden_values(g, "b", count), y);
    expect(g, "y", y, count);
    /* What the reference's header says in place of a backward function. */
    expect(g, "da", golden_values(g, "dy", count), count);
    expect(g, "db", golden_values(g, "dy", count), count);
}

static void check_add_relu(golden *g) {
    size_t count = tensor(g, "a")->count;
    double *y = golden_room(g, count), *dx = golden_room(g, count);
    uint8_t *mask = malloc(count);
    ref_add_relu_forward(count, tensor(g, "a")->values, golden_values(g, "b", count), y, mask);
    expect(g, "y", y, count);
    ref_add_relu_backward(count, golden_values(g, "dy", count), mask, dx);
    expect(g, "da", dx, count);
    expect(g, "db", dx, count);
    free(mask);
}

static bool stored_mask(const void *key, size_t index) {
    return ((const double *)key)[index] != 0;
}

static void check_dropout(golden *g) {
    size_t count = tensor(g, "x")->count;
    double *y = golden_room(g, count), *dx = golden_room(g, count);
    double scale = 1 / (1 - golden_scalar(g, "probability"));
    const double *mask = golden_values(g, "mask", count);
    ref_dropout_apply(count, tensor(g, "x")->values, scale, stored_mask, mask, y);
    expect(g, "y", y, count);
    ref_dropout_apply(count, golden_values(g, "dy", count), scale, stored_mask, mask, dx);
    expect(g, "dx", dx, count);
}

static void check_shortcut(golden *g) {
    ref_shape x = shape_of(g, "x"), y = shape_of(g, "y");
    size_t stride = whole(g, "stride", 1, 0);
    ref_shape output = ref_shortcut_output(x, stride, y.c);
    ck_assert_uint_eq(output.h, y.h);
    ck_assert_uint_eq(output.w, y.w);
    double *result = golden_room(g, ref_elems(y)), *dx = golden_room(g, ref_elems(x));
    ref_shortcut_forward(x, stride, y.c, tensor(g, "x")->values, result);
    expect(g, "y", result, ref_elems(y));
    ref_shortcut_backward(x, stride, y.c, golden_values(g, "dy", ref_elems(y)), dx);
    expect(g, "dx", dx, ref_elems(x));
}

static ref_window pool_window(const golden *g) {
    return (ref_window){.kernel_h = whole(g, "kernel", 2, 0),
                        .kernel_w = whole(g, "kernel", 2, 1),
                        .stride_h = whole(g, "stride", 2, 0),
                        .stride_w = whole(g, "stride", 2, 1),
                        .pad_h = whole(g, "pad", 2, 0),
                        .pad_w = whole(g, "pad", 2, 1),
                        .dilation_h = 1,
                        .dilation_w = 1};
}

static void check_maxpool(golden *g) {
    ref_window window = pool_window(g);
    ref_shape x = shape_of(g, "x"), y = ref_window_output(&window, x, x.c);
    size_t count = ref_elems(y);
    double *result = golden_room(g, count), *dx = golden_room(g, ref_elems(x));
    uint8_t *index = malloc(count), *expected = malloc(count);
    ref_maxpool_forward(&window, x, tensor(g, "x")->values, result, index);
    expect(g, "y", result, count);
    bytes_of(g, "index", count, expected);
    ck_assert_mem_eq(index, expected, count);
    ref_maxpool_backward(&window, x, golden_values(g, "dy", count), index, dx);
    expect(g, "dx", dx, ref_elems(x));
    free(index);
    free(expected);
}

static void check_avgpool(golden *g) {
    ref_window window = pool_window(g);
    ref_shape x = shape_of(g, "x"), y = ref_window_output(&window, x, x.c);
    bool valid = golden_scalar(g, "count_valid_only") != 0;
    double *result = golden_room(g, ref_elems(y)), *dx = golden_room(g, ref_elems(x));
    ref_avgpool_forward(&window, valid, x, tensor(g, "x")->values, result);
    expect(g, "y", result, ref_elems(y));
    ref_avgpool_backward(&window, valid, x, golden_values(g, "dy", ref_elems(y)), dx);
    expect(g, "dx", dx, ref_elems(x));
}

static void check_global_avgpool(golden *g) {
    ref_shape x = shape_of(g, "x");
    double *y = golden_room(g, x.n * x.c), *dx = golden_room(g, ref_elems(x));
    ref_global_avgpool_forward(x, tensor(g, "x")->values, y);
    expect(g, "y", y, x.n * x.c);
    ref_global_avgpool_backward(x, golden_values(g, "dy", x.n * x.c), dx);
    expect(g, "dx", dx, ref_elems(x));
}

static void check_cross_entropy(golden *g) {
    const golden_tensor *logits = tensor(g, "logits");
    size_t n = logits->extents[0], classes = logits->extents[1];
    int32_t *labels = malloc(n * sizeof *labels);
    for (size_t i = 0; i < n; i++) labels[i] = (int32_t)golden_values(g, "labels", n)[i];
    double *dlogits = golden_room(g, logits->count);
    ref_cross_entropy_result result =
        ref_softmax_cross_entropy(n, n, classes, logits->values, labels,
                                  golden_scalar(g, "smoothing"), 1 / (double)n, dlogits);
    expect(g, "loss", &result.mean, 1);
    expect(g, "dlogits", dlogits, logits->count);
    ck_assert_uint_eq(result.hits, whole(g, "hits", 1, 0));
    /* The same batch with a sample that is not real: nothing of it is counted, its gradient is 0.
     */
    if (n > 1) {
        double *fewer = golden_room(g, logits->count);
        ref_softmax_cross_entropy(n, n - 1, classes, logits->values, labels,
                                  golden_scalar(g, "smoothing"), 1 / (double)n, fewer);
        expect_values(g, "dlogits of fewer", fewer, dlogits, (n - 1) * classes);
        for (size_t i = (n - 1) * classes; i < n * classes; i++) ck_assert(fewer[i] == 0);
    }
    free(labels);
}

static void check_mse(golden *g) {
    const golden_tensor *prediction = tensor(g, "prediction");
    size_t n = prediction->extents[0], elems = prediction->count / n;
    double *gradient = golden_room(g, prediction->count);
    ref_mse_result result =
        ref_mse(n, n, elems, prediction->values, golden_values(g, "target", prediction->count),
                1 / (double)n, gradient);
    expect(g, "loss", &result.mean, 1);
    expect(g, "dprediction", gradient, prediction->count);
}

enum { RULE_ELEMS = 7, RULE_STEPS = 5 };
typedef void update(const golden *g, uint64_t step, double *w, const double *dw, double *m,
                    double *v);

static void update_sgd(const golden *g, uint64_t step, double *w, const double *dw, double *m,
                       double *v) {
    (void)step, (void)v;
    ref_sgd(RULE_ELEMS, w, dw, m, golden_scalar(g, "rate"), golden_scalar(g, "momentum"),
            golden_scalar(g, "nesterov") != 0, golden_scalar(g, "weight_decay"));
}

static ref_adam_params adam_params(const golden *g) {
    return (ref_adam_params){.beta1 = golden_scalar(g, "beta1"),
                             .beta2 = golden_scalar(g, "beta2"),
                             .epsilon = golden_scalar(g, "epsilon"),
                             .weight_decay = golden_scalar(g, "weight_decay")};
}

static void update_adam(const golden *g, uint64_t step, double *w, const double *dw, double *m,
                        double *v) {
    ref_adam_params params = adam_params(g);
    ref_adam(RULE_ELEMS, w, dw, m, v, step, golden_scalar(g, "rate"), &params);
}

static void update_adamw(const golden *g, uint64_t step, double *w, const double *dw, double *m,
                         double *v) {
    ref_adam_params params = adam_params(g);
    ref_adamw(RULE_ELEMS, w, dw, m, v, step, golden_scalar(g, "rate"), &params);
}

static void check_rule(golden *g, update *rule) {
    double w[RULE_ELEMS], m[RULE_ELEMS] = {0}, v[RULE_ELEMS] = {0};
    const double *gradients = golden_values(g, "gradients", RULE_STEPS * RULE_ELEMS);
    const double *after = golden_values(g, "after", RULE_STEPS * RULE_ELEMS);
    for (size_t i = 0; i < RULE_ELEMS; i++) w[i] = golden_values(g, "w", RULE_ELEMS)[i];
    for (size_t step = 0; step < RULE_STEPS; step++) {
        rule(g, step + 1, w, gradients + step * RULE_ELEMS, m, v);
        expect_values(g, "weights", w, after + step * RULE_ELEMS, RULE_ELEMS);
    }
}

static void check_sgd(golden *g) {
    check_rule(g, update_sgd);
}
static void check_adam(golden *g) {
    check_rule(g, update_adam);
}
static void check_adamw(golden *g) {
    check_rule(g, update_adamw);
}

static void check_clip(golden *g) {
    const golden_tensor *a = tensor(g, "a"), *b = tensor(g, "b");
    double norm =
        sqrt(ref_sum_of_squares(a->count, a->values) + ref_sum_of_squares(b->count, b->values));
    double factor = ref_clip_factor(norm, golden_scalar(g, "clip_norm"));
    expect(g, "norm", &norm, 1);
    for (size_t i = 0; i < a->count; i++) a->values[i] *= factor;
    for (size_t i = 0; i < b->count; i++) b->values[i] *= factor;
    expect(g, "a_clipped", a->values, a->count);
    expect(g, "b_clipped", b->values, b->count);
}

static void check_half(golden *g) {
    size_t count = tensor(g, "value")->count;
    const float *value = golden_floats(g, "value", count), *back = golden_floats(g, "back", count);
    const double *bits = golden_values(g, "bits", count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(ref_half_from_float(value[i]) == (uint16_t)bits[i], "%a becomes %#x, not %#x",
                      (double)value[i], (unsigned)ref_half_from_float(value[i]), (unsigned)bits[i]);
        ck_assert(ref_half_to_float((uint16_t)bits[i]) == back[i]);
    }
}

/* The stored case is computed in double and keeps away from level boundaries: codes and masks must
 * be equal, decoded values as close as float32 allows. */
static void check_norm(golden *g) {
    const golden_tensor *x = tensor(g, "xhat");
    size_t pixels = x->extents[0], c = x->extents[1];
    const float *xhat = golden_floats(g, "xhat", x->count), *gamma = golden_floats(g, "gamma", c);
    const float *beta = golden_floats(g, "beta", c);
    ref_norm norm = {.bits = (unsigned)golden_scalar(g, "bits"),
                     .clip = (float)golden_scalar(g, "clip"),
                     .relu = true};
    uint8_t *q = malloc(x->count), *expected = malloc(x->count);
    uint8_t *code = malloc(ref_norm_bytes(&norm, pixels, c));
    float *decoded = malloc(x->count * sizeof *decoded);
    bytes_of(g, "q", x->count, expected);
    for (size_t i = 0; i < x->count; i++) {
        ref_norm_channel channel = ref_norm_channel_of(&norm, gamma[i % c], beta[i % c]);
        q[i] = (uint8_t)ref_norm_quantise(&norm, &channel, xhat[i]);
    }
    ck_assert_mem_eq(q, expected, x->count);
    ref_norm_encode(&norm, pixels, c, xhat, gamma, beta, code);
    ref_norm_decode_mask(&norm, pixels, c, code, gamma, beta, q);
    bytes_of(g, "mask", x->count, expected);
    ck_assert_mem_eq(q, expected, x->count);
    ref_norm_decode_xhat(&norm, pixels, c, code, gamma, beta, decoded);
    test_close("x-hat", decoded, golden_floats(g, "xhat_decoded", x->count), x->count, 4e-6f, 0);
    ref_norm_decode_value(&norm, pixels, c, code, gamma, beta, decoded);
    test_close("value", decoded, golden_floats(g, "value", x->count), x->count, 8e-6f,
               4 * FLT_EPSILON);
    free(q);
    free(expected);
    free(code);
    free(decoded);
}

static const struct {
    const char *name;
    void (*check)(golden *g);
} cases[] = {
    {"conv2d/same_bias", check_conv2d},
    {"conv2d/stride2", check_conv2d},
    {"conv2d/dilation2", check_conv2d},
    {"conv2d/groups2", check_conv2d},
    {"conv2d/depthwise", check_conv2d},
    {"conv2d/depthwise_multiplier", check_conv2d},
    {"conv2d/pointwise_bias", check_conv2d},
    {"conv2d/pointwise_stride2", check_conv2d},
    {"conv2d/stem7", check_conv2d},
    {"conv2d/lopsided", check_conv2d},
    {"conv2d/valid2", check_conv2d},
    {"dense/flat_bias", check_dense},
    {"dense/image", check_dense},
    {"batchnorm/small", check_batchnorm},
    {"batchnorm/other_constants", check_batchnorm},
    {"batchnorm/one_image", check_batchnorm},
    {"batchnorm_relu/small", check_batchnorm_relu},
    {"batchnorm_relu/other_constants", check_batchnorm_relu},
    {"batchnorm_relu/one_image", check_batchnorm_relu},
    {"relu/small", check_relu},
    {"add/small", check_add},
    {"add_relu/small", check_add_relu},
    {"dropout/small", check_dropout},
    {"shortcut/stride2_odd", check_shortcut},
    {"shortcut/stride2_even", check_shortcut},
    {"shortcut/stride1", check_shortcut},
    {"shortcut/stride3", check_shortcut},
    {"maxpool/two", check_maxpool},
    {"maxpool/remainder", check_maxpool},
    {"maxpool/stem", check_maxpool},
    {"maxpool/overlap", check_maxpool},
    {"maxpool/lopsided", check_maxpool},
    {"maxpool/ties", check_maxpool},
    {"avgpool/two", check_avgpool},
    {"avgpool/remainder", check_avgpool},
    {"avgpool/stem", check_avgpool},
    {"avgpool/stem_valid", check_avgpool},
    {"avgpool/overlap", check_avgpool},
    {"avgpool/overlap_valid", check_avgpool},
    {"avgpool/lopsided", check_avgpool},
    {"avgpool/lopsided_valid", check_avgpool},
    {"global_avgpool/small", check_global_avgpool},
    {"softmax_cross_entropy/plain", check_cross_entropy},
    {"softmax_cross_entropy/smoothed", check_cross_entropy},
    {"softmax_cross_entropy/far_apart", check_cross_entropy},
    {"softmax_cross_entropy/one", check_cross_entropy},
    {"mse/small", check_mse},
    {"optimizer/sgd", check_sgd},
    {"optimizer/sgd_momentum", check_sgd},
    {"optimizer/sgd_nesterov", check_sgd},
    {"optimizer/adam", check_adam},
    {"optimizer/adam_decay", check_adam},
    {"optimizer/adamw", check_adamw},
    {"optimizer/clip", check_clip},
    {"optimizer/clip_idle", check_clip},
    {"half/round", check_half},
    {"norm/bits1", check_norm},
    {"norm/bits2", check_norm},
    {"norm/bits3", check_norm},
    {"norm/bits4", check_norm},
    {"norm/bits4_clip3", check_norm},
    {"norm/bits5", check_norm},
    {"norm/bits6", check_norm},
    {"norm/bits8", check_norm},
    {"norm/bits8_clip3", check_norm},
};
enum { CASE_COUNT = sizeof cases / sizeof *cases };

START_TEST(golden_pins_reference) {
    golden *g = golden_read(cases[_i].name);
    cases[_i].check(g);
    golden_free(g);
}
END_TEST

/* Philox4x32-10 with key and counter 0 gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8 (Random123's known
 * answers): 0.399, 0.880, 0.736 and 0.606 of 1. */
START_TEST(dropout_key_selects_known_words) {
    static const bool at_half[] = {false, true, true, true}, at_07[] = {false, true, true, false};
    ref_dropout_key key = {.probability = 0.5f};
    for (size_t i = 0; i < 4; i++) ck_assert_int_eq(ref_dropout_keeps(&key, i), at_half[i]);
    key.probability = 0.7f;
    for (size_t i = 0; i < 4; i++) ck_assert_int_eq(ref_dropout_keeps(&key, i), at_07[i]);
}
END_TEST

/* Node and step must reach the key separately: each changes about half of the elements. */
START_TEST(dropout_key_separates_nodes_and_steps) {
    const ref_dropout_key keys[] = {{.seed = 7, .node_number = 3, .step = 5, .probability = 0.5f},
                                    {.seed = 7, .node_number = 5, .step = 3, .probability = 0.5f},
                                    {.seed = 7, .node_number = 3, .step = 6, .probability = 0.5f},
                                    {.seed = 8, .node_number = 3, .step = 5, .probability = 0.5f}};
    for (size_t k = 1; k < sizeof keys / sizeof *keys; k++) {
        int differ = 0;
        for (size_t i = 0; i < 4096; i++)
            differ += ref_dropout_keeps(&keys[0], i) != ref_dropout_keeps(&keys[k], i);
        ck_assert_int_gt(differ, 1850);
        ck_assert_int_lt(differ, 2250);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("golden");
    TCase *tcase = tcase_create("references");
    tcase_add_loop_test(tcase, golden_pins_reference, 0, CASE_COUNT);
    tcase_add_test(tcase, dropout_key_selects_known_words);
    tcase_add_test(tcase, dropout_key_separates_nodes_and_steps);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
