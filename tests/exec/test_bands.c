/* Training in bands of images against training the whole batch at once, on the device.
 *
 * Bands change the order in which moments, statistics' sums and weight gradients are added up, and
 * the way that a convolution of few pixels takes, which is an order of sums too; nothing else. Such
 * an order is worth an error of about 1e-7 of the largest term, which three steps with momentum let
 * add up: measured on PoCL with several seeds, parameters differ by up to 2e-6 and predictions by up
 * to 4e-7, or 3e-6 behind a chain of eleven convolutions.
 *
 * A lossy code adds a jump where a value lies that close to a level's boundary: a step of norm:4,
 * 0.3, in one of 1152 terms of a weight gradient's mean, at rate 0.05, is worth about 1e-5, and a
 * step of norm:8 a sixteenth of it. The bounds are those of a few jumps. A moment of 8 bits that
 * takes the neighbouring code moves its weight by up to 2e-4. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/small_networks.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 8, STEPS = 3, INPUT = 12 * 12 * 3, CLASSES = 5 };

static const uint32_t band_images[] = {1, 2, 4};

typedef struct material {
    float inputs[STEPS * BATCH * INPUT];
    int32_t labels[STEPS * BATCH];
} material;

static void fill(material *m) {
    test_fill_normal(m->inputs, STEPS * BATCH * INPUT);
    for (size_t i = 0; i < STEPS * BATCH; i++) m->labels[i] = (int32_t)test_random_below(CLASSES);
}

/* The session's losses after each step, and what it predicts before the first. */
typedef struct outcome {
    double losses[STEPS];
    float predictions[BATCH * CLASSES];
} outcome;

static void run(const trainer *t, const material *m, outcome *o) {
    pp_plan_summary summary;
    pp_plan_summarize(t->plan, &summary);
    const pp_batch first = {.inputs = m->inputs, .labels = m->labels, .count = summary.batch};
    memset(o, 0, sizeof *o);
    TEST_OK(pp_session_predict(t->session, &first, o->predictions));
    for (size_t s = 0; s < STEPS; s++) {
        const pp_batch batch = {.inputs = m->inputs + s * BATCH * INPUT,
                                .labels = m->labels + s * BATCH,
                                .count = summary.batch};
        o->losses[s] = trainer_step(t, &batch, 0.05f);
    }
    ck_assert_uint_eq(pp_session_device_bytes(t->session), summary.peak_bytes);
}

static void compare(const char *what, const trainer *whole, const outcome *expected,
                    const trainer *bands, const outcome *found, float tolerance,
                    float prediction_tolerance) {
    size_t count, band_count;
    float *a = trainer_read_all(whole, &count), *b = trainer_read_all(bands, &band_count);
    ck_assert_uint_eq(count, band_count);
    test_close(what, found->predictions, expected->predictions, BATCH * CLASSES,
               prediction_tolerance, 0);
    for (size_t s = 0; s < STEPS; s++)
        ck_assert_msg(fabs(expected->losses[s] - found->losses[s]) <= (double)tolerance,
                      "%s: the loss of step %zu is %.9g, not %.9g", what, s, found->losses[s],
                      expected->losses[s]);
    test_close(what, b, a, count, tolerance, 0);
    free(a);
    free(b);
}

#define PREDICTION_TOLERANCE 2e-6f
#define DEEP_PREDICTION_TOLERANCE 1e-5f

typedef struct setting {
    pp_plan_options options;
    float tolerance;
} setting;

static const setting settings[] = {
    {{.codec = "raw"}, 1e-5f},
    {{.codec = "half"}, 1e-5f},
    {{.codec = "norm:8"}, 2e-5f},
    {{.codec = "norm:4"}, 1e-4f},
    {{.codec = "btc:4"}, 1e-4f},
    {{.codec = "avgpool:2+group:4"}, 1e-4f},
    {{.codec = "bitmap"}, 1e-5f},
    {{.codec = "pool:2+residual:8"}, 2e-3f},
    {{.codec = "raw", .accumulate = 2}, 1e-5f},
    {{.codec = "raw", .optimizer = {.clip_norm = 0.5f}}, 1e-5f},
    {{.codec = "norm:4", .optimizer = {.clip_norm = 0.5f, .state_bits = 8}}, 1e-3f},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

/* Each block with a band size and a setting of its own turn, so that all meet. */
START_TEST(a_block_trains_as_in_one_go) {
    static material m;
    const block *b = &blocks[_i];
    fill(&m);
    for (size_t k = 0; k < SETTING_COUNT; k++) {
        const setting *with = &settings[k];
        pp_graph *graph = b->build();
        pp_plan_options options = with->options;
        options.batch = BATCH;
        options.optimizer.momentum = 0.9f;
        trainer whole, bands;
        outcome expected, found;
        trainer_create(&whole, graph, &options, 1);
        const pp_band band = {b->first, b->last, band_images[((size_t)_i + k) % 3]};
        options.bands = &band;
        options.band_count = 1;
        trainer_create(&bands, graph, &options, 1);
        pp_graph_destroy(graph);
        run(&whole, &m, &expected);
        run(&bands, &m, &found);
        char what[128];
        snprintf(what, sizeof what, "%s, %s, setting %zu, bands of %u", b->name,
                 with->options.codec, k, (unsigned)band.images);
        compare(what, &whole, &expected, &bands, &found, with->tolerance, PREDICTION_TOLERANCE);
        trainer_destroy(&whole);
        trainer_destroy(&bands);
    }
}
END_TEST

/* Half of a batch whose size is no power of two, trained twice: the same bits, and those of the
 * whole but for the order of sums. */
START_TEST(three_images_of_six_train_the_same_twice) {
    static material m;
    const block *b = &blocks[_i];
    fill(&m);
    pp_graph *graph = b->build();
    const pp_band band = {b->first, b->last, 3};
    const pp_plan_options options = {
        .batch = 6, .codec = "norm:4", .optimizer = {.momentum = 0.9f}};
    pp_plan_options banded = options;
    banded.bands = &band;
    banded.band_count = 1;
    trainer whole, bands, again;
    outcome expected, found, repeated;
    trainer_create(&whole, graph, &options, 1);
    trainer_create(&bands, graph, &banded, 1);
    trainer_create(&again, graph, &banded, 1);
    pp_graph_destroy(graph);
    run(&whole, &m, &expected);
    run(&bands, &m, &found);
    run(&again, &m, &repeated);
    compare(b->name, &whole, &expected, &bands, &found, 1e-4f, PREDICTION_TOLERANCE);
    ck_assert(trainer_same(&bands, &again));
    ck_assert_mem_eq(&found, &repeated, sizeof found);
    trainer_destroy(&whole);
    trainer_destroy(&bands);
    trainer_destroy(&again);
}
END_TEST

static pp_value add_residual_block(pp_graph *g, unsigned number, pp_value x, uint32_t channels,
                                   uint32_t stride) {
    char names[8][24];
    static const char *const parts[] = {"conv1", "bn1",  "relu1",   "conv2",
                                        "bn2",   "down", "down.bn", "add"};
    for (size_t i = 0; i < 8; i++) snprintf(names[i], sizeof names[i], "b%u.%s", number, parts[i]);
    pp_value y = add_strided_conv(g, names[0], x, channels, 3, stride);
    y = pp_graph_relu(g, names[2], add_bn(g, names[1], y));
    y = add_bn(g, names[4], add_strided_conv(g, names[3], y, channels, 3, 1));
    if (stride > 1) x = add_bn(g, names[6], add_strided_conv(g, names[5], x, channels, 1, stride));
    char relu[24];
    snprintf(relu, sizeof relu, "b%u.relu2", number);
    return pp_graph_relu(g, relu, pp_graph_add(g, names[7], y, x));
}

static pp_graph *chain_of_blocks(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    x = add_residual_block(g, 1, x, 8, 1);
    x = add_residual_block(g, 2, x, 16, 2);
    x = add_residual_block(g, 3, x, 16, 1);
    add_head(g, add_residual_block(g, 4, x, 32, 2));
    return g;
}

/* The policy without its bands. */
static char *without_bands(const char *policy) {
    char *text = calloc(strlen(policy) + 1, 1);
    ck_assert(text != NULL);
    for (const char *line = policy; *line;) {
        const size_t length = strcspn(line, "\n") + 1;
        if (strncmp(line, "band ", 5) != 0) strncat(text, line, length);
        line += length;
    }
    return text;
}

/* The smallest plan of a network, where runs follow each other and values lie in pieces, against the
 * same codes without bands. */
START_TEST(the_smallest_plan_trains_as_in_one_go) {
    static material m;
    fill(&m);
    pp_graph *graph = chain_of_blocks();
    pp_plan_options options = {.batch = BATCH, .budget_bytes = 1};
    options.optimizer.momentum = 0.9f;
    pp_plan *plan = NULL;
    pp_profile *profile = NULL;
    TEST_OK(pp_profile_for_device(test_device(), test_profile(), &profile));
    ck_assert_int_eq(pp_plan_create(graph, profile, &options, &plan), PP_ERROR_OUT_OF_MEMORY);
    const char *least = strstr(pp_engine_error(test_engine()), " takes ");
    ck_assert(least != NULL);
    options.budget_bytes = (size_t)strtoull(least + 7, NULL, 10);
    trainer bands, whole;
    trainer_create(&bands, graph, &options, 1);
    size_t most_pieces = 1;
    for (size_t i = 0; i < pp_plan_row_count(bands.plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(bands.plan, i, &row);
        if (row.piece_count > most_pieces) most_pieces = row.piece_count;
    }
    ck_assert_uint_gt(most_pieces, 1);
    char *policy, *unbanded;
    TEST_OK(pp_plan_print_policy(bands.plan, &policy));
    ck_assert(strstr(policy, "band ") != NULL);
    unbanded = without_bands(policy);
    options.budget_bytes = 0;
    options.policy = unbanded;
    trainer_create(&whole, graph, &options, 1);
    outcome expected, found;
    run(&whole, &m, &expected);
    run(&bands, &m, &found);
    compare("the smallest plan", &whole, &expected, &bands, &found, 1e-4f,
            DEEP_PREDICTION_TOLERANCE);
    trainer_destroy(&whole);
    trainer_destroy(&bands);
    pp_profile_destroy(profile);
    pp_graph_destroy(graph);
    pp_text_free(test_engine(), policy);
    free(unbanded);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/bands");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_test(all, the_smallest_plan_trains_as_in_one_go);
    tcase_add_loop_test(all, a_block_trains_as_in_one_go, 0, BLOCK_COUNT);
    tcase_add_loop_test(all, three_images_of_six_train_the_same_twice, 0, BLOCK_COUNT);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
