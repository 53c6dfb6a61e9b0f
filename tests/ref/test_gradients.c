/* Finite differences -> reference backward: for L = sum(dy * y) with a random dy, every gradient
 * against the central difference (L(v + h) - L(v - h)) / 2h in double.
 *
 * h = 1e-4: truncation is h^2 / 6 times a third derivative of about 1, rounding 1e-16 * |L| / h, so
 * both stay below 1e-8; 1e-7 of 1 + |gradient| leaves a margin. Inputs keep 100 h away from the
 * kinks of ReLU and maximum. */
#include <math.h>
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
#include "ref/maxpool_ref.h"
#include "ref/mse_ref.h"
#include "ref/relu_ref.h"
#include "ref/shortcut_ref.h"
#include "ref/softmax_cross_entropy_ref.h"
#include "support/support.h"

static const double h = 1e-4, tolerance = 1e-7, kink_distance = 100 * 1e-4;

enum { ROOM = 512 };

/* One operator under test: what its loss function reads. `weight` and `bias` stand for gamma and
 * beta too. */
typedef struct subject {
    ref_shape input, output;
    ref_conv2d conv;
    ref_window window;
    bool flag; /* count_valid_only */
    size_t stride;
    int32_t labels[8];
    double x[ROOM], weight[ROOM], bias[ROOM], dy[ROOM];
} subject;

/* The operator's output, at most ROOM elements. */
typedef void forward(const subject *s, double *y);

static double loss_of(const subject *s, forward *run) {
    double y[ROOM], sum = 0;
    run(s, y);
    for (size_t i = 0; i < ref_elems(s->output); i++) sum += y[i] * s->dy[i];
    return sum;
}

/* `variable` is one of the subject's arrays. */
static void check_gradient(const char *what, subject *s, forward *run, double *variable,
                           size_t count, const double *gradient) {
    for (size_t i = 0; i < count; i++) {
        double centre = variable[i];
        variable[i] = centre + h;
        double above = loss_of(s, run);
        variable[i] = centre - h;
        double below = loss_of(s, run);
        variable[i] = centre;
        double expected = (above - below) / (2 * h);
        ck_assert_msg(fabs(gradient[i] - expected) <= tolerance * (1 + fabs(expected)),
                      "%s: element %zu of %zu is %.12g, the difference quotient %.12g", what, i,
                      count, gradient[i], expected);
    }
}

static void fill(double *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = test_random_normal();
}

/* Normal values at least kink_distance away from 0. */
static void fill_off_zero(double *values, size_t count) {
    for (size_t i = 0; i < count; i++) do {
            values[i] = test_random_normal();
        } while (fabs(values[i]) < kink_distance);
}

static subject *create(ref_shape input, ref_shape output) {
    subject *s = calloc(1, sizeof *s);
    s->input = input;
    s->output = output;
    ck_assert_uint_le(ref_elems(input), ROOM);
    ck_assert_uint_le(ref_elems(output), ROOM);
    fill(s->x, ROOM);
    fill(s->weight, ROOM);
    fill(s->bias, ROOM);
    fill(s->dy, ROOM);
    return s;
}

static void run_conv2d(const subject *s, double *y) {
    ref_conv2d_forward(&s->conv, s->x, s->weight, s->bias, y);
}

static const ref_conv2d convolutions[] = {
    {{2, 4, 5, 3}, 4, 1, {3, 3, 1, 1, 1, 1, 1, 1}}, {{2, 5, 6, 4}, 6, 2, {3, 2, 2, 1, 1, 0, 1, 2}},
    {{1, 5, 5, 4}, 4, 4, {3, 3, 2, 2, 1, 1, 1, 1}}, {{2, 3, 3, 5}, 3, 1, {1, 1, 2, 2, 0, 0, 1, 1}},
    {{1, 7, 6, 2}, 3, 1, {3, 3, 1, 1, 2, 2, 2, 2}},
};
enum { CONVOLUTION_COUNT = sizeof convolutions / sizeof *convolutions };

START_TEST(conv2d) {
    const ref_conv2d *conv = &convolutions[_i];
    subject *s = create(conv->input, ref_conv2d_output(conv));
    double gradient[ROOM];
    s->conv = *conv;
    ref_conv2d_backward_input(conv, s->weight, s->dy, gradient);
    check_gradient("conv2d dx", s, run_conv2d, s->x, ref_elems(s->input), gradient);
    ref_conv2d_backward_weight(conv, s->x, s->dy, gradient);
    check_gradient("conv2d dw", s, run_conv2d, s->weight, ref_conv2d_weight_elems(conv), gradient);
    ref_conv2d_backward_bias(conv, s->dy, gradient);
    check_gradient("conv2d db", s, run_conv2d, s->bias, conv->out_channels, gradient);
    free(s);
}
END_TEST

enum { DENSE_N = 3, DENSE_IN = 12, DENSE_OUT = 5 };

static void run_dense(const subject *s, double *y) {
    ref_dense_forward(DENSE_N, DENSE_IN, DENSE_OUT, s->x, s->weight, s->bias, y);
}

START_TEST(dense) {
    subject *s = create((ref_shape){DENSE_N, 2, 2, 3}, (ref_shape){DENSE_N, 1, 1, DENSE_OUT});
    double gradient[ROOM];
    ref_dense_backward_input(DENSE_N, DENSE_IN, DENSE_OUT, s->weight, s->dy, gradient);
    check_gradient("dense dx", s, run_dense, s->x, DENSE_N * DENSE_IN, gradient);
    ref_dense_backward_weight(DENSE_N, DENSE_IN, DENSE_OUT, s->x, s->dy, gradient);
    check_gradient("dense dw", s, run_dense, s->weight, DENSE_IN * DENSE_OUT, gradient);
    ref_dense_backward_bias(DENSE_N, DENSE_OUT, s->dy, gradient);
    check_gradient("dense db", s, run_dense, s->bias, DENSE_OUT, gradient);
    free(s);
}
END_TEST

static const double epsilon = 1e-3;

static void normalise(const subject *s, double *xhat, double *inverse_deviation) {
    double mean[ROOM];
    size_t pixels = ref_pixels(s->input);
    ref_batchnorm_statistics(pixels, s->input.c, s->x, epsilon, mean, inverse_deviation, 0, NULL,
                             NULL);
    ref_batchnorm_normalise(pixels, s->input.c, s->x, mean, inverse_deviation, xhat);
}

static void run_batchnorm(const subject *s, double *y) {
    double xhat[ROOM], inverse_deviation[ROOM];
    normalise(s, xhat, inverse_deviation);
    ref_batchnorm_affine(ref_pixels(s->input), s->input.c, xhat, s->weight, s->bias, y);
}

static void run_batchnorm_relu(const subject *s, double *y) {
    run_batchnorm(s, y);
    ref_relu_forward(ref_elems(s->output), y, y, NULL);
}

/* The smallest distance of a batch-norm output to ReLU's kink. */
static double distance_to_kink(const subject *s) {
    double y[ROOM], smallest = INFINITY;
    run_batchnorm(s, y);
    for (size_t i = 0; i < ref_elems(s->output); i++) smallest = fmin(smallest, fabs(y[i]));
    return smallest;
}

START_TEST(batchnorm) {
    bool relu = _i == 1;
    ref_shape shape = {2, 2, 3, 3};
    size_t pixels = ref_pixels(shape);
    double xhat[ROOM], y[ROOM], inverse_deviation[ROOM], dx[ROOM], dgamma[ROOM], dbeta[ROOM];
    uint8_t mask[ROOM];
    subject *s = create(shape, shape);
    while (relu && distance_to_kink(s) < kink_distance) fill(s->bias, shape.c);
    normalise(s, xhat, inverse_deviation);
    if (relu) {
        ref_batchnorm_relu_forward(pixels, shape.c, xhat, s->weight, s->bias, y, mask);
        ref_batchnorm_relu_backward(pixels, shape.c, s->dy, xhat, mask, s->weight,
                                    inverse_deviation, dx, dgamma, dbeta);
    } else {
        ref_batchnorm_backward(pixels, shape.c, s->dy, xhat, s->weight, inverse_deviation, dx,
                               dgamma, dbeta);
    }
    forward *run = relu ? run_batchnorm_relu : run_batchnorm;
    check_gradient("batchnorm dx", s, run, s->x, ref_elems(shape), dx);
    check_gradient("batchnorm dgamma", s, run, s->weight, shape.c, dgamma);
    check_gradient("batchnorm dbeta", s, run, s->bias, shape.c, dbeta);
    free(s);
}
END_TEST

static void run_relu(const subject *s, double *y) {
    ref_relu_forward(ref_elems(s->output), s->x, y, NULL);
}
static void run_add_relu(const subject *s, double *y) {
    ref_add_relu_forward(ref_elems(s->output), s->x, s->weight, y, NULL);
}

START_TEST(relu_and_add_relu) {
    ref_shape shape = {2, 3, 3, 5};
    size_t count = ref_elems(shape);
    double y[ROOM], gradient[ROOM];
    uint8_t mask[ROOM];
    subject *s = create(shape, shape);
    fill_off_zero(s->x, count);
    ref_relu_forward(count, s->x, y, mask);
    ref_relu_backward(count, s->dy, mask, gradient);
    check_gradient("relu dx", s, run_relu, s->x, count, gradient);

    double sum[ROOM];
    fill_off_zero(sum, count);
    for (size_t i = 0; i < count; i++) s->weight[i] = sum[i] - s->x[i];
    ref_add_relu_forward(count, s->x, s->weight, y, mask);
    ref_add_relu_backward(count, s->dy, mask, gradient);
    check_gradient("add_relu da", s, run_add_relu, s->x, count, gradient);
    check_gradient("add_relu db", s, run_add_relu, s->weight, count, gradient);
    free(s);
}
END_TEST

static void run_add(const subject *s, double *y) {
    ref_add_forward(ref_elems(s->output), s->x, s->weight, y);
}

START_TEST(add) {
    ref_shape shape = {2, 3, 1, 5};
    subject *s = create(shape, shape);
    check_gradient("add da", s, run_add, s->x, ref_elems(shape), s->dy);
    check_gradient("add db", s, run_add, s->weight, ref_elems(shape), s->dy);
    free(s);
}
END_TEST

static void run_shortcut(const subject *s, double *y) {
    ref_shortcut_forward(s->input, s->stride, s->output.c, s->x, y);
}

START_TEST(shortcut) {
    ref_shape shape = {2, 5, 4, 3};
    subject *s = create(shape, ref_shortcut_output(shape, 2, 6));
    double gradient[ROOM];
    s->stride = 2;
    ref_shortcut_backward(shape, 2, 6, s->dy, gradient);
    check_gradient("shortcut dx", s, run_shortcut, s->x, ref_elems(shape), gradient);
    free(s);
}
END_TEST

static void run_maxpool(const subject *s, double *y) {
    uint8_t index[ROOM];
    ref_maxpool_forward(&s->window, s->input, s->x, y, index);
}
static void run_avgpool(const subject *s, double *y) {
    ref_avgpool_forward(&s->window, s->flag, s->input, s->x, y);
}

static const ref_window windows[] = {
    {2, 2, 2, 2, 0, 0, 1, 1}, {3, 3, 2, 2, 1, 1, 1, 1}, {2, 3, 1, 2, 0, 1, 1, 1}};
enum { WINDOW_COUNT = sizeof windows / sizeof *windows };

START_TEST(pools) {
    ref_shape shape = {2, 5, 6, 3};
    subject *s = create(shape, ref_window_output(&windows[_i], shape, shape.c));
    double y[ROOM], gradient[ROOM];
    uint8_t index[ROOM];
    s->window = windows[_i];
    /* 37 and the element count share no divisor: a permutation of distinct values, well apart. */
    size_t count = ref_elems(shape);
    for (size_t i = 0; i < count; i++) s->x[i] = (double)(i * 37 % count) / 16 - 5;
    ref_maxpool_forward(&s->window, shape, s->x, y, index);
    ref_maxpool_backward(&s->window, shape, s->dy, index, gradient);
    check_gradient("maxpool dx", s, run_maxpool, s->x, count, gradient);
    for (int valid = 0; valid < 2; valid++) {
        s->flag = valid;
        ref_avgpool_backward(&s->window, s->flag, shape, s->dy, gradient);
        check_gradient("avgpool dx", s, run_avgpool, s->x, count, gradient);
    }
    free(s);
}
END_TEST

static void run_global_avgpool(const subject *s, double *y) {
    ref_global_avgpool_forward(s->input, s->x, y);
}

START_TEST(global_avgpool) {
    ref_shape shape = {2, 5, 4, 3};
    subject *s = create(shape, (ref_shape){2, 1, 1, 3});
    double gradient[ROOM];
    ref_global_avgpool_backward(shape, s->dy, gradient);
    check_gradient("global_avgpool dx", s, run_global_avgpool, s->x, ref_elems(shape), gradient);
    free(s);
}
END_TEST

static const ref_dropout_key dropout_key = {
    .seed = 11, .node_number = 2, .step = 9, .probability = 0.25f};

static void run_dropout(const subject *s, double *y) {
    ref_dropout_apply(ref_elems(s->input), s->x, 1 / 0.75, ref_dropout_keeps, &dropout_key, y);
}

START_TEST(dropout) {
    ref_shape shape = {2, 3, 4, 5};
    subject *s = create(shape, shape);
    double gradient[ROOM];
    ref_dropout_apply(ref_elems(shape), s->dy, 1 / 0.75, ref_dropout_keeps, &dropout_key, gradient);
    check_gradient("dropout dx", s, run_dropout, s->x, ref_elems(shape), gradient);
    free(s);
}
END_TEST

enum { LOSS_N = 4, LOSS_COUNT = 3, LOSS_ELEMS = 5 };
static const double smoothing = 0.15, loss_scale = 0.4;

/* The losses hand out one number, weighted with dy[0] as every other output. The gradient is that
 * of loss_scale * sum, over the real samples only. */
static void run_cross_entropy(const subject *s, double *y) {
    y[0] = loss_scale * ref_softmax_cross_entropy(LOSS_N, LOSS_COUNT, LOSS_ELEMS, s->x, s->labels,
                                                  smoothing, 1, NULL)
                            .sum;
}
static void run_mse(const subject *s, double *y) {
    y[0] = loss_scale * ref_mse(LOSS_N, LOSS_COUNT, LOSS_ELEMS, s->x, s->weight, 1, NULL).sum;
}

START_TEST(losses) {
    subject *s = create((ref_shape){LOSS_N, 1, 1, LOSS_ELEMS}, (ref_shape){1, 1, 1, 1});
    double gradient[ROOM];
    for (size_t i = 0; i < LOSS_COUNT; i++) s->labels[i] = (int32_t)test_random_below(LOSS_ELEMS);
    s->dy[0] = 1;
    ref_softmax_cross_entropy(LOSS_N, LOSS_COUNT, LOSS_ELEMS, s->x, s->labels, smoothing,
                              loss_scale, gradient);
    check_gradient("cross entropy dlogits", s, run_cross_entropy, s->x, LOSS_N * LOSS_ELEMS,
                   gradient);
    ref_mse(LOSS_N, LOSS_COUNT, LOSS_ELEMS, s->x, s->weight, loss_scale, gradient);
    check_gradient("mse dprediction", s, run_mse, s->x, LOSS_N * LOSS_ELEMS, gradient);
    free(s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gradients");
    TCase *tcase = tcase_create("finite differences");
    tcase_add_loop_test(tcase, conv2d, 0, CONVOLUTION_COUNT);
    tcase_add_test(tcase, dense);
    tcase_add_loop_test(tcase, batchnorm, 0, 2);
    tcase_add_test(tcase, relu_and_add_relu);
    tcase_add_test(tcase, add);
    tcase_add_test(tcase, shortcut);
    tcase_add_loop_test(tcase, pools, 0, WINDOW_COUNT);
    tcase_add_test(tcase, global_avgpool);
    tcase_add_test(tcase, dropout);
    tcase_add_test(tcase, losses);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
