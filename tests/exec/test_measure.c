/* Measured signals: what can be computed by hand, what follows from the codecs, and that measuring
 * leaves the training and the budget alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 6, FEATURES = 5, HIDDEN = 11, CLASSES = 3, SIDE = 8, COLOURS = 2 };

static float inputs[BATCH * SIDE * SIDE * COLOURS];
static int32_t labels[BATCH];
static pp_graph *dense, *normalised;

static pp_graph *make_dense(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "features", 1, 1, FEATURES);
    x = pp_graph_dense(g, "fc1", x, &(pp_dense_params){.out_features = HIDDEN, .bias = true});
    x = pp_graph_relu(g, "relu", x);
    x = pp_graph_dense(g, "fc2", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static pp_graph *make_normalised(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = 16, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_relu(g, "relu1",
                      pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL));
    pp_value y = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "conv2", x, &conv), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x));
    x = pp_graph_conv2d(g, "conv3", x, &conv);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void set_up(void) {
    dense = make_dense();
    normalised = make_normalised();
    test_fill_normal(inputs, sizeof inputs / sizeof *inputs);
    for (size_t i = 0; i < BATCH; i++) labels[i] = (int32_t)(i % CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(dense);
    pp_graph_destroy(normalised);
}

static const pp_plan_options options = {.batch = BATCH, .optimizer = {.momentum = 0.9f}};
static const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};

static pp_signals *measure(const trainer *t, const pp_graph *graph,
                           const pp_measure_options *wanted) {
    pp_state *state = NULL;
    pp_signals *signals = NULL;
    TEST_OK(pp_state_save(t->session, &state));
    TEST_OK(pp_measure(test_device(), graph, t->profile, state, &batch, wanted, &signals));
    pp_state_destroy(state);
    return signals;
}

static pp_signal find(const pp_signals *signals, const char *name, const char *kind) {
    pp_signal signal;
    for (size_t i = 0; i < pp_signals_count(signals); i++) {
        pp_signals_read(signals, i, &signal);
        if (!strcmp(signal.value, name) && !strcmp(signal.kind, kind)) return signal;
    }
    ck_abort_msg("no signal of %s, %s", name, kind);
    return signal;
}

/* Relative squared error; -1: the value cannot be stored so. */
static double error_of(const pp_signals *signals, const pp_signal *signal, const char *codec) {
    size_t count;
    const pp_harm *harms = pp_signals_harms(signals, &count);
    ck_assert(signal->first_harm + signal->harm_count <= count);
    for (size_t h = 0; h < signal->harm_count; h++) {
        const pp_harm *harm = &harms[signal->first_harm + h];
        ck_assert_str_eq(harm->value, signal->value);
        if (!strcmp(harm->codec, codec)) return harm->harm / signal->weight;
    }
    return -1;
}

/* Hidden values and logits' gradients of the first images, from the device's weights. */
static void squares_by_hand(const trainer *t, size_t images, double *hidden_out,
                            double *gradient_out) {
    float *w1 = trainer_read(t, "fc1.weight"), *b1 = trainer_read(t, "fc1.bias");
    float *w2 = trainer_read(t, "fc2.weight"), *b2 = trainer_read(t, "fc2.bias");
    double hidden_square = 0, gradient_square = 0;
    for (size_t n = 0; n < images; n++) {
        double logits[CLASSES], sum = 0;
        for (size_t k = 0; k < CLASSES; k++) logits[k] = (double)b2[k];
        for (size_t j = 0; j < HIDDEN; j++) {
            double h = (double)b1[j];
            for (size_t i = 0; i < FEATURES; i++)
                h += (double)inputs[n * FEATURES + i] * (double)w1[i * HIDDEN + j];
            h = fmax(h, 0);
            hidden_square += h * h;
            for (size_t k = 0; k < CLASSES; k++) logits[k] += h * (double)w2[j * CLASSES + k];
        }
        for (size_t k = 0; k < CLASSES; k++) sum += exp(logits[k]);
        for (size_t k = 0; k < CLASSES; k++) {
            const double g = exp(logits[k]) / sum - ((size_t)labels[n] == k);
            gradient_square += g * g;
        }
    }
    *hidden_out = hidden_square / (double)(images * HIDDEN);
    *gradient_out = gradient_square / (double)(images * CLASSES);
    free(w1), free(b1), free(w2), free(b2);
}

START_TEST(squares_are_those_by_hand) {
    trainer t;
    trainer_create(&t, dense, &options, 3);
    pp_signals *signals = measure(&t, dense, &(pp_measure_options){.images = 5});
    ck_assert_uint_eq(pp_signals_images(signals), 5);
    ck_assert_uint_eq(pp_signals_count(signals), 1);
    const pp_signal signal = find(signals, "relu", "activation");
    double hidden, gradient;
    squares_by_hand(&t, 5, &hidden, &gradient);
    ck_assert_double_eq_tol(signal.square / hidden, 1, 1e-5);
    ck_assert_double_eq_tol(signal.gradient / gradient, 1, 1e-5);
    /* The only value: the mean of all. Means of one pixel are the pixel. */
    ck_assert_double_eq_tol(signal.weight, 1, 1e-12);
    ck_assert_double_eq_tol(signal.kept2, 1, 1e-12);
    ck_assert_double_eq_tol(signal.kept4, 1, 1e-12);
    pp_signals_destroy(signals);
    trainer_destroy(&t);
}
END_TEST

/* METHODS A.9 and C.1: x-hat of normal noise is N(0,1). */
START_TEST(errors_of_noise_are_the_expected_ones) {
    static const struct {
        const char *codec;
        double error;
    } rows[] = {{"norm:8", 0.0094 * 0.0094},
                {"norm:6", 0.0322 * 0.0322},
                {"norm:5", 0.0591 * 0.0591},
                {"norm:4", 0.1074 * 0.1074},
                {"norm:3", 0.1935 * 0.1935},
                {"norm:2", 0.3447 * 0.3447},
                {"norm:1", 0.6028 * 0.6028},
                {"btc:2", 0.196},
                {"btc:4", 0.320}};
    trainer t;
    trainer_create(&t, normalised, &options, 3);
    pp_signals *signals = measure(&t, normalised, &(pp_measure_options){.images = BATCH});
    const pp_signal bn2 = find(signals, "bn2", "normalised");
    ck_assert_double_eq(error_of(signals, &bn2, "raw"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double error = error_of(signals, &bn2, rows[i].codec);
        /* 6144 elements in 96 normal fields; tails make 8 bits' error the least certain. */
        ck_assert_msg(fabs(error / rows[i].error - 1) < 0.25, "%s: %g, expected about %g",
                      rows[i].codec, error, rows[i].error);
    }
    const pp_signal add = find(signals, "add", "activation");
    double last = -1;
    static const char *const groups[] = {"raw", "group:8", "group:4", "group:3", "group:2"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        const double error = error_of(signals, &add, groups[i]);
        ck_assert_msg(error > last, "%s: %g after %g", groups[i], error, last);
        last = error;
    }
    ck_assert(error_of(signals, &add, "norm:4") < 0);
    ck_assert(bn2.kept4 < bn2.kept2 && bn2.kept2 < 1 && bn2.kept4 > 0);
    pp_signals_destroy(signals);
    trainer_destroy(&t);
}
END_TEST

static bool same_signals(const pp_signals *a, const pp_signals *b) {
    size_t a_count, b_count;
    const pp_harm *x = pp_signals_harms(a, &a_count), *y = pp_signals_harms(b, &b_count);
    if (a_count != b_count || !a_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (x[i].harm != y[i].harm || strcmp(x[i].codec, y[i].codec) != 0) return false;
    return true;
}

START_TEST(measuring_is_repeatable_and_leaves_the_training_alone) {
    pp_plan_options tight = options;
    tight.codec = "norm:2";
    trainer t, twin;
    trainer_create(&t, normalised, &tight, 3);
    trainer_create(&twin, normalised, &tight, 3);
    TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    TEST_OK(pp_session_step(twin.session, &batch, 0.1f));
    pp_signals *first = measure(&t, normalised, NULL), *second = measure(&t, normalised, NULL);
    ck_assert(same_signals(first, second));
    TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    TEST_OK(pp_session_step(twin.session, &batch, 0.1f));
    ck_assert(trainer_same(&t, &twin));
    pp_signals_destroy(first);
    pp_signals_destroy(second);
    trainer_destroy(&t);
    trainer_destroy(&twin);
}
END_TEST

START_TEST(the_budget_holds_for_measuring) {
    trainer t;
    trainer_create(&t, normalised, &options, 3);
    pp_signals *whole = measure(&t, normalised, &(pp_measure_options){.images = BATCH});
    const size_t bytes = pp_signals_device_bytes(whole);
    pp_state *state = NULL;
    TEST_OK(pp_state_save(t.session, &state));
    trainer_destroy(&t);
    pp_signals_destroy(whole);

    pp_profile *profile = NULL;
    TEST_OK(pp_profile_for_device(test_device(), test_profile(), &profile));
    pp_device_counters before, after;
    pp_device_read_counters(test_device(), &before);
    pp_measure_options wanted = {.images = BATCH, .budget_bytes = bytes - 1};
    pp_signals *fewer = NULL;
    TEST_OK(pp_measure(test_device(), normalised, profile, state, &batch, &wanted, &fewer));
    ck_assert_uint_eq(pp_signals_images(fewer), BATCH / 2);
    ck_assert_uint_lt(pp_signals_device_bytes(fewer), bytes);
    pp_device_read_counters(test_device(), &after);
    ck_assert_uint_eq(before.live_buffer_bytes, after.live_buffer_bytes);
    wanted.budget_bytes = 1;
    pp_signals *none = NULL;
    TEST_FAILS(pp_measure(test_device(), normalised, profile, state, &batch, &wanted, &none),
               PP_ERROR_OUT_OF_MEMORY, "one image takes");
    ck_assert_ptr_null(none);
    pp_signals_destroy(fewer);
    pp_state_destroy(state);
    pp_profile_destroy(profile);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("measure");
    TCase *tests = tcase_create("measure");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, squares_are_those_by_hand);
    tcase_add_test(tests, errors_of_noise_are_the_expected_ones);
    tcase_add_test(tests, measuring_is_repeatable_and_leaves_the_training_alone);
    tcase_add_test(tests, the_budget_holds_for_measuring);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
