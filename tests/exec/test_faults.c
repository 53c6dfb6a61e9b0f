/* What goes wrong and must go well: host memory that runs out at every single allocation, and
 * networks whose batch-norms are as wild as those of pretrained networks (METHODS A.10). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"

/* An allocator that counts, and refuses the allocation number `refused` (from 0). */
typedef struct counting {
    size_t calls, live, refused;
} counting;

static const size_t never = SIZE_MAX;

static void *count_allocate(void *user, size_t bytes) {
    counting *c = user;
    if (c->calls++ == c->refused) return NULL;
    void *memory = malloc(bytes);
    c->live += memory != NULL;
    return memory;
}

static void count_release(void *user, void *memory) {
    counting *c = user;
    ck_assert(memory != NULL && c->live > 0);
    c->live--;
    free(memory);
}

enum { SIDE = 6, CLASSES = 3, BATCH = 2 };

static pp_status build(pp_engine *engine, pp_graph **graph_out) {
    pp_status status = pp_graph_create(engine, graph_out);
    if (status != PP_OK) return status;
    pp_graph *g = *graph_out;
    const pp_conv2d_params conv = {
        .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, 1);
    x = pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    pp_value y = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "conv2", x, &conv), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x));
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    return pp_graph_status(g);
}

static const float inputs[BATCH * SIDE * SIDE] = {1, -1, 2, 0.5f};
static const int32_t labels[BATCH] = {0, 2};

static pp_status run(pp_session *session) {
    const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};
    pp_metrics metrics;
    pp_status status = PP_OK;
    for (size_t i = 0; status == PP_OK && i < 3; i++)
        status = pp_session_step(session, &batch, 0.1f);
    if (status == PP_OK) status = pp_session_read_metrics(session, &metrics);
    if (status == PP_OK) ck_assert(metrics.count == 3 * BATCH && isfinite(metrics.loss_sum));
    return status;
}

/* Everything from the graph to a few steps, and down again whatever happened. */
static pp_status train_once(pp_engine *engine, pp_device *device) {
    static const pp_codec_override overrides[] = {{"bn2", "norm:8"}};
    const pp_plan_options options = {.batch = BATCH,
                                     .codec = "norm:4",
                                     .overrides = overrides,
                                     .override_count = 1,
                                     .optimizer = {.momentum = 0.9f, .clip_norm = 1},
                                     .accumulate = 2};
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    char *text = NULL;
    pp_status status = build(engine, &graph);
    if (status == PP_OK) status = pp_profile_for_device(device, test_profile(), &profile);
    if (status == PP_OK) status = pp_plan_create(graph, profile, &options, &plan);
    if (status == PP_OK) status = pp_plan_print(plan, &text);
    if (status == PP_OK) status = pp_session_create(device, plan, profile, NULL, &session);
    if (status == PP_OK) status = run(session);
    pp_session_destroy(session);
    pp_text_free(engine, text);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return status;
}

static void expect_refusal(pp_status status, const pp_engine *engine, const counting *c) {
    ck_assert_msg(status == PP_ERROR_OUT_OF_MEMORY, "allocation %zu refused: %s: %s", c->refused,
                  pp_status_name(status), pp_engine_error(engine));
    ck_assert_msg(test_contains(pp_engine_error(engine), "host memory"),
                  "allocation %zu refused: \"%s\"", c->refused, pp_engine_error(engine));
}

/* With the programs built, every allocation in turn. */
START_TEST(every_allocation_of_a_session_fails_once) {
    counting c = {.refused = never};
    pp_engine *engine;
    pp_device *device;
    ck_assert(
        pp_engine_create(&(pp_engine_options){.allocator = {count_allocate, count_release, &c}},
                         &engine) == PP_OK);
    ck_assert(pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &device) == PP_OK);
    ck_assert_msg(train_once(engine, device) == PP_OK, "%s", pp_engine_error(engine));
    size_t live = c.live, before = c.calls, failures = 0;
    pp_device_counters counters;
    ck_assert_msg(train_once(engine, device) == PP_OK, "%s", pp_engine_error(engine));
    size_t needed = c.calls - before;
    for (;; failures++) {
        size_t first = c.calls;
        c.refused = first + failures;
        pp_status status = train_once(engine, device);
        ck_assert_msg(c.live == live, "allocation %zu refused: %zd are left", failures,
                      (ptrdiff_t)(c.live - live));
        pp_device_read_counters(device, &counters);
        ck_assert_uint_eq(counters.live_buffer_bytes, 0);
        if (c.calls <= c.refused) {
            ck_assert(status == PP_OK);
            break;
        }
        expect_refusal(status, engine, &c);
    }
    ck_assert_uint_eq(failures, needed);
    pp_device_close(device);
    pp_engine_destroy(engine);
    ck_assert_uint_eq(c.live, 0);
}
END_TEST

/* From nothing, and so with opening the device and loading the programs too: a cold start takes
 * time, so some of its allocations only, another stride in each case. */
static size_t check_cold_start(size_t refused) {
    counting c = {.refused = refused};
    pp_engine *engine = NULL;
    pp_device *device = NULL;
    pp_status status = pp_engine_create(
        &(pp_engine_options){.allocator = {count_allocate, count_release, &c}}, &engine);
    ck_assert((status == PP_OK) == (engine != NULL));
    if (status == PP_OK)
        status = pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &device);
    if (status == PP_OK) status = train_once(engine, device);
    bool reached = c.calls > refused;
    /* The on-disk program cache is a help only: a failure there is not passed on. */
    ck_assert_msg(status == PP_OK || reached, "%s", pp_engine_error(engine));
    if (status != PP_OK && engine) expect_refusal(status, engine, &c);
    pp_device_close(device);
    pp_engine_destroy(engine);
    ck_assert_msg(c.live == 0, "allocation %zu refused: %zu are left", refused, c.live);
    return c.calls;
}

START_TEST(cold_starts_fail) {
    enum { CASES = 60, FIRST = 12 };
    size_t calls = check_cold_start(never);
    for (size_t n = 0; n < FIRST; n++) check_cold_start(n);
    for (size_t i = 0; i < CASES; i++) check_cold_start(FIRST + (calls - FIRST) * i / CASES);
}
END_TEST

/* gamma, and beta as a multiple of it; beta itself where gamma is 0. The public CIFAR ResNet-20
 * holds all of these. */
static const struct {
    float gamma, beta;
} wild[8] = {{1, 0},       {-0.7f, 0.5f}, {1e-6f, 150}, {0.02f, -150},
             {-0.3f, 150}, {0, 0.4f},     {0, -0.4f},   {-1e-6f, -3}};

static void write_wild(const trainer *t, const char *gamma, const char *beta) {
    double gammas[8], betas[8];
    for (size_t c = 0; c < 8; c++) {
        gammas[c] = (double)wild[c].gamma;
        betas[c] = (double)(wild[c].gamma == 0 ? wild[c].beta : wild[c].beta * wild[c].gamma);
    }
    trainer_write(t, gamma, gammas);
    trainer_write(t, beta, betas);
}

static const char *const codecs[] = {"norm:4", "norm:8", "half", "norm:4,clip=3"};

/* The network also learns: ten steps on one batch lower its loss. */
START_TEST(wild_batchnorms_stay_finite) {
    pp_graph *graph;
    trainer t;
    TEST_OK(build(test_engine(), &graph));
    trainer_create(
        &t, graph,
        &(pp_plan_options){.batch = BATCH, .codec = codecs[_i], .optimizer.momentum = 0.9f}, 1);
    write_wild(&t, "bn1.weight", "bn1.bias");
    write_wild(&t, "bn2.weight", "bn2.bias");
    float pixels[BATCH * SIDE * SIDE];
    test_fill_normal(pixels, BATCH * SIDE * SIDE);
    const pp_batch batch = {.inputs = pixels, .labels = labels, .count = BATCH};
    double first = 0, last = 0;
    for (size_t i = 0; i < 10; i++) {
        last = trainer_step(&t, &batch, 1e-4f);
        ck_assert_msg(isfinite(last), "%s: loss %g in step %zu", codecs[_i], last, i);
        if (i == 0) first = last;
    }
    ck_assert_msg(last < first, "%s: loss %g, then %g", codecs[_i], first, last);
    size_t count;
    float *values = trainer_read_all(&t, &count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(isfinite(values[i]), "%s: parameter element %zu is %g", codecs[_i], i,
                      (double)values[i]);
    free(values);
    trainer_destroy(&t);
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/faults");
    TCase *test = tcase_create("device");
    tcase_add_test(test, every_allocation_of_a_session_fails_once);
    tcase_add_test(test, cold_starts_fail);
    tcase_add_loop_test(test, wild_batchnorms_stay_finite, 0, sizeof codecs / sizeof *codecs);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
