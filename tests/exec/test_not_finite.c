/* NaN and infinity in batches and gradients: an update that would learn from them is left out, and
 * what is learnt stays finite. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, SIDE = 6, COLOURS = 2, CLASSES = 3, BATCHES = 6, INPUT = SIDE * SIDE * COLOURS };
enum { WIDE = 64, WIDE_CLASSES = 16 };

static struct {
    float inputs[BATCHES][BATCH * INPUT], bad[BATCH * INPUT];
    int32_t labels[BATCHES][BATCH];
    float wide[BATCH * WIDE];
} data;

static pp_graph *graph, *dense;

/* Running statistics, and weights that are enough for moments of 8 bits. */
static pp_graph *make_graph(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = 24, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_relu(g, "relu1",
                      pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL));
    pp_value y = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "conv2", x, &conv), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x));
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

/* Two layers without anything that would bound a gradient. */
static pp_graph *make_dense(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "features", 1, 1, WIDE);
    x = pp_graph_dense(g, "fc1", x, &(pp_dense_params){.out_features = WIDE, .bias = true});
    x = pp_graph_dense(g, "fc2", x, &(pp_dense_params){.out_features = WIDE_CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void set_up(void) {
    graph = make_graph();
    dense = make_dense();
    test_fill_normal(&data.inputs[0][0], sizeof data.inputs / sizeof(float));
    for (size_t i = 0; i < BATCHES * BATCH; i++)
        data.labels[i / BATCH][i % BATCH] = (int32_t)(i % CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(graph);
    pp_graph_destroy(dense);
}

static pp_batch batch_of(size_t index) {
    return (pp_batch){.inputs = data.inputs[index], .labels = data.labels[index], .count = BATCH};
}

/* The first batch with one element replaced. */
static pp_batch bad_batch(float value) {
    memcpy(data.bad, data.inputs[0], sizeof data.bad);
    data.bad[INPUT + 17] = value;
    return (pp_batch){.inputs = data.bad, .labels = data.labels[0], .count = BATCH};
}

static void step(const trainer *t, const pp_batch *batch) {
    TEST_OK(pp_session_step(t->session, batch, 0.05f));
}

static pp_metrics metrics_of(const trainer *t) {
    pp_metrics metrics;
    TEST_OK(pp_session_read_metrics(t->session, &metrics));
    return metrics;
}

static bool all_finite(const trainer *t) {
    size_t count;
    float *values = trainer_read_all(t, &count);
    bool finite = true;
    for (size_t i = 0; i < count; i++) finite = finite && isfinite(values[i]);
    free(values);
    return finite;
}

static bool is_running(const char *name) {
    return strstr(name, "running_") != NULL;
}

/* Whether two states have the same bits, of parameters and moments; of running statistics where
 * `statistics`. */
static bool same_state(const pp_state *a, const pp_state *b, bool statistics) {
    for (size_t p = 0; p < pp_state_parameter_count(a); p++)
        for (int part = 0; part < PP_STATE_PARTS; part++) {
            pp_state_tensor x, y;
            pp_state_read_tensor(a, p, (pp_state_part)part, &x);
            pp_state_read_tensor(b, p, (pp_state_part)part, &y);
            if (is_running(x.name) && !statistics) continue;
            if (x.bytes && memcmp(x.data, y.data, x.bytes) != 0) return false;
        }
    return true;
}

static pp_state *save(const trainer *t) {
    pp_state *state;
    TEST_OK(pp_state_save(t->session, &state));
    return state;
}

static const pp_plan_options plans[] = {
    {.batch = BATCH, .codec = "raw"},
    {.batch = BATCH, .codec = "norm:4", .optimizer = {.momentum = 0.9f, .weight_decay = 0.1f}},
    {.batch = BATCH, .codec = "norm:1", .optimizer = {.momentum = 0.9f, .nesterov = true}},
    {.batch = BATCH, .codec = "group:4", .optimizer = {.momentum = 0.9f, .state_bits = 8}},
    {.batch = BATCH, .codec = "bitmap", .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
    {.batch = BATCH, .codec = "avgpool:2", .optimizer = {.kind = PP_OPTIMIZER_ADAM}},
    {.batch = BATCH, .codec = "btc:4", .optimizer = {.kind = PP_OPTIMIZER_ADAMW, .state_bits = 8}},
    {.batch = BATCH, .codec = "raw", .optimizer = {.momentum = 0.9f}, .accumulate = 3},
    {.batch = BATCH,
     .codec = "half",
     .optimizer = {.kind = PP_OPTIMIZER_ADAM, .clip_norm = 1, .state_bits = 8},
     .accumulate = 3},
};
enum { PLANS = sizeof plans / sizeof *plans };

static uint32_t micro_steps(const pp_plan_options *options) {
    return options->accumulate ? options->accumulate : 1;
}

/* One update, whose micro-step `bad` has the batch given; others have good ones. */
static void update_with(const trainer *t, const pp_plan_options *options, uint32_t bad,
                        const pp_batch *batch) {
    for (uint32_t m = 0; m < micro_steps(options); m++) {
        const pp_batch good = batch_of(m);
        step(t, m == bad ? batch : &good);
    }
}

/* In each of its micro-steps, with each kind of number. */
START_TEST(an_update_is_left_out) {
    static const float values[] = {NAN, INFINITY, -INFINITY};
    const pp_plan_options *options = &plans[_i];
    trainer t;
    trainer_create(&t, graph, options, 1);
    const pp_batch good = batch_of(1);
    update_with(&t, options, 0, &good);
    for (uint32_t m = 0; m < micro_steps(options); m++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            const pp_batch bad = bad_batch(values[v]);
            TEST_OK(pp_session_reset_metrics(t.session));
            pp_state *before = save(&t);
            update_with(&t, options, m, &bad);
            pp_metrics found = metrics_of(&t);
            pp_state *after = save(&t);
            ck_assert(same_state(before, after, micro_steps(options) == 1));
            ck_assert(all_finite(&t) && isfinite(found.loss_sum));
            ck_assert_uint_ge(found.not_finite, 1);
            ck_assert_uint_eq(found.count + found.not_finite, BATCH * micro_steps(options));
            ck_assert_uint_ge(found.count, BATCH * (micro_steps(options) - 1));
            ck_assert(found.skipped_updates == 1 && found.kept_elems == 0);
            /* The next one is as good as any. */
            update_with(&t, options, 0, &good);
            found = metrics_of(&t);
            pp_state *next = save(&t);
            ck_assert(!same_state(after, next, false));
            ck_assert(found.skipped_updates == 1 && found.kept_elems == 0);
            pp_state_destroy(before);
            pp_state_destroy(after);
            pp_state_destroy(next);
        }
    trainer_destroy(&t);
}
END_TEST

/* Nothing here draws from the number of a step. */
START_TEST(training_goes_on_as_if_it_had_not_been) {
    const pp_plan_options options = {
        .batch = BATCH, .codec = "raw", .optimizer = {.momentum = 0.9f}};
    trainer hit, spared;
    trainer_create(&hit, graph, &options, 1);
    trainer_create(&spared, graph, &options, 1);
    for (size_t i = 0; i < BATCHES; i++) {
        const pp_batch good = batch_of(i), bad = bad_batch(i % 2 ? NAN : INFINITY);
        step(&hit, &bad);
        step(&hit, &bad);
        step(&hit, &good);
        step(&spared, &good);
    }
    ck_assert(trainer_same(&hit, &spared));
    ck_assert_uint_eq(metrics_of(&hit).skipped_updates, 2 * BATCHES);
    ck_assert(metrics_of(&hit).loss_sum == metrics_of(&spared).loss_sum);
    ck_assert(metrics_of(&hit).correct == metrics_of(&spared).correct);
    trainer_destroy(&hit);
    trainer_destroy(&spared);
}
END_TEST

/* A first layer of zeros keeps the loss finite; its gradient is inputs times `weight` of the second
 * layer. */
static void start_overflow(trainer *t, const pp_plan_options *options, double input,
                           double weight) {
    static double zeros[WIDE * WIDE], weights[WIDE * WIDE_CLASSES];
    trainer_create(t, dense, options, 1);
    for (size_t i = 0; i < BATCH * WIDE; i++)
        data.wide[i] = (float)(input * (1 + (double)(i % 7) / 7));
    for (size_t i = 0; i < WIDE * WIDE_CLASSES; i++)
        weights[i] = weight * ((i + i / WIDE_CLASSES) % 2 ? 1 : -1);
    trainer_write(t, "fc1.weight", zeros);
    trainer_write(t, "fc1.bias", zeros);
    trainer_write(t, "fc2.weight", weights);
}

static void step_overflow(const trainer *t) {
    static const int32_t wide_labels[BATCH] = {0, 1, 2, 3};
    const pp_batch batch = {.inputs = data.wide, .labels = wide_labels, .count = BATCH};
    step(t, &batch);
}

static const struct {
    pp_optimizer optimizer;
    double input, weight;
    bool skipped;
} overflows[] = {
    {{0}, 1e25, 1e25, false},
    {{.momentum = 0.9f, .nesterov = true}, 1e25, 1e25, false},
    {{.momentum = 0.9f, .state_bits = 8}, 1e25, 1e25, false},
    {{.kind = PP_OPTIMIZER_ADAM}, 1e25, 1e25, false},
    {{.kind = PP_OPTIMIZER_ADAM, .state_bits = 8}, 1e25, 1e25, false},
    /* A finite gradient whose square is infinite. */
    {{.kind = PP_OPTIMIZER_ADAMW}, 1e20, 1e8, false},
    {{.momentum = 0.9f, .clip_norm = 1}, 1e25, 1e25, true},
    {{.kind = PP_OPTIMIZER_ADAM, .clip_norm = 1, .state_bits = 8}, 1e20, 1e8, true},
};

START_TEST(a_gradient_overflows) {
    const pp_plan_options options = {.batch = BATCH, .optimizer = overflows[_i].optimizer};
    trainer t;
    start_overflow(&t, &options, overflows[_i].input, overflows[_i].weight);
    pp_state *before = save(&t);
    step_overflow(&t);
    const pp_metrics found = metrics_of(&t);
    pp_state *after = save(&t);
    ck_assert(isfinite(found.loss_sum) && found.not_finite == 0 && found.count == BATCH);
    ck_assert(all_finite(&t));
    if (overflows[_i].skipped) {
        ck_assert(found.skipped_updates == 1 && found.kept_elems == 0);
        ck_assert(same_state(before, after, true));
    } else {
        /* The first layer's weights stay zeros, its bias and the second layer's learn. */
        float *weights = trainer_read(&t, "fc1.weight"), *bias = trainer_read(&t, "fc2.bias");
        ck_assert(found.skipped_updates == 0 && found.kept_elems >= WIDE * WIDE);
        for (size_t i = 0; i < WIDE * WIDE; i++) ck_assert(weights[i] == 0);
        for (size_t i = 0; i < WIDE_CLASSES; i++) ck_assert(bias[i] != 0);
        free(weights);
        free(bias);
    }
    pp_state_destroy(before);
    pp_state_destroy(after);
    trainer_destroy(&t);
}
END_TEST

/* Neither between updates nor within one. */
START_TEST(evaluation_leaves_updates_alone) {
    const pp_plan_options options = {
        .batch = BATCH, .optimizer = {.momentum = 0.9f}, .accumulate = 2};
    const pp_batch bad = bad_batch(NAN);
    trainer t, other;
    trainer_create(&t, graph, &options, 1);
    trainer_create(&other, graph, &options, 1);
    for (size_t i = 0; i < BATCHES; i++) {
        const pp_batch good = batch_of(i);
        TEST_OK(pp_session_evaluate(t.session, &bad));
        step(&t, &good);
        step(&other, &good);
    }
    ck_assert(trainer_same(&t, &other));
    const pp_metrics found = metrics_of(&t);
    /* The running statistics keep samples apart. */
    ck_assert(found.not_finite == BATCHES && found.skipped_updates == 0);
    ck_assert(found.count == BATCHES * (2 * BATCH - 1) && isfinite(found.loss_sum));
    TEST_OK(pp_session_reset_metrics(t.session));
    const pp_metrics none = metrics_of(&t);
    ck_assert(none.not_finite == 0 && none.count == 0 && none.loss_sum == 0);
    trainer_destroy(&t);
    trainer_destroy(&other);
}
END_TEST

/* Steps that are counted anew are not taken for the one that failed before. */
START_TEST(an_older_state_learns) {
    const pp_plan_options options = {.batch = BATCH};
    const pp_batch good = batch_of(1), bad = bad_batch(NAN);
    trainer t;
    trainer_create(&t, graph, &options, 1);
    step(&t, &good);
    pp_state *early = save(&t);
    for (int i = 0; i < 5; i++) step(&t, &good);
    step(&t, &bad);
    pp_state *late = save(&t);
    pp_state_counts counts;
    pp_state_read_counts(late, &counts);
    ck_assert(counts.skipped_updates == 1 && counts.not_finite == metrics_of(&t).not_finite);
    TEST_OK(pp_state_load(early, t.session));
    ck_assert(metrics_of(&t).skipped_updates == 0 && metrics_of(&t).not_finite == 0);
    step(&t, &good);
    pp_state *later = save(&t);
    ck_assert(!same_state(early, later, false));
    TEST_OK(pp_state_load(late, t.session));
    ck_assert(metrics_of(&t).skipped_updates == 1 && metrics_of(&t).count == 6 * BATCH);
    pp_state_destroy(early);
    pp_state_destroy(late);
    pp_state_destroy(later);
    trainer_destroy(&t);
}
END_TEST

START_TEST(a_rate_is_refused) {
    const pp_plan_options options = {.batch = BATCH};
    const pp_batch good = batch_of(0);
    trainer t;
    trainer_create(&t, graph, &options, 1);
    TEST_FAILS(pp_session_step(t.session, &good, NAN), PP_ERROR_INVALID_ARGUMENT,
               "a learning rate of nan");
    TEST_FAILS(pp_session_step(t.session, &good, -INFINITY), PP_ERROR_INVALID_ARGUMENT,
               "a learning rate of -inf");
    ck_assert(metrics_of(&t).count == 0);
    step(&t, &good);
    trainer_destroy(&t);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("not_finite");
    TCase *tests = tcase_create("not_finite");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, an_update_is_left_out, 0, PLANS);
    tcase_add_test(tests, training_goes_on_as_if_it_had_not_been);
    tcase_add_loop_test(tests, a_gradient_overflows, 0, sizeof overflows / sizeof *overflows);
    tcase_add_test(tests, evaluation_leaves_updates_alone);
    tcase_add_test(tests, an_older_state_learns);
    tcase_add_test(tests, a_rate_is_refused);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
