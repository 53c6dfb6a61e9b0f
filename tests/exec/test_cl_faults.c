/* The n-th OpenCL call fails, for every n, from opening a device to reading back what two steps
 * learnt: the right status, a sentence that names the call, and nothing of host or device left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pocketprop/state.h>

#include "support/faulty_cl.h"
#include "support/support.h"

enum { FEATURES = 4, CLASSES = 3, BATCH = 2, WEIGHTS = FEATURES * CLASSES, STEPS = 2, WARM_UP = 3 };

static size_t live_allocations;

static void *allocate(void *user, size_t bytes) {
    (void)user;
    void *memory = malloc(bytes);
    live_allocations += memory != NULL;
    return memory;
}

static void release(void *user, void *memory) {
    (void)user;
    live_allocations--;
    free(memory);
}

static pp_status build(pp_engine *engine, pp_graph **graph_out) {
    pp_status status = pp_graph_create(engine, graph_out);
    if (status != PP_OK) return status;
    pp_graph *g = *graph_out;
    const pp_value x = pp_graph_input(g, "features", 1, 1, FEATURES);
    const pp_value y = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES});
    pp_graph_softmax_cross_entropy(g, "loss", y, 0);
    return pp_graph_status(g);
}

static const float inputs[BATCH * FEATURES] = {1, -1, 2, 0.5f, -3, 1};
static const int32_t labels[BATCH] = {0, 2};
static const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};

typedef struct result {
    float weights[WEIGHTS];
    double loss;
} result;

static pp_status learn(pp_session *session, result *result_out) {
    pp_status status = PP_OK;
    pp_metrics metrics = {0};
    for (size_t i = 0; status == PP_OK && i < STEPS; i++)
        status = pp_session_step(session, &batch, 0.1f);
    if (status == PP_OK) status = pp_session_read_metrics(session, &metrics);
    if (status == PP_OK)
        status = pp_session_read_parameter(session, 0, result_out->weights, WEIGHTS);
    result_out->loss = metrics.loss_sum;
    return status;
}

/* From the graph to what was learnt, on an open device, and down again whatever happened. */
static pp_status train(pp_engine *engine, pp_device *device, result *result_out) {
    const pp_plan_options options = {.batch = BATCH, .optimizer.clip_norm = 1};
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    pp_status status = build(engine, &graph);
    if (status == PP_OK) status = pp_profile_for_device(device, "default", &profile);
    if (status == PP_OK) status = pp_plan_create(graph, profile, &options, &plan);
    if (status == PP_OK) status = pp_session_create(device, plan, profile, NULL, &session);
    if (status == PP_OK) status = learn(session, result_out);
    pp_session_destroy(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return status;
}

/* What an attempt is given: a device that was opened before, or how to open one of its own. */
typedef struct setting {
    pp_engine *engine;
    pp_device *device;
    pp_device_options options;
} setting;

static pp_status attempt(const setting *given, result *result_out, char error[512]) {
    pp_engine *engine = given->engine;
    pp_device *device = given->device;
    pp_status status = PP_OK;
    if (!engine)
        ck_assert(pp_engine_create(&(pp_engine_options){.allocator = {allocate, release, NULL}},
                                   &engine) == PP_OK);
    if (!device)
        status = pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"), &given->options, &device);
    ck_assert((status == PP_OK) == (device != NULL));
    if (status == PP_OK) status = train(engine, device, result_out);
    snprintf(error, 512, "%s", pp_engine_error(engine));
    if (!given->device) pp_device_close(device);
    if (!given->engine) pp_engine_destroy(engine);
    return status;
}

/* Calls whose failure is not passed on: releases have nobody to tell; what the cache of programs
 * does is a help only; a build is tried twice; a kernel whose
 * name cannot be read is "unknown" in a trace; a kernel that a cached program lacks is built from its source; a trace is
 * collected once more as the session is destroyed. */
static bool may_be_passed_over(const char *call, const pp_device_options *options) {
    static const char *const calls[] = {"clRelease", "clFinish", "clGetProgramInfo",
                                        "clGetKernelInfo", "clBuildProgram"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strncmp(call, calls[i], strlen(calls[i]))) return true;
    if (options->profiling &&
        (!strcmp(call, "clWaitForEvents") || !strcmp(call, "clGetEventProfilingInfo")))
        return true;
    return options->cache_dir &&
           (!strcmp(call, "clCreateProgramWithBinary") || !strcmp(call, "clCreateKernel"));
}

typedef struct held {
    size_t allocations, objects;
} held;

static void check(const setting *given, size_t n, const faulty_cl_fault *fault, pp_status status,
                  const char *error, const result *found, const result *expected) {
    const char *call = faulty_cl_failed();
    if (status == PP_OK) {
        ck_assert_msg(!call || may_be_passed_over(call, &given->options),
                      "call %zu, %s: it went on", n, call);
        test_close(call ? call : "no fault", found->weights, expected->weights, WEIGHTS, 1e-6f, 0);
        ck_assert_double_eq_tol(found->loss, expected->loss, 1e-5);
        return;
    }
    ck_assert_msg(call != NULL, "call %zu: %s without a fault", n, error);
    /* A platform that fails is left out with a warning, and here there is no other. */
    const bool hides = !strcmp(call, "clGetDeviceIDs");
    const pp_status wanted =
        fault->code == FAULTY_CL_NO_MEMORY && !hides ? PP_ERROR_OUT_OF_MEMORY : PP_ERROR_DEVICE;
    ck_assert_msg(status == wanted, "call %zu, %s: %s: %s", n, call, pp_status_name(status), error);
    ck_assert_msg(fault->and_later || test_contains(error, hides ? "no OpenCL device" : call),
                  "call %zu, %s: \"%s\"", n, call, error);
}

/* An open device keeps the events of a trace that could not be read until it is cleared. */
static void expect_held(const setting *given, size_t n, const held *before) {
    const char *call = faulty_cl_failed();
    faulty_cl_start(&(faulty_cl_fault){0});
    if (given->device) (void)pp_device_clear_trace(given->device);
    ck_assert_msg(live_allocations == before->allocations,
                  "call %zu, %s: %zu allocations, then %zu", n, faulty_cl_failed(),
                  before->allocations, live_allocations);
    ck_assert_msg(faulty_cl_live() == before->objects, "call %zu, %s: %zu objects, then %zu", n,
                  call, before->objects, faulty_cl_live());
}

/* Every call in turn for the first `dense` of them, then every `stride`-th. */
static void sweep(const setting *given, faulty_cl_fault fault, size_t dense, size_t stride) {
    result expected, found;
    char error[512];
    faulty_cl_start(&(faulty_cl_fault){0});
    /* An open device keeps the events of its last transfers. */
    for (size_t i = 0; i < WARM_UP; i++)
        ck_assert_msg(attempt(given, &expected, error) == PP_OK, "%s", error);
    const held before = {live_allocations, faulty_cl_live()};
    faulty_cl_start(&(faulty_cl_fault){0});
    ck_assert_msg(attempt(given, &expected, error) == PP_OK, "%s", error);
    const size_t calls = faulty_cl_calls();
    expect_held(given, 0, &before);
    ck_assert_uint_gt(calls, 100);
    for (size_t n = 1; n <= calls; n += n < dense ? 1 : stride) {
        fault.fail_at = n;
        faulty_cl_start(&fault);
        const pp_status status = attempt(given, &found, error);
        ck_assert_msg(faulty_cl_failed() != NULL, "call %zu of %zu was not reached", n, calls);
        check(given, n, &fault, status, error, &found, &expected);
        expect_held(given, n, &before);
    }
    faulty_cl_start(&(faulty_cl_fault){0});
    check(given, 0, &fault, attempt(given, &found, error), error, &found, &expected);
    expect_held(given, 0, &before);
}

/* With the programs built, so that an attempt is short. */
static void sweep_sessions(const pp_device_options *options, faulty_cl_fault fault) {
    setting given = {.options = *options};
    faulty_cl_start(&(faulty_cl_fault){0});
    const size_t objects = faulty_cl_live();
    ck_assert(pp_engine_create(&(pp_engine_options){.allocator = {allocate, release, NULL}},
                               &given.engine) == PP_OK);
    ck_assert(pp_device_open(given.engine, getenv("POCKETPROP_TEST_DEVICE"), options,
                             &given.device) == PP_OK);
    sweep(&given, fault, SIZE_MAX, 1);
    pp_device_close(given.device);
    pp_engine_destroy(given.engine);
    ck_assert_uint_eq(live_allocations, 0);
    ck_assert_uint_eq(faulty_cl_live(), objects);
}

static const faulty_cl_fault refusal = {.code = FAULTY_CL_NOT_AVAILABLE},
                             shortage = {.code = FAULTY_CL_NO_MEMORY},
                             loss = {.code = FAULTY_CL_NOT_AVAILABLE, .and_later = true};

START_TEST(every_call_of_a_session_fails_once) {
    sweep_sessions(&(pp_device_options){.no_cache = true}, refusal);
}
END_TEST

START_TEST(every_call_of_a_session_lacks_memory_once) {
    sweep_sessions(&(pp_device_options){.no_cache = true}, shortage);
}
END_TEST

START_TEST(every_call_of_a_traced_session_fails_once) {
    sweep_sessions(&(pp_device_options){.no_cache = true, .profiling = true}, refusal);
}
END_TEST

START_TEST(a_device_is_lost_at_every_call_of_a_session) {
    sweep_sessions(&(pp_device_options){.no_cache = true}, loss);
}
END_TEST

/* From nothing, and so with opening the device and loading its programs: a start takes time, so
 * some of the later calls only, another stride in each case. */
START_TEST(cold_starts_fail) {
    char folder[128];
    snprintf(folder, sizeof folder, "%s/cache", test_scratch_folder());
    const setting cached = {.options.cache_dir = folder}, uncached = {.options.no_cache = true};
    sweep(&cached, refusal, 60, 11);
    sweep(&uncached, shortage, 0, 31);
    sweep(&uncached, loss, 0, 37);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/cl_faults");
    TCase *test = tcase_create("device");
    tcase_add_test(test, every_call_of_a_session_fails_once);
    tcase_add_test(test, every_call_of_a_session_lacks_memory_once);
    tcase_add_test(test, a_device_is_lost_at_every_call_of_a_session);
    tcase_add_test(test, every_call_of_a_traced_session_fails_once);
    tcase_add_test(test, cold_starts_fail);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
