/* Graphs and plans in few words. */
#ifndef PP_TEST_PLAN_PLANS_H
#define PP_TEST_PLAN_PLANS_H

#include <string.h>

#include "support/support.h"

static inline pp_graph *graph_new(void) {
    pp_graph *graph = NULL;
    TEST_OK(pp_graph_create(test_engine(), &graph));
    return graph;
}

static inline pp_graph *graph_of_model(const char *name) {
    pp_graph *graph = NULL;
    TEST_OK(pp_model_build(test_engine(), name, NULL, &graph));
    return graph;
}

/* 3x3, stride 1, extents kept, no bias. */
static inline pp_value add_conv(pp_graph *g, const char *name, pp_value x, uint32_t channels) {
    const pp_conv2d_params params = {
        .out_channels = channels, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    return pp_graph_conv2d(g, name, x, &params);
}

static inline pp_value add_bn(pp_graph *g, const char *name, pp_value x) {
    return pp_graph_batchnorm(g, name, x, NULL);
}

/* Global pooling, a dense layer called "fc" with 5 outputs, and the loss. */
static inline void add_head(pp_graph *g, pp_value x) {
    x = pp_graph_global_avgpool(g, "gap", x);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 5, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
}

static inline pp_status plan_try_with(const char *profile_name, const pp_graph *graph,
                                      const pp_plan_options *options, pp_plan **plan_out) {
    pp_profile *profile = NULL;
    TEST_OK(pp_profile_load(test_engine(), profile_name, &profile));
    pp_status status = pp_plan_create(graph, profile, options, plan_out);
    pp_profile_destroy(profile);
    return status;
}

/* With the profile "default". */
static inline pp_status plan_try(const pp_graph *graph, const pp_plan_options *options,
                                 pp_plan **plan_out) {
    return plan_try_with("default", graph, options, plan_out);
}

static inline pp_plan *plan_of(const pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = NULL;
    TEST_OK(pp_graph_status(graph));
    TEST_OK(plan_try(graph, options, &plan));
    return plan;
}

/* Takes ownership of the graph. */
static inline pp_plan *plan_and_drop(pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = plan_of(graph, options);
    pp_graph_destroy(graph);
    return plan;
}

static inline pp_plan_summary summary_of(const pp_plan *plan) {
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    return summary;
}

/* False: there is no row of that name. */
static inline bool find_row(const pp_plan *plan, const char *name, pp_plan_row *row_out) {
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_read_row(plan, i, row_out);
        if (!strcmp(row_out->name, name)) return true;
    }
    return false;
}

static inline bool has_row(const pp_plan *plan, const char *name) {
    pp_plan_row row;
    return find_row(plan, name, &row);
}

static inline pp_plan_row row_of(const pp_plan *plan, const char *name) {
    pp_plan_row row;
    ck_assert_msg(find_row(plan, name, &row), "the plan has no row '%s'", name);
    return row;
}

static inline bool has_step(const pp_plan *plan, const char *name) {
    size_t count = summary_of(plan).step_count;
    for (size_t s = 0; s < count; s++)
        if (!strcmp(pp_plan_step_name(plan, s), name)) return true;
    return false;
}

/* The number of the one step of that name. */
static inline size_t step_of(const pp_plan *plan, const char *name) {
    size_t count = summary_of(plan).step_count, found = count;
    for (size_t s = 0; s < count; s++) {
        if (strcmp(pp_plan_step_name(plan, s), name)) continue;
        ck_assert_msg(found == count, "the plan has two steps '%s'", name);
        found = s;
    }
    ck_assert_msg(found < count, "the plan has no step '%s'", name);
    return found;
}

/* Steps whose name ends so. */
static inline size_t count_steps(const pp_plan *plan, const char *end) {
    size_t count = 0, length = strlen(end);
    for (size_t s = 0; s < summary_of(plan).step_count; s++) {
        const char *name = pp_plan_step_name(plan, s);
        if (strlen(name) >= length) count += !strcmp(name + strlen(name) - length, end);
    }
    return count;
}

#endif
