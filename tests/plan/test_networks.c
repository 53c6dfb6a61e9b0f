/* Every built-in network with every codec: plans that work out, flow as they should and are packed
 * within 2 % of the bound. Nothing can take less than the bound, the largest sum of bytes live in
 * one step. */
#include <time.h>

#include "plan/flow.h"
#include "plan/plans.h"

static const char *const codecs[] = {"raw",           "half",      "norm:8",   "norm:4",
                                     "norm:4,clip=3", "avgpool:2", "avgpool:4"};
enum { CODEC_COUNT = sizeof codecs / sizeof *codecs, MODEL_COUNT = 17 };

static void check_packing(const pp_plan *plan, const char *model, const char *codec) {
    pp_plan_summary summary = summary_of(plan);
    double ratio = (double)summary.peak_bytes / (double)summary.lower_bound_bytes;
    ck_assert_msg(ratio >= 1 && ratio <= 1.02,
                  "%s, %s, batch %u: %zu bytes are %.4f of the bound %zu", model, codec,
                  (unsigned)summary.batch, summary.peak_bytes, ratio, summary.lower_bound_bytes);
}

static void check_model(const char *model, const pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = plan_of(graph, options);
    check_packing(plan, model, options->codec);
    flow_check(plan);
    pp_plan_destroy(plan);
}

START_TEST(every_network_with_every_codec) {
    const char *model = pp_model_name((size_t)_i);
    pp_graph *graph = graph_of_model(model);
    for (size_t c = 0; c < CODEC_COUNT; c++)
        check_model(model, graph, &(pp_plan_options){.batch = 2, .codec = codecs[c]});
    pp_graph_destroy(graph);
}
END_TEST

/* As train plans them: images in bytes. */
START_TEST(every_network_on_bytes) {
    const char *model = pp_model_name((size_t)_i);
    static const pp_pixels pixels;
    pp_graph *graph = NULL;
    TEST_OK(pp_model_build(test_engine(), model, &(pp_model_options){.pixels = &pixels}, &graph));
    for (size_t c = 0; c < CODEC_COUNT; c++)
        check_model(model, graph, &(pp_plan_options){.batch = 2, .codec = codecs[c]});
    pp_graph_destroy(graph);
}
END_TEST

START_TEST(there_are_so_many_networks) {
    ck_assert_ptr_nonnull(pp_model_name(MODEL_COUNT - 1));
    ck_assert_ptr_null(pp_model_name(MODEL_COUNT));
}
END_TEST

/* Batches that people train with, and what else changes lives: moments, gradients that stay, no
 * backward. */
START_TEST(training_settings) {
    static const struct {
        const char *model;
        pp_plan_options options;
    } cases[] = {
        {"lenet", {.batch = 64}},
        {"lenet-bn", {.batch = 64, .optimizer = {.kind = PP_OPTIMIZER_ADAM}}},
        {"resnet8-digits", {.batch = 32, .optimizer = {.momentum = 0.9f}}},
        {"resnet20", {.batch = 128, .optimizer = {.momentum = 0.9f}}},
        {"resnet20", {.batch = 128, .accumulate = 2, .optimizer = {.momentum = 0.9f}}},
        {"resnet56", {.batch = 128, .optimizer = {.momentum = 0.9f, .clip_norm = 1}}},
        {"preresnet164", {.batch = 128, .optimizer = {.momentum = 0.9f}}},
        {"resnet18", {.batch = 32, .optimizer = {.kind = PP_OPTIMIZER_ADAMW}}},
        {"resnet50", {.batch = 16, .optimizer = {.momentum = 0.9f}}},
        {"resnet50", {.batch = 16, .inference = true}},
    };
    pp_graph *graph = graph_of_model(cases[_i].model);
    for (size_t c = 0; c < CODEC_COUNT; c++) {
        pp_plan_options options = cases[_i].options;
        options.codec = codecs[c];
        check_model(cases[_i].model, graph, &options);
    }
    pp_graph_destroy(graph);
}
END_TEST
enum { SETTING_COUNT = 10 };

/* The published counts: pytorch_resnet_cifar10 and torchvision. No codec has parameters of its own.
 */
START_TEST(trainable_parameters) {
    static const struct {
        const char *model;
        size_t elems;
    } cases[] = {{"resnet20", 269722},
                 {"resnet18-cifar", 11173962},
                 {"resnet18", 11689512},
                 {"resnet34", 21797672},
                 {"resnet50", 25557032}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_graph *graph = graph_of_model(cases[i].model);
        for (size_t c = 0; c < CODEC_COUNT; c++) {
            pp_plan *plan = plan_of(graph, &(pp_plan_options){.batch = 2, .codec = codecs[c]});
            ck_assert_uint_eq(summary_of(plan).parameter_elems, cases[i].elems);
            pp_plan_destroy(plan);
        }
        pp_graph_destroy(graph);
    }
}
END_TEST

/* A policy that stores less peaks lower: on any network deep enough for saved values to matter. */
START_TEST(smaller_codes_mean_smaller_peaks) {
    static const char *const models[] = {"resnet20", "preresnet164", "resnet50"};
    static const char *const falling[] = {"raw", "half", "norm:8", "norm:4"};
    for (size_t m = 0; m < 3; m++) {
        pp_graph *graph = graph_of_model(models[m]);
        size_t peak = SIZE_MAX;
        for (size_t c = 0; c < 4; c++) {
            pp_plan *plan = plan_of(graph, &(pp_plan_options){.batch = 16, .codec = falling[c]});
            ck_assert_uint_lt(summary_of(plan).peak_bytes, peak);
            peak = summary_of(plan).peak_bytes;
            pp_plan_destroy(plan);
        }
        pp_graph_destroy(graph);
    }
}
END_TEST

static double processor_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

/* A fifth of a second where it was measured; a step that is quadratic in the nodes shows here. */
START_TEST(a_deep_network_is_planned_quickly) {
    pp_graph *graph = graph_of_model("preresnet1001");
    for (size_t c = 0; c < CODEC_COUNT; c++) {
        double start = processor_seconds();
        pp_plan *plan = plan_of(graph, &(pp_plan_options){.batch = 128, .codec = codecs[c]});
        double seconds = processor_seconds() - start;
        check_packing(plan, "preresnet1001", codecs[c]);
        ck_assert_msg(seconds < 5, "%s took %.1f s", codecs[c], seconds);
        pp_plan_destroy(plan);
    }
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/networks");
    TCase *all = tcase_create("all");
    tcase_add_test(all, there_are_so_many_networks);
    tcase_add_loop_test(all, every_network_with_every_codec, 0, MODEL_COUNT);
    tcase_add_loop_test(all, every_network_on_bytes, 0, MODEL_COUNT);
    tcase_add_loop_test(all, training_settings, 0, SETTING_COUNT);
    tcase_add_test(all, trainable_parameters);
    tcase_add_test(all, smaller_codes_mean_smaller_peaks);
    tcase_add_test(all, a_deep_network_is_planned_quickly);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
