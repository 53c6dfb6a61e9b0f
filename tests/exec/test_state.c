/* A run goes on in another session: with the same plan bit for bit as if nothing had been, with
 * another plan from the same parameters, and never from what does not fit. */
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, SIDE = 6, COLOURS = 2, CLASSES = 3, STEPS = 6, INPUT = SIDE * SIDE * COLOURS };

static struct {
    float inputs[STEPS][BATCH * INPUT];
    int32_t labels[STEPS][BATCH];
} data;

static pp_graph *graph;

/* Running statistics, dropout, sums whose codes round at random, and weights that are enough for
 * moments of 8 bits. */
static pp_graph *make_graph(uint32_t channels) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = channels, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_relu(g, "relu1",
                      pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL));
    pp_value y = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "conv2", x, &conv), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x));
    x = pp_graph_conv2d(g, "conv3", x, &conv);
    x = pp_graph_dropout(g, "dropout", x, 0.25f);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void set_up(void) {
    graph = make_graph(24);
    test_fill_normal(&data.inputs[0][0], sizeof data.inputs / sizeof(float));
    for (size_t i = 0; i < STEPS * BATCH; i++)
        data.labels[i / BATCH][i % BATCH] = (int32_t)(i % CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(graph);
}

static const pp_plan_options plans[] = {
    {.batch = BATCH, .codec = "raw"},
    {.batch = BATCH, .codec = "norm:2", .optimizer = {.momentum = 0.9f}},
    {.batch = BATCH, .codec = "norm:4", .optimizer = {.momentum = 0.9f, .state_bits = 8}},
    {.batch = BATCH, .codec = "norm:3", .optimizer = {.kind = PP_OPTIMIZER_ADAM, .state_bits = 8}},
    {.batch = BATCH, .codec = "raw", .optimizer = {.kind = PP_OPTIMIZER_ADAMW}, .accumulate = 3},
};
enum { PLANS = sizeof plans / sizeof *plans };

static void run_steps(const trainer *t, size_t first, size_t end) {
    for (size_t s = first; s < end; s++) {
        const pp_batch batch = {.inputs = data.inputs[s], .labels = data.labels[s], .count = BATCH};
        TEST_OK(pp_session_step(t->session, &batch, 0.05f));
    }
}

static pp_state *state_of(const trainer *t) {
    pp_state *state = NULL;
    TEST_OK(pp_state_save(t->session, &state));
    return state;
}

START_TEST(the_same_plan_goes_on_bit_for_bit) {
    trainer whole, part;
    trainer_create(&whole, graph, &plans[_i], 7);
    run_steps(&whole, 0, STEPS);
    trainer_create(&part, graph, &plans[_i], 7);
    run_steps(&part, 0, STEPS / 2);
    pp_state *state = state_of(&part);
    trainer_destroy(&part);
    trainer_create(&part, graph, &plans[_i], 99);
    TEST_OK(pp_state_load(state, part.session));
    pp_state_destroy(state);
    run_steps(&part, STEPS / 2, STEPS);
    ck_assert(trainer_same(&whole, &part));
    ck_assert_uint_eq(pp_session_update_count(whole.session),
                      pp_session_update_count(part.session));
    pp_metrics a, b;
    TEST_OK(pp_session_read_metrics(whole.session, &a));
    TEST_OK(pp_session_read_metrics(part.session, &b));
    ck_assert(a.loss_sum == b.loss_sum && a.correct == b.correct && a.count == b.count);
    trainer_destroy(&whole);
    trainer_destroy(&part);
}
END_TEST

START_TEST(another_plan_takes_it_over) {
    const pp_plan_options from = plans[2];
    pp_plan_options to = from;
    to.codec = "group:8";
    to.batch = BATCH / 2;
    to.bands = &(pp_band){"conv2", "add", 1};
    to.band_count = 1;
    trainer old, new;
    trainer_create(&old, graph, &from, 7);
    run_steps(&old, 0, STEPS);
    pp_state *state = state_of(&old);
    trainer_create(&new, graph, &to, 8);
    ck_assert(!trainer_same(&old, &new));
    TEST_OK(pp_state_load(state, new.session));
    ck_assert(trainer_same(&old, &new));
    /* What it took over is what it would give on. */
    pp_state *again = state_of(&new);
    trainer_destroy(&old);
    trainer_create(&old, graph, &from, 9);
    TEST_OK(pp_state_load(again, old.session));
    run_steps(&old, 0, STEPS);
    trainer third;
    trainer_create(&third, graph, &from, 10);
    TEST_OK(pp_state_load(state, third.session));
    run_steps(&third, 0, STEPS);
    ck_assert_msg(trainer_same(&old, &third), "moments or counts were lost on the way");
    pp_state_destroy(state);
    pp_state_destroy(again);
    trainer_destroy(&old);
    trainer_destroy(&new);
    trainer_destroy(&third);
}
END_TEST

START_TEST(moments_of_8_bits_are_among_them) {
    trainer t;
    size_t coded = 0;
    trainer_create(&t, graph, &plans[3], 7);
    for (size_t i = 0; i < pp_plan_row_count(t.plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(t.plan, i, &row);
        coded += row.memory_class == PP_MEMORY_OPTIMIZER && row.stored_bytes < row.raw_bytes;
    }
    ck_assert_uint_gt(coded, 1);
    trainer_destroy(&t);
}
END_TEST

START_TEST(a_part_of_an_update_is_no_state) {
    trainer t;
    pp_state *state = NULL;
    trainer_create(&t, graph, &plans[4], 7);
    run_steps(&t, 0, 1);
    TEST_FAILS(pp_state_save(t.session, &state), PP_ERROR_UNSUPPORTED, "1 of 3 micro-steps");
    ck_assert_ptr_null(state);
    trainer_destroy(&t);
}
END_TEST

static void check_misfit(const pp_graph *other, const pp_plan_options *options, const char *part) {
    trainer t, untouched, from;
    trainer_create(&from, graph, &plans[1], 7);
    run_steps(&from, 0, 2);
    pp_state *state = state_of(&from);
    trainer_create(&t, other, options, 5);
    trainer_create(&untouched, other, options, 5);
    TEST_FAILS(pp_state_load(state, t.session), PP_ERROR_SHAPE, part);
    ck_assert(trainer_same(&t, &untouched));
    pp_state_destroy(state);
    trainer_destroy(&from);
    trainer_destroy(&t);
    trainer_destroy(&untouched);
}

START_TEST(what_does_not_fit_is_refused) {
    pp_graph *wider = make_graph(25);
    check_misfit(wider, &plans[1], "the value of 'conv1.weight'");
    pp_graph_destroy(wider);
    check_misfit(graph, &plans[0], "the first moment of");
    check_misfit(graph, &plans[2], "the first moment of");
    check_misfit(graph, &plans[4], "the moments are sgd's; the session's optimizer is adamw");
}
END_TEST

/* Their moments have the same bytes. */
START_TEST(adam_is_not_adamw) {
    const pp_plan_options adam = {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAM}},
                          adamw = {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAMW}};
    trainer t, other;
    trainer_create(&t, graph, &adam, 7);
    trainer_create(&other, graph, &adamw, 7);
    run_steps(&t, 0, 2);
    pp_state *state = state_of(&t);
    TEST_FAILS(pp_state_load(state, other.session), PP_ERROR_SHAPE,
               "the moments are adam's; the session's optimizer is adamw");
    pp_state_destroy(state);
    trainer_destroy(&t);
    trainer_destroy(&other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("state");
    TCase *tests = tcase_create("state");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, the_same_plan_goes_on_bit_for_bit, 0, PLANS);
    tcase_add_test(tests, another_plan_takes_it_over);
    tcase_add_test(tests, moments_of_8_bits_are_among_them);
    tcase_add_test(tests, a_part_of_an_update_is_no_state);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    tcase_add_test(tests, adam_is_not_adamw);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
