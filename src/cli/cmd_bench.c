/* pocketprop bench step: the time of one training step, without data. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/setup.h"

enum { WARM_UP_STEPS = 3 };

typedef struct timing {
    double median_ms, min_ms, images_per_second;
} timing;

/* Uniform in [-1, 1) from a multiplicative generator (Knuth's MMIX constants): the values only have
 * to be ordinary and the same in every run. */
static void fill_inputs(float *inputs, size_t count) {
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        inputs[i] = (float)(state >> 40) / 8388608.0f - 1.0f;
    }
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static timing summarize(double *milliseconds, size_t count, uint32_t batch) {
    qsort(milliseconds, count, sizeof *milliseconds, by_value);
    double low = milliseconds[(count - 1) / 2], high = milliseconds[count / 2];
    timing result = {.median_ms = (low + high) / 2, .min_ms = milliseconds[0]};
    result.images_per_second = 1000.0 * batch / result.median_ms;
    return result;
}

static int time_steps(const cli_setup *setup, const pp_batch *batch, double *milliseconds,
                      size_t count) {
    for (size_t i = 0; i < WARM_UP_STEPS + count; i++) {
        double started = cli_seconds();
        int code = cli_check(setup, pp_session_step(setup->session, batch, 0.01f));
        if (!code) code = cli_check(setup, pp_session_finish(setup->session));
        if (code) return code;
        if (i >= WARM_UP_STEPS) milliseconds[i - WARM_UP_STEPS] = 1000 * (cli_seconds() - started);
    }
    return CLI_OK;
}

/* One synthetic batch, used for every step. */
static int measure(const cli_setup *setup, const pp_model_options *shape, timing *timing_out) {
    uint32_t batch = setup->summary.batch;
    size_t step_count = (size_t)setup->settings->steps;
    size_t input_elems = (size_t)batch * shape->height * shape->width * shape->channels;
    float *inputs = calloc(input_elems, sizeof *inputs);
    int32_t *labels = calloc(batch, sizeof *labels);
    double *milliseconds = calloc(step_count, sizeof *milliseconds);
    int code = CLI_FAILURE;
    if (!inputs || !labels || !milliseconds) {
        cli_fail(setup->command, "no host memory for a batch of %" PRIu32 " inputs", batch);
        goto done;
    }
    fill_inputs(inputs, input_elems);
    for (uint32_t i = 0; i < batch; i++) labels[i] = (int32_t)(i % shape->classes);
    pp_batch data = {.inputs = inputs, .labels = labels, .count = batch};
    code = time_steps(setup, &data, milliseconds, step_count);
    if (!code) *timing_out = summarize(milliseconds, step_count, batch);
done:
    free(inputs);
    free(labels);
    free(milliseconds);
    return code;
}

static void write_result(const cli_setup *setup, const timing *result) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", setup->settings->model);
    pp__json_integer(&json, "batch", setup->summary.batch);
    pp__json_text(&json, "codec", setup->settings->codec);
    pp__json_text(&json, "device", pp_device_describe(setup->device)->name);
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_integer(&json, "steps", setup->settings->steps);
    pp__json_real(&json, "median_ms", result->median_ms);
    pp__json_real(&json, "min_ms", result->min_ms);
    pp__json_real(&json, "images_per_second", result->images_per_second);
    pp__json_integer(&json, "peak_device_bytes", cli_peak_bytes(setup));
    pp__json_integer(&json, "planned_peak_bytes", setup->summary.peak_bytes);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const cli_setup *setup, const timing *result) {
    printf("%s, batch %" PRIu32 ", %s, on %s (profile %s)\n", setup->settings->model,
           setup->summary.batch, setup->settings->codec, pp_device_describe(setup->device)->name,
           pp_profile_name(setup->profile));
    printf("%.2f ms per step (median of %" PRIu64 "; fastest %.2f), %.1f images/s\n",
           result->median_ms, setup->settings->steps, result->min_ms, result->images_per_second);
    printf("peak %s, planned %s\n", cli_bytes_text(cli_peak_bytes(setup)).text,
           cli_bytes_text(setup->summary.peak_bytes).text);
}

/* The input's shape: what the options give, the model's own where they give nothing. */
static int read_shape(const cli_setup *setup, pp_model_options *shape_out) {
    int code =
        cli_check(setup, pp_model_defaults(setup->engine, setup->settings->model, shape_out));
    const pp_model_options *given = &setup->model;
    if (given->height) shape_out->height = given->height;
    if (given->width) shape_out->width = given->width;
    if (given->channels) shape_out->channels = given->channels;
    if (given->classes) shape_out->classes = given->classes;
    return code;
}

static int run(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    pp_model_options shape;
    timing result;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = read_shape(&setup, &shape);
    if (!code) code = cli_setup_graph(&setup);
    if (!code) code = cli_setup_device(&setup);
    if (!code) code = cli_setup_plan(&setup, false);
    if (!code) code = cli_setup_session(&setup);
    if (!code) cli_setup_ready(&setup);
    if (!code) code = measure(&setup, &shape, &result);
    if (!code && settings->json) write_result(&setup, &result);
    if (!code && !settings->json) print_result(&setup, &result);
    cli_setup_end(&setup);
    return code;
}

static const cli_group measurement_options = {
    "Measurement",
    (const cli_option[]){
        {"steps", "N", "timed steps, behind three that are not", CLI_COUNT,
         .offset = offsetof(cli_settings, steps), .least = 1, .most = 1000000},
        {"seed", "N", "of the initial weights", CLI_COUNT, .offset = offsetof(cli_settings, seed)},
        {0}}};

const cli_command cli_bench = {
    .name = "bench",
    .topic = "step",
    .summary = "Time training steps on synthetic data, each waited for.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_shape_options, &cli_plan_options,
                                   &cli_codec_options, &cli_optimizer_options, &measurement_options,
                                   &cli_device_options, &cli_output_options, NULL},
    .run = run,
};
