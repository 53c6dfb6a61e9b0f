/* pocketprop eval: loss and accuracy of a network on a data set, forward only. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/setup.h"

static void write_result(const cli_setup *setup, const pp_metrics *metrics, double seconds) {
    const double count = (double)metrics->count, all = count + (double)metrics->not_finite;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", setup->settings->model);
    pp__json_text(&json, "data", setup->settings->data);
    pp__json_text(&json, "split", setup->settings->split);
    pp__json_integer(&json, "samples", metrics->count + metrics->not_finite);
    pp__json_integer(&json, "not_finite", metrics->not_finite);
    pp__json_real(&json, "loss", count > 0 ? metrics->loss_sum / count : NAN);
    pp__json_real(&json, "top1", all > 0 ? 100 * (double)metrics->correct / all : NAN);
    pp__json_real(&json, "images_per_second", seconds > 0 ? all / seconds : NAN);
    pp__json_integer(&json, "planned_peak_bytes", setup->summary.peak_bytes);
    pp__json_integer(&json, "real_peak_bytes", cli_peak_bytes(setup));
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const cli_setup *setup, const pp_metrics *metrics, double seconds) {
    const double count = (double)metrics->count, all = count + (double)metrics->not_finite;
    printf("%s on %.0f samples of %s (%s): loss %.6f, top-1 %.2f %%, %.0f images/s\n",
           setup->settings->model, all, setup->settings->data, setup->settings->split,
           metrics->loss_sum / count, 100 * (double)metrics->correct / all, all / seconds);
    if (metrics->not_finite)
        printf("the loss of %" PRIu64 " samples is NaN or infinite; it is left out above\n",
               metrics->not_finite);
    printf("planned peak %s, real peak %s\n", cli_bytes_text(setup->summary.peak_bytes).text,
           cli_bytes_text(cli_peak_bytes(setup)).text);
}

static int evaluate(cli_setup *setup, pp_split split) {
    pp_loader *loader = NULL;
    pp_metrics metrics = {0};
    int code = cli_setup_loader(setup, split, false, &loader);
    double started = cli_seconds();
    if (!code) code = cli_evaluate(setup, loader, NULL, &metrics);
    double seconds = cli_seconds() - started;
    if (!code && setup->settings->json) write_result(setup, &metrics, seconds);
    if (!code && !setup->settings->json) print_result(setup, &metrics, seconds);
    pp_loader_destroy(loader);
    return code;
}

static int run(const cli_command *command, const cli_settings *settings) {
    pp_split split = strcmp(settings->split, "train") == 0 ? PP_SPLIT_TRAIN : PP_SPLIT_TEST;
    cli_setup setup;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = cli_setup_data(&setup, split);
    if (!code) code = cli_setup_graph(&setup);
    if (!code) code = cli_setup_device(&setup);
    if (!code) code = cli_setup_plan(&setup, true);
    if (!code) code = cli_setup_session(&setup);
    if (!code) code = cli_setup_weights(&setup);
    if (!code) cli_setup_ready(&setup);
    if (!code) code = evaluate(&setup, split);
    cli_setup_end(&setup);
    return code;
}

static const cli_group evaluation_options = {
    "Evaluation", (const cli_option[]){{"split", "train|test", "the part of the data", CLI_CHOICE,
                                        .offset = offsetof(cli_settings, split)},
                                       {"seed", "N", "of the initial weights", CLI_COUNT,
                                        .offset = offsetof(cli_settings, seed)},
                                       {0}}};

const cli_command cli_eval = {
    .name = "eval",
    .summary = "Measure loss and accuracy of a network on a data set.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_weight_options, &cli_data_options,
                                   &cli_plan_options, &cli_profile_options, &evaluation_options,
                                   &cli_device_options, &cli_output_options, NULL},
    .run = run,
};
