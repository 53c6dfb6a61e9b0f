/* pocketprop bench step: the time of one training step, without data. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench.h"
#include "cli/bench_dump.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/timeline.h"

typedef struct timing {
    double median_ms, min_ms, images_per_second;
    double enqueue_ms; /* the host in pp_session_step, median */
} timing;

static int time_steps(const cli_setup *setup, cli_timeline *timeline, const pp_batch *batch,
                      double *step_ms, double *enqueue_ms) {
    int code = CLI_OK;
    cli_step_times times;
    for (size_t i = 0; !code && i < CLI_BENCH_WARM_UP; i++)
        code = cli_bench_step_once(setup, batch, &times);
    if (!code) code = cli_timeline_start(timeline);
    for (uint64_t i = 0; !code && i < setup->settings->steps; i++) {
        code = cli_bench_step_once(setup, batch, &times);
        step_ms[i] = 1000 * (times.finished - times.began);
        enqueue_ms[i] = 1000 * (times.enqueued - times.began);
        if (!code) code = cli_timeline_add_step(timeline, times.began, times.enqueued);
    }
    return code ? code : cli_timeline_write(timeline);
}

static int dump(const cli_setup *setup, const pp_batch *batch) {
    const cli_settings *settings = setup->settings;
    float rate =
        settings->learning_rate < 0 ? CLI_BENCH_LEARNING_RATE : (float)settings->learning_rate;
    pp_model_options shape;
    if (!settings->dump) return CLI_OK;
    int code = cli_bench_read_shape(setup, &shape);
    return code ? code : cli_bench_dump(setup, &shape, batch, rate, settings->dump);
}

static timing summarize(double *step_ms, double *enqueue_ms, size_t count, uint32_t batch) {
    timing result = {.median_ms = cli_median(step_ms, count),
                     .enqueue_ms = cli_median(enqueue_ms, count)};
    result.min_ms = step_ms[0]; /* sorted by now */
    result.images_per_second = 1000.0 * batch / result.median_ms;
    return result;
}

static int measure(const cli_setup *setup, cli_timeline *timeline, timing *timing_out) {
    size_t step_count = (size_t)setup->settings->steps;
    pp_batch batch;
    int code = cli_bench_create_batch(setup, &batch);
    double *milliseconds = calloc(2 * step_count, sizeof *milliseconds);
    if (!code && !milliseconds) {
        cli_fail(setup->command, "no host memory for the times of %zu steps", step_count);
        code = CLI_FAILURE;
    }
    double *step_ms = milliseconds, *enqueue_ms = milliseconds + step_count;
    if (!code) code = dump(setup, &batch);
    if (!code) code = time_steps(setup, timeline, &batch, step_ms, enqueue_ms);
    if (!code) *timing_out = summarize(step_ms, enqueue_ms, step_count, batch.count);
    free(milliseconds);
    cli_bench_destroy_batch(&batch);
    return code;
}

static void write_result(const cli_setup *setup, const timing *result) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    cli_bench_write_subject(&json, setup);
    pp__json_real(&json, "median_ms", result->median_ms);
    pp__json_real(&json, "min_ms", result->min_ms);
    pp__json_real(&json, "images_per_second", result->images_per_second);
    pp__json_real(&json, "enqueue_ms", result->enqueue_ms);
    pp__json_real(&json, "enqueue_share", result->enqueue_ms / result->median_ms);
    pp__json_integer(&json, "peak_device_bytes", cli_peak_bytes(setup));
    pp__json_integer(&json, "planned_peak_bytes", setup->summary.peak_bytes);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const cli_setup *setup, const timing *result) {
    cli_bench_print_subject(setup);
    printf("%.2f ms per step (median of %" PRIu64 "; fastest %.2f), %.1f images/s\n",
           result->median_ms, setup->settings->steps, result->min_ms, result->images_per_second);
    printf("host: %.2f ms to enqueue a step, %.1f %% of it\n", result->enqueue_ms,
           100 * result->enqueue_ms / result->median_ms);
    printf("peak %s, planned %s\n", cli_bytes_text(cli_peak_bytes(setup)).text,
           cli_bytes_text(setup->summary.peak_bytes).text);
}

static int run(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    cli_timeline timeline = {0};
    timing result;
    int code = cli_bench_setup(&setup, command, settings, settings->trace != NULL);
    if (!code) code = cli_timeline_open(&timeline, &setup);
    if (!code) code = cli_setup_session(&setup);
    if (!code) cli_setup_ready(&setup);
    if (!code) code = measure(&setup, &timeline, &result);
    if (!code && settings->json) write_result(&setup, &result);
    if (!code && !settings->json) print_result(&setup, &result);
    cli_timeline_close(&timeline);
    cli_setup_end(&setup);
    return code;
}

static const cli_group dump_options = {
    "Comparison",
    (const cli_option[]){
        {"dump", "DIR",
         "write parameters and batch, train on it for three steps, write their losses; the timed "
         "steps follow",
         CLI_TEXT, .offset = offsetof(cli_settings, dump)},
        {"lr", "X", "learning rate of those three steps; 0.01 by default", CLI_REAL,
         .offset = offsetof(cli_settings, learning_rate), .least = 0, .most = 1e6},
        {0}}};

const cli_command cli_bench_step = {
    .name = "bench",
    .topic = "step",
    .summary = "Time training steps on synthetic data, each waited for.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_shape_options, &cli_plan_options,
                                   &cli_profile_options, &cli_codec_options, &cli_optimizer_options,
                                   &cli_bench_options, &dump_options, &cli_trace_options,
                                   &cli_device_options, &cli_output_options, NULL},
    .run = run,
};
