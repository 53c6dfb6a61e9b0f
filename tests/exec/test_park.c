/* Training whose values wait in 16 bits, on the device: to the bit what training in float32 gives
 * when what has waited is rounded by hand, and close to training that rounds nothing.
 *
 * How close: where a value is parked it changes by up to 2^-11 of itself, a gradient by up to 2^-9,
 * rounded to nearest, which is 1.1e-3 of a gradient's norm. A step's parameter gradients differ by
 * as much for every time that something on their way was parked, in directions that do not add up
 * straight: measured, by up to 3.2e-3 of their norm. What is lost, read too early or decoded in
 * another form is worth 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "exec/session.h"
#include "plan/small_networks.h"
#include "ref/bfloat_ref.h"
#include "ref/half_ref.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 8, STEPS = 3, INPUT = 12 * 12 * 3, CLASSES = 5 };
static const double bound = 8e-3;

static float inputs[STEPS * BATCH * INPUT];
static int32_t labels[STEPS * BATCH];

static void fill(void) {
    test_fill_normal(inputs, STEPS * BATCH * INPUT);
    for (size_t i = 0; i < STEPS * BATCH; i++) labels[i] = (int32_t)test_random_below(CLASSES);
}

static pp_batch batch_of(size_t step) {
    return (pp_batch){
        .inputs = inputs + step * BATCH * INPUT, .labels = labels + step * BATCH, .count = BATCH};
}

static size_t count_parked(const pp_plan *plan) {
    return count_steps(plan, " park");
}

/* What the first step changes, per parameter, is its gradient. The caller frees it. */
static float *change_of_step(const trainer *t, size_t *count_out) {
    float *before = trainer_read_all(t, count_out);
    const pp_batch batch = batch_of(0);
    trainer_step(t, &batch, 1);
    float *after = trainer_read_all(t, count_out);
    for (size_t i = 0; i < *count_out; i++) after[i] -= before[i];
    free(before);
    return after;
}

static double difference(const float *a, const float *b, size_t count) {
    double square = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        square += (double)a[i] * (double)a[i];
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return sqrt(error / square);
}

/* Predictions and one step, with bands and without; true where anything was parked. */
static bool compare(const char *name, const pp_graph *graph, const pp_plan_options *given) {
    pp_plan_options options = *given;
    trainer whole, parked;
    trainer_create(&whole, graph, &options, 1);
    options.transient_bits = 16;
    trainer_create(&parked, graph, &options, 1);
    const size_t parkings = count_parked(parked.plan);
    ck_assert_uint_eq(pp_session_device_bytes(parked.session), summary_of(parked.plan).peak_bytes);
    const pp_batch batch = batch_of(0);
    float expected[BATCH * CLASSES], found[BATCH * CLASSES];
    TEST_OK(pp_session_predict(whole.session, &batch, expected));
    TEST_OK(pp_session_predict(parked.session, &batch, found));
    ck_assert(difference(expected, found, BATCH * CLASSES) < bound);
    size_t count;
    float *a = change_of_step(&whole, &count), *b = change_of_step(&parked, &count);
    const double error = difference(a, b, count);
    ck_assert_msg(error < bound && (error > 0) == (parkings > 0), "%s, %s: %g, %zu parked", name,
                  options.codec, error, parkings);
    free(a);
    free(b);
    trainer_destroy(&whole);
    trainer_destroy(&parked);
    return parkings != 0;
}

static const pp_plan_options settings[] = {
    {.batch = BATCH, .codec = "raw"},
    {.batch = BATCH, .codec = "bitmap"},
    {.batch = BATCH, .codec = "half"},
    {.batch = BATCH, .codec = "raw", .optimizer = {.clip_norm = 1e3f}},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

START_TEST(a_step_is_the_same_but_for_rounding) {
    const block *b = &blocks[_i];
    fill();
    pp_graph *graph = b->build();
    for (size_t s = 0; s < SETTING_COUNT; s++)
        for (uint32_t images = 2; images <= BATCH; images *= 2) {
            pp_plan_options options = settings[s];
            const pp_band band = {b->first, b->last, images};
            options.bands = &band;
            options.band_count = 1;
            compare(b->name, graph, &options);
        }
    pp_graph_destroy(graph);
}
END_TEST

/* Runs one behind the other: what one leaves waits for the next, and so do the gradients. */
static pp_graph *chain(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    x = add_conv_bn_relu(g, "conv1", "bn1", "relu1", x);
    x = add_conv_bn_relu(g, "conv2", "bn2", "relu2", x);
    x = add_bn(g, "bn3", add_strided_conv(g, "conv3", x, 8, 3, 2));
    add_head(g, pp_graph_relu(g, "relu3", x));
    return g;
}

static const pp_band runs[] = {
    {"conv0", "bn0", 1}, {"conv1", "bn1", 2}, {"conv2", "bn2", 1}, {"conv3", "bn3", 1}};
enum { RUN_COUNT = sizeof runs / sizeof *runs };

START_TEST(between_runs) {
    fill();
    pp_graph *graph = chain();
    for (size_t s = 0; s < SETTING_COUNT; s++) {
        pp_plan_options options = settings[s];
        options.bands = runs;
        options.band_count = RUN_COUNT;
        ck_assert(compare("runs", graph, &options));
    }
    pp_graph_destroy(graph);
}
END_TEST

/* --- To the bit, against steps in float32 with the rounding done by hand --- */

static void run_step(const trainer *t, const pp__plan_step *step) {
    pp__stream *stream;
    TEST_OK(pp__stream_create(test_device(), t->profile, &stream));
    TEST_OK(pp__session_record_step(t->session, t->profile, step, stream));
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp_session_finish(t->session));
    pp__stream_destroy(stream);
}

/* What a fetch gives back, put in the place of what lies in the plan without, at its step `now`. */
static void round_images(const trainer *t, const pp_plan *parked, const pp__plan_step *fetch,
                         size_t now) {
    const uint32_t buffer = fetch->input_gradients[0];
    const pp_plan *plan = t->plan;
    const pp__plan_piece *piece = pp__plan_piece_of(plan, buffer, now, fetch->first_image);
    ck_assert(piece->first < now && now <= piece->last);
    const size_t image_bytes = plan->buffers[buffer].bytes / plan->batch;
    const size_t bytes = image_bytes * fetch->image_count, count = bytes / sizeof(float);
    pp__ref ref = t->session->arena.chunks[piece->chunk];
    ref.offset_bytes +=
        piece->offset_bytes + image_bytes * (fetch->first_image - piece->first_image);
    float *values = malloc(bytes);
    uint8_t *code = malloc(bytes / 2);
    ck_assert(values != NULL && code != NULL);
    TEST_OK(pp__read_now(test_device(), ref, values, bytes));
    if (!strcmp(parked->buffers[fetch->output_gradient].parked.codec->name, "half")) {
        ref_half_encode(count, values, code);
        ref_half_decode(count, code, values);
    } else {
        ref_bfloat_encode(count, values, code);
        ref_bfloat_decode(count, code, values);
    }
    TEST_OK(pp__write_now(test_device(), ref, values, bytes));
    free(values);
    free(code);
}

/* The steps of the plan without parking, up to the gradients; returns how often it rounds. */
static size_t run_rounding(const trainer *t, const pp_plan *parked) {
    const pp_batch batch = batch_of(0);
    size_t now = 0, roundings = 0;
    TEST_OK(pp__session_transfer(t->session, &batch));
    for (size_t s = 0; s < parked->step_count; s++) {
        const pp__plan_step *step = &parked->steps[s];
        if (step->kind == PP__STEP_PARK) continue;
        if (step->kind == PP__STEP_FETCH) {
            round_images(t, parked, step, now);
            roundings++;
            continue;
        }
        ck_assert_str_eq(t->plan->steps[now].name, step->name);
        ck_assert_uint_eq(t->plan->steps[now].first_image, step->first_image);
        if (step->kind != PP__STEP_CLIP && step->kind != PP__STEP_UPDATE)
            run_step(t, &t->plan->steps[now]);
        now++;
    }
    ck_assert_uint_eq(now, t->plan->step_count);
    return roundings;
}

/* Gradients are read behind the step, which clips them by a factor of 1. */
static void check_bits(const char *name, const pp_graph *graph, pp_plan_options options) {
    trainer whole, parked;
    options.optimizer = (pp_optimizer){.clip_norm = 1e9f};
    trainer_create(&whole, graph, &options, 1);
    options.transient_bits = 16;
    trainer_create(&parked, graph, &options, 1);
    ck_assert_msg(run_rounding(&whole, parked.plan) > 0, "%s, %s: nothing is parked", name,
                  options.codec);
    const pp_batch batch = batch_of(0);
    trainer_step(&parked, &batch, 0);
    for (size_t i = 0; i < pp_plan_parameter_count(whole.plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(whole.plan, i, &info);
        if (!info.trainable) continue;
        float *a = trainer_read_gradient(&whole, info.name),
              *b = trainer_read_gradient(&parked, info.name);
        ck_assert_msg(!memcmp(a, b, info.elem_count * sizeof *a), "%s, %s: other bits in %s", name,
                      options.codec, info.name);
        free(a);
        free(b);
    }
    trainer_destroy(&whole);
    trainer_destroy(&parked);
}

static const char *const codecs[] = {"bitmap", "half", "norm:8", "group:8"};

START_TEST(to_the_bit_between_runs) {
    fill();
    pp_graph *graph = chain();
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++)
        check_bits("runs", graph,
                   (pp_plan_options){
                       .batch = BATCH, .codec = codecs[c], .bands = runs, .band_count = RUN_COUNT});
    pp_graph_destroy(graph);
}
END_TEST

static void train(trainer *t, const pp_graph *graph, const pp_plan_options *options) {
    trainer_create(t, graph, options, 1);
    for (size_t s = 0; s < STEPS; s++) {
        const pp_batch batch = batch_of(s);
        trainer_step(t, &batch, 0.05f);
    }
}

START_TEST(the_same_bits_twice) {
    const pp_plan_options options = {.batch = BATCH,
                                     .codec = "bitmap",
                                     .bands = runs,
                                     .band_count = RUN_COUNT,
                                     .transient_bits = 16,
                                     .optimizer = {.momentum = 0.9f}};
    fill();
    pp_graph *graph = chain();
    trainer once, twice;
    train(&once, graph, &options);
    train(&twice, graph, &options);
    ck_assert(count_parked(once.plan) > 0);
    ck_assert(trainer_same(&once, &twice));
    trainer_destroy(&once);
    trainer_destroy(&twice);
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/park");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_loop_test(all, a_step_is_the_same_but_for_rounding, 0, BLOCK_COUNT);
    tcase_add_test(all, between_runs);
    tcase_add_test(all, to_the_bit_between_runs);
    tcase_add_test(all, the_same_bits_twice);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
