/* Plans within a budget: never above it, refused where nothing fits, pinned values left alone; and
 * the policy as text, given back. */
#include <stdio.h>

#include "plan/flow.h"
#include "plan/plans.h"

static const pp_plan_options roomy = {.batch = 16};

static size_t peak_with(const char *model, const char *codec) {
    pp_plan_options options = roomy;
    options.codec = codec;
    pp_plan *plan = plan_and_drop(graph_of_model(model), &options);
    size_t peak = summary_of(plan).peak_bytes;
    pp_plan_destroy(plan);
    return peak;
}

/* The smallest budget that the refusal of an impossible one names. */
static size_t smallest_budget(const char *model) {
    pp_graph *graph = graph_of_model(model);
    pp_plan_options options = roomy;
    options.budget_bytes = 1;
    pp_plan *plan = NULL;
    ck_assert_int_eq(plan_try(graph, &options, &plan), PP_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_null(plan);
    const char *message = pp_engine_error(test_engine());
    const char *takes = strstr(message, " takes ");
    ck_assert_msg(takes && strstr(message, "a budget of 1 bytes"), "'%s'", message);
    pp_graph_destroy(graph);
    return (size_t)strtoull(takes + 7, NULL, 10);
}

static const char *const networks[] = {"lenet", "resnet20", "preresnet164", "resnet18-cifar"};
enum { NETWORKS = sizeof networks / sizeof *networks, POINTS = 6 };

START_TEST(the_peak_is_within_every_budget_from_the_smallest_to_raw) {
    const char *model = networks[_i];
    const size_t smallest = smallest_budget(model), raw = peak_with(model, "raw");
    ck_assert(smallest < peak_with(model, "norm:8"));
    for (size_t i = 0; i <= POINTS; i++) {
        pp_plan_options options = roomy;
        options.budget_bytes = smallest + (raw - smallest) * i / POINTS;
        pp_plan *plan = plan_and_drop(graph_of_model(model), &options);
        size_t peak = summary_of(plan).peak_bytes;
        ck_assert_msg(peak <= options.budget_bytes, "%s: %zu bytes within a budget of %zu", model,
                      peak, options.budget_bytes);
        flow_check(plan);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(one_byte_less_than_the_smallest_is_refused) {
    pp_graph *graph = graph_of_model("resnet20");
    pp_plan_options options = roomy;
    options.budget_bytes = smallest_budget("resnet20") - 1;
    pp_plan *plan = NULL;
    TEST_FAILS(plan_try(graph, &options, &plan), PP_ERROR_OUT_OF_MEMORY, "cannot be met");
    pp_graph_destroy(graph);
}
END_TEST

START_TEST(a_budget_of_the_raw_plan_loses_nothing) {
    pp_plan_options options = roomy;
    options.budget_bytes = 2 * peak_with("resnet20", "raw");
    pp_plan *plan = plan_and_drop(graph_of_model("resnet20"), &options);
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (!strcmp(row.kind, "normalised")) ck_assert_str_eq(row.codec, "raw");
    }
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(pinned_values_keep_their_codec) {
    const pp_codec_override pins[] = {{"layer1.*@normalised", "norm:6"}, {"bn1", "norm:8"}};
    pp_plan_options options = roomy;
    options.budget_bytes = peak_with("resnet20", "norm:4");
    options.overrides = pins;
    options.override_count = 2;
    pp_plan *plan = plan_and_drop(graph_of_model("resnet20"), &options);
    ck_assert(summary_of(plan).peak_bytes <= options.budget_bytes);
    ck_assert_str_eq(row_of(plan, "layer1.1.bn2 x-hat").codec, "norm:6");
    ck_assert_str_eq(row_of(plan, "bn1 x-hat").codec, "norm:8");
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(a_budget_and_a_codec_are_refused) {
    pp_graph *graph = graph_of_model("lenet");
    pp_plan_options options = roomy;
    options.budget_bytes = 1 << 30;
    options.codec = "norm:4";
    pp_plan *plan = NULL;
    TEST_FAILS(plan_try(graph, &options, &plan), PP_ERROR_INVALID_ARGUMENT, "norm:4");
    pp_graph_destroy(graph);
}
END_TEST

static char *printed(const pp_plan *plan) {
    char *text = NULL;
    TEST_OK(pp_plan_print(plan, &text));
    return text;
}

/* A plan and the plan of its printed policy are the same to the byte. */
static void check_round_trip(const char *model, const pp_plan_options *options) {
    pp_plan *plan = plan_and_drop(graph_of_model(model), options);
    char *policy = NULL;
    TEST_OK(pp_plan_print_policy(plan, &policy));
    pp_plan *again = plan_and_drop(graph_of_model(model),
                                   &(pp_plan_options){.batch = options->batch, .policy = policy});
    char *before = printed(plan), *after = printed(again);
    ck_assert_str_eq(before, after);
    pp_text_free(test_engine(), before);
    pp_text_free(test_engine(), after);
    pp_text_free(test_engine(), policy);
    pp_plan_destroy(plan);
    pp_plan_destroy(again);
}

START_TEST(a_policy_comes_back_as_it_was_printed) {
    check_round_trip("resnet20", &(pp_plan_options){.batch = 16});
    check_round_trip("resnet20", &(pp_plan_options){.batch = 16, .codec = "norm:4"});
    check_round_trip("lenet", &(pp_plan_options){.batch = 16, .codec = "avgpool:2"});
    check_round_trip("resnet20", &(pp_plan_options){
                                     .batch = 16, .budget_bytes = 2 * smallest_budget("resnet20")});
    const pp_band band = {"conv1", "bn1", 4};
    check_round_trip("resnet20", &(pp_plan_options){.batch = 16, .bands = &band, .band_count = 1});
}
END_TEST

START_TEST(policies_that_make_no_sense_are_refused) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"codec\n", "line 1: found 'codec'"},
        {"# all well\n\ncodec raw\nband conv1=4\n", "line 4: found 'band conv1=4'"},
        {"band conv1..bn1=0\n", "line 1"},
        {"band conv1..bn1=4x\n", "line 1"},
        {"band conv1..bn1=99999999999999999999\n", "line 1"},
        {"band conv1..bn1=5\n", "do not divide"},
        {"band nothing..bn1=4\n", "'nothing'"},
        {"override bn1\n", "line 1"},
        {"override bn1=zip\n", "zip"},
        {"override nobody@normalised=norm:4\n", "nobody"},
        {"budget 5M\n", "line 1: found 'budget 5M'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_graph *graph = graph_of_model("resnet20");
        pp_plan *plan = NULL;
        pp_plan_options options = {.batch = 16, .policy = cases[i].text};
        TEST_FAILS(plan_try(graph, &options, &plan), PP_ERROR_INVALID_ARGUMENT, cases[i].message);
        ck_assert_ptr_null(plan);
        pp_graph_destroy(graph);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("budget");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, the_peak_is_within_every_budget_from_the_smallest_to_raw, 0, NETWORKS);
    tcase_add_test(all, one_byte_less_than_the_smallest_is_refused);
    tcase_add_test(all, a_budget_of_the_raw_plan_loses_nothing);
    tcase_add_test(all, pinned_values_keep_their_codec);
    tcase_add_test(all, a_budget_and_a_codec_are_refused);
    tcase_add_test(all, a_policy_comes_back_as_it_was_printed);
    tcase_add_test(all, policies_that_make_no_sense_are_refused);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
