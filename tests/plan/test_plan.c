/* Printed plans against stored texts, options and their errors, and random graphs run with symbols.
 *
 * The texts lie in tests/golden/plan. With POCKETPROP_UPDATE_GOLDEN=1 this program rewrites them;
 * read the difference before committing it. */
#include <stdio.h>
#include <stdlib.h>

#include "plan/flow.h"
#include "plan/plans.h"
#include "plan/random_graphs.h"

static pp_graph *chain(void) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", 4, 4, 3);
    x = add_conv(g, "conv", x, 8);
    x = pp_graph_relu(g, "relu", x);
    add_head(g, x);
    return g;
}

static pp_graph *residual(void) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", 4, 4, 3);
    x = pp_graph_relu(g, "relu1", add_bn(g, "bn1", add_conv(g, "conv1", x, 8)));
    pp_value y = pp_graph_relu(g, "relu2", add_bn(g, "bn2", add_conv(g, "conv2", x, 8)));
    y = add_bn(g, "bn3", add_conv(g, "conv3", y, 8));
    x = pp_graph_relu(g, "relu3", pp_graph_add(g, "add", y, x));
    add_head(g, x);
    return g;
}

/* A value with three readers, one of which adds it to itself. */
static pp_graph *three_readers(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv", pp_graph_input(g, "image", 4, 4, 3), 8);
    pp_value twice = pp_graph_add(g, "twice", x, x);
    pp_value left = add_conv(g, "left", x, 8);
    pp_value sum = pp_graph_add(g, "sum", twice, left);
    add_head(g, pp_graph_add(g, "total", sum, add_conv(g, "right", x, 8)));
    return g;
}

static pp_graph *pooled(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 8, 8, 1), 8);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    x = pp_graph_relu(g, "relu2", add_conv(g, "conv2", x, 16));
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 3, .bias = true});
    pp_graph_mse(g, "loss", x);
    return g;
}

typedef struct golden_case {
    const char *name;
    pp_graph *(*build)(void);
    pp_plan_options options;
} golden_case;

static const golden_case golden_cases[] = {
    {"chain", chain, {.batch = 2}},
    {"chain_at_end", chain, {.batch = 2, .accumulate = 4, .optimizer = {.clip_norm = 1}}},
    {"chain_adam", chain, {.batch = 2, .optimizer = {.kind = PP_OPTIMIZER_ADAM}}},
    {"residual_raw", residual, {.batch = 2}},
    {"residual_norm4", residual, {.batch = 2, .codec = "norm:4"}},
    {"residual_half", residual, {.batch = 2, .codec = "half"}},
    {"residual_avgpool2", residual, {.batch = 2, .codec = "avgpool:2"}},
    {"residual_bands",
     residual,
     {.batch = 4,
      .codec = "norm:4",
      .bands = &(const pp_band){"conv3", "add", 2},
      .band_count = 1}},
    {"residual_inference", residual, {.batch = 2, .inference = true}},
    {"three_readers", three_readers, {.batch = 1}},
    {"pooled", pooled, {.batch = 3, .codec = "avgpool:2", .optimizer = {.momentum = 0.9f}}},
};
enum { GOLDEN_COUNT = sizeof golden_cases / sizeof *golden_cases };

static char *read_whole(const char *path) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is missing; POCKETPROP_UPDATE_GOLDEN=1 writes it", path);
    size_t capacity = 1 << 16;
    char *text = calloc(capacity, 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_lt(fread(text, 1, capacity, file), capacity);
    fclose(file);
    return text;
}

static void write_whole(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert(fputs(text, file) >= 0);
    ck_assert(fclose(file) == 0);
}

/* Fails with the first line that differs. */
static void compare(const char *path, const char *found, const char *expected) {
    size_t line = 1;
    while (*found || *expected) {
        size_t a = strcspn(found, "\n"), b = strcspn(expected, "\n");
        ck_assert_msg(a == b && !memcmp(found, expected, a), "%s:%zu\nfound    %.*s\nexpected %.*s",
                      path, line, (int)a, found, (int)b, expected);
        found += a + (found[a] == '\n');
        expected += b + (expected[b] == '\n');
        line++;
    }
}

START_TEST(printed_plans_are_as_stored) {
    const golden_case *c = &golden_cases[_i];
    pp_plan *plan = plan_and_drop(c->build(), &c->options);
    flow_check(plan);
    char *text = NULL, path[512];
    TEST_OK(pp_plan_print(plan, &text));
    snprintf(path, sizeof path, "%s/golden/plan/%s.txt", PP_TEST_DIR, c->name);
    if (getenv("POCKETPROP_UPDATE_GOLDEN")) {
        write_whole(path, text);
    } else {
        char *expected = read_whole(path);
        compare(path, text, expected);
        free(expected);
    }
    pp_text_free(test_engine(), text);
    pp_plan_destroy(plan);
}
END_TEST

/* The same graph and options give the same text, whatever was planned before. */
START_TEST(plans_are_deterministic) {
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        pp_plan *plan = plan_and_drop(graph_of_model("resnet20"),
                                      &(pp_plan_options){.batch = 4, .codec = "half"});
        TEST_OK(pp_plan_print(plan, &texts[i]));
        pp_plan_destroy(plan);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    pp_text_free(test_engine(), texts[0]);
    pp_text_free(test_engine(), texts[1]);
}
END_TEST

/* Rows, summary and live bytes tell the same story. */
START_TEST(summary_is_the_sum_of_the_rows) {
    static const char *const codecs[] = {"raw", "norm:4"};
    for (size_t c = 0; c < 2; c++) {
        pp_plan *plan =
            plan_and_drop(residual(), &(pp_plan_options){.batch = 2, .codec = codecs[c]});
        pp_plan_summary summary = summary_of(plan);
        size_t live = 0, by_class = 0, largest = 0, rows = pp_plan_row_count(plan);
        for (size_t s = 0; s < summary.step_count; s++) {
            size_t sum = 0;
            for (size_t i = 0; i < rows; i++) {
                pp_plan_row row;
                pp_plan_read_row(plan, i, &row);
                if (row.first_step <= s && s <= row.last_step) sum += row.stored_bytes;
            }
            ck_assert_uint_eq(sum, pp_plan_live_bytes(plan, s));
            if (sum > largest) largest = sum;
            if (s == summary.peak_step) live = sum;
        }
        for (int k = 0; k < PP_MEMORY_CLASS_COUNT; k++) by_class += summary.class_bytes[k];
        ck_assert_uint_eq(live, summary.lower_bound_bytes);
        ck_assert_uint_eq(live, largest);
        ck_assert_uint_eq(live, by_class);
        ck_assert_uint_ge(summary.peak_bytes, live);
        ck_assert_str_eq(summary.peak_step_name, pp_plan_step_name(plan, summary.peak_step));
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(a_graph_without_a_loss_is_for_inference) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", 4, 4, 3);
    pp_graph_relu(g, "relu", add_conv(g, "conv", x, 8));
    pp_plan *plan = NULL;
    TEST_FAILS(plan_try(g, &(pp_plan_options){.batch = 1}, &plan), PP_ERROR_INVALID_ARGUMENT,
               "the graph has no loss; add one, or plan for inference");
    ck_assert_ptr_null(plan);
    plan = plan_and_drop(g, &(pp_plan_options){.batch = 1, .inference = true});
    flow_check(plan);
    pp_plan_summary summary = summary_of(plan);
    ck_assert_uint_eq(summary.step_count, 2);
    ck_assert_uint_eq(summary.saved_stored_bytes, 0);
    ck_assert(!has_row(plan, "labels"));
    pp_plan_destroy(plan);
}
END_TEST

/* Whatever would be saved and updated in training, an inference plan holds none of it. */
START_TEST(inference_saves_nothing) {
    const pp_plan_options options = {.batch = 2,
                                     .codec = "norm:4",
                                     .inference = true,
                                     .optimizer = {.momentum = 0.9f, .clip_norm = 1}};
    pp_plan *plan = plan_and_drop(residual(), &options);
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        ck_assert(row.memory_class != PP_MEMORY_SAVED && row.memory_class != PP_MEMORY_GRADIENTS &&
                  row.memory_class != PP_MEMORY_OPTIMIZER);
        ck_assert_str_eq(row.codec, "");
    }
    ck_assert_uint_eq(count_steps(plan, " forward"), summary_of(plan).step_count);
    pp_plan_destroy(plan);
}
END_TEST

static void expect_failure(pp_graph *graph, const pp_plan_options *options, pp_status status,
                           const char *part) {
    pp_plan *plan = (pp_plan *)1;
    TEST_FAILS(plan_try(graph, options, &plan), status, part);
    ck_assert_ptr_null(plan);
}

START_TEST(options_that_cannot_be_right_are_refused) {
    static const struct {
        pp_plan_options options;
        const char *part;
    } cases[] = {
        {{.batch = 0}, "plan: a batch of 0 samples; at least 1 is expected"},
        {{.batch = 1, .codec = "zip"},
         "codec 'zip' is unknown; there are raw, half, bfloat, norm, group, avgpool, signmask, "
         "argmax, "
         "bytes"},
        {{.batch = 1, .codec = ""}, "codec '' is unknown"},
        {{.batch = 1, .optimizer = {.nesterov = true}}, "Nesterov's form needs a momentum above 0"},
        {{.batch = 1, .optimizer = {.momentum = 1}}, "found 1, 0, 0, 0, 0, 0"},
        {{.batch = 1, .optimizer = {.beta2 = -0.5f}}, "found 0, 0, -0.5, 0, 0, 0"},
        {{.batch = 1, .optimizer = {.clip_norm = -1}}, "clip norm are not negative"},
        {{.batch = 1, .optimizer = {.weight_decay = -1}}, "weight decay"},
    };
    pp_graph *g = chain();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(g, &cases[i].options, PP_ERROR_INVALID_ARGUMENT, cases[i].part);
    pp_graph_destroy(g);
}
END_TEST

START_TEST(graphs_that_cannot_be_planned_are_refused) {
    const pp_plan_options options = {.batch = 3, .inference = true};
    pp_graph *g = graph_new();
    expect_failure(g, &options, PP_ERROR_INVALID_ARGUMENT,
                   "the graph's first node is not an input");
    pp_value x = pp_graph_input(g, "image", 4, 4, 3);
    expect_failure(g, &options, PP_ERROR_INVALID_ARGUMENT, "the graph computes nothing");
    pp_value y = add_conv(g, "conv", x, 8);
    pp_graph_add(g, "sum", x, y);
    expect_failure(g, &options, PP_ERROR_SHAPE,
                   "node 'sum' (add): inputs [3, 4, 4, 3] and [3, 4, 4, 8] differ");
    pp_graph_relu(g, "sum", x);
    expect_failure(g, &options, PP_ERROR_INVALID_ARGUMENT, "two nodes called 'sum'");
    pp_graph_destroy(g);

    g = graph_new();
    x = pp_graph_input(g, "image", 4, 4, 3);
    pp_graph_conv2d(
        g, "wide", x,
        &(pp_conv2d_params){.out_channels = 8, .kernel_h = 5, .kernel_w = 7, .pad_w = 1});
    expect_failure(g, &options, PP_ERROR_SHAPE, "node 'wide' (conv2d): window 5x7");
    pp_graph_destroy(g);

    g = chain();
    pp_graph_input(g, "second", 4, 4, 3);
    expect_failure(g, &options, PP_ERROR_INVALID_ARGUMENT, "input 'second' is node 6");
    pp_graph_destroy(g);
    g = chain();
    pp_graph_relu(g, "behind", 1);
    expect_failure(g, &options, PP_ERROR_INVALID_ARGUMENT,
                   "node 'behind' (relu) comes behind the loss 'loss'");
    pp_graph_destroy(g);

    g = chain();
    const pp_plan_options huge = {.batch = 1u << 28};
    expect_failure(g, &huge, PP_ERROR_SHAPE, "node 'image': output [268435456, 4, 4, 3] has more");
    pp_graph_destroy(g);
}
END_TEST

/* Profiles of a device with small allocations, and of one with few of them. */
static void expect_layout_failure(const char *name, const char *numbers, const char *part) {
    char path[256], *folder = (char *)test_scratch_folder();
    snprintf(path, sizeof path, "%s/%s.profile", folder, name);
    write_whole(path, numbers);
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_graph *g = residual();
    TEST_OK(pp_profile_load(test_engine(), path, &profile));
    TEST_FAILS(pp_plan_create(g, profile, &(pp_plan_options){.batch = 8}, &plan),
               PP_ERROR_OUT_OF_MEMORY, part);
    ck_assert_ptr_null(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(g);
}

START_TEST(allocation_limits_are_kept) {
    expect_layout_failure("small", "memory.max_allocation_bytes = 4000\n",
                          "'conv1' needs 4096 bytes, but one device allocation holds at most 4000");
    expect_layout_failure("few", "memory.max_allocation_bytes = 23K\nmemory.max_chunks = 2\n",
                          "more than 2 device allocations of 23552 bytes are needed");

    char path[256];
    snprintf(path, sizeof path, "%s/enough.profile", test_scratch_folder());
    write_whole(path, "memory.max_allocation_bytes = 23K\nmemory.max_chunks = 16\n");
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_graph *g = residual();
    TEST_OK(pp_profile_load(test_engine(), path, &profile));
    TEST_OK(pp_plan_create(g, profile, &(pp_plan_options){.batch = 8}, &plan));
    flow_check(plan);
    ck_assert_uint_gt(summary_of(plan).chunk_count, 2);
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        ck_assert_uint_lt(row.chunk, summary_of(plan).chunk_count);
        ck_assert_uint_le(row.offset_bytes + row.stored_bytes, 23552);
        ck_assert_uint_eq(row.offset_bytes % 128, 0);
    }
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(g);
}
END_TEST

/* Kernels count bytes of codes, and so offsets, in 32 bits; the default profile has no limit. */
START_TEST(offsets_fit_32_bits) {
    pp_graph *g = graph_of_model("resnet20");
    pp_plan *plan = plan_of(g, &(pp_plan_options){.batch = 4096, .codec = "raw"});
    flow_check(plan);
    ck_assert_uint_gt(summary_of(plan).peak_bytes, UINT32_MAX);
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        ck_assert_uint_le(row.offset_bytes + row.stored_bytes, UINT32_MAX);
    }
    pp_plan_destroy(plan);
    pp_plan *none = NULL;
    TEST_FAILS(plan_try(g, &(pp_plan_options){.batch = 1u << 16, .codec = "raw"}, &none),
               PP_ERROR_OUT_OF_MEMORY,
               "needs 4294967296 bytes, but one device allocation holds at most 4294967295");
    pp_graph_destroy(g);
}
END_TEST

START_TEST(random_graphs_compute_what_they_say) {
    static const char *const codecs[] = {"raw", "half", "norm:8", "norm:4", "avgpool:2"};
    for (int i = 0; i < 1500; i++) {
        pp_graph *g = random_graph();
        const pp_plan_options options = {
            .batch = 1 + test_random_below(3),
            .codec = codecs[test_random_below(5)],
            .accumulate = test_random_below(4) ? 1 : 3,
            .inference = !test_random_below(8),
            .optimizer = {.momentum = test_random_below(2) ? 0.9f : 0,
                          .clip_norm = test_random_below(4) ? 0 : 1},
        };
        pp_plan *plan = plan_and_drop(g, &options);
        flow_check(plan);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* An allocator that refuses the call number `refused` and counts what is not given back. */
typedef struct stingy {
    size_t calls, refused, live;
} stingy;

static void *stingy_allocate(void *user, size_t bytes) {
    stingy *s = user;
    if (++s->calls == s->refused) return NULL;
    void *memory = malloc(bytes);
    s->live += memory != NULL;
    return memory;
}

static void stingy_release(void *user, void *memory) {
    ((stingy *)user)->live--;
    free(memory);
}

static pp_status plan_and_print(pp_engine *engine, const pp_plan_options *options) {
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    char *text = NULL;
    pp_status status = pp_model_build(engine, "resnet8-digits", NULL, &graph);
    if (status == PP_OK) status = pp_profile_load(engine, "default", &profile);
    if (status == PP_OK) status = pp_plan_create(graph, profile, options, &plan);
    if (status == PP_OK) status = pp_plan_print(plan, &text);
    pp_text_free(engine, text);
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return status;
}

/* Whichever allocation fails, planning says so and gives everything back. */
START_TEST(every_allocation_may_fail) {
    const pp_codec_override override = {"@input", "raw"};
    const pp_plan_options options = {.batch = 2,
                                     .codec = "norm:4",
                                     .overrides = &override,
                                     .override_count = 1,
                                     .optimizer = {.momentum = 0.9f, .clip_norm = 1}};
    pp_status status = PP_ERROR_OUT_OF_MEMORY;
    size_t refused = 1;
    for (; status != PP_OK; refused++) {
        stingy s = {.refused = refused};
        const pp_engine_options engine_options = {
            .allocator = {stingy_allocate, stingy_release, &s}};
        pp_engine *engine = NULL;
        status = pp_engine_create(&engine_options, &engine);
        if (status == PP_OK) status = plan_and_print(engine, &options);
        ck_assert_msg(status == (s.calls < refused ? PP_OK : PP_ERROR_OUT_OF_MEMORY),
                      "allocation %zu: %s", refused, pp_status_name(status));
        pp_engine_destroy(engine);
        ck_assert_msg(s.live == 0, "allocation %zu: %zu are not given back", refused, s.live);
    }
    ck_assert_uint_gt(refused, 100);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/plan");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, printed_plans_are_as_stored, 0, GOLDEN_COUNT);
    tcase_add_test(all, plans_are_deterministic);
    tcase_add_test(all, summary_is_the_sum_of_the_rows);
    tcase_add_test(all, a_graph_without_a_loss_is_for_inference);
    tcase_add_test(all, inference_saves_nothing);
    tcase_add_test(all, options_that_cannot_be_right_are_refused);
    tcase_add_test(all, graphs_that_cannot_be_planned_are_refused);
    tcase_add_test(all, allocation_limits_are_kept);
    tcase_add_test(all, offsets_fit_32_bits);
    tcase_add_test(all, random_graphs_compute_what_they_say);
    tcase_add_test(all, every_allocation_may_fail);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
