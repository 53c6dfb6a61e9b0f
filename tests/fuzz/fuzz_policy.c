/* What a user says of a plan: policies as text, codecs, override patterns, rules. The first byte
 * chooses what the rest is; the network has a residual block, a pool and a dense layer. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static pp_graph *graph;
static pp_profile *profile;

static void build(void) {
    pp_engine *engine = fuzz_engine();
    fuzz_expect(fuzz_check(pp_profile_load(engine, "default", &profile)), "default is there");
    fuzz_expect(fuzz_check(pp_graph_create(engine, &graph)), "there is a graph");
    const pp_conv2d_params conv = {
        .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(graph, "image", 8, 8, 3);
    x = pp_graph_batchnorm(graph, "bn1", pp_graph_conv2d(graph, "conv1", x, &conv), NULL);
    x = pp_graph_relu(graph, "relu1", x);
    pp_value y = pp_graph_batchnorm(graph, "bn2", pp_graph_conv2d(graph, "conv2", x, &conv), NULL);
    x = pp_graph_relu(graph, "relu2", pp_graph_add(graph, "add", y, x));
    x = pp_graph_maxpool(graph, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    x = pp_graph_dense(graph, "fc", x, &(pp_dense_params){.out_features = 4, .bias = true});
    pp_graph_softmax_cross_entropy(graph, "loss", x, 0);
    fuzz_expect(fuzz_check(pp_graph_status(graph)), "the network is right");
    fuzz_begin();
}

/* The decisions of a plan that exists make the same plan again. */
static void plan_as_printed(const pp_plan *plan) {
    pp_engine *engine = fuzz_engine();
    char *policy = NULL, *again = NULL, *text = NULL;
    pp_plan *other = NULL;
    if (fuzz_check(pp_plan_print(plan, &text)) && fuzz_check(pp_plan_print_policy(plan, &policy))) {
        const pp_plan_options options = {.batch = 8, .policy = policy};
        fuzz_expect(fuzz_check(pp_plan_create(graph, profile, &options, &other)),
                    "a printed policy makes a plan");
        fuzz_expect(fuzz_check(pp_plan_print_policy(other, &again)) && !strcmp(policy, again),
                    "a printed policy is printed again");
    }
    pp_plan_destroy(other);
    pp_text_free(engine, again);
    pp_text_free(engine, policy);
    pp_text_free(engine, text);
}

/* Cuts "left|right" in two; right is "" without a bar. */
static char *split(char *text) {
    char *bar = strchr(text, '|');
    if (!bar) return text + strlen(text);
    *bar = 0;
    return bar + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (!graph) build();
    char *text = count ? fuzz_text(bytes + 1, count - 1) : fuzz_text(bytes, 0);
    pp_plan_options options = {.batch = 8, .optimizer.momentum = 0.9f};
    pp_codec_override override;
    pp_parameter_rule rule;
    pp_band band;
    pp_span span;
    bool freezes = false;
    switch (count ? bytes[0] % 6 : 0) {
        case 0: options.policy = text; break;
        case 1: options.codec = text; break;
        case 2:
            override = (pp_codec_override){.codec = split(text), .pattern = text};
            options.overrides = &override;
            options.override_count = 1;
            break;
        case 3:
            rule = (pp_parameter_rule){.kind = PP_RULE_FREEZE, .pattern = text};
            options.rules = &rule;
            options.rule_count = 1;
            freezes = true;
            break;
        case 4:
            band = (pp_band){.images = 2, .last = split(text), .first = text};
            options.bands = &band;
            options.band_count = 1;
            break;
        default:
            span = (pp_span){.last = split(text), .first = text};
            options.recompute = &span;
            options.recompute_count = 1;
            break;
    }
    pp_plan *plan = NULL;
    if (fuzz_check(pp_plan_create(graph, profile, &options, &plan)) && !freezes)
        plan_as_printed(plan);
    pp_plan_destroy(plan);
    free(text);
    fuzz_end();
    return 0;
}
