/* Two engines on two threads train at once: nothing is shared but the drivers and the folder of
 * built programs, so each run has the bits that it has alone. tests/threads.sh runs this program
 * under the thread sanitizer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pocketprop/data.h>

#include "support/support.h"

enum { THREADS = 2, STEPS = 30, BATCH = 16 };

/* One run from engine to weights, and what became of it; a thread must not fail a test itself. */
typedef struct run {
    const char *codec;
    uint64_t seed;
    const char *cache_dir;
    uint32_t loader_threads;
    pp_status status;
    char error[256];
    float *weights; /* of all parameters and running statistics */
    size_t count;
} run;

typedef struct things {
    pp_engine *engine;
    pp_device *device;
    pp_graph *graph;
    pp_profile *profile;
    pp_plan *plan;
    pp_session *session;
    pp_dataset *digits;
    pp_loader *loader;
} things;

#define TRY(call)                                     \
    do {                                              \
        pp_status try_status_ = (call);               \
        if (try_status_ != PP_OK) return try_status_; \
    } while (0)

static pp_status build(const run *r, things *t) {
    const pp_device_options device_options = {.cache_dir = r->cache_dir};
    const pp_plan_options plan_options = {
        .batch = BATCH, .codec = r->codec, .optimizer = {.momentum = 0.9f}};
    const pp_loader_options batches = {.batch = BATCH,
                                       .shuffle = true,
                                       .drop_last = true,
                                       .seed = r->seed,
                                       .threads = r->loader_threads};
    TRY(pp_device_open(t->engine, getenv("POCKETPROP_TEST_DEVICE"), &device_options, &t->device));
    TRY(pp_profile_for_device(t->device, test_profile(), &t->profile));
    TRY(pp_model_build(t->engine, "resnet8-digits", NULL, &t->graph));
    TRY(pp_plan_create(t->graph, t->profile, &plan_options, &t->plan));
    TRY(pp_session_create(t->device, t->plan, t->profile, &(pp_session_options){.seed = r->seed},
                          &t->session));
    TRY(pp_dataset_open(t->engine, "digits", PP_SPLIT_TRAIN, NULL, &t->digits));
    TRY(pp_loader_create(t->digits, &batches, &t->loader));
    return pp_loader_start_epoch(t->loader, 0);
}

static pp_status train(run *r, things *t) {
    for (size_t s = 0; s < STEPS; s++) {
        pp_batch batch;
        TRY(pp_loader_next(t->loader, &batch));
        TRY(pp_session_step(t->session, &batch, 0.05f));
    }
    pp_parameter_info info;
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_plan_read_parameter(t->plan, i, &info);
        r->count += info.elem_count;
    }
    r->weights = malloc(r->count * sizeof *r->weights);
    if (!r->weights) return PP_ERROR_OUT_OF_MEMORY;
    size_t used = 0;
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_plan_read_parameter(t->plan, i, &info);
        TRY(pp_session_read_parameter(t->session, i, r->weights + used, info.elem_count));
        used += info.elem_count;
    }
    return PP_OK;
}

static void *run_all(void *argument) {
    run *r = argument;
    things t = {0};
    r->status = pp_engine_create(NULL, &t.engine);
    if (r->status == PP_OK) r->status = build(r, &t);
    if (r->status == PP_OK) r->status = train(r, &t);
    if (r->status != PP_OK) snprintf(r->error, sizeof r->error, "%s", pp_engine_error(t.engine));
    pp_loader_destroy(t.loader);
    pp_dataset_close(t.digits);
    pp_session_destroy(t.session);
    pp_plan_destroy(t.plan);
    pp_graph_destroy(t.graph);
    pp_profile_destroy(t.profile);
    pp_device_close(t.device);
    pp_engine_destroy(t.engine);
    return NULL;
}

static void expect_same(const run *found, const run *expected) {
    ck_assert_msg(found->status == PP_OK, "%s: %s", found->codec, found->error);
    ck_assert_msg(expected->status == PP_OK, "%s: %s", expected->codec, expected->error);
    ck_assert_uint_eq(found->count, expected->count);
    ck_assert_mem_eq(found->weights, expected->weights, found->count * sizeof *found->weights);
}

/* From an empty folder, which both fill with programs, some of them the same; and again, from
 * what they left there. */
START_TEST(two_engines_train_at_once) {
    static const run runs[THREADS] = {
        {.codec = "norm:4", .seed = 1, .loader_threads = 1},
        {.codec = "avgpool:2", .seed = 2},
    };
    char folder[256];
    snprintf(folder, sizeof folder, "%s/programs", test_scratch_folder());
    run alone[THREADS], together[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        alone[i] = runs[i];
        run_all(&alone[i]);
        ck_assert_msg(alone[i].status == PP_OK, "%s: %s", alone[i].codec, alone[i].error);
    }
    ck_assert(alone[0].weights[0] != alone[1].weights[0]);
    for (size_t round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            together[i] = runs[i];
            together[i].cache_dir = folder;
            ck_assert_int_eq(pthread_create(&threads[i], NULL, run_all, &together[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < THREADS; i++) {
            expect_same(&together[i], &alone[i]);
            free(together[i].weights);
        }
    }
    for (size_t i = 0; i < THREADS; i++) free(alone[i].weights);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/threads");
    TCase *test = tcase_create("device");
    tcase_add_test(test, two_engines_train_at_once);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
