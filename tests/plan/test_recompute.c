/* Plans with blocks that are computed again for backward: that every step finds what it reads
 * (flow.h), what is not kept any more, the steps, and what is refused. */
#include "plan/small_networks.h"
#include "plan/flow.h"

enum { BATCH = 8 };

static const char *const codecs[] = {
    "raw",     "half",   "norm:8",           "norm:4", "norm:1", "btc:4", "avgpool:2+group:4",
    "group:4", "bitmap", "pool:8+residual:2"};
enum { CODEC_COUNT = sizeof codecs / sizeof *codecs };

static size_t peak_of(const pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = plan_of(graph, options);
    flow_check(plan);
    const size_t peak = summary_of(plan).peak_bytes;
    pp_plan_destroy(plan);
    return peak;
}

static const struct {
    const char *name;
    pp_graph *(*build)(void);
    pp_span span;
} spots[] = {
    {"residual block", residual_block, {"conv1", "add"}},
    {"downsample block", downsample_block, {"conv1", "add"}},
    {"stem", stem, {"conv1", "pool"}},
    {"convolutions", plain_chain, {"conv2", "relu3"}},
    {"chain", nested_batchnorms, {"conv2", "bn4"}},
};
enum { SPOT_COUNT = sizeof spots / sizeof *spots };

START_TEST(every_step_finds_what_it_reads) {
    static const pp_plan_options settings[] = {
        {.batch = BATCH},
        {.batch = BATCH, .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
        {.batch = BATCH, .accumulate = 3},
        {.batch = BATCH, .inference = true},
    };
    pp_graph *graph = spots[_i].build();
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
            pp_plan_options options = settings[s];
            options.codec = codecs[c];
            options.recompute = &spots[_i].span;
            options.recompute_count = 1;
            peak_of(graph, &options);
        }
    pp_graph_destroy(graph);
}
END_TEST

START_TEST(beside_bands) {
    pp_graph *graph = residual_block();
    const pp_span span = {"conv1", "add"};
    const pp_band band = {"conv0", "bn0", 2};
    for (size_t c = 0; c < CODEC_COUNT; c++)
        peak_of(graph, &(pp_plan_options){.batch = BATCH,
                                          .codec = codecs[c],
                                          .bands = &band,
                                          .band_count = 1,
                                          .recompute = &span,
                                          .recompute_count = 1});
    pp_graph_destroy(graph);
}
END_TEST

/* Of a network's float32 values only the blocks' inputs are kept, and one block's inside. */
START_TEST(a_network_keeps_its_blocks_inputs) {
    static const pp_span spans[] = {
        {"layer1.0.conv1", "layer1.0.add"}, {"layer1.1.conv1", "layer1.1.add"},
        {"layer1.2.conv1", "layer1.2.add"}, {"layer2.0.conv1", "layer2.0.add"},
        {"layer2.1.conv1", "layer2.1.add"}, {"layer2.2.conv1", "layer2.2.add"},
    };
    pp_graph *graph = graph_of_model("resnet20");
    pp_plan_options options = {.batch = BATCH, .codec = "raw"};
    const size_t kept = peak_of(graph, &options);
    options.recompute = spans;
    options.recompute_count = sizeof spans / sizeof *spans;
    const size_t again = peak_of(graph, &options);
    pp_graph_destroy(graph);
    /* Half of what a block keeps lies inside of it, but for what the block at hand has. */
    ck_assert_uint_lt(again, kept * 7 / 10);
}
END_TEST

START_TEST(only_what_can_be_computed_again) {
    static const struct {
        pp_graph *(*build)(void);
        const char *codec;
        pp_span spans[2];
        size_t count;
        pp_status status;
        const char *part;
    } cases[] = {
        {residual_block,
         "raw",
         {{"conv1", "nothing"}},
         1,
         PP_ERROR_INVALID_ARGUMENT,
         "computing again of 'nothing': the plan has no node of that name"},
        {residual_block,
         "raw",
         {{"add", "conv1"}},
         1,
         PP_ERROR_INVALID_ARGUMENT,
         "computing 'add' to 'conv1' again: the former comes behind the latter"},
        {residual_block,
         "raw",
         {{"conv1", "add"}, {"conv2", "bn2"}},
         2,
         PP_ERROR_UNSUPPORTED,
         "'conv2' to 'bn2' cannot be computed again: it overlaps with that of 'conv1'"},
        {residual_block,
         "norm:4",
         {{"conv0", "conv1"}},
         1,
         PP_ERROR_UNSUPPORTED,
         "its inside is read by 'add'"},
        {preactivation_block,
         "norm:4",
         {{"bn1", "add"}},
         1,
         PP_ERROR_UNSUPPORTED,
         "backward keeps no form of what it begins with, 'conv0'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_graph *graph = cases[i].build();
        const pp_plan_options options = {.batch = BATCH,
                                         .codec = cases[i].codec,
                                         .recompute = cases[i].spans,
                                         .recompute_count = cases[i].count};
        pp_plan *plan = NULL;
        TEST_FAILS(plan_try(graph, &options, &plan), cases[i].status, cases[i].part);
        ck_assert_ptr_null(plan);
        pp_graph_destroy(graph);
    }
}
END_TEST

START_TEST(a_policy_says_it) {
    pp_graph *graph = residual_block();
    const pp_span span = {"conv1", "add"};
    pp_plan *plan = plan_of(
        graph, &(pp_plan_options){
                   .batch = BATCH, .codec = "norm:4", .recompute = &span, .recompute_count = 1});
    char *policy = NULL, *again = NULL;
    TEST_OK(pp_plan_print_policy(plan, &policy));
    ck_assert(test_contains(policy, "recompute conv1..add\n"));
    pp_plan *read = plan_of(graph, &(pp_plan_options){.batch = BATCH, .policy = policy});
    ck_assert_uint_eq(summary_of(read).peak_bytes, summary_of(plan).peak_bytes);
    TEST_OK(pp_plan_print_policy(read, &again));
    ck_assert_str_eq(again, policy);
    pp_text_free(test_engine(), policy);
    pp_text_free(test_engine(), again);
    pp_plan_destroy(read);
    pp_plan_destroy(plan);
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/recompute");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_loop_test(all, every_step_finds_what_it_reads, 0, SPOT_COUNT);
    tcase_add_test(all, beside_bands);
    tcase_add_test(all, a_network_keeps_its_blocks_inputs);
    tcase_add_test(all, only_what_can_be_computed_again);
    tcase_add_test(all, a_policy_says_it);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
