/* What steps are said to cost, against numbers made by hand and by counting; and what layers are said
 * to read, and how exact that leaves their gradients. */
#include <stdio.h>

#include "plan/plans.h"
#include "support/support.h"

enum { BATCH = 2 };

static pp_plan_step_info info_of(const pp_plan *plan, const char *name) {
    pp_plan_step_info info;
    pp_plan_describe_step(plan, step_of(plan, name), &info);
    ck_assert_str_eq(info.name, name);
    return info;
}

static void check(const pp_plan *plan, const char *name, double flops, double bytes,
                  bool is_product) {
    pp_plan_step_info info = info_of(plan, name);
    ck_assert_msg(info.flops == flops, "%s: %.0f flops, not %.0f", name, info.flops, flops);
    ck_assert_msg(info.bytes == bytes, "%s: %.0f bytes, not %.0f", name, info.bytes, bytes);
    ck_assert_msg(info.is_product == is_product, "%s", name);
}

/* image 8x8x4 -> a -> bn, ReLU -> b -> bn -> + -> ReLU -> head; all maps 8x8 with 16 channels. */
static pp_plan *block_plan(const char *codec, float clip_norm) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", 8, 8, 4);
    pp_value a = pp_graph_relu(g, "relu", add_bn(g, "bn_a", add_conv(g, "a", x, 16)));
    pp_value b = add_bn(g, "bn_b", add_conv(g, "b", a, 16));
    add_head(g, pp_graph_relu(g, "out", pp_graph_add(g, "sum", a, b)));
    return plan_and_drop(
        g, &(pp_plan_options){.batch = BATCH,
                              .codec = codec,
                              .optimizer = {.momentum = 0.9f, .clip_norm = clip_norm}});
}

/* Elements and bytes of one map; 3x3 taps meet 22 of 24 values along a side of 8. */
enum {
    MAP = BATCH * 8 * 8 * 16,
    MAP_BYTES = 4 * MAP,
    IMAGE_BYTES = 4 * BATCH * 8 * 8 * 4,
    TAPS = BATCH * 22 * 22
};

START_TEST(counts_with_float32) {
    pp_plan *plan = block_plan("raw", 0);
    const double a_weights = 4 * 9 * 4 * 16, b_weights = 4 * 9 * 16 * 16;
    check(plan, "a forward", 2.0 * TAPS * 4 * 16, IMAGE_BYTES + MAP_BYTES + a_weights, true);
    check(plan, "b forward", 2.0 * TAPS * 16 * 16, 2 * MAP_BYTES + b_weights, true);
    check(plan, "b backward weight", 2.0 * TAPS * 16 * 16, 2 * MAP_BYTES + b_weights, true);
    check(plan, "b backward", 2.0 * TAPS * 16 * 16, 2 * MAP_BYTES + b_weights + MAP_BYTES, true);
    check(plan, "bn_a forward", 8.0 * MAP, 2 * MAP_BYTES, false);
    check(plan, "bn_a backward", 10.0 * MAP, 3 * MAP_BYTES, false);
    check(plan, "sum forward", 2.0 * MAP, 3 * MAP_BYTES, false);
    check(plan, "fc forward", 2.0 * BATCH * 16 * 5, 4 * (BATCH * 16 + BATCH * 5 + 16 * 5), true);
    check(plan, "gap forward", MAP + BATCH * 16, MAP_BYTES + 4 * BATCH * 16, false);
    pp_plan_destroy(plan);
}
END_TEST

/* norm:4 keeps half a byte per element for a normalised map, half two bytes. */
START_TEST(counts_codes_as_stored) {
    pp_plan *plan = block_plan("norm:4", 0);
    const double code = MAP / 2.0, b_weights = 4 * 9 * 16 * 16;
    check(plan, "bn_a forward", 8.0 * MAP, 2 * MAP_BYTES + code, false);
    check(plan, "bn_a backward", 10.0 * MAP, 2 * MAP_BYTES + code, false);
    check(plan, "b backward weight", 2.0 * TAPS * 16 * 16, code + MAP_BYTES + b_weights, true);
    check(plan, "image encode", 0, IMAGE_BYTES * 1.5, false);
    check(plan, "sum encode", 0, MAP_BYTES + MAP / 8.0, false); /* a bit for each sign */
    check(plan, "sum backward", MAP, 2 * MAP_BYTES + MAP / 8.0, false);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(counts_updates_and_clipping) {
    pp_plan *plan = block_plan("raw", 1.0f);
    const double elems = (double)summary_of(plan).parameter_elems;
    check(plan, "loss gradient norm", 2 * elems, 4 * elems, false);
    double flops = 0, bytes = 0;
    for (size_t s = 0; s < summary_of(plan).step_count; s++) {
        pp_plan_step_info info;
        pp_plan_describe_step(plan, s, &info);
        if (strcmp(info.pass, "update") != 0) continue;
        flops += info.flops;
        bytes += info.bytes;
    }
    ck_assert(flops == 4 * elems);     /* moment and parameter, a multiply-add each */
    ck_assert(bytes == 5 * 4 * elems); /* the gradient, and both of those twice */
    pp_plan_destroy(plan);
}
END_TEST

/* Products of one axis that meet a value, one by one. */
static double count_taps(uint32_t in, uint32_t out, uint32_t window, uint32_t stride, uint32_t pad,
                         uint32_t dilation) {
    double count = 0;
    for (uint32_t o = 0; o < out; o++)
        for (uint32_t r = 0; r < window; r++) {
            uint32_t padded = o * stride + r * dilation;
            count += padded >= pad && padded - pad < in;
        }
    return count;
}

START_TEST(counts_no_products_with_padding) {
    for (size_t i = 0; i < 200; i++) {
        const uint32_t h = 1 + test_random_below(12), w = 1 + test_random_below(12);
        const pp_conv2d_params p = {.out_channels = 6,
                                    .kernel_h = 1 + test_random_below(5),
                                    .kernel_w = 1 + test_random_below(5),
                                    .stride_h = 1 + test_random_below(4),
                                    .stride_w = 1 + test_random_below(4),
                                    .pad_h = 4 + test_random_below(9),
                                    .pad_w = 4 + test_random_below(9),
                                    .dilation_h = 1 + test_random_below(2),
                                    .dilation_w = 1 + test_random_below(2),
                                    .groups = 2};
        pp_graph *g = graph_new();
        add_head(g, pp_graph_conv2d(g, "conv", pp_graph_input(g, "image", h, w, 4), &p));
        pp_plan *plan = plan_and_drop(g, &(pp_plan_options){.batch = BATCH});
        const uint32_t oh =
            (h + 2 * p.pad_h - p.dilation_h * (p.kernel_h - 1) - 1) / p.stride_h + 1;
        const uint32_t ow =
            (w + 2 * p.pad_w - p.dilation_w * (p.kernel_w - 1) - 1) / p.stride_w + 1;
        const double taps = count_taps(h, oh, p.kernel_h, p.stride_h, p.pad_h, p.dilation_h) *
                            count_taps(w, ow, p.kernel_w, p.stride_w, p.pad_w, p.dilation_w);
        ck_assert(info_of(plan, "conv forward").flops == 2 * BATCH * taps * 4 / 2 * 6);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(describes_every_network) {
    static const char *const codecs[] = {"raw", "half", "norm:4", "avgpool:2"};
    for (size_t m = 0; pp_model_name(m); m++)
        for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
            pp_plan *plan =
                plan_and_drop(graph_of_model(pp_model_name(m)),
                              &(pp_plan_options){
                                  .batch = 1, .codec = codecs[c], .optimizer = {.momentum = 0.9f}});
            for (size_t s = 0; s < summary_of(plan).step_count; s++) {
                pp_plan_step_info info;
                pp_plan_describe_step(plan, s, &info);
                ck_assert_str_eq(info.name, pp_plan_step_name(plan, s));
                ck_assert_msg(!strncmp(info.name, info.node, strlen(info.node)), "%s", info.name);
                ck_assert_msg(info.bytes > 0 && info.flops >= 0, "%s", info.name);
                ck_assert_msg(!info.is_product || info.flops > 0, "%s", info.name);
                ck_assert(info.operator_name && info.pass);
            }
            pp_plan_destroy(plan);
        }
}
END_TEST

static pp_plan_layer layer_of(const pp_plan *plan, const char *name) {
    pp_plan_layer layer;
    for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
        pp_plan_read_layer(plan, i, &layer);
        if (!strcmp(layer.name, name)) return layer;
    }
    ck_abort_msg("no layer %s", name);
    return layer;
}

/* "wbgin" with E for exact, A for approximate and - for absent: the gradients of weight, bias,
 * gamma, beta and input. */
static void check_terms(const pp_plan *plan, const char *name, const char *expected) {
    static const char letters[] = {
        [PP_TERM_ABSENT] = '-', [PP_TERM_EXACT] = 'E', [PP_TERM_APPROXIMATE] = 'A'};
    const pp_plan_layer layer = layer_of(plan, name);
    const char found[] = {letters[layer.weight], letters[layer.bias],  letters[layer.gamma],
                          letters[layer.beta],   letters[layer.input], 0};
    ck_assert_msg(!strcmp(found, expected), "%s: %s, not %s", name, found, expected);
}

static const char *reads_of(const pp_plan *plan, const char *name) {
    static char text[256];
    const pp_plan_layer layer = layer_of(plan, name);
    size_t used = 0;
    text[0] = 0;
    for (size_t r = 0; r < layer.read_count; r++) {
        pp_plan_row row;
        pp_plan_read_row(plan, layer.reads[r].row, &row);
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s%s of %s", r ? ", " : "",
                             layer.reads[r].exact ? "" : "lossy ", layer.reads[r].view, row.name);
    }
    return text;
}

START_TEST(says_which_gradients_are_exact) {
    pp_plan *plan = block_plan("raw", 0);
    check_terms(plan, "image", "-----");
    check_terms(plan, "a", "E----"); /* nobody wants the image's gradient */
    check_terms(plan, "bn_a", "--EEE");
    check_terms(plan, "b", "E---E");
    check_terms(plan, "sum", "----E");
    check_terms(plan, "fc", "EE--E");
    check_terms(plan, "loss", "----E");
    pp_plan_destroy(plan);

    /* METHODS A.4: only what multiplies with the code is off. */
    plan = block_plan("norm:4", 0);
    check_terms(plan, "a", "A----"); /* the image in half precision */
    check_terms(plan, "bn_a", "--AEA");
    check_terms(plan, "b", "A---E");
    check_terms(plan, "bn_b", "--AEA");
    check_terms(plan, "sum", "----E");
    check_terms(plan, "fc", "AE--E");
    ck_assert_str_eq(
        reads_of(plan, "bn_a"),
        "lossy x-hat of bn_a x-hat, statistics of bn_a statistics, mask of bn_a x-hat");
    ck_assert_str_eq(reads_of(plan, "b"), "lossy value of bn_a x-hat");
    pp_plan_destroy(plan);

    /* B.3: pooled inputs touch weight gradients alone. */
    plan = block_plan("avgpool:2", 0);
    check_terms(plan, "a", "E----"); /* the policy keeps the network's input as it is */
    check_terms(plan, "bn_a", "--EEE");
    check_terms(plan, "b", "A---E");
    check_terms(plan, "fc", "EE--E");
    pp_plan_destroy(plan);
}
END_TEST

/* What layers keep, each where it is first needed, adds up to what the summary says. */
START_TEST(layers_add_up) {
    static const char *const codecs[] = {"raw", "norm:4", "avgpool:2"};
    static const char *const models[] = {"lenet", "resnet20", "resnet18-cifar"};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
            pp_plan *plan = plan_and_drop(graph_of_model(models[m]),
                                          &(pp_plan_options){.batch = 8, .codec = codecs[c]});
            const pp_plan_summary summary = summary_of(plan);
            size_t framework_bytes = 0, elems = 0, row_reads[4096] = {0};
            for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
                pp_plan_layer layer;
                pp_plan_read_layer(plan, i, &layer);
                framework_bytes += layer.framework_bytes;
                elems += layer.parameter_elems;
                for (size_t r = 0; r < layer.read_count; r++) row_reads[layer.reads[r].row]++;
            }
            ck_assert_uint_eq(framework_bytes, summary.saved_raw_bytes);
            ck_assert_uint_eq(elems, summary.parameter_elems);
            /* Whatever is kept is read, and only that. */
            for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
                pp_plan_row row;
                pp_plan_read_row(plan, i, &row);
                ck_assert_msg((row.kind[0] != 0) == (row_reads[i] != 0), "%s %s: %s", models[m],
                              codecs[c], row.name);
            }
            pp_plan_destroy(plan);
        }
}
END_TEST

START_TEST(inference_keeps_nothing) {
    pp_plan *plan = plan_and_drop(graph_of_model("resnet20"),
                                  &(pp_plan_options){.batch = 8, .inference = true});
    for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
        pp_plan_layer layer;
        pp_plan_read_layer(plan, i, &layer);
        ck_assert_uint_eq(layer.framework_bytes, 0);
        ck_assert_uint_eq(layer.read_count, 0);
        check_terms(plan, layer.name, "-----");
    }
    pp_plan_destroy(plan);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/describe");
    TCase *cases = tcase_create("describe");
    tcase_add_test(cases, counts_with_float32);
    tcase_add_test(cases, counts_codes_as_stored);
    tcase_add_test(cases, counts_updates_and_clipping);
    tcase_add_test(cases, counts_no_products_with_padding);
    tcase_add_test(cases, describes_every_network);
    tcase_add_test(cases, says_which_gradients_are_exact);
    tcase_add_test(cases, layers_add_up);
    tcase_add_test(cases, inference_keeps_nothing);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
