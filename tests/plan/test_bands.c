/* Plans whose runs of nodes work on a few images at a time: that every step finds its images
 * (flow.h), what becomes small, which steps there are, and what is refused. */
#include <stdio.h>

#include "plan/small_networks.h"
#include "plan/flow.h"
#include "plan/random_graphs.h"

enum { BATCH = 8, MOST_BANDS = 512 };

static const uint32_t band_images[] = {1, 2, 4};
static const char *const codecs[] = {"raw",          "half",   "norm:8",    "norm:4",
                                     "norm:3,lloyd", "norm:1", "avgpool:2", "avgpool:2+group:4",
                                     "group:4",      "btc:4",  "bitmap",    "pool:8+residual:2"};
enum { IMAGES_COUNT = 3, CODEC_COUNT = sizeof codecs / sizeof *codecs, MODEL_COUNT = 16 };

/* Whose convolutions leave no moments, and do. */
static const char *const profiles[] = {"default", "pocl-cpu-4"};
enum { PROFILE_COUNT = sizeof profiles / sizeof *profiles };

/* What a run leaves to nobody else: values whose buffer only its own nodes write and read. */
static bool stays_inside(const pp_plan *plan, const pp__plan_run *run, uint32_t buffer) {
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        const bool inside = i >= run->first && i <= run->last;
        if (inside) continue;
        if (node->value == buffer) return false;
        for (size_t j = 0; j < node->op->input_count; j++)
            if (plan->nodes[node->inputs[j]].value == buffer) return false;
    }
    return plan->nodes[plan->node_count - 1].value != buffer;
}

/* A band's values take a band's bytes, and what stays inside of a run is a band's. */
static void check_sizes(const pp_plan *plan) {
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        if (!b->images || b->images == plan->batch) continue;
        ck_assert_int_eq(b->memory_class, PP_MEMORY_TRANSIENT);
        ck_assert_uint_eq(b->raw_bytes, b->bytes);
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const pp__plan_buffer *value = &plan->buffers[plan->nodes[i].value];
        const size_t image_bytes = pp__shape_bytes(plan->nodes[i].shape) / plan->batch;
        /* A band's values may share the place of the largest (tests/plan/test_sharing.c). */
        if (plan->nodes[i].value == plan->input) continue;
        if (value->images == plan->batch)
            ck_assert_uint_eq(value->bytes, image_bytes * value->images);
        else
            ck_assert_uint_ge(value->bytes, image_bytes * value->images);
    }
    for (size_t r = 0; r < plan->run_count; r++)
        for (uint32_t i = plan->runs[r].first; i <= plan->runs[r].last; i++) {
            const pp__plan_buffer *value = &plan->buffers[plan->nodes[i].value];
            const bool kept = value->memory_class != PP_MEMORY_TRANSIENT;
            if (!kept && !pp__plan_runs_alone(plan, i) &&
                stays_inside(plan, &plan->runs[r], plan->nodes[i].value))
                ck_assert_msg(value->images == plan->runs[r].images,
                              "'%s' holds %u images; bands have %u", value->name,
                              (unsigned)value->images, (unsigned)plan->runs[r].images);
        }
}

static bool runs_an_operator(const pp__plan_step *step, pp__pass *pass_out) {
    switch (step->kind) {
        case PP__STEP_FORWARD:
        case PP__STEP_STATISTICS: *pass_out = PP__PASS_FORWARD; return true;
        case PP__STEP_BACKWARD_PARAMETERS: *pass_out = PP__PASS_BACKWARD_PARAMETERS; return true;
        case PP__STEP_BACKWARD_SUMS:
        case PP__STEP_BACKWARD_TOTALS:
        case PP__STEP_BACKWARD: *pass_out = PP__PASS_BACKWARD; return true;
        default: return false;
    }
}

/* What sessions insist on, of the profile that the plan was made for: each step has the scratch that
 * its operator asks for, and the moments' places are as many as its bands leave. */
static void check_scratch(const pp_plan *plan, const char *profile_name) {
    pp_profile *profile = NULL;
    TEST_OK(pp_profile_load(test_engine(), profile_name, &profile));
    for (size_t s = 0; s < plan->step_count; s++) {
        const pp__plan_step *step = &plan->steps[s];
        const pp__plan_node *node = &plan->nodes[step->node];
        pp__pass pass;
        pp__op_query q;
        pp__stored stored[PP__OP_SAVES];
        if (!runs_an_operator(step, &pass)) continue;
        pp__plan_query_band(plan, step->node, step->image_count, profile, &q, stored);
        size_t wanted = node->op->workspace ? node->op->workspace(&q, pass) : 0;
        size_t there = step->workspace == PP__NONE ? 0 : plan->buffers[step->workspace].bytes;
        ck_assert_msg(there >= wanted, "step %zu (%s) has %zu bytes of scratch; it needs %zu", s,
                      step->name, there, wanted);
        if (step->kind != PP__STEP_FORWARD || step->repeated || node->moments_apart ||
            !node->moment_splits || plan->inference)
            continue;
        ck_assert_msg(node->op->moments(&q) * q.bands == node->moment_splits,
                      "step %zu (%s) leaves %u moments for %u places", s, step->name,
                      (unsigned)(node->op->moments(&q) * q.bands), (unsigned)node->moment_splits);
    }
    pp_profile_destroy(profile);
}

static void check(const pp_plan *plan, const char *profile) {
    check_sizes(plan);
    check_scratch(plan, profile);
    flow_check(plan);
}

static void check_with_profile(const pp_graph *graph, const pp_plan_options *options,
                               const char *profile) {
    pp_plan *plan = NULL;
    TEST_OK(pp_graph_status(graph));
    TEST_OK(plan_try_with(profile, graph, options, &plan));
    check(plan, profile);
    pp_plan_destroy(plan);
}

static void check_with_profiles(const pp_graph *graph, const pp_plan_options *options) {
    for (size_t p = 0; p < PROFILE_COUNT; p++) check_with_profile(graph, options, profiles[p]);
}

static const pp_plan_options settings[] = {
    {.batch = BATCH},
    {.batch = BATCH, .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
    {.batch = BATCH, .accumulate = 3},
    {.batch = BATCH, .inference = true},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

/* With every codec and every setting, and sizes of bands in turns. */
START_TEST(every_block_in_bands) {
    const block *b = &blocks[_i];
    pp_graph *graph = b->build();
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t s = 0; s < SETTING_COUNT; s++) {
            const size_t turn = (size_t)_i + c + s;
            const pp_band band = {b->first, b->last, band_images[turn % IMAGES_COUNT]};
            pp_plan_options options = settings[s];
            options.codec = codecs[c];
            options.bands = &band;
            options.band_count = 1;
            check_with_profile(graph, &options, profiles[turn / 3 % PROFILE_COUNT]);
        }
    pp_graph_destroy(graph);
}
END_TEST

/* The runs of a network: the stem, each block, and what lies behind the last. */
typedef struct runs {
    char names[2 * MOST_BANDS][48];
    pp_band bands[MOST_BANDS];
    size_t count;
} runs;

/* "layer1.0" of "layer1.0.conv1"; a name without points is in no block. */
static size_t block_length(const char *name) {
    const char *leaf = strchr(name, '.');
    leaf = leaf ? strchr(leaf + 1, '.') : NULL;
    return leaf ? (size_t)(leaf - name) : 0;
}

static bool same_block(const char *a, const char *b) {
    const size_t length = block_length(a);
    return length == block_length(b) && !strncmp(a, b, length);
}

static void find_runs(const pp_graph *graph, uint32_t images, runs *r) {
    pp_plan *plan = plan_of(graph, &(pp_plan_options){.batch = BATCH});
    r->count = 0;
    for (uint32_t first = 1, last; first < plan->node_count; first = last + 1) {
        last = first;
        if (!(plan->nodes[first].op->traits & PP__OP_BANDS)) continue;
        while (plan->nodes[last + 1].op->traits & PP__OP_BANDS &&
               same_block(plan->nodes[first].name, plan->nodes[last + 1].name))
            last++;
        ck_assert_uint_lt(r->count, MOST_BANDS);
        char(*names)[48] = &r->names[2 * r->count];
        snprintf(names[0], sizeof names[0], "%s", plan->nodes[first].name);
        snprintf(names[1], sizeof names[1], "%s", plan->nodes[last].name);
        r->bands[r->count++] = (pp_band){names[0], names[1], images};
    }
    pp_plan_destroy(plan);
}

/* All runs at once, with a third of the codecs, and sizes of bands in turns. */
START_TEST(every_network_in_bands) {
    static runs all;
    pp_graph *graph = graph_of_model(pp_model_name((size_t)_i));
    for (size_t c = (size_t)_i % 3; c < CODEC_COUNT; c += 3) {
        find_runs(graph, band_images[c / 3 % IMAGES_COUNT], &all);
        if (all.count > 100 && c >= 3) continue; /* a thousand layers: once */
        pp_plan_options options = settings[c % SETTING_COUNT];
        options.codec = codecs[c];
        options.bands = all.bands;
        options.band_count = all.count;
        check_with_profile(graph, &options, profiles[c % PROFILE_COUNT]);
    }
    pp_graph_destroy(graph);
}
END_TEST

/* A few runs that do not overlap, of nodes that the plan has. */
static size_t choose_runs(const pp_plan *plan, pp_band *bands, size_t most) {
    static const uint32_t images[] = {1, 2, 3, 6, 0};
    size_t count = 0;
    for (uint32_t at = 0; at < plan->node_count && count < most;) {
        const uint32_t first = at + test_random_below(6), last = first + test_random_below(9);
        if (last >= plan->node_count) break;
        bands[count++] = (pp_band){plan->nodes[first].name, plan->nodes[last].name,
                                   images[test_random_below(5)]};
        at = last + 1;
    }
    if (count > 1 && test_random_below(2)) {
        const pp_band swapped = bands[0];
        bands[0] = bands[count - 1];
        bands[count - 1] = swapped;
    }
    return count;
}

/* One sentence that says why, of a run that was asked for. */
static void check_refusal(pp_status status) {
    const char *message = pp_engine_error(test_engine());
    ck_assert_msg(status == PP_ERROR_UNSUPPORTED, "%s: %s", pp_status_name(status), message);
    ck_assert_msg(test_contains(message, "cannot run in bands: "), "%s", message);
    ck_assert_msg(test_contains(message, "needs the whole batch") ||
                      test_contains(message, "would have to read again what is written over"),
                  "%s", message);
}

START_TEST(random_runs_of_random_graphs) {
    size_t planned = 0, refused = 0;
    for (int i = 0; i < 1500; i++) {
        pp_graph *g = random_graph();
        pp_band bands[4];
        pp_plan_options options = {
            .batch = test_random_below(3) ? 6 : 12,
            .codec = codecs[test_random_below(CODEC_COUNT)],
            .accumulate = test_random_below(4) ? 1 : 3,
            .inference = !test_random_below(8),
            .optimizer = {.momentum = test_random_below(2) ? 0.9f : 0,
                          .clip_norm = test_random_below(4) ? 0 : 1},
        };
        pp_plan *whole = plan_of(g, &options), *plan = NULL;
        options.bands = bands;
        options.band_count = choose_runs(whole, bands, sizeof bands / sizeof *bands);
        const char *profile = profiles[test_random_below(PROFILE_COUNT)];
        const pp_status status = plan_try_with(profile, g, &options, &plan);
        if (status == PP_OK) {
            check(plan, profile);
            planned += options.band_count > 0;
        } else {
            check_refusal(status);
            ck_assert_ptr_null(plan);
            refused++;
        }
        pp_plan_destroy(plan);
        pp_plan_destroy(whole);
        pp_graph_destroy(g);
    }
    ck_assert_uint_gt(planned, 300);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

/* The steps of a run: what they do, whether an earlier step did the same, whether inference does
 * without them, and which band they take. */
static void print_steps(const pp_plan *plan, bool backward, char *text, size_t capacity) {
    static const char *const kinds[] = {[PP__STEP_FORWARD] = "",
                                        [PP__STEP_MOMENTS] = " moments",
                                        [PP__STEP_STATISTICS] = " statistics",
                                        [PP__STEP_ENCODE] = " code",
                                        [PP__STEP_BACKWARD_PARAMETERS] = " weight",
                                        [PP__STEP_BACKWARD_SUMS] = " sums",
                                        [PP__STEP_BACKWARD_TOTALS] = " totals",
                                        [PP__STEP_BACKWARD] = "",
                                        [PP__STEP_COPY_VALUE] = " copy",
                                        [PP__STEP_COPY_GRADIENT] = " copy gradient"};
    const pp__plan_run *run = &plan->runs[0];
    size_t length = 0;
    bool past = false;
    text[0] = '\0';
    for (size_t s = 0; s < plan->step_count; s++) {
        const pp__plan_step *step = &plan->steps[s];
        past |= step->node == plan->loss_node;
        const bool moves = step->kind == PP__STEP_COPY_GRADIENT;
        if (!moves && (step->node < run->first || step->node > run->last)) continue;
        if (past != backward || step->kind == PP__STEP_UPDATE) continue;
        length +=
            (size_t)snprintf(text + length, capacity - length, "%s%s%s%s%s", length ? ", " : "",
                             step->repeated ? "again " : "", plan->nodes[step->node].name,
                             kinds[step->kind], !backward && step->training_only ? "*" : "");
        if (step->image_count < plan->batch && step->kind != PP__STEP_BACKWARD_TOTALS)
            length += (size_t)snprintf(text + length, capacity - length, " %u",
                                       (unsigned)(step->first_image / run->images));
        ck_assert_uint_lt(length, capacity);
    }
}

/* Each pass does what it is for, and again what that needs of the passes before it, nothing else. A
 * star marks what inference does without. */
START_TEST(the_steps_of_a_run) {
    static const struct {
        pp_graph *(*build)(void);
        pp_band band;
        const char *forward, *backward;
    } cases[] = {
        {residual_block,
         {"conv2", "add", 4},
         "conv2* 0, bn2 moments* 0, conv2* 1, bn2 moments* 1, bn2 statistics*, "
         "again conv2 0, bn2 0, add 0, add code* 0, again conv2 1, bn2 1, add 1, add code* 1",
         "add 0, bn2 sums 0, add 1, bn2 sums 1, bn2 totals, "
         "bn2 0, conv2 weight 0, conv2 0, bn2 1, conv2 weight 1, conv2 1"},
        /* Where branches meet, all of both waits for the last pass, which takes the input again. */
        {downsample_block,
         {"conv1", "add", 4},
         "conv1* 0, bn1 moments* 0, down* 0, down.bn moments* 0, "
         "conv1* 1, bn1 moments* 1, down* 1, down.bn moments* 1, "
         "bn1 statistics*, down.bn statistics*, "
         "again conv1* 0, bn1* 0, conv2* 0, bn2 moments* 0, "
         "again conv1* 1, bn1* 1, conv2* 1, bn2 moments* 1, bn2 statistics*, "
         "again conv1 0, again bn1 0, again conv2 0, bn2 0, again down 0, down.bn 0, add 0, "
         "add code* 0, "
         "again conv1 1, again bn1 1, again conv2 1, bn2 1, again down 1, down.bn 1, add 1, "
         "add code* 1",
         "add 0, down.bn sums 0, bn2 sums 0, add 1, down.bn sums 1, bn2 sums 1, "
         "down.bn totals, bn2 totals, "
         "bn2 0, conv2 weight 0, conv2 0, bn1 sums 0, bn2 1, conv2 weight 1, conv2 1, bn1 sums 1, "
         "bn1 totals, "
         "down.bn 0, down weight 0, down 0, again bn2 0, again conv2 0, bn1 0, conv1 weight 0, "
         "conv1 0, "
         "down.bn 1, down weight 1, down 1, again bn2 1, again conv2 1, bn1 1, conv1 weight 1, "
         "conv1 1"},
        {plain_chain,
         {"relu1", "relu3", 4},
         "relu1 0, relu1 code* 0, conv2 0, relu2 0, relu2 code* 0, conv3 0, relu3 0, "
         "relu3 code* 0, "
         "relu1 1, relu1 code* 1, conv2 1, relu2 1, relu2 code* 1, conv3 1, relu3 1, "
         "relu3 code* 1",
         "relu3 0, conv3 weight 0, conv3 0, relu2 0, conv2 weight 0, conv2 0, relu1 0, "
         "relu3 1, conv3 weight 1, conv3 1, relu2 1, conv2 weight 1, conv2 1, relu1 1"},
        {residual_block,
         {"conv2", "conv2", 4},
         "conv2 0, conv2 copy 0, conv2 1, conv2 copy 1",
         "conv2 weight, conv2 0, bn1 copy gradient 0, conv2 1, bn1 copy gradient 1"},
    };
    char text[4096];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = plan_and_drop(
            cases[i].build(),
            &(pp_plan_options){
                .batch = BATCH, .codec = "norm:4", .bands = &cases[i].band, .band_count = 1});
        print_steps(plan, false, text, sizeof text);
        ck_assert_str_eq(text, cases[i].forward);
        print_steps(plan, true, text, sizeof text);
        ck_assert_str_eq(text, cases[i].backward);
        pp_plan_destroy(plan);
    }
}
END_TEST

static pp_plan_summary summary_in_bands(const block *b, pp_plan_options options, uint32_t images) {
    const pp_band band = {b->first, b->last, images};
    options.bands = &band;
    options.band_count = images > 0;
    pp_plan *plan = plan_and_drop(b->build(), &options);
    const pp_plan_summary summary = summary_of(plan);
    pp_plan_destroy(plan);
    return summary;
}

/* Where values outweigh weights and the run has the peak, smaller bands mean a smaller peak. */
START_TEST(smaller_bands_mean_smaller_peaks) {
    static const block worthwhile[] = {
        {"residual block", residual_block, "conv1", "add"},
        {"stem", stem, "conv1", "pool"},
        {"pre-activation block", preactivation_block, "bn1", "add"},
        {"downsample block", downsample_block, "conv1", "add"},
        {"convolutions", plain_chain, "conv1", "conv4"},
        {"pooled skip", pooled_skip, "conv1", "add"},
    };
    for (size_t i = 0; i < sizeof worthwhile / sizeof *worthwhile; i++)
        for (int inference = 0; inference < 2; inference++) {
            const pp_plan_options options = {
                .batch = BATCH, .codec = "norm:4", .inference = inference};
            const size_t whole = summary_in_bands(&worthwhile[i], options, 0).peak_bytes;
            size_t peak = SIZE_MAX;
            for (size_t k = IMAGES_COUNT; k-- > 0;) {
                size_t smaller =
                    summary_in_bands(&worthwhile[i], options, band_images[k]).peak_bytes;
                ck_assert_msg(smaller <= peak, "%s, bands of %u: %zu bytes, more than %zu",
                              worthwhile[i].name, (unsigned)band_images[k], smaller, peak);
                peak = smaller;
            }
            ck_assert_uint_lt(peak, whole);
        }
}
END_TEST

/* By hand: the whole plan is fullest when the convolution has written its output of the batch; in
 * bands, when the pool has the last band of it. */
START_TEST(a_stem_takes_one_band_and_its_output) {
    enum { IMAGE = 12 * 12 * 8 * sizeof(float), POOLED = 6 * 6 * 8 * sizeof(float) };
    const block b = {"stem", stem, "conv1", "pool"};
    const pp_plan_options options = {.batch = BATCH, .inference = true};
    const pp_plan_summary whole = summary_in_bands(&b, options, 0);
    for (size_t k = 0; k < IMAGES_COUNT - 1; k++) {
        const pp_plan_summary banded = summary_in_bands(&b, options, band_images[k]);
        ck_assert_uint_eq(banded.lower_bound_bytes - banded.class_bytes[PP_MEMORY_WORKSPACE],
                          whole.lower_bound_bytes - whole.class_bytes[PP_MEMORY_WORKSPACE] -
                              (BATCH - band_images[k]) * IMAGE + BATCH * POOLED);
    }
}
END_TEST

/* A run of one band is none. */
START_TEST(a_band_of_the_whole_batch_changes_nothing) {
    const pp_band band = {"conv1", "add", BATCH};
    char *texts[2];
    for (size_t i = 0; i < 2; i++) {
        pp_plan *plan = plan_and_drop(
            residual_block(),
            &(pp_plan_options){.batch = BATCH, .codec = "norm:4", .bands = &band, .band_count = i});
        TEST_OK(pp_plan_print(plan, &texts[i]));
        pp_plan_destroy(plan);
    }
    ck_assert_msg(!strcmp(texts[0], texts[1]), "the plans differ");
    pp_text_free(test_engine(), texts[0]);
    pp_text_free(test_engine(), texts[1]);
}
END_TEST

START_TEST(bands_of_about_an_eighth) {
    static const uint32_t cases[][2] = {{1, 1},  {7, 1},  {8, 1},  {12, 1},
                                        {27, 3}, {30, 3}, {64, 8}, {100, 10}};
    const pp_band band = {"conv1", "add", 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = plan_and_drop(
            residual_block(),
            &(pp_plan_options){.batch = cases[i][0], .bands = &band, .band_count = 1});
        ck_assert_uint_eq(plan->runs[0].images, cases[i][1]);
        flow_check(plan);
        pp_plan_destroy(plan);
    }
}
END_TEST

static void expect_refusal(const pp_graph *g, const pp_band *bands, size_t count, pp_status status,
                           const char *message) {
    pp_plan *plan = NULL;
    const pp_plan_options options = {.batch = BATCH, .bands = bands, .band_count = count};
    TEST_FAILS(plan_try(g, &options, &plan), status, message);
    ck_assert_str_eq(pp_engine_error(test_engine()), message);
    ck_assert_ptr_null(plan);
}

START_TEST(runs_that_make_no_sense_are_refused) {
    static const struct {
        pp_band bands[2];
        const char *message;
    } cases[] = {
        {{{"conv9", "add", 2}},
         "plan: bands of 'conv9': the plan has no node of that name (a batch-norm or sum and the "
         "ReLU behind it are one node, called as the first)"},
        {{{"conv1", "relu2", 2}},
         "plan: bands of 'relu2': the plan has no node of that name (a batch-norm or sum and the "
         "ReLU behind it are one node, called as the first)"},
        {{{"bn1", "conv1", 2}},
         "plan: bands of 'bn1' to 'conv1': the former comes behind the latter"},
        {{{"conv1", "add", 3}},
         "plan: bands of 3 images ('conv1' to 'add') do not divide a batch of 8"},
        {{{"conv1", "add", 16}},
         "plan: bands of 16 images ('conv1' to 'add') do not divide a batch of 8"},
        {{{"conv1", "conv2", 2}, {"conv2", "add", 4}},
         "plan: bands of 'conv2' to 'add' and of 'conv1' to 'conv2' overlap"},
        {{{"conv2", "bn2", 2}, {"conv1", "add", 4}},
         "plan: bands of 'conv1' to 'add' and of 'conv2' to 'bn2' overlap"},
    };
    pp_graph *g = residual_block();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(g, cases[i].bands, 1 + (cases[i].bands[1].first != NULL),
                       PP_ERROR_INVALID_ARGUMENT, cases[i].message);
    pp_graph_destroy(g);
}
END_TEST

START_TEST(what_needs_the_whole_batch_is_refused) {
    static const struct {
        pp_band band;
        const char *message;
    } cases[] = {
        {{"conv1", "gap", 2},
         "plan: 'conv1' to 'gap' cannot run in bands: node 'drop' (dropout) needs the whole batch"},
        {{"gap", "gap", 2},
         "plan: 'gap' to 'gap' cannot run in bands: node 'gap' (global_avgpool) needs the whole "
         "batch"},
        {{"fc", "loss", 2},
         "plan: 'fc' to 'loss' cannot run in bands: node 'fc' (dense) needs the whole batch"},
        {{"loss", "loss", 4},
         "plan: 'loss' to 'loss' cannot run in bands: node 'loss' (softmax_cross_entropy) needs "
         "the whole batch"},
    };
    pp_graph *g = graph_new();
    add_head(g, pp_graph_dropout(g, "drop", add_conv(g, "conv1", start(g), 8), 0.5f));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(g, &cases[i].band, 1, PP_ERROR_UNSUPPORTED, cases[i].message);
    pp_graph_destroy(g);
}
END_TEST

/* conv1 would be computed again, behind the batch-norm's statistics, of what the ReLU has taken the
 * place of. */
START_TEST(what_is_written_over_cannot_be_read_again) {
    const pp_band band = {"conv1", "add", 2};
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv0", start(g), 8);
    pp_value y = add_conv(g, "conv1", x, 8);
    x = pp_graph_relu(g, "relu", x);
    add_head(g, pp_graph_add(g, "add", x, add_bn(g, "bn1", y)));
    pp_plan *plan = NULL;
    const pp_plan_options options = {
        .batch = BATCH, .codec = "norm:4", .bands = &band, .band_count = 1};
    TEST_FAILS(plan_try(g, &options, &plan), PP_ERROR_UNSUPPORTED,
               "plan: 'conv1' to 'add' cannot run in bands: 'conv1 forward' would have to read "
               "again what is written over");
    ck_assert_ptr_null(plan);
    pp_graph_destroy(g);
}
END_TEST

/* The order in which runs are given says nothing; a run may end where the next one's batch-norm
 * begins. */
START_TEST(neighbouring_runs_in_any_order) {
    static const pp_band cases[][2] = {
        {{"conv1", "conv2", 1}, {"bn2", "add", 2}},   {{"bn2", "add", 2}, {"conv1", "conv2", 1}},
        {{"conv0", "conv1", 4}, {"bn1", "conv2", 1}}, {{"bn1", "conv2", 1}, {"conv0", "conv1", 4}},
        {{"conv2", "conv2", 1}, {"bn2", "add", 2}},   {{"bn2", "add", 2}, {"conv2", "conv2", 1}},
        {{"conv2", "conv2", 1}, {"conv1", "bn1", 1}}, {{"conv1", "bn1", 1}, {"conv2", "conv2", 1}},
    };
    pp_graph *g = residual_block();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t c = 0; c < CODEC_COUNT; c++)
            check_with_profiles(
                g, &(pp_plan_options){
                       .batch = BATCH, .codec = codecs[c], .bands = cases[i], .band_count = 2});
    pp_graph_destroy(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/bands");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, every_block_in_bands, 0, BLOCK_COUNT);
    tcase_add_loop_test(all, every_network_in_bands, 0, MODEL_COUNT);
    tcase_add_test(all, random_runs_of_random_graphs);
    tcase_add_test(all, neighbouring_runs_in_any_order);
    tcase_add_test(all, the_steps_of_a_run);
    tcase_add_test(all, smaller_bands_mean_smaller_peaks);
    tcase_add_test(all, a_stem_takes_one_band_and_its_output);
    tcase_add_test(all, a_band_of_the_whole_batch_changes_nothing);
    tcase_add_test(all, bands_of_about_an_eighth);
    tcase_add_test(all, runs_that_make_no_sense_are_refused);
    tcase_add_test(all, what_needs_the_whole_batch_is_refused);
    tcase_add_test(all, what_is_written_over_cannot_be_read_again);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
