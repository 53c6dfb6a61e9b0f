#include <stdio.h>
#include <string.h>

#include "support/support.h"

static pp_graph *build(const char *name, const pp_model_options *options) {
    pp_graph *graph = NULL;
    TEST_OK(pp_model_build(test_engine(), name, options, &graph));
    return graph;
}

static pp_plan *plan(const char *name, const pp_model_options *options, uint32_t batch,
                     const char *codec) {
    pp_graph *graph = build(name, options);
    pp_profile *profile = NULL;
    TEST_OK(pp_profile_load(test_engine(), "default", &profile));
    pp_plan *made = NULL;
    const pp_plan_options plan_options = {.batch = batch, .codec = codec};
    TEST_OK(pp_plan_create(graph, profile, &plan_options, &made));
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    return made;
}

static char *print(const char *name, const pp_model_options *options) {
    pp_graph *graph = build(name, options);
    char *text = NULL;
    TEST_OK(pp_graph_print(graph, &text));
    pp_graph_destroy(graph);
    return text;
}

static size_t count_lines(const char *text) {
    size_t lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static const char *const names[] = {
    "lenet",        "lenet-bn",      "resnet8-digits", "resnet20",       "resnet32",
    "resnet44",     "resnet56",      "resnet110",      "preresnet164",   "preresnet254",
    "preresnet488", "preresnet1001", "preresnet152",   "resnet18-cifar", "resnet18",
    "resnet34",     "resnet50",
};
enum { NAME_COUNT = sizeof names / sizeof *names };

START_TEST(names_are_listed) {
    for (size_t i = 0; i < NAME_COUNT; i++) ck_assert_str_eq(pp_model_name(i), names[i]);
    ck_assert_ptr_null(pp_model_name(NAME_COUNT));
    ck_assert_ptr_null(pp_model_name(SIZE_MAX));
}
END_TEST

START_TEST(unknown_names_are_refused) {
    pp_graph *graph = (pp_graph *)1;
    pp_model_options options = {.classes = 7};
    TEST_FAILS(pp_model_build(test_engine(), "resnet19", NULL, &graph), PP_ERROR_INVALID_ARGUMENT,
               "'resnet19'; the models are lenet, lenet-bn, ");
    ck_assert(test_contains(pp_engine_error(test_engine()), ", resnet34, resnet50"));
    ck_assert_ptr_null(graph);
    TEST_FAILS(pp_model_build(test_engine(), NULL, NULL, &graph), PP_ERROR_INVALID_ARGUMENT,
               "(null)");
    TEST_FAILS(pp_model_defaults(test_engine(), "", &options), PP_ERROR_INVALID_ARGUMENT,
               "no model ''");
    ck_assert_uint_eq(options.classes, 0);
}
END_TEST

START_TEST(defaults_are_the_data_sets) {
    static const struct {
        const char *name;
        uint32_t extent, channels, classes;
    } expected[] = {{"lenet", 28, 1, 10},         {"lenet-bn", 28, 1, 10},
                    {"resnet8-digits", 8, 1, 10}, {"resnet110", 32, 3, 10},
                    {"preresnet164", 32, 3, 10},  {"resnet18-cifar", 32, 3, 10},
                    {"resnet50", 224, 3, 1000}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        pp_model_options options;
        TEST_OK(pp_model_defaults(test_engine(), expected[i].name, &options));
        ck_assert_uint_eq(options.height, expected[i].extent);
        ck_assert_uint_eq(options.width, expected[i].extent);
        ck_assert_uint_eq(options.channels, expected[i].channels);
        ck_assert_uint_eq(options.classes, expected[i].classes);
        ck_assert(options.dropout == 0 && options.label_smoothing == 0);
    }
}
END_TEST

START_TEST(inputs_that_are_too_small_are_refused) {
    pp_graph *graph = NULL;
    pp_model_options options = {.height = 11};
    TEST_FAILS(pp_model_build(test_engine(), "lenet", &options, &graph), PP_ERROR_SHAPE,
               "the input is 11x28, but must be at least 12x12");
    options = (pp_model_options){.width = 34};
    TEST_FAILS(pp_model_build(test_engine(), "preresnet164", &options, &graph), PP_ERROR_SHAPE,
               "the input is 32x34, but height and width must be multiples of 4");
    options = (pp_model_options){.height = 228};
    TEST_FAILS(pp_model_build(test_engine(), "preresnet152", &options, &graph), PP_ERROR_SHAPE,
               "the input is 228x224, but height and width must be multiples of 32");
    ck_assert_ptr_null(graph);
}
END_TEST

/* The smallest and odd extents that the table allows still have shapes that work out. */
START_TEST(small_and_odd_inputs_work) {
    static const struct {
        const char *name;
        uint32_t height, width;
        const char *line;
    } cases[] = {
        {"lenet", 12, 12, "pool2                        [1, 1, 32]"},
        {"lenet-bn", 13, 31, "pool2                        [1, 5, 32]"},
        {"resnet8-digits", 1, 7, "layer3.0.add                 [1, 2, 64]"},
        {"resnet20", 1, 1, "layer3.2.add                 [1, 1, 64]"},
        {"resnet20", 31, 17, "layer3.2.add                 [8, 5, 64]"},
        {"preresnet164", 4, 8, "layer3.17.add                [1, 2, 256]"},
        {"preresnet152", 32, 64, "layer4.2.add                 [1, 2, 2048]"},
        {"resnet18-cifar", 31, 17, "layer4.1.add                 [4, 3, 512]"},
        {"resnet18", 1, 1, "layer4.1.add                 [1, 1, 512]"},
        {"resnet50", 33, 65, "layer4.2.add                 [2, 3, 2048]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pp_model_options options = {.height = cases[i].height, .width = cases[i].width};
        char *text = print(cases[i].name, &options);
        ck_assert_msg(test_contains(text, cases[i].line), "%s lacks \"%s\":\n%s", cases[i].name,
                      cases[i].line, text);
        pp_text_free(test_engine(), text);
    }
}
END_TEST

/* Nodes of CIFAR ResNets with n blocks a stage: input, conv, BN, ReLU; 7 in a block, and a shortcut
 * in two; pool, classifier, loss. Pre-activation: input, conv; 10 in a block, three shortcuts and
 * two pools; BN, ReLU, pool, classifier, loss; for ImageNet four, three and a max-pool. torchvision: input, conv, BN, ReLU, max-pool; 7 or
 * 10 in a block, and two where the skip is projected; pool, classifier, loss. */
START_TEST(node_counts) {
    static const struct {
        const char *name;
        size_t nodes;
    } expected[] = {
        {"lenet", 13},
        {"lenet-bn", 15},
        {"resnet8-digits", 4 + 3 * 7 + 2 + 3},
        {"resnet20", 4 + 9 * 7 + 2 + 3},
        {"resnet32", 4 + 15 * 7 + 2 + 3},
        {"resnet44", 4 + 21 * 7 + 2 + 3},
        {"resnet56", 4 + 27 * 7 + 2 + 3},
        {"resnet110", 4 + 54 * 7 + 2 + 3},
        {"preresnet164", 2 + 54 * 10 + 5 + 5},
        {"preresnet254", 2 + 84 * 10 + 5 + 5},
        {"preresnet488", 2 + 162 * 10 + 5 + 5},
        {"preresnet1001", 2 + 333 * 10 + 5 + 5},
        {"preresnet152", 2 + 50 * 10 + 4 + 3 + 1 + 5},
        {"resnet18-cifar", 4 + 8 * 7 + 3 * 2 + 3},
        {"resnet18", 5 + 8 * 7 + 3 * 2 + 3},
        {"resnet34", 5 + 16 * 7 + 3 * 2 + 3},
        {"resnet50", 5 + 16 * 10 + 4 * 2 + 3},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char *text = print(expected[i].name, NULL);
        ck_assert_msg(count_lines(text) == expected[i].nodes, "%s has %zu nodes, expected %zu",
                      expected[i].name, count_lines(text), expected[i].nodes);
        pp_text_free(test_engine(), text);
    }
}
END_TEST

/* Trainable parameters. ResNets: the published counts (pytorch_resnet_cifar10 and torchvision).
 * LeNet, with 5*5*32 = 800 inputs to fc1: 416 + 12832 + 96120 + 10164 + 850; with batch-norm 48
 * biases less and 96 more. resnet8: convolutions 144 + 4608 + 13824 + 55296, batch-norms
 * 2*(16+32+64+128), classifier 650. resnet18-cifar: resnet18's with 64*3*(7*7 - 3*3) weights less
 * in the stem and 513*990 less in the classifier. preresnet152: convolutions 7*7*3*64 and, for a
 * block of width w from c channels, cw + 13ww, 55223488 in all; batch-norms 2c + 4w for a block and
 * 2*2048; classifier 2049*1000. */
START_TEST(parameter_counts) {
    static const struct {
        const char *name;
        size_t elems;
    } expected[] = {
        {"lenet", 120382},          {"lenet-bn", 120430},   {"resnet8-digits", 75002},
        {"resnet20", 269722},       {"resnet32", 464154},   {"resnet44", 658586},
        {"resnet56", 853018},       {"resnet110", 1727962}, {"resnet18", 11689512},
        {"resnet34", 21797672},     {"resnet50", 25557032}, {"resnet18-cifar", 11173962},
        {"preresnet152", 57416232},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        pp_plan *made = plan(expected[i].name, NULL, 1, "raw");
        pp_plan_summary summary;
        pp_plan_summarize(made, &summary);
        ck_assert_msg(summary.parameter_elems == expected[i].elems,
                      "%s has %zu parameters, expected %zu", expected[i].name,
                      summary.parameter_elems, expected[i].elems);
        pp_plan_destroy(made);
    }
}
END_TEST

static bool has_parameter(const pp_plan *made, const char *name) {
    for (size_t i = 0; i < pp_plan_parameter_count(made); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(made, i, &info);
        if (!strcmp(info.name, name)) return true;
    }
    return false;
}

/* The names of PyTorch's state dicts: convolutions and batch-norms in order, nothing else. */
START_TEST(parameters_are_named_as_in_pytorch) {
    pp_plan *made = plan("resnet20", NULL, 1, "raw");
    ck_assert_uint_eq(pp_plan_parameter_count(made),
                      97); /* 19 x (conv, 4 of the batch-norm), linear's two */
    static const char *const leaves[] = {"conv%d.weight", "bn%d.weight", "bn%d.bias"};
    for (int stage = 1; stage <= 3; stage++) {
        for (int block = 0; block < 3; block++) {
            for (int i = 0; i < 6; i++) {
                char leaf[32], name[64];
                snprintf(leaf, sizeof leaf, leaves[i % 3], 1 + i / 3);
                snprintf(name, sizeof name, "layer%d.%d.%s", stage, block, leaf);
                ck_assert_msg(has_parameter(made, name), "resnet20 has no '%s'", name);
            }
        }
    }
    static const char *const rest[] = {"conv1.weight", "bn1.weight", "linear.weight",
                                       "linear.bias"};
    for (size_t i = 0; i < 4; i++)
        ck_assert_msg(has_parameter(made, rest[i]), "resnet20 has no '%s'", rest[i]);
    pp_plan_destroy(made);

    made = plan("resnet50", NULL, 1, "raw");
    ck_assert_uint_eq(pp_plan_parameter_count(made), 53 * 5 + 2);
    static const char *const of_resnet50[] = {"conv1.weight",
                                              "bn1.bias",
                                              "layer1.0.conv3.weight",
                                              "layer1.0.downsample.0.weight",
                                              "layer4.0.downsample.1.bias",
                                              "layer4.2.bn3.weight",
                                              "fc.weight",
                                              "fc.bias"};
    for (size_t i = 0; i < sizeof of_resnet50 / sizeof *of_resnet50; i++)
        ck_assert_msg(has_parameter(made, of_resnet50[i]), "resnet50 has no '%s'", of_resnet50[i]);
    ck_assert(!has_parameter(made, "layer1.1.downsample.0.weight"));
    pp_plan_destroy(made);

    made = plan("resnet18-cifar", NULL, 1, "raw");
    ck_assert_uint_eq(pp_plan_parameter_count(made), 20 * 5 + 2);
    static const char *const of_resnet18[] = {"conv1.weight",
                                              "bn1.bias",
                                              "layer1.0.conv1.weight",
                                              "layer2.0.downsample.0.weight",
                                              "layer4.0.downsample.1.bias",
                                              "fc.bias"};
    for (size_t i = 0; i < sizeof of_resnet18 / sizeof *of_resnet18; i++)
        ck_assert_msg(has_parameter(made, of_resnet18[i]), "resnet18-cifar has no '%s'",
                      of_resnet18[i]);
    ck_assert(!has_parameter(made, "layer1.0.downsample.0.weight"));
    pp_plan_destroy(made);
}
END_TEST

/* Where the networks differ from each other, line by line of the printed graph. */
START_TEST(strides_and_skips_are_where_they_belong) {
    static const struct {
        const char *name, *line;
    } lines[] = {
        {"resnet20", "layer1.0.add                 [32, 32, 16] <- layer1.0.bn2, relu\n"},
        {"resnet20", "layer2.0.conv1               [16, 16, 32] <- layer1.2.relu2\n"},
        {"resnet20", "layer2.0.shortcut            [16, 16, 32] <- layer1.2.relu2\n"},
        {"resnet20",
         "layer2.0.add                 [16, 16, 32] <- layer2.0.bn2, layer2.0.shortcut\n"},
        {"resnet20", "linear                       [1, 1, 10] <- avgpool\n"},
        {"preresnet164", "layer1.0.shortcut            [32, 32, 64] <- layer1.0.relu1\n"},
        {"preresnet164",
         "layer1.1.add                 [32, 32, 64] <- layer1.1.conv3, layer1.0.add\n"},
        {"preresnet164", "layer2.0.conv1               [16, 16, 32] <- layer2.0.relu1\n"},
        {"preresnet164", "layer2.0.pool                [16, 16, 64] <- layer1.17.add\n"},
        {"preresnet164", "layer2.0.shortcut            [16, 16, 128] <- layer2.0.pool\n"},
        {"preresnet164", "bn                           [8, 8, 256] <- layer3.17.add\n"},
        {"preresnet152", "conv1                        [112, 112, 64] <- image\n"},
        {"preresnet152", "maxpool                      [56, 56, 64] <- layer1.0.relu1\n"},
        {"preresnet152", "layer1.0.conv1               [56, 56, 64] <- maxpool\n"},
        {"preresnet152", "layer1.0.shortcut            [56, 56, 256] <- maxpool\n"},
        {"preresnet152", "layer2.0.conv1               [28, 28, 128] <- layer2.0.relu1\n"},
        {"preresnet152", "layer2.0.pool                [28, 28, 256] <- layer1.2.add\n"},
        {"preresnet152",
         "layer4.2.add                 [7, 7, 2048] <- layer4.2.conv3, layer4.1.add\n"},
        {"resnet18-cifar", "conv1                        [32, 32, 64] <- image\n"},
        {"resnet18-cifar", "layer1.0.conv1               [32, 32, 64] <- relu\n"},
        {"resnet18-cifar", "layer2.0.downsample.0        [16, 16, 128] <- layer1.1.relu2\n"},
        {"resnet18-cifar", "avgpool                      [1, 1, 512] <- layer4.1.relu2\n"},
        {"resnet18", "maxpool                      [56, 56, 64] <- relu\n"},
        {"resnet18", "layer1.0.add                 [56, 56, 64] <- layer1.0.bn2, maxpool\n"},
        {"resnet18", "layer2.0.conv1               [28, 28, 128] <- layer1.1.relu2\n"},
        {"resnet50", "layer1.0.downsample.0        [56, 56, 256] <- maxpool\n"},
        {"resnet50", "layer2.0.conv1               [56, 56, 128] <- layer1.2.relu3\n"},
        {"resnet50", "layer2.0.conv2               [28, 28, 128] <- layer2.0.relu1\n"},
        {"resnet50", "layer4.0.downsample.1        [7, 7, 2048] <- layer4.0.downsample.0\n"},
        {"lenet", "conv1                        [28, 28, 16] <- image\n"},
        {"lenet", "conv2                        [10, 10, 32] <- pool1\n"},
        {"lenet-bn", "bn2                          [10, 10, 32] <- conv2\n"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char *text = print(lines[i].name, NULL);
        ck_assert_msg(test_contains(text, lines[i].line), "%s lacks %s", lines[i].name,
                      lines[i].line);
        pp_text_free(test_engine(), text);
    }
}
END_TEST

START_TEST(options_are_followed) {
    const pp_model_options options = {.height = 64,
                                      .width = 32,
                                      .channels = 5,
                                      .classes = 100,
                                      .dropout = 0.25f,
                                      .label_smoothing = 0.1f};
    for (size_t i = 0; i < NAME_COUNT; i++) {
        char *text = print(names[i], &options);
        ck_assert_msg(test_contains(text, "image                        [64, 32, 5]\n"), "%s",
                      text);
        ck_assert_msg(test_contains(text, "[1, 1, 100] <- dropout\n"), "%s", text);
        pp_text_free(test_engine(), text);
        text = print(names[i], NULL);
        ck_assert_msg(!test_contains(text, "dropout"), "%s", text);
        pp_text_free(test_engine(), text);
    }
}
END_TEST

/* METHODS E, row 1: elements coded per sample, which are all batch-norm inputs but the last one's.
 */
START_TEST(preresnets_store_the_published_element_counts) {
    static const struct {
        const char *name;
        size_t elems;
    } expected[] = {{"preresnet164", 3096576},
                    {"preresnet254", 4816896},
                    {"preresnet488", 9289728},
                    {"preresnet1001", 19095552}};
    enum { BATCH = 2 };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        pp_plan *made = plan(expected[i].name, NULL, BATCH, "norm:4");
        size_t last_elems = 64 * 256 * BATCH, stored = 0;
        for (size_t r = 0; r < pp_plan_row_count(made); r++) {
            pp_plan_row row;
            pp_plan_read_row(made, r, &row);
            if (strcmp(row.kind, "normalised")) continue;
            ck_assert_str_eq(row.codec, "norm:4");
            stored += row.stored_bytes;
        }
        ck_assert_uint_eq((2 * stored - last_elems) / BATCH, expected[i].elems);
        pp_plan_destroy(made);
    }
}
END_TEST

/* Every network's plan, at both ends of the codecs, lies within 2 % of the largest live sum. */
START_TEST(plans_are_packed_tightly) {
    static const char *const codecs[] = {"raw", "norm:4"};
    for (size_t i = 0; i < 2 * NAME_COUNT; i++) {
        pp_plan *made = plan(names[i / 2], NULL, 8, codecs[i % 2]);
        pp_plan_summary summary;
        pp_plan_summarize(made, &summary);
        double ratio = (double)summary.peak_bytes / (double)summary.lower_bound_bytes;
        ck_assert_msg(ratio >= 1 && ratio <= 1.02, "%s, %s: the peak is %.4f of the bound",
                      names[i / 2], codecs[i % 2], ratio);
        pp_plan_destroy(made);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("model/model");
    TCase *all = tcase_create("all");
    tcase_add_test(all, names_are_listed);
    tcase_add_test(all, unknown_names_are_refused);
    tcase_add_test(all, defaults_are_the_data_sets);
    tcase_add_test(all, inputs_that_are_too_small_are_refused);
    tcase_add_test(all, small_and_odd_inputs_work);
    tcase_add_test(all, node_counts);
    tcase_add_test(all, parameter_counts);
    tcase_add_test(all, parameters_are_named_as_in_pytorch);
    tcase_add_test(all, strides_and_skips_are_where_they_belong);
    tcase_add_test(all, options_are_followed);
    tcase_add_test(all, preresnets_store_the_published_element_counts);
    tcase_add_test(all, plans_are_packed_tightly);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
