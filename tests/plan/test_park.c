/* Plans whose values and gradients wait in 16 bits: that every step finds what it reads (flow.h),
 * in training and in inference, what is parked, and what that leaves of a peak. */
#include "plan/random_graphs.h"
#include "plan/small_networks.h"
#include "plan/flow.h"

enum { BATCH = 8 };

static const char *const codecs[] = {"raw",    "half",   "norm:4",           "btc:4",
                                     "bitmap", "norm:8", "avgpool:2+group:4"};
enum { CODEC_COUNT = sizeof codecs / sizeof *codecs };

static pp_plan_summary check(const pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = plan_of(graph, options);
    flow_check(plan);
    const pp_plan_summary summary = summary_of(plan);
    pp_plan_destroy(plan);
    return summary;
}

/* With and without bands of every size. */
START_TEST(every_step_finds_what_it_reads) {
    static const pp_plan_options settings[] = {
        {.batch = BATCH},
        {.batch = BATCH, .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
        {.batch = BATCH, .accumulate = 3},
        {.batch = BATCH, .inference = true},
    };
    const block *b = &blocks[_i];
    pp_graph *graph = b->build();
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
            for (uint32_t images = 1; images <= BATCH; images *= 2) {
                pp_plan_options options = settings[s];
                const pp_band band = {b->first, b->last, images};
                options.transient_bits = 16;
                options.codec = codecs[c];
                options.bands = &band;
                options.band_count = 1;
                check(graph, &options);
            }
    pp_graph_destroy(graph);
}
END_TEST

static const pp_band bands_of_resnet20[] = {
    {"conv1", "bn1", 2},
    {"layer1.0.conv1", "layer1.0.add", 2},
    {"layer1.1.conv1", "layer1.1.add", 4},
    {"layer1.2.conv1", "layer1.2.add", 2},
    {"layer2.0.conv1", "layer2.0.add", 1},
    {"layer2.2.conv1", "layer2.2.add", 4},
};
enum { BAND_COUNT = sizeof bands_of_resnet20 / sizeof *bands_of_resnet20 };

/* Runs of several sizes side by side, and with a block between them that takes the batch. */
START_TEST(between_runs_of_bands) {
    pp_graph *graph = graph_of_model("resnet20");
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t count = 0; count <= BAND_COUNT; count++) {
            pp_plan_options options = {.batch = BATCH,
                                       .codec = codecs[c],
                                       .bands = bands_of_resnet20,
                                       .band_count = count,
                                       .transient_bits = 16};
            check(graph, &options);
            options.inference = true;
            check(graph, &options);
        }
    pp_graph_destroy(graph);
}
END_TEST

START_TEST(beside_blocks_computed_again) {
    const pp_span span = {"layer3.0.conv1", "layer3.0.add"};
    pp_graph *graph = graph_of_model("resnet20");
    for (size_t c = 0; c < CODEC_COUNT; c++)
        check(graph, &(pp_plan_options){.batch = BATCH,
                                        .codec = codecs[c],
                                        .bands = bands_of_resnet20,
                                        .band_count = BAND_COUNT,
                                        .recompute = &span,
                                        .recompute_count = 1,
                                        .transient_bits = 16});
    pp_graph_destroy(graph);
}
END_TEST

/* Skips of every length, to which no bands give a rhythm. */
START_TEST(in_random_graphs) {
    size_t parked = 0;
    for (int i = 0; i < 200; i++) {
        pp_graph *graph = random_graph();
        const pp_plan_options options = {
            .batch = 64, .codec = codecs[(size_t)i % CODEC_COUNT], .transient_bits = 16};
        pp_plan *plan = plan_of(graph, &options);
        flow_check(plan);
        parked += count_steps(plan, " park");
        pp_plan_destroy(plan);
        pp_graph_destroy(graph);
    }
    ck_assert(parked > 0);
}
END_TEST

/* Parking never makes the peak higher: not the sum of what is live, and not the places here. */
START_TEST(the_peak_never_rises) {
    pp_graph *graph = graph_of_model(_i % 2 ? "resnet20" : "resnet18-cifar");
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t count = 0; count <= (_i % 2 ? BAND_COUNT : 0); count++) {
            pp_plan_options options = {
                .batch = 16, .codec = codecs[c], .bands = bands_of_resnet20, .band_count = count};
            const pp_plan_summary before = check(graph, &options);
            options.transient_bits = 16;
            const pp_plan_summary after = check(graph, &options);
            ck_assert_uint_le(after.lower_bound_bytes, before.lower_bound_bytes);
            ck_assert_uint_le(after.peak_bytes, before.peak_bytes);
        }
    pp_graph_destroy(graph);
}
END_TEST

/* The codes of a budget's smallest plan leave little else to save. */
START_TEST(a_budget_becomes_smaller) {
    pp_graph *graph = graph_of_model("resnet20");
    size_t peaks[2];
    for (uint32_t k = 0; k < 2; k++) {
        /* Nothing fits into this; the sentence names what would. */
        const pp_plan_options least = {
            .batch = 128, .budget_bytes = 1 << 20, .transient_bits = k ? 16 : 32};
        pp_plan *plan;
        TEST_FAILS(plan_try(graph, &least, &plan), PP_ERROR_OUT_OF_MEMORY, "takes ");
        const char *takes = strstr(pp_engine_error(test_engine()), "takes ");
        pp_plan_options options = least;
        options.budget_bytes = (size_t)strtoull(takes + strlen("takes "), NULL, 10);
        peaks[k] = check(graph, &options).peak_bytes;
        ck_assert_uint_le(peaks[k], options.budget_bytes);
    }
    ck_assert_uint_lt(peaks[1], peaks[0] - peaks[0] / 8);
    pp_graph_destroy(graph);
}
END_TEST

/* Activations as float16, gradients as bfloat; nothing else, and nothing without the option. */
START_TEST(two_forms_of_16_bits) {
    pp_graph *graph = graph_of_model("resnet20");
    pp_plan_options options = {
        .batch = BATCH, .codec = "norm:4", .bands = bands_of_resnet20, .band_count = BAND_COUNT};
    for (uint32_t bits = 0; bits <= 32; bits += 16) {
        options.transient_bits = bits;
        pp_plan *plan = plan_of(graph, &options);
        ck_assert_uint_eq(count_steps(plan, " park") > 0, bits == 16);
        ck_assert_uint_eq(count_steps(plan, " fetch") > 0, bits == 16);
        for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
            pp_plan_row row;
            pp_plan_read_row(plan, i, &row);
            if (row.memory_class != PP_MEMORY_TRANSIENT) continue;
            const bool is_parked = strstr(row.name, " parked") != NULL;
            ck_assert_uint_eq(row.stored_bytes * (is_parked ? 2 : 1), row.raw_bytes);
            ck_assert_str_eq(row.codec, !is_parked                       ? ""
                                        : strstr(row.name, " gradient ") ? "bfloat"
                                                                         : "half");
        }
        pp_plan_destroy(plan);
    }
    pp_graph_destroy(graph);
}
END_TEST

/* Host memory of which one allocation is refused. */
typedef struct counting {
    size_t calls, refused, live;
} counting;

static void *count_allocate(void *user, size_t bytes) {
    counting *c = user;
    if (c->calls++ == c->refused) return NULL;
    void *memory = malloc(bytes);
    c->live += memory != NULL;
    return memory;
}

static void count_release(void *user, void *memory) {
    counting *c = user;
    c->live -= memory != NULL;
    free(memory);
}

static pp_status plan_once(counting *c) {
    static const pp_plan_options options = {.batch = 16,
                                            .codec = "norm:4",
                                            .bands = bands_of_resnet20,
                                            .band_count = BAND_COUNT,
                                            .transient_bits = 16};
    pp_engine *engine = NULL;
    pp_graph *graph = NULL;
    pp_profile *profile = NULL;
    pp_plan *plan = NULL;
    pp_status status = pp_engine_create(
        &(pp_engine_options){.allocator = {count_allocate, count_release, c}}, &engine);
    if (status == PP_OK) status = pp_model_build(engine, "resnet20", NULL, &graph);
    if (status == PP_OK) status = pp_profile_load(engine, "default", &profile);
    if (status == PP_OK) status = pp_plan_create(graph, profile, &options, &plan);
    ck_assert((status == PP_OK) == (plan != NULL));
    pp_plan_destroy(plan);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    pp_engine_destroy(engine);
    ck_assert_msg(c->live == 0, "allocation %zu refused: %zu are left", c->refused, c->live);
    return status;
}

START_TEST(every_refused_allocation_is_passed_on) {
    enum { STRIDE = 23 };
    counting c = {.refused = SIZE_MAX};
    TEST_OK(plan_once(&c));
    const size_t needed = c.calls;
    for (size_t n = 0; n < needed; n += STRIDE) {
        c = (counting){.refused = n};
        ck_assert_int_eq(plan_once(&c), PP_ERROR_OUT_OF_MEMORY);
    }
}
END_TEST

START_TEST(refuses_other_forms) {
    pp_graph *graph = residual_block();
    pp_plan *plan;
    TEST_FAILS(plan_try(graph, &(pp_plan_options){.batch = BATCH, .transient_bits = 8}, &plan),
               PP_ERROR_INVALID_ARGUMENT, "16 or 32 are expected");
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/park");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_loop_test(all, every_step_finds_what_it_reads, 0, BLOCK_COUNT);
    tcase_add_test(all, between_runs_of_bands);
    tcase_add_test(all, beside_blocks_computed_again);
    tcase_add_test(all, in_random_graphs);
    tcase_add_loop_test(all, the_peak_never_rises, 0, 2);
    tcase_add_test(all, a_budget_becomes_smaller);
    tcase_add_test(all, two_forms_of_16_bits);
    tcase_add_test(all, every_refused_allocation_is_passed_on);
    tcase_add_test(all, refuses_other_forms);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
