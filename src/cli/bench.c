#include "cli/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"

int cli_bench_setup(cli_setup *setup, const cli_command *command, const cli_settings *settings,
                    bool profiling) {
    int code = cli_setup_begin(setup, command, settings);
    setup->profiling = profiling;
    if (!code) code = cli_setup_graph(setup);
    if (!code) code = cli_setup_device(setup);
    return code ? code : cli_setup_plan(setup, false);
}

int cli_bench_read_shape(const cli_setup *setup, pp_model_options *shape_out) {
    int code =
        cli_check(setup, pp_model_defaults(setup->engine, setup->settings->model, shape_out));
    const pp_model_options *given = &setup->model;
    if (given->height) shape_out->height = given->height;
    if (given->width) shape_out->width = given->width;
    if (given->channels) shape_out->channels = given->channels;
    if (given->classes) shape_out->classes = given->classes;
    return code;
}

/* Uniform in [-1, 1) from a multiplicative generator (Knuth's MMIX constants), or all bytes alike:
 * the values only have to be ordinary and the same in every run. */
static void fill_inputs(float *inputs, uint8_t *pixels, size_t count) {
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (pixels)
            pixels[i] = (uint8_t)(state >> 56);
        else
            inputs[i] = (float)(state >> 40) / 8388608.0f - 1.0f;
    }
}

int cli_bench_create_batch(const cli_setup *setup, pp_batch *batch_out) {
    *batch_out = (pp_batch){.count = setup->summary.batch};
    pp_model_options shape;
    int code = cli_bench_read_shape(setup, &shape);
    if (code) return code;
    size_t input_elems = (size_t)batch_out->count * shape.height * shape.width * shape.channels;
    const bool bytes = setup->model.pixels != NULL;
    float *inputs = bytes ? NULL : calloc(input_elems, sizeof *inputs);
    uint8_t *pixels = bytes ? calloc(input_elems, sizeof *pixels) : NULL;
    int32_t *labels = calloc(batch_out->count, sizeof *labels);
    batch_out->inputs = inputs;
    batch_out->pixels = pixels;
    batch_out->labels = labels;
    if (!(bytes ? (void *)pixels : (void *)inputs) || !labels) {
        cli_fail(setup->command, "no host memory for a batch of %" PRIu32 " inputs",
                 batch_out->count);
        return CLI_FAILURE;
    }
    fill_inputs(inputs, pixels, input_elems);
    for (uint32_t i = 0; i < batch_out->count; i++) labels[i] = (int32_t)(i % shape.classes);
    return CLI_OK;
}

void cli_bench_destroy_batch(pp_batch *batch) {
    free((void *)batch->inputs);
    free((void *)batch->pixels);
    free((void *)batch->labels);
    *batch = (pp_batch){0};
}

int cli_bench_step_once(const cli_setup *setup, const pp_batch *batch, cli_step_times *times_out) {
    times_out->began = cli_seconds();
    int code = cli_check(setup, pp_session_step(setup->session, batch, CLI_BENCH_LEARNING_RATE));
    times_out->enqueued = cli_seconds();
    if (!code) code = cli_check(setup, pp_session_finish(setup->session));
    times_out->finished = cli_seconds();
    return code;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

double cli_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

void cli_bench_write_subject(pp__json *json, const cli_setup *setup) {
    pp__json_text(json, "model", setup->settings->model);
    pp__json_integer(json, "batch", setup->summary.batch);
    pp__json_text(json, "codec", cli_policy_name(setup->settings));
    pp__json_text(json, "device", pp_device_describe(setup->device)->name);
    pp__json_text(json, "profile", pp_profile_name(setup->profile));
    pp__json_integer(json, "steps", setup->settings->steps);
}

void cli_bench_print_subject(const cli_setup *setup) {
    printf("%s, batch %" PRIu32 ", %s, on %s (profile %s)\n", setup->settings->model,
           setup->summary.batch, cli_policy_name(setup->settings),
           pp_device_describe(setup->device)->name, pp_profile_name(setup->profile));
}

const cli_group cli_bench_options = {
    "Measurement",
    (const cli_option[]){
        {"steps", "N", "timed steps, behind three that are not", CLI_COUNT,
         .offset = offsetof(cli_settings, steps), .least = 1, .most = 1000000},
        {"seed", "N", "of the initial weights", CLI_COUNT, .offset = offsetof(cli_settings, seed)},
        {0}}};
