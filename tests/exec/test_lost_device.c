/* A device that fails in the middle of a step: an error that names the kernel, nothing made of what
 * the step left behind, and the same training as without the failure once a state was loaded. */
#include <pocketprop/state.h>
#include <stdlib.h>
#include <string.h>

#include "support/faulty_cl.h"
#include "support/support.h"
#include "support/trainer.h"

enum { SIDE = 4, CLASSES = 3, BATCH = 2 };

static const float inputs[BATCH * SIDE * SIDE] = {1, -1, 2, 0.5f, -3, 1};
static const int32_t labels[BATCH] = {0, 2};
static const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};

static pp_graph *build(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = 4, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, 1);
    x = pp_graph_batchnorm(g, "bn", pp_graph_conv2d(g, "conv", x, &conv), NULL);
    x = pp_graph_dense(g, "fc", pp_graph_relu(g, "relu", x),
                       &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void start(trainer *t, uint32_t accumulate, float clip) {
    pp_graph *graph = build();
    trainer_create(t, graph,
                   &(pp_plan_options){.batch = BATCH,
                                      .accumulate = accumulate,
                                      .optimizer = {.momentum = 0.9f, .clip_norm = clip}},
                   1);
    pp_graph_destroy(graph);
}

/* What may follow a torn step, and what it says. */
static void expect_refusals(const trainer *t) {
    static const char why[] = "in the middle of a step";
    float values[BATCH * CLASSES];
    pp_state *state;
    TEST_FAILS(pp_session_step(t->session, &batch, 0.1f), PP_ERROR_DEVICE, why);
    TEST_FAILS(pp_session_evaluate(t->session, &batch), PP_ERROR_DEVICE, why);
    TEST_FAILS(pp_session_predict(t->session, &batch, values), PP_ERROR_DEVICE, why);
    float weights[4];
    TEST_FAILS(pp_session_read_parameter(t->session, trainer_index(t, "bn.bias"), weights, 4),
               PP_ERROR_DEVICE, why);
    TEST_FAILS(pp_state_save(t->session, &state), PP_ERROR_DEVICE, why);
    ck_assert_ptr_null(state);
    TEST_OK(pp_session_finish(t->session));
}

/* Fails call number n of those that the function makes in one update; false: it makes fewer. */
static bool fail_once(trainer *t, const pp_state *state, const trainer *whole, size_t n,
                      const char *function, uint32_t micro_steps) {
    faulty_cl_start(
        &(faulty_cl_fault){.fail_at = n, .only = function, .code = FAULTY_CL_NOT_AVAILABLE});
    pp_status status = PP_OK;
    for (uint32_t i = 0; status == PP_OK && i < micro_steps; i++)
        status = pp_session_step(t->session, &batch, 0.1f);
    const bool reached = faulty_cl_failed() != NULL;
    faulty_cl_start(&(faulty_cl_fault){0});
    if (reached) {
        ck_assert_int_eq(status, PP_ERROR_DEVICE);
        ck_assert_msg(test_contains(pp_engine_error(test_engine()), function), "\"%s\"",
                      pp_engine_error(test_engine()));
        expect_refusals(t);
        TEST_OK(pp_state_load(state, t->session));
        for (uint32_t i = 0; i < micro_steps; i++) trainer_step(t, &batch, 0.1f);
    }
    ck_assert_msg(trainer_same(t, whole), "%s, call %zu: another training than without", function,
                  n);
    TEST_OK(pp_state_load(state, t->session));
    return reached;
}

static const struct {
    uint32_t accumulate;
    float clip;
} cases[] = {{1, 0}, {1, 1}, {2, 0}};

START_TEST(a_torn_step_is_never_used) {
    static const char *const functions[] = {"clEnqueueNDRangeKernel", "clEnqueueWriteBuffer",
                                            "clFlush"};
    const uint32_t micro_steps = cases[_i].accumulate;
    trainer t, whole;
    pp_state *state;
    start(&t, micro_steps, cases[_i].clip);
    start(&whole, micro_steps, cases[_i].clip);
    for (uint32_t i = 0; i < micro_steps; i++) trainer_step(&t, &batch, 0.1f);
    TEST_OK(pp_state_save(t.session, &state));
    for (uint32_t i = 0; i < 2 * micro_steps; i++) trainer_step(&whole, &batch, 0.1f);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        size_t n = 1;
        while (fail_once(&t, state, &whole, n, functions[f], micro_steps)) n++;
        ck_assert_uint_gt(n, 1);
    }
    pp_state_destroy(state);
    trainer_destroy(&whole);
    trainer_destroy(&t);
}
END_TEST

/* A load that fails half-way tears a session too; the next one mends it. */
START_TEST(a_torn_load_is_never_used) {
    trainer t, whole;
    pp_state *state;
    start(&t, 1, 0);
    start(&whole, 1, 0);
    trainer_step(&t, &batch, 0.1f);
    trainer_step(&whole, &batch, 0.1f);
    TEST_OK(pp_state_save(t.session, &state));
    faulty_cl_start(&(faulty_cl_fault){
        .fail_at = 3, .only = "clEnqueueWriteBuffer", .code = FAULTY_CL_NOT_AVAILABLE});
    TEST_FAILS(pp_state_load(state, t.session), PP_ERROR_DEVICE, "clEnqueueWriteBuffer");
    faulty_cl_start(&(faulty_cl_fault){0});
    expect_refusals(&t);
    TEST_OK(pp_state_load(state, t.session));
    ck_assert(trainer_same(&t, &whole));
    pp_state_destroy(state);
    trainer_destroy(&whole);
    trainer_destroy(&t);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/lost_device");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, a_torn_step_is_never_used, 0, sizeof cases / sizeof *cases);
    tcase_add_test(test, a_torn_load_is_never_used);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
