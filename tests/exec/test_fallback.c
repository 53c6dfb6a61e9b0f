/* A device that is trusted with none of the fast kernels trains as any other, by the plain ones: the
 * same losses but for rounding, in the same memory, and the log says so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "util/engine.h"

enum { BATCH = 4, SIDE = 12, COLOURS = 3, CLASSES = 5, INPUT = SIDE * SIDE * COLOURS, STEPS = 4 };

static float inputs[STEPS][BATCH * INPUT];
static const int32_t labels[BATCH] = {0, 3, 1, 4};

typedef struct result {
    double losses[STEPS];
    uint64_t peak_bytes;               /* the plan's, which is the session's */
    size_t warnings, session_warnings; /* of the first session, of a second one */
    char warning[512];
    bool creates_in_steps;
} result;

static void listen(void *user, pp_log_level level, const char *line) {
    result *r = user;
    if (level != PP_LOG_WARNING) return;
    r->warnings++;
    snprintf(r->warning, sizeof r->warning, "%s", line);
}

/* A stem of few channels, a stride, a window of one, a group each, a pool's worth of batch-norms,
 * and a dense layer with a bias. */
static pp_status build(pp_engine *engine, pp_graph **graph_out) {
    PP_TRY(pp_graph_create(engine, graph_out));
    pp_graph *g = *graph_out;
    const pp_conv2d_params stem = {
        .out_channels = 16, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    const pp_conv2d_params down = {.out_channels = 24,
                                   .kernel_h = 3,
                                   .kernel_w = 3,
                                   .stride_h = 2,
                                   .stride_w = 2,
                                   .pad_h = 1,
                                   .pad_w = 1};
    const pp_conv2d_params point = {.out_channels = 40, .kernel_h = 1, .kernel_w = 1, .bias = true};
    const pp_conv2d_params grouped = {
        .out_channels = 40, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1, .groups = 5};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "stem", x, &stem), NULL);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "down", x, &down), NULL);
    x = pp_graph_relu(g, "relu2", x);
    x = pp_graph_relu(g, "relu3", pp_graph_conv2d(g, "point", x, &point));
    x = pp_graph_conv2d(g, "grouped", x, &grouped);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    return pp_graph_status(g);
}

static pp_status train(pp_engine *engine, pp_device *device, const char *codec, result *r) {
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL, *second = NULL;
    pp_status status;
    const pp_plan_options options = {
        .batch = BATCH, .codec = codec, .optimizer.momentum = 0.9f, .accumulate = 2};
    PP_TRY_GOTO(status, build(engine, &graph), done);
    PP_TRY_GOTO(status, pp_profile_for_device(device, NULL, &profile), done);
    PP_TRY_GOTO(status, pp_plan_create(graph, profile, &options, &plan), done);
    PP_TRY_GOTO(status, pp_session_create(device, plan, profile, NULL, &session), done);
    size_t first_warnings = r->warnings;
    PP_TRY_GOTO(status, pp_session_create(device, plan, profile, NULL, &second), done);
    r->session_warnings = r->warnings - first_warnings;
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    r->peak_bytes = pp_session_device_bytes(session);
    if (r->peak_bytes != summary.peak_bytes) r->peak_bytes = 0;
    for (size_t i = 0; i < STEPS; i++) {
        const pp_batch batch = {.inputs = inputs[i], .labels = labels, .count = BATCH};
        pp_metrics metrics;
        PP_TRY_GOTO(status, pp_session_reset_metrics(session), done);
        size_t before = pp_engine_allocation_count(engine);
        PP_TRY_GOTO(status, pp_session_step(session, &batch, 0.05f), done);
        r->creates_in_steps |= pp_engine_allocation_count(engine) != before;
        PP_TRY_GOTO(status, pp_session_read_metrics(session, &metrics), done);
        r->losses[i] = metrics.loss_sum / BATCH;
    }
done:
    pp_session_destroy(second);
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return status;
}

static void train_within(const char *limits, const char *codec, result *r) {
    pp_engine *engine;
    pp_device *device;
    memset(r, 0, sizeof *r);
    setenv("POCKETPROP_LIMITS", limits, 1);
    ck_assert(pp_engine_create(&(pp_engine_options){.log = listen, .log_user = r}, &engine) ==
              PP_OK);
    pp_status status = pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &device);
    ck_assert_msg(status == PP_OK, "%s", pp_engine_error(engine));
    status = train(engine, device, codec, r);
    ck_assert_msg(status == PP_OK, "%s", pp_engine_error(engine));
    pp_device_close(device);
    pp_engine_destroy(engine);
}

static const char *const codecs[] = {"raw", "half", "norm:4", "avgpool:2"};

/* Sums are added in another order, which is away by up to 1e-6 of an activation; four steps at a
 * small rate do not let that grow much. A lossy code may take a neighbouring level for an x-hat
 * next to a boundary, and the loss then moves by a part of 1e-3 of itself. */
START_TEST(plain_kernels_take_over) {
    const char *limits = getenv("POCKETPROP_LIMITS");
    char before[256], with[300];
    snprintf(before, sizeof before, "%s", limits ? limits : "");
    snprintf(with, sizeof with, "%s%sdistrust", before, *before ? "," : "");
    const double tolerance = strcmp(codecs[_i], "raw") == 0 ? 1e-5 : 1e-3;
    result trusted, distrusted;
    train_within(before, codecs[_i], &trusted);
    train_within(with, codecs[_i], &distrusted);
    setenv("POCKETPROP_LIMITS", before, 1);

    ck_assert_msg(trusted.warnings == 0, "%s", trusted.warning);
    ck_assert_uint_ge(distrusted.warnings, 5);
    ck_assert_uint_eq(distrusted.session_warnings, 0);
    ck_assert_msg(strstr(distrusted.warning, "self-test: ") &&
                      strstr(distrusted.warning, "using the plain kernels"),
                  "%s", distrusted.warning);
    ck_assert_uint_gt(trusted.peak_bytes, 0);
    ck_assert_uint_eq(distrusted.peak_bytes, trusted.peak_bytes);
    ck_assert(!distrusted.creates_in_steps && !trusted.creates_in_steps);
    bool differs = false;
    for (size_t i = 0; i < STEPS; i++) {
        const double away = fabs(trusted.losses[i] - distrusted.losses[i]);
        ck_assert_msg(away <= tolerance * fabs(trusted.losses[i]),
                      "%s, step %zu: loss %.9g, by plain kernels %.9g", codecs[_i], i,
                      trusted.losses[i], distrusted.losses[i]);
        differs |= away > 0;
    }
    ck_assert_msg(differs, "%s: the same bits, and so the same kernels", codecs[_i]);
}
END_TEST

int main(void) {
    for (size_t i = 0; i < STEPS; i++) test_fill_normal(inputs[i], BATCH * INPUT);
    Suite *suite = suite_create("exec/fallback");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, plain_kernels_take_over, 0, sizeof codecs / sizeof *codecs);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
