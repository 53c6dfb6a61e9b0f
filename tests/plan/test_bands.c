/* Plans whose runs of nodes work on a few images at a time: that every step finds its images
 * (flow.h), what becomes small, which steps there are, and what is refused. */
#include <stdio.h>

#include "plan/flow.h"
#include "plan/plans.h"
#include "plan/random_graphs.h"

enum { BATCH = 8, MOST_BANDS = 512 };

static const uint32_t band_images[] = {1, 2, 4};
static const char *const codecs[] = {"raw",          "half",   "norm:8",    "norm:4",
                                     "norm:3,lloyd", "norm:1", "avgpool:2", "avgpool:2+group:4",
                                     "group:4",      "btc:4"};
enum { IMAGES_COUNT = 3, CODEC_COUNT = sizeof codecs / sizeof *codecs, MODEL_COUNT = 16 };

/* The graphs. Each has a run of nodes that is worth bands. */

static pp_value add_strided_conv(pp_graph *g, const char *name, pp_value x, uint32_t channels,
                                 uint32_t kernel, uint32_t stride) {
    return pp_graph_conv2d(g, name, x,
                           &(pp_conv2d_params){.out_channels = channels,
                                               .kernel_h = kernel,
                                               .kernel_w = kernel,
                                               .stride_h = stride,
                                               .stride_w = stride,
                                               .pad_h = kernel / 2,
                                               .pad_w = kernel / 2});
}

static pp_value add_conv_bn_relu(pp_graph *g, const char *conv, const char *bn, const char *relu,
                                 pp_value x) {
    return pp_graph_relu(g, relu, add_bn(g, bn, add_conv(g, conv, x, 8)));
}

static pp_value start(pp_graph *g) {
    return pp_graph_input(g, "image", 12, 12, 3);
}

static pp_graph *residual_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_conv_bn_relu(g, "conv1", "bn1", "relu1", x);
    y = add_bn(g, "bn2", add_conv(g, "conv2", y, 8));
    add_head(g, pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x)));
    return g;
}

static pp_graph *stem(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv1", "bn1", "relu1", start(g));
    const pp_pool_params pool = {
        .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
    x = pp_graph_maxpool(g, "pool", x, &pool);
    add_head(g, add_conv_bn_relu(g, "conv2", "bn2", "relu2", x));
    return g;
}

static pp_graph *preactivation_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv0", start(g), 8);
    pp_value y = pp_graph_relu(g, "relu1", add_bn(g, "bn1", x));
    y = add_conv_bn_relu(g, "conv1", "bn2", "relu2", y);
    x = pp_graph_add(g, "add", add_conv(g, "conv2", y, 8), x);
    add_head(g, pp_graph_relu(g, "relu3", add_bn(g, "bn3", x)));
    return g;
}

static pp_graph *downsample_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_bn(g, "bn1", add_strided_conv(g, "conv1", x, 16, 3, 2));
    y = add_strided_conv(g, "conv2", pp_graph_relu(g, "relu1", y), 16, 3, 1);
    y = add_bn(g, "bn2", y);
    pp_value skip = add_bn(g, "down.bn", add_strided_conv(g, "down", x, 16, 1, 2));
    add_head(g, pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, skip)));
    return g;
}

static pp_graph *plain_chain(void) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_relu(g, "relu1", add_conv(g, "conv1", start(g), 8));
    x = pp_graph_relu(g, "relu2", add_conv(g, "conv2", x, 16));
    x = pp_graph_relu(g, "relu3", add_conv(g, "conv3", x, 8));
    add_head(g, add_conv(g, "conv4", x, 8));
    return g;
}

/* Normalised again before anything reads it: four passes. */
static pp_graph *nested_batchnorms(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv1", "bn1", "relu1", start(g));
    x = add_conv_bn_relu(g, "conv2", "bn2", "relu2", x);
    x = add_bn(g, "bn3", add_conv(g, "conv3", x, 8));
    add_head(g, pp_graph_relu(g, "relu4", add_bn(g, "bn4", x)));
    return g;
}

static pp_graph *pooled_skip(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_bn(g, "bn1", add_strided_conv(g, "conv1", x, 16, 3, 2));
    const pp_pool_params pool = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
    pp_value skip = pp_graph_avgpool(g, "pool", x, &pool);
    skip = pp_graph_shortcut(g, "shortcut", skip, &(pp_shortcut_params){.out_channels = 16});
    add_head(g, pp_graph_relu(g, "relu1", pp_graph_add(g, "add", y, skip)));
    return g;
}

typedef struct block {
    const char *name;
    pp_graph *(*build)(void);
    const char *first, *last;
} block;

static const block blocks[] = {
    {"residual block", residual_block, "conv1", "add"},
    {"residual block with its input", residual_block, "image", "add"},
    {"tail of a residual block", residual_block, "conv2", "add"},
    {"head of a residual block", residual_block, "conv1", "bn1"},
    {"one sum", residual_block, "add", "add"},
    {"one batch-norm", residual_block, "bn1", "bn1"},
    {"one convolution", residual_block, "conv2", "conv2"},
    {"convolution without its batch-norm", residual_block, "bn1", "conv2"},
    {"stem", stem, "conv1", "pool"},
    {"stem and more", stem, "image", "bn2"},
    {"one pool", stem, "pool", "pool"},
    {"pre-activation block", preactivation_block, "bn1", "add"},
    {"pre-activation block with its neighbours", preactivation_block, "conv0", "bn3"},
    {"downsample block", downsample_block, "conv1", "add"},
    {"one strided convolution", downsample_block, "conv1", "conv1"},
    {"convolutions", plain_chain, "conv1", "conv4"},
    {"convolutions in the middle", plain_chain, "relu1", "relu3"},
    {"one convolution that widens", plain_chain, "conv2", "conv2"},
    {"nested batch-norms", nested_batchnorms, "conv1", "bn4"},
    {"two batch-norms in a row", nested_batchnorms, "bn3", "bn4"},
    {"pooled skip", pooled_skip, "conv1", "add"},
    {"one pool and shortcut", pooled_skip, "pool", "shortcut"},
    {"one shortcut", pooled_skip, "shortcut", "shortcut"},
};
enum { BLOCK_COUNT = sizeof blocks / sizeof *blocks };

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
        if (plan->nodes[i].value != plan->input)
            ck_assert_uint_eq(value->bytes, image_bytes * value->images);
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

static pp_plan *checked(const pp_graph *graph, const pp_plan_options *options) {
    pp_plan *plan = plan_of(graph, options);
    check_sizes(plan);
    flow_check(plan);
    return plan;
}

static const pp_plan_options settings[] = {
    {.batch = BATCH},
    {.batch = BATCH, .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
    {.batch = BATCH, .accumulate = 3},
    {.batch = BATCH, .inference = true},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

START_TEST(every_block_in_bands) {
    const block *b = &blocks[_i];
    pp_graph *graph = b->build();
    for (size_t c = 0; c < CODEC_COUNT; c++)
        for (size_t k = 0; k < IMAGES_COUNT; k++)
            for (size_t s = 0; s < SETTING_COUNT; s++) {
                const pp_band band = {b->first, b->last, band_images[k]};
                pp_plan_options options = settings[s];
                options.codec = codecs[c];
                options.bands = &band;
                options.band_count = 1;
                pp_plan_destroy(checked(graph, &options));
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

/* All runs at once, with codecs and sizes of bands in turns. */
START_TEST(every_network_in_bands) {
    static runs all;
    pp_graph *graph = graph_of_model(pp_model_name((size_t)_i));
    for (size_t c = 0; c < CODEC_COUNT; c++) {
        find_runs(graph, band_images[c % IMAGES_COUNT], &all);
        if (all.count > 100 && c) continue; /* a thousand layers: once */
        pp_plan_options options = settings[c % SETTING_COUNT];
        options.codec = codecs[c];
        options.bands = all.bands;
        options.band_count = all.count;
        pp_plan_destroy(checked(graph, &options));
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
        const pp_status status = plan_try(g, &options, &plan);
        if (status == PP_OK) {
            check_sizes(plan);
            flow_check(plan);
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

int main(void) {
    Suite *suite = suite_create("plan/bands");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, every_block_in_bands, 0, BLOCK_COUNT);
    tcase_add_loop_test(all, every_network_in_bands, 0, MODEL_COUNT);
    tcase_add_test(all, random_runs_of_random_graphs);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
