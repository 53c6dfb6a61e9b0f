#include "support/trainer.h"

#include <stdlib.h>
#include <string.h>

#include "support/support.h"

void trainer_create(trainer *t, const pp_graph *graph, const pp_plan_options *options,
                    uint64_t seed) {
    trainer_create_with(t, test_profile(), graph, options, seed);
}

void trainer_create_with(trainer *t, const char *profile, const pp_graph *graph,
                         const pp_plan_options *options, uint64_t seed) {
    memset(t, 0, sizeof *t);
    TEST_OK(pp_graph_status(graph));
    TEST_OK(pp_profile_for_device(test_device(), profile, &t->profile));
    TEST_OK(pp_plan_create(graph, t->profile, options, &t->plan));
    TEST_OK(pp_session_create(test_device(), t->plan, t->profile,
                              &(pp_session_options){.seed = seed}, &t->session));
}

void trainer_destroy(trainer *t) {
    pp_session_destroy(t->session);
    pp_plan_destroy(t->plan);
    pp_profile_destroy(t->profile);
    memset(t, 0, sizeof *t);
}

size_t trainer_index(const trainer *t, const char *name) {
    pp_parameter_info info;
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_plan_read_parameter(t->plan, i, &info);
        if (!strcmp(info.name, name)) return i;
    }
    ck_abort_msg("the plan has no parameter %s", name);
    return 0;
}

size_t trainer_elems(const trainer *t, const char *name) {
    pp_parameter_info info;
    pp_plan_read_parameter(t->plan, trainer_index(t, name), &info);
    return info.elem_count;
}

static float *floats(size_t count) {
    float *values = malloc(count * sizeof *values);
    ck_assert(values != NULL);
    return values;
}

float *trainer_read(const trainer *t, const char *name) {
    size_t count = trainer_elems(t, name);
    float *values = floats(count);
    TEST_OK(pp_session_read_parameter(t->session, trainer_index(t, name), values, count));
    return values;
}

float *trainer_read_gradient(const trainer *t, const char *name) {
    size_t count = trainer_elems(t, name);
    float *values = floats(count);
    TEST_OK(pp_session_read_gradient(t->session, trainer_index(t, name), values, count));
    return values;
}

void trainer_write(const trainer *t, const char *name, const double *values) {
    size_t count = trainer_elems(t, name);
    float *narrow = floats(count);
    for (size_t i = 0; i < count; i++) narrow[i] = (float)values[i];
    TEST_OK(pp_session_write_parameter(t->session, trainer_index(t, name), narrow, count));
    free(narrow);
}

float *trainer_read_all(const trainer *t, size_t *count_out) {
    pp_parameter_info info;
    size_t count = 0, used = 0;
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_plan_read_parameter(t->plan, i, &info);
        count += info.elem_count;
    }
    float *values = floats(count);
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_plan_read_parameter(t->plan, i, &info);
        TEST_OK(pp_session_read_parameter(t->session, i, values + used, info.elem_count));
        used += info.elem_count;
    }
    *count_out = count;
    return values;
}

double trainer_step(const trainer *t, const pp_batch *batch, float rate) {
    pp_metrics metrics;
    TEST_OK(pp_session_reset_metrics(t->session));
    TEST_OK(pp_session_step(t->session, batch, rate));
    TEST_OK(pp_session_read_metrics(t->session, &metrics));
    ck_assert_uint_eq(metrics.count, batch->count);
    return metrics.loss_sum / (double)metrics.count;
}

bool trainer_same(const trainer *a, const trainer *b) {
    size_t a_count, b_count;
    float *x = trainer_read_all(a, &a_count), *y = trainer_read_all(b, &b_count);
    bool same = a_count == b_count && !memcmp(x, y, a_count * sizeof *x);
    free(x);
    free(y);
    return same;
}
