/* Published figures (METHODS section E), to the printed digit, from real plans. "Row" is the
 * table's. Bytes and elements are per sample; MB = 1e6 bytes. */
#include <stdio.h>

#include "plan/plans.h"

enum { BATCH = 2 };

/* Fails unless `value` is printed as `expected`. */
static void check_printed(const char *what, double value, const char *expected) {
    const char *point = strchr(expected, '.');
    char text[64];
    snprintf(text, sizeof text, "%.*f", point ? (int)strlen(point + 1) : 0, value);
    ck_assert_msg(!strcmp(text, expected), "%s: %s (%.9g), expected %s", what, text, value,
                  expected);
}

static pp_plan *model_plan(const char *model, const pp_plan_options *options) {
    return plan_and_drop(graph_of_model(model), options);
}

/* Stored bytes of the rows of a kind with a codec; NULL: any. */
static double sum_stored(const pp_plan *plan, const char *kind, const char *codec) {
    size_t bytes = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if ((!kind || !strcmp(row.kind, kind)) && (!codec || !strcmp(row.codec, codec)))
            bytes += row.stored_bytes;
    }
    return (double)bytes / BATCH;
}

/* The code of every batch-norm of a pre-activation network but the last, called "bn", whose input
 * the paper leaves in one of its two float32 buffers. */
static double code_bytes(const char *model, const char *codec) {
    const pp_codec_override last = {"bn", strcmp(codec, "raw") ? "raw" : "half"};
    const pp_plan_options options = {
        .batch = BATCH, .codec = codec, .overrides = &last, .override_count = 1};
    pp_plan *plan = model_plan(model, &options);
    double bytes = sum_stored(plan, "normalised", codec);
    pp_plan_destroy(plan);
    return bytes;
}

/* What the paper's scheme holds besides codes: the images and two buffers for the largest value,
 * whose bytes per sample the caller knows. */
static double buffer_bytes(const char *model, size_t image_bytes, size_t largest_bytes) {
    pp_plan *plan = model_plan(model, &(pp_plan_options){.batch = BATCH, .codec = "norm:4"});
    size_t largest = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (row.memory_class == PP_MEMORY_TRANSIENT && row.raw_bytes > largest)
            largest = row.raw_bytes;
    }
    ck_assert_uint_eq(largest / BATCH, largest_bytes);
    ck_assert_uint_eq(row_of(plan, "image").raw_bytes / BATCH, image_bytes);
    double bytes = (double)(row_of(plan, "image").raw_bytes + 2 * largest) / BATCH;
    pp_plan_destroy(plan);
    return bytes;
}

static double cifar_buffer_bytes(const char *model) {
    return buffer_bytes(model, 12288, 262144);
}

START_TEST(row_1_coded_elements) {
    static const struct {
        const char *model;
        double elems;
    } cases[] = {{"preresnet164", 3096576},
                 {"preresnet254", 4816896},
                 {"preresnet488", 9289728},
                 {"preresnet1001", 19095552}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_double_eq(code_bytes(cases[i].model, "raw") * 8 / 32, cases[i].elems);
        ck_assert_double_eq(code_bytes(cases[i].model, "norm:8") * 8 / 8, cases[i].elems);
        ck_assert_double_eq(code_bytes(cases[i].model, "norm:4") * 8 / 4, cases[i].elems);
    }
}
END_TEST

START_TEST(row_2_preresnet164) {
    double exact = code_bytes("preresnet164", "raw"), coded = code_bytes("preresnet164", "norm:4");
    double buffers = cifar_buffer_bytes("preresnet164");
    check_printed("K = 32", exact / 1e6, "12.386");
    check_printed("K = 8", code_bytes("preresnet164", "norm:8") / 1e6, "3.097");
    check_printed("K = 4", coded / 1e6, "1.548");
    check_printed("K = 32 and buffers", (exact + buffers) / 1e6, "12.923");
    check_printed("K = 4 and buffers", (coded + buffers) / 1e6, "2.085");
    check_printed("ratio", (exact + buffers) / (coded + buffers), "6.20");
}
END_TEST

START_TEST(row_3_preresnet1001) {
    double exact = code_bytes("preresnet1001", "raw"),
           coded = code_bytes("preresnet1001", "norm:4");
    double buffers = cifar_buffer_bytes("preresnet1001");
    check_printed("K = 32 and buffers", (exact + buffers) / 1e6, "76.919");
    check_printed("K = 4 and buffers", (coded + buffers) / 1e6, "10.084");
    check_printed("ratio", (exact + buffers) / (coded + buffers), "7.63");
}
END_TEST

/* The whole peak's growth from one sample to the next: everything that a larger batch needs, each
 * step's transient values and scratch included. */
static double peak_per_sample(const char *model, const char *codec) {
    enum { SMALL = 64, LARGE = 128 };
    pp_graph *graph = graph_of_model(model);
    pp_plan *small = plan_of(graph, &(pp_plan_options){.batch = SMALL, .codec = codec});
    pp_plan *large = plan_of(graph, &(pp_plan_options){.batch = LARGE, .codec = codec});
    double growth =
        (double)(summary_of(large).lower_bound_bytes - summary_of(small).lower_bound_bytes);
    pp_plan_destroy(small);
    pp_plan_destroy(large);
    pp_graph_destroy(graph);
    return growth / (LARGE - SMALL);
}

/* The paper's two buffers hold the largest value in every step. A planned one holds each value
 * while it lives, and the codes of later layers are gone when the early, large values come back: it
 * needs less, and codes shrink it by more. */
START_TEST(plans_need_less_than_the_papers_buffers) {
    static const char *const models[] = {"preresnet164", "preresnet254", "preresnet488",
                                         "preresnet1001"};
    for (size_t i = 0; i < 4; i++) {
        double buffers = cifar_buffer_bytes(models[i]);
        double published_raw = code_bytes(models[i], "raw") + buffers;
        double published = code_bytes(models[i], "norm:4") + buffers;
        double raw = peak_per_sample(models[i], "raw"),
               coded = peak_per_sample(models[i], "norm:4");
        ck_assert_msg(coded < published && raw < published_raw,
                      "%s: %.0f and %.0f bytes, the paper's accounting %.0f and %.0f", models[i],
                      raw, coded, published_raw, published);
        ck_assert_double_gt(raw / coded, published_raw / published);
    }
}
END_TEST

/* The input of the first batch-norm, in front of the max-pool, stays float32 in their code. */
START_TEST(row_4_preresnet152) {
    const char *model = "preresnet152";
    const double stem_elems = 112 * 112 * 64, stem = 4 * stem_elems;
    double exact = code_bytes(model, "raw") - stem;
    double eight = code_bytes(model, "norm:8") - stem_elems;
    double four = code_bytes(model, "norm:4") - stem_elems / 2;
    double buffers = buffer_bytes(model, 602112, 3211264);
    ck_assert_double_eq(exact / 4, 19618816);
    check_printed("K = 32", exact / 1e6, "78.48");
    check_printed("K = 8", eight / 1e6, "19.62");
    check_printed("K = 4", four / 1e6, "9.81");
    check_printed("K = 32 and the rest", (exact + stem + buffers) / 1e6, "88.71");
    check_printed("K = 8 and the rest", (eight + stem + buffers) / 1e6, "29.85");
    check_printed("K = 4 and the rest", (four + stem + buffers) / 1e6, "20.05");

    /* The figure to beat: a code for the stem, an index of four bits for each of the pool's
     * windows, images in bytes. A plan beats it with the images still in float32. */
    pp_plan *plan = model_plan(model, &(pp_plan_options){.batch = BATCH, .codec = "norm:4"});
    double index = sum_stored(plan, "index", "argmax");
    pp_plan_destroy(plan);
    check_printed("index", index / 1e6, "0.10");
    double to_beat = four + stem_elems / 2 + index + buffers - 602112 * 3 / 4;
    check_printed("K = 4, nothing in float32 but the buffers", to_beat / 1e6, "16.9");
    double planned = peak_per_sample(model, "norm:4");
    ck_assert_msg(planned < to_beat, "%.0f bytes a sample, %.0f were to be beaten", planned,
                  to_beat);
}
END_TEST

START_TEST(row_5_what_a_framework_keeps) {
    static const struct {
        const char *model, *megabytes;
    } cases[] = {{"resnet50", "85.9"}, {"resnet18", "22.2"}, {"resnet34", "32.2"}};
    static const char *const codecs[] = {"raw", "norm:4"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t c = 0; c < 2; c++) {
            pp_plan *plan =
                model_plan(cases[i].model, &(pp_plan_options){.batch = BATCH, .codec = codecs[c]});
            check_printed(cases[i].model, (double)summary_of(plan).saved_raw_bytes / BATCH / 1e6,
                          cases[i].megabytes);
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

/* Values with codecs of K bits, by their elements: groups' headers are no part of the rows. */
static double sum_coded_elems(const pp_plan *plan, const char *codec) {
    size_t bytes = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (row.memory_class == PP_MEMORY_SAVED && !strcmp(row.codec, codec))
            bytes += row.raw_bytes;
    }
    return (double)bytes / 4 / BATCH;
}

/* The fused code on post-activation networks: x-hat, block outputs and the max-pool's output with K
 * bits, the pool's index with four; on ImageNet's sizes the images in bytes. The rows give the last
 * block's output K bits too, of which a plan keeps its mask alone. */
START_TEST(rows_7_to_9_fused_codes) {
    static const struct {
        const char *model;
        double last_elems, image_bytes;
        struct {
            const char *norm, *group;
            double bits;
            const char *megabytes;
        } cases[3];
    } nets[] = {
        {"resnet50",
         7 * 7 * 2048,
         224 * 224 * 3,
         {{"norm:4", "group:4", 4, "8.67"},
          {"norm:3", "group:3", 3, "6.56"},
          {"norm:2", "group:2", 2.125, "4.72"}}},
        {"resnet18",
         7 * 7 * 512,
         224 * 224 * 3,
         {{"norm:4", "group:4", 4, "1.97"}, {"norm:3", "group:3", 3, "1.54"}}},
        {"resnet20", 8 * 8 * 64, 0, {{"norm:4", "group:4", 4, "0.1372"}}},
        {"resnet56", 8 * 8 * 64, 0, {{"norm:4", "group:4", 4, "0.3953"}}},
    };
    for (size_t n = 0; n < sizeof nets / sizeof *nets; n++) {
        for (size_t c = 0; c < 3 && nets[n].cases[c].norm; c++) {
            pp_plan *plan = model_plan(
                nets[n].model, &(pp_plan_options){.batch = BATCH, .codec = nets[n].cases[c].norm});
            double elems = sum_coded_elems(plan, nets[n].cases[c].norm) +
                           sum_coded_elems(plan, nets[n].cases[c].group) + nets[n].last_elems;
            double bytes = elems * nets[n].cases[c].bits / 8 + sum_stored(plan, "index", "argmax") +
                           nets[n].image_bytes;
            check_printed(nets[n].model, bytes / 1e6, nets[n].cases[c].megabytes);
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

/* METHODS leaves the classifier's input, 64 numbers, out of this row. */
START_TEST(row_9_what_a_framework_keeps_of_cifar) {
    static const struct {
        const char *model, *kilobytes;
    } cases[] = {{"resnet20", "1519.6"}, {"resnet56", "4272.1"}};
    for (size_t i = 0; i < 2; i++) {
        pp_plan *plan = model_plan(cases[i].model, &(pp_plan_options){.batch = BATCH});
        double bytes = (double)summary_of(plan).saved_raw_bytes / BATCH - 64 * sizeof(float);
        check_printed(cases[i].model, bytes / 1e3, cases[i].kilobytes);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Bytes that pooling saves on the last block's output, [7, 7, channels]. METHODS counts it as a
 * convolution's input, but no layer with weights reads it: global pooling needs its shape alone. */
static double last_block_bytes(double channels, uint32_t window) {
    double blocks = (7 + window - 1) / window;
    return (7 * 7 - blocks * blocks) * channels * sizeof(float);
}

/* Row 10: only inputs of convolutions are pooled, and every ReLU has a bit plane. */
START_TEST(row_10_pooling_ceilings) {
    static const struct {
        const char *model;
        double last_channels;
        struct {
            uint32_t window;
            const char *codec, *ceiling, *planned;
        } cases[3];
    } nets[] = {
        {"resnet18",
         512,
         {{2, "avgpool:2", "21.6", "43.8"},
          {4, "avgpool:4", "27.4", "49.5"},
          {8, "avgpool:8", "28.9", "51.0"}}},
        {"resnet50",
         2048,
         {{2, "avgpool:2", "29.9", "36.0"},
          {4, "avgpool:4", "37.7", "43.7"},
          {8, "avgpool:8", "39.8", "45.7"}}},
    };
    const pp_codec_override planes = {"@mask", "signmask"};
    for (size_t n = 0; n < 2; n++) {
        for (size_t c = 0; c < 3; c++) {
            const pp_plan_options options = {.batch = BATCH,
                                             .codec = nets[n].cases[c].codec,
                                             .overrides = &planes,
                                             .override_count = 1};
            pp_plan *plan = model_plan(nets[n].model, &options);
            double saved = last_block_bytes(nets[n].last_channels, nets[n].cases[c].window);
            for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
                pp_plan_row row;
                pp_plan_read_row(plan, i, &row);
                if (!strcmp(row.codec, options.codec))
                    saved += (double)(row.raw_bytes - row.stored_bytes) / BATCH;
            }
            saved -= sum_stored(plan, NULL, "signmask");
            double framework = (double)summary_of(plan).saved_raw_bytes / BATCH;
            check_printed(nets[n].model, 100 * saved / framework, nets[n].cases[c].ceiling);
            pp_plan_destroy(plan);

            /* The plan itself saves more: masks are views of the kept batch-norm inputs, pool
             * indices have four bits, and neither the stem's ReLU nor the last block's output is
             * kept. */
            plan = model_plan(nets[n].model,
                              &(pp_plan_options){.batch = BATCH, .codec = options.codec});
            double stored = (double)summary_of(plan).saved_stored_bytes / BATCH;
            check_printed(nets[n].model, 100 * (1 - stored / framework), nets[n].cases[c].planned);
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/methods");
    TCase *all = tcase_create("all");
    tcase_add_test(all, row_1_coded_elements);
    tcase_add_test(all, row_2_preresnet164);
    tcase_add_test(all, row_3_preresnet1001);
    tcase_add_test(all, plans_need_less_than_the_papers_buffers);
    tcase_add_test(all, row_4_preresnet152);
    tcase_add_test(all, row_5_what_a_framework_keeps);
    tcase_add_test(all, rows_7_to_9_fused_codes);
    tcase_add_test(all, row_9_what_a_framework_keeps_of_cifar);
    tcase_add_test(all, row_10_pooling_ceilings);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
