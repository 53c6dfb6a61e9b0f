/* Update rules on the device against their references, with the gradients that the device computed;
 * clipping by the global norm; accumulation over micro-batches; updates at once against updates at
 * the end of a step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/optimizer_ref.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 8, FEATURES = 6, HIDDEN = 13, CLASSES = 3, STEPS = 4, MOST = FEATURES * HIDDEN };

/* A clip norm that never clips: it keeps the gradients to the end of the step, where they can be
 * read. */
static const float never_clips = 1e30f;

static float inputs[STEPS][BATCH * FEATURES];
static int32_t labels[STEPS][BATCH];
static pp_graph *normalised, *plain; /* with and without a batch-norm */

static pp_graph *make_graph(bool batchnorm) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "features", 1, 1, FEATURES);
    x = pp_graph_dense(g, "fc1", x, &(pp_dense_params){.out_features = HIDDEN, .bias = true});
    if (batchnorm) x = pp_graph_batchnorm(g, "bn", x, NULL);
    x = pp_graph_relu(g, "relu", x);
    x = pp_graph_dense(g, "fc2", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void set_up(void) {
    normalised = make_graph(true);
    plain = make_graph(false);
    test_fill_normal(&inputs[0][0], sizeof inputs / sizeof(float));
    for (size_t i = 0; i < STEPS * BATCH; i++)
        labels[i / BATCH][i % BATCH] = (int32_t)test_random_below(CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(normalised);
    pp_graph_destroy(plain);
}

static pp_batch batch_of(size_t step) {
    return (pp_batch){.inputs = inputs[step], .labels = labels[step], .count = BATCH};
}

static float rate_of(size_t step) {
    return 0.05f / (float)(step + 1);
}

typedef struct rule {
    const char *name;
    pp_optimizer optimizer;
} rule;

static const rule rules[] = {
    {"sgd", {.weight_decay = 0}},
    {"sgd with decay", {.weight_decay = 0.1f}},
    {"sgd with decay of all", {.weight_decay = 0.1f, .decay_all = true}},
    {"momentum", {.momentum = 0.9f, .weight_decay = 0.1f}},
    {"nesterov", {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.1f}},
    {"nesterov, clipped",
     {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.1f, .clip_norm = 0.1f}},
    {"adam", {.kind = PP_OPTIMIZER_ADAM}},
    {"adam with decay", {.kind = PP_OPTIMIZER_ADAM, .weight_decay = 0.1f}},
    {"adam with decay of all, its own constants",
     {.kind = PP_OPTIMIZER_ADAM,
      .beta1 = 0.8f,
      .beta2 = 0.95f,
      .epsilon = 1e-3f,
      .weight_decay = 0.1f,
      .decay_all = true}},
    {"adam, clipped", {.kind = PP_OPTIMIZER_ADAM, .epsilon = 1e-2f, .clip_norm = 0.05f}},
    {"adamw", {.kind = PP_OPTIMIZER_ADAMW, .weight_decay = 0.5f}},
    {"adamw with decay of all",
     {.kind = PP_OPTIMIZER_ADAMW, .weight_decay = 0.5f, .decay_all = true}},
};
enum { RULES = sizeof rules / sizeof *rules };

typedef struct state {
    size_t index, count;
    bool decayed;
    double value[MOST], gradient[MOST], moments[2][MOST];
} state;

enum { PARAMETERS = 6 };

/* The trainable parameters; which of them decay is said here anew. */
static void start_states(state *states, const trainer *t) {
    static const struct {
        const char *name;
        bool weight;
    } table[PARAMETERS] = {{"fc1.weight", true}, {"fc1.bias", false},  {"bn.weight", false},
                           {"bn.bias", false},   {"fc2.weight", true}, {"fc2.bias", false}};
    memset(states, 0, PARAMETERS * sizeof *states);
    for (size_t i = 0; i < PARAMETERS; i++) {
        state *s = &states[i];
        s->index = trainer_index(t, table[i].name);
        s->count = trainer_elems(t, table[i].name);
        s->decayed = table[i].weight;
        float *values = trainer_read(t, table[i].name);
        for (size_t j = 0; j < s->count; j++) s->value[j] = (double)values[j];
        free(values);
    }
}

/* A float32 as the options hold it, or the documented default for 0. */
static double or_default(float value, float usual) {
    return (double)(value != 0 ? value : usual);
}

static void update(state *s, const pp_optimizer *o, size_t step, double factor) {
    double decay = s->decayed || o->decay_all ? (double)o->weight_decay : 0;
    double rate = (double)rate_of(step);
    const ref_adam_params adam = {or_default(o->beta1, 0.9f), or_default(o->beta2, 0.999f),
                                  or_default(o->epsilon, 1e-8f), decay};
    for (size_t i = 0; i < s->count; i++) s->gradient[i] *= factor;
    switch (o->kind) {
        case PP_OPTIMIZER_SGD:
            ref_sgd(s->count, s->value, s->gradient, s->moments[0], rate, (double)o->momentum,
                    o->nesterov, decay);
            break;
        case PP_OPTIMIZER_ADAM:
            ref_adam(s->count, s->value, s->gradient, s->moments[0], s->moments[1], step + 1, rate,
                     &adam);
            break;
        case PP_OPTIMIZER_ADAMW:
            ref_adamw(s->count, s->value, s->gradient, s->moments[0], s->moments[1], step + 1, rate,
                      &adam);
            break;
    }
}

static void read_gradients(state *states, const trainer *t) {
    float values[MOST];
    for (size_t i = 0; i < PARAMETERS; i++) {
        TEST_OK(pp_session_read_gradient(t->session, states[i].index, values, states[i].count));
        for (size_t j = 0; j < states[i].count; j++) states[i].gradient[j] = (double)values[j];
    }
}

static double norm_of(const state *states) {
    double sum = 0;
    for (size_t i = 0; i < PARAMETERS; i++)
        sum += ref_sum_of_squares(states[i].count, states[i].gradient);
    return sqrt(sum);
}

/* Values are below 2, so each update rounds by less than 2^-23; moments, whose rounding the rate
 * scales down, add less than that again. Adam's quotient is exact to a few ulp whatever the
 * gradient's size. */
static const float tolerance = (float)(2 * STEPS) * 0x1p-23f;

static void check_values(const state *states, const trainer *t, const char *what) {
    float found[MOST], expected[MOST];
    for (size_t i = 0; i < PARAMETERS; i++) {
        size_t count = states[i].count;
        TEST_OK(pp_session_read_parameter(t->session, states[i].index, found, count));
        for (size_t j = 0; j < count; j++) expected[j] = (float)states[i].value[j];
        test_close(what, found, expected, count, tolerance, 0);
    }
}

START_TEST(agrees_with_reference) {
    static state states[PARAMETERS];
    const rule *r = &rules[_i];
    pp_plan_options options = {.batch = BATCH, .optimizer = r->optimizer};
    bool clips = r->optimizer.clip_norm > 0;
    if (!clips) options.optimizer.clip_norm = never_clips;
    trainer t;
    trainer_create(&t, normalised, &options, 1);
    start_states(states, &t);
    for (size_t step = 0; step < STEPS; step++) {
        pp_batch batch = batch_of(step);
        TEST_OK(pp_session_step(t.session, &batch, rate_of(step)));
        read_gradients(states, &t);
        double norm = norm_of(states),
               factor = ref_clip_factor(norm, (double)options.optimizer.clip_norm);
        ck_assert_msg(norm > 1e-3, "%s: a gradient of norm %g", r->name, norm);
        ck_assert_msg(clips == (factor < 1), "%s: factor %g at norm %g", r->name, factor, norm);
        for (size_t i = 0; i < PARAMETERS; i++) update(&states[i], &r->optimizer, step, factor);
        check_values(states, &t, r->name);
    }
    trainer_destroy(&t);
}
END_TEST

static void run_steps(const trainer *t, size_t repeats) {
    for (size_t i = 0; i < repeats * STEPS; i++) {
        pp_batch batch = batch_of(i % STEPS);
        TEST_OK(pp_session_step(t->session, &batch, rate_of(i % STEPS)));
    }
}

/* Updating a layer as soon as its gradients are there must not change what is still to be computed
 * from its old weights. */
START_TEST(at_once_is_as_good_as_at_the_end) {
    pp_plan_options options = {.batch = BATCH, .optimizer = rules[_i].optimizer};
    if (options.optimizer.clip_norm > 0) return;
    trainer at_once, at_end;
    trainer_create(&at_once, normalised, &options, 1);
    options.optimizer.clip_norm = never_clips;
    trainer_create(&at_end, normalised, &options, 1);
    run_steps(&at_once, 3);
    run_steps(&at_end, 3);
    ck_assert_msg(trainer_same(&at_once, &at_end), "%s", rules[_i].name);
    trainer_destroy(&at_once);
    trainer_destroy(&at_end);
}
END_TEST

/* A profile with these numbers on top of the device's own. */
static void train_with(const char *lines, const pp_plan_options *options, trainer *t) {
    char path[256];
    snprintf(path, sizeof path, "%s/update.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file && fprintf(file, "parent = %s\n%s", pp_device_describe(test_device())->profile,
                              lines) > 0);
    ck_assert(fclose(file) == 0);
    trainer_create_with(t, path, normalised, options, 1);
    run_steps(t, 2);
}

/* How a launch's work is cut, and which parameters share one, changes no bit; the blocks of the
 * norm change the order of a sum. */
START_TEST(cuts_change_no_bit) {
    const rule *r = &rules[_i];
    const pp_plan_options options = {.batch = BATCH, .optimizer = r->optimizer};
    trainer usual, cut, joined, blocks;
    train_with("update.chunk = 64\n", &options, &usual);
    train_with("update.chunk = 5\nupdate.wait_bytes = 1\n", &options, &cut);
    train_with("update.chunk = 8\nlaunch.group_x = 4\n", &options, &joined);
    train_with("update.block = 3\nupdate.chunk = 1\n", &options, &blocks);
    ck_assert_msg(trainer_same(&usual, &cut) && trainer_same(&usual, &joined), "%s", r->name);
    size_t count;
    float *expected = trainer_read_all(&usual, &count), *found = trainer_read_all(&blocks, &count);
    test_close(r->name, found, expected, count, r->optimizer.clip_norm > 0 ? tolerance : 0, 0);
    free(expected);
    free(found);
    trainer_destroy(&usual);
    trainer_destroy(&cut);
    trainer_destroy(&joined);
    trainer_destroy(&blocks);
}
END_TEST

/* The same rules with moments in 8 bits, of however few elements. */
static const rule coded_rules[] = {
    {"momentum, 8 bits", {.momentum = 0.9f, .weight_decay = 0.1f, .state_bits = 8}},
    {"nesterov, 8 bits", {.momentum = 0.9f, .nesterov = true, .state_bits = 8}},
    {"adam, 8 bits", {.kind = PP_OPTIMIZER_ADAM, .epsilon = 1e-3f, .state_bits = 8}},
    {"adamw, 8 bits",
     {.kind = PP_OPTIMIZER_ADAMW, .epsilon = 1e-3f, .weight_decay = 0.5f, .state_bits = 8}},
};
enum { CODED_RULES = sizeof coded_rules / sizeof *coded_rules };

#define CODED_PROFILE "update.moment_least = 1\nupdate.moment_octets = 2\n"

/* When a parameter is updated, with which others, and how the work is cut, changes no draw. */
START_TEST(coded_moments_draw_by_parameter) {
    const rule *r = &coded_rules[_i];
    pp_plan_options options = {.batch = BATCH, .optimizer = r->optimizer};
    trainer usual, cut, at_end, floats;
    train_with(CODED_PROFILE, &options, &usual);
    train_with(CODED_PROFILE "update.chunk = 33\nupdate.wait_bytes = 1\n", &options, &cut);
    ck_assert_msg(trainer_same(&usual, &cut), "%s", r->name);
    options.optimizer.clip_norm = never_clips;
    train_with(CODED_PROFILE, &options, &at_end);
    ck_assert_msg(trainer_same(&usual, &at_end), "%s", r->name);
    options.optimizer.state_bits = 32;
    train_with(CODED_PROFILE, &options, &floats);
    ck_assert_msg(!trainer_same(&usual, &floats), "%s", r->name);
    trainer_destroy(&usual);
    trainer_destroy(&cut);
    trainer_destroy(&at_end);
    trainer_destroy(&floats);
}
END_TEST

/* The root mean square of a - b. */
static double distance(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum / (double)count);
}

/* Weights end where those with moments in float32 end, but for a small part of their way: a code's
 * step is 1 / 60 of a moment near the largest, 1 / 20 at a tenth of it. Adam makes weights of small
 * gradients go as far as others, so that their errors, which are the larger ones, count in full.
 * Also with clipping and with micro-batches, whose steps draw other numbers. */
START_TEST(coded_moments_follow_floats) {
    static const float clips[] = {0, 0.05f, 0};
    static const uint32_t accumulates[] = {1, 1, 2};
    const rule *r = &coded_rules[_i];
    const double most = r->optimizer.kind == PP_OPTIMIZER_SGD ? 0.01 : 0.06;
    for (size_t k = 0; k < 3; k++) {
        pp_plan_options options = {
            .batch = BATCH, .optimizer = r->optimizer, .accumulate = accumulates[k]};
        options.optimizer.clip_norm = clips[k];
        trainer coded, floats, start;
        train_with(CODED_PROFILE, &options, &coded);
        options.optimizer.state_bits = 0;
        train_with("", &options, &floats);
        trainer_create(&start, normalised, &options, 1);
        size_t count;
        float *found = trainer_read_all(&coded, &count),
              *expected = trainer_read_all(&floats, &count),
              *before = trainer_read_all(&start, &count);
        const double off = distance(found, expected, count),
                     way = distance(expected, before, count);
        ck_assert_msg(off > 0 && off < most * way, "%s, case %zu: off by %g of a way of %g",
                      r->name, k, off, way);
        free(found);
        free(expected);
        free(before);
        trainer_destroy(&coded);
        trainer_destroy(&floats);
        trainer_destroy(&start);
    }
}
END_TEST

static void check_accumulation(const pp_optimizer *optimizer, uint32_t parts) {
    pp_plan_options whole_options = {.batch = BATCH, .optimizer = *optimizer};
    pp_plan_options part_options = {
        .batch = BATCH / parts, .optimizer = *optimizer, .accumulate = parts};
    trainer whole, part;
    trainer_create(&whole, plain, &whole_options, 1);
    trainer_create(&part, plain, &part_options, 1);
    ck_assert(trainer_same(&whole, &part));
    for (size_t step = 0; step < STEPS; step++) {
        pp_batch batch = batch_of(step);
        TEST_OK(pp_session_step(whole.session, &batch, rate_of(step)));
        for (size_t i = 0; i < parts; i++) {
            pp_batch micro = {.inputs = batch.inputs + i * (BATCH / parts) * FEATURES,
                              .labels = batch.labels + i * (BATCH / parts),
                              .count = BATCH / parts};
            ck_assert_uint_eq(pp_session_update_count(part.session), step);
            TEST_OK(pp_session_step(part.session, &micro, rate_of(step)));
        }
        ck_assert_uint_eq(pp_session_update_count(part.session), step + 1);
    }
    size_t count, part_count;
    float *expected = trainer_read_all(&whole, &count),
          *found = trainer_read_all(&part, &part_count);
    ck_assert_uint_eq(count, part_count);
    /* Gradients are sums of 8 terms in another order, which a rate of 0.05 scales down. */
    test_close("accumulated", found, expected, count, 1e-6f, 0);
    pp_metrics a, b;
    TEST_OK(pp_session_read_metrics(whole.session, &a));
    TEST_OK(pp_session_read_metrics(part.session, &b));
    ck_assert_uint_eq(a.count, b.count);
    ck_assert_double_eq_tol(a.loss_sum, b.loss_sum, 1e-5 * a.loss_sum);
    free(expected);
    free(found);
    trainer_destroy(&whole);
    trainer_destroy(&part);
}

/* Without batch-norm, a batch and its parts have the same gradients. */
START_TEST(micro_batches_add_up) {
    const pp_optimizer sgd = {.momentum = 0.9f, .weight_decay = 1e-2f};
    const pp_optimizer clipped = {.momentum = 0.9f, .clip_norm = 0.05f};
    const pp_optimizer adam = {.kind = PP_OPTIMIZER_ADAM, .epsilon = 1e-2f};
    check_accumulation(&sgd, 2);
    check_accumulation(&sgd, 8);
    check_accumulation(&clipped, 2);
    check_accumulation(&adam, 4);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/optimizers");
    TCase *test = tcase_create("device");
    tcase_add_unchecked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, agrees_with_reference, 0, RULES);
    tcase_add_loop_test(test, at_once_is_as_good_as_at_the_end, 0, RULES);
    tcase_add_loop_test(test, cuts_change_no_bit, 0, RULES);
    tcase_add_loop_test(test, coded_moments_draw_by_parameter, 0, CODED_RULES);
    tcase_add_loop_test(test, coded_moments_follow_floats, 0, CODED_RULES);
    tcase_add_test(test, micro_batches_add_up);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
