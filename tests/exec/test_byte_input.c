/* Sessions whose input arrives in bytes do what sessions do that get the same values in float32,
 * bit for bit, whatever else is kept in whatever codec. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/bytes_ref.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, HEIGHT = 7, WIDTH = 9, CLASSES = 3, BATCHES = 3 };
enum { MOST_INPUT = BATCH * HEIGHT * WIDTH * PP_PIXEL_CHANNELS };

static const pp_pixels pixels = {
    255, {0.4914f, 0.4822f, 0.4465f, 0.5f}, {0.2470f, 0.2435f, 0.2616f, 0.25f}};

static struct {
    uint8_t bytes[BATCHES][MOST_INPUT];
    float values[BATCHES][MOST_INPUT];
    int32_t labels[BATCHES][BATCH];
} data;

static void fill(uint32_t channels) {
    for (size_t b = 0; b < BATCHES; b++) {
        for (size_t i = 0; i < MOST_INPUT; i++) data.bytes[b][i] = (uint8_t)test_random_below(256);
        for (size_t i = 0; i < BATCH; i++) data.labels[b][i] = (int32_t)((b + i) % CLASSES);
        ref_bytes_decode(MOST_INPUT / channels, channels, pixels.maximum, pixels.mean,
                         pixels.deviation, data.bytes[b], data.values[b]);
    }
}

static pp_batch batch_of(size_t index, bool bytes) {
    size_t b = index % BATCHES;
    return (pp_batch){.inputs = bytes ? NULL : data.values[b],
                      .pixels = bytes ? data.bytes[b] : NULL,
                      .labels = data.labels[b],
                      .count = BATCH};
}

typedef pp_value network(pp_graph *g, pp_value x);

static pp_value plain(pp_graph *g, pp_value x) {
    const pp_conv2d_params conv = {
        .out_channels = 16, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    x = pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL);
    x = pp_graph_conv2d(g, "conv2", pp_graph_relu(g, "relu1", x), &conv);
    return pp_graph_global_avgpool(g, "gap", pp_graph_relu(g, "relu2", x));
}

static pp_value wide_stem(pp_graph *g, pp_value x) {
    const pp_conv2d_params conv = {.out_channels = 8,
                                   .kernel_h = 5,
                                   .kernel_w = 7,
                                   .stride_h = 2,
                                   .stride_w = 2,
                                   .pad_h = 2,
                                   .pad_w = 3,
                                   .bias = true};
    x = pp_graph_relu(g, "relu1", pp_graph_conv2d(g, "conv1", x, &conv));
    return pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
}

/* Layers in front of the first weights, one of which overwrites the decoded input. */
static pp_value weights_later(pp_graph *g, pp_value x) {
    const pp_conv2d_params conv = {.out_channels = 8, .kernel_h = 3, .kernel_w = 3};
    pp_value y = pp_graph_relu(g, "relu1", pp_graph_batchnorm(g, "bn1", x, NULL));
    return pp_graph_conv2d(g, "conv1", y, &conv);
}

static network *const networks[] = {plain, wide_stem, weights_later};
enum { NETWORKS = sizeof networks / sizeof *networks };

static pp_graph *graph_of(network *build, uint32_t channels, bool bytes) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = bytes ? pp_graph_input_bytes(g, "image", HEIGHT, WIDTH, channels, &pixels)
                       : pp_graph_input(g, "image", HEIGHT, WIDTH, channels);
    x = build(g, x);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static void create(trainer *t, network *build, uint32_t channels, const pp_plan_options *options,
                   bool bytes) {
    pp_graph *g = graph_of(build, channels, bytes);
    trainer_create(t, g, options, 3);
    pp_graph_destroy(g);
}

static void train_both(network *build, uint32_t channels, const pp_plan_options *options,
                       const pp_plan_options *float_options) {
    trainer bytes, floats;
    fill(channels);
    create(&bytes, build, channels, options, true);
    create(&floats, build, channels, float_options, false);
    for (size_t i = 0; i < 6; i++) {
        pp_batch a = batch_of(i, true), b = batch_of(i, false);
        double found = trainer_step(&bytes, &a, 0.05f), expected = trainer_step(&floats, &b, 0.05f);
        ck_assert_msg(found == expected, "step %zu: loss %.9g, %.9g from floats", i, found,
                      expected);
    }
    ck_assert_msg(trainer_same(&bytes, &floats), "%u channels, %s", channels, options->codec);
    trainer_destroy(&bytes);
    trainer_destroy(&floats);
}

/* Of the float session the input is kept exactly: bytes lose nothing. */
START_TEST(trains_as_from_floats) {
    static const char *const policies[] = {"raw", "half", "norm:4", "avgpool:2"};
    const pp_codec_override exact = {"@input", "raw"};
    for (size_t k = 0; k < sizeof policies / sizeof *policies; k++) {
        pp_plan_options options = {
            .batch = BATCH, .codec = policies[k], .optimizer = {.momentum = 0.9f}};
        pp_plan_options float_options = options;
        float_options.overrides = &exact;
        float_options.override_count = networks[_i] != weights_later;
        for (uint32_t channels = 1; channels <= PP_PIXEL_CHANNELS; channels++)
            train_both(networks[_i], channels, &options, &float_options);
    }
}
END_TEST

START_TEST(trains_in_micro_steps_and_with_clipping) {
    const pp_plan_options options[] = {
        {.batch = BATCH, .accumulate = 3},
        {.batch = BATCH, .optimizer = {.kind = PP_OPTIMIZER_ADAM, .clip_norm = 0.5f}}};
    for (size_t i = 0; i < 2; i++) train_both(plain, 3, &options[i], &options[i]);
}
END_TEST

/* Asked for by kind, the decoded input is encoded as a float32 input is. */
START_TEST(takes_another_codec_by_kind) {
    const pp_codec_override half = {"@input", "half"};
    const pp_plan_options options = {
        .batch = BATCH, .codec = "raw", .overrides = &half, .override_count = 1};
    train_both(plain, 3, &options, &options);
}
END_TEST

/* Bands that begin behind the input, and with it. */
START_TEST(trains_in_bands) {
    static const pp_band bands[] = {{"conv1", "relu1", 2}, {"image", "pool", 1}};
    for (size_t i = 0; i < 2; i++) {
        const pp_plan_options options = {
            .batch = BATCH, .codec = "raw", .bands = &bands[i], .band_count = 1};
        train_both(wide_stem, 3, &options, &options);
    }
}
END_TEST

/* A dense layer flattens its input, so its weight gradient may take another way from bytes, with
 * sums in another order: six steps on values of about 1 leave errors of some 1e-7. */
static pp_value nothing(pp_graph *g, pp_value x) {
    (void)g;
    return x;
}

START_TEST(a_dense_layer_reads_bytes) {
    const pp_plan_options options = {.batch = BATCH};
    trainer bytes, floats;
    fill(3);
    create(&bytes, nothing, 3, &options, true);
    create(&floats, nothing, 3, &options, false);
    for (size_t i = 0; i < 6; i++) {
        pp_batch a = batch_of(i, true), b = batch_of(i, false);
        double found = trainer_step(&bytes, &a, 0.01f), expected = trainer_step(&floats, &b, 0.01f);
        ck_assert_double_eq_tol(found, expected, 1e-6 * (1 + expected));
    }
    float *found = trainer_read(&bytes, "fc.weight"),
          *expected = trainer_read(&floats, "fc.weight");
    test_close("fc.weight", found, expected, trainer_elems(&bytes, "fc.weight"), 1e-6f, 0);
    free(found);
    free(expected);
    trainer_destroy(&bytes);
    trainer_destroy(&floats);
}
END_TEST

START_TEST(evaluates_and_predicts) {
    trainer bytes, floats;
    fill(3);
    const pp_plan_options options = {.batch = BATCH, .inference = _i};
    create(&bytes, plain, 3, &options, true);
    create(&floats, plain, 3, &options, false);
    for (uint32_t count = 1; count <= BATCH; count++) {
        float found[BATCH * CLASSES] = {0}, expected[BATCH * CLASSES] = {0};
        pp_batch a = batch_of(count, true), b = batch_of(count, false);
        a.count = b.count = count;
        TEST_OK(pp_session_predict(bytes.session, &a, found));
        TEST_OK(pp_session_predict(floats.session, &b, expected));
        ck_assert_mem_eq(found, expected, sizeof found);
        TEST_OK(pp_session_evaluate(bytes.session, &a));
        TEST_OK(pp_session_evaluate(floats.session, &b));
    }
    pp_metrics one, other;
    TEST_OK(pp_session_read_metrics(bytes.session, &one));
    TEST_OK(pp_session_read_metrics(floats.session, &other));
    ck_assert(one.loss_sum == other.loss_sum && one.correct == other.correct);
    ck_assert_uint_eq(one.count, other.count);
    trainer_destroy(&bytes);
    trainer_destroy(&floats);
}
END_TEST

START_TEST(holds_what_was_planned) {
    trainer t;
    pp_plan_summary summary;
    create(&t, plain, 3, &(pp_plan_options){.batch = BATCH, .codec = "norm:4"}, true);
    pp_plan_summarize(t.plan, &summary);
    ck_assert_uint_eq(pp_session_device_bytes(t.session), summary.peak_bytes);
    trainer_destroy(&t);
}
END_TEST

/* The host may reuse a batch's memory once two further batches were handed over. */
START_TEST(batches_are_read_in_time) {
    static uint8_t ring[3][MOST_INPUT];
    trainer a, b;
    fill(3);
    create(&a, plain, 3, &(pp_plan_options){.batch = BATCH}, true);
    create(&b, plain, 3, &(pp_plan_options){.batch = BATCH}, true);
    for (size_t i = 0; i < 24; i++) {
        pp_batch batch = batch_of(i, true);
        TEST_OK(pp_session_step(a.session, &batch, 0.05f));
        memcpy(ring[i % 3], batch.pixels, sizeof ring[0]);
        batch.pixels = ring[i % 3];
        TEST_OK(pp_session_step(b.session, &batch, 0.05f));
        if (i >= 2) memset(ring[(i + 1) % 3], 0xFF, sizeof ring[0]);
    }
    ck_assert(trainer_same(&a, &b));
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

static void refuse(const trainer *t, const pp_batch *batch, const char *part) {
    float outputs[BATCH * CLASSES];
    TEST_FAILS(pp_session_step(t->session, batch, 0.1f), PP_ERROR_INVALID_ARGUMENT, part);
    TEST_FAILS(pp_session_evaluate(t->session, batch), PP_ERROR_INVALID_ARGUMENT, part);
    TEST_FAILS(pp_session_predict(t->session, batch, outputs), PP_ERROR_INVALID_ARGUMENT, part);
}

START_TEST(refuses_the_other_kind_of_input) {
    trainer bytes, floats;
    create(&bytes, plain, 3, &(pp_plan_options){.batch = BATCH}, true);
    create(&floats, plain, 3, &(pp_plan_options){.batch = BATCH}, false);
    pp_batch batch = batch_of(0, false);
    refuse(
        &bytes, &batch,
        "the batch has float32 inputs; the network's input 'image' takes bytes (pp_batch.pixels)");
    batch = batch_of(0, true);
    refuse(&floats, &batch,
           "the batch has bytes; the network's input 'image' takes float32 (pp_batch.inputs)");
    batch.pixels = NULL;
    refuse(&bytes, &batch, "4 samples without inputs");
    refuse(&floats, &batch, "4 samples without inputs");
    trainer_destroy(&bytes);
    trainer_destroy(&floats);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/byte_input");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, trains_as_from_floats, 0, NETWORKS);
    tcase_add_test(test, trains_in_micro_steps_and_with_clipping);
    tcase_add_test(test, takes_another_codec_by_kind);
    tcase_add_test(test, trains_in_bands);
    tcase_add_test(test, a_dense_layer_reads_bytes);
    tcase_add_loop_test(test, evaluates_and_predicts, 0, 2);
    tcase_add_test(test, holds_what_was_planned);
    tcase_add_test(test, batches_are_read_in_time);
    tcase_add_test(test, refuses_the_other_kind_of_input);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
