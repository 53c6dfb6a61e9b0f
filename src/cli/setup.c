#include "cli/setup.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/outfile.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "util/file.h"

static void receive_log(void *user, pp_log_level level, const char *line) {
    cli_setup *setup = user;
    const char *prefix = level == PP_LOG_WARNING ? "warning: " : "";
    if (setup->is_ready) {
        fprintf(stderr, "pocketprop %s: %s%s\n", setup->command->name, prefix, line);
        return;
    }
    size_t used = strlen(setup->notes), room = sizeof setup->notes - used;
    int length = snprintf(setup->notes + used, room, "pocketprop %s: %s%s\n", setup->command->name,
                          prefix, line);
    if (length < 0 || (size_t)length >= room) setup->notes[used] = '\0';
}

int cli_check(const cli_setup *setup, pp_status status) {
    if (status == PP_OK) return CLI_OK;
    const char *sentence = pp_engine_error(setup->engine);
    int code = cli_fail(setup->command, "%s", sentence[0] ? sentence : pp_status_name(status));
    bool bad_input = status == PP_ERROR_INVALID_ARGUMENT || status == PP_ERROR_SHAPE ||
                     status == PP_ERROR_IO || status == PP_ERROR_CORRUPT_DATA;
    return bad_input ? code : CLI_FAILURE;
}

int cli_check_plan(const cli_setup *setup, pp_status status) {
    const int code = cli_check(setup, status);
    return status == PP_ERROR_OUT_OF_MEMORY || status == PP_ERROR_UNSUPPORTED ? CLI_BAD_INPUT
                                                                              : code;
}

static int check_model(const cli_setup *setup) {
    const char *names[64];
    size_t count = 0;
    for (; count < 64 && pp_model_name(count); count++) {
        names[count] = pp_model_name(count);
        if (!strcmp(names[count], setup->settings->model)) return CLI_OK;
    }
    const char *nearest = cli_nearest(setup->settings->model, names, count);
    if (nearest)
        return cli_fail(setup->command,
                        "--model: found '%s', which is no built-in network, did you mean %s?",
                        setup->settings->model, nearest);
    pp_model_options unused;
    return cli_check(setup, pp_model_defaults(setup->engine, setup->settings->model, &unused));
}

int cli_setup_begin(cli_setup *setup, const cli_command *command, const cli_settings *settings) {
    memset(setup, 0, sizeof *setup);
    setup->command = command;
    setup->settings = settings;
    pp_engine_options options = {.log = receive_log, .log_user = setup};
    if (pp_engine_create(&options, &setup->engine) != PP_OK) {
        cli_fail(command, "no host memory for the engine");
        return CLI_FAILURE;
    }
    if (settings->nesterov && (strcmp(settings->optimizer, "sgd") != 0 || settings->momentum == 0))
        return cli_fail(
            command,
            "--nesterov: found --optimizer %s with --momentum %g, expected sgd with momentum",
            settings->optimizer, settings->momentum);
    if (settings->augment && settings->no_augment)
        return cli_fail(command, "--augment: found --no-augment too, expected one of them");
    if (!settings->weights && (settings->renames.count || settings->partial))
        return cli_fail(command, "--%s: found no --weights, expected the file that it is about",
                        settings->partial ? "partial" : "rename");
    if (settings->model) {
        int code = check_model(setup);
        if (code) return code;
    }
    uint64_t height = settings->height ? settings->height : settings->width;
    uint64_t width = settings->width ? settings->width : settings->height;
    setup->model = (pp_model_options){.height = (uint32_t)height,
                                      .width = (uint32_t)width,
                                      .channels = (uint32_t)settings->channels,
                                      .classes = (uint32_t)settings->classes,
                                      .dropout = (float)settings->dropout,
                                      .label_smoothing = (float)settings->label_smoothing};
    return CLI_OK;
}

static int check_normalisation(const cli_setup *setup, const char *option,
                               const cli_triple *triple) {
    uint32_t channels = setup->data_info.channels;
    if (triple->count <= 1 || triple->count == channels) return CLI_OK;
    return cli_fail(setup->command,
                    "--%s: found %zu numbers, expected 1 or one for each of the data's %" PRIu32
                    " channels",
                    option, triple->count, channels);
}

/* The test split must speak of the same classes in the same order, or its labels mean something
 * else. */
static int check_same_data(const cli_setup *setup, const pp_dataset *data,
                           const pp_dataset_info *info) {
    const pp_dataset_info *first = &setup->data_info;
    const char *name = setup->settings->data;
    if (info->height != first->height || info->width != first->width ||
        info->channels != first->channels)
        return cli_fail(setup->command,
                        "--data %s: found %" PRIu32 "x%" PRIu32 "x%" PRIu32
                        " in the test split, expected %" PRIu32 "x%" PRIu32 "x%" PRIu32
                        " as in the training split",
                        name, info->height, info->width, info->channels, first->height,
                        first->width, first->channels);
    if (info->classes != first->classes)
        return cli_fail(setup->command,
                        "--data %s: found %" PRIu32 " classes in the test split, expected %" PRIu32
                        " as in the training split",
                        name, info->classes, first->classes);
    const pp_dataset *training = setup->data[PP_SPLIT_TRAIN];
    for (uint32_t i = 0; i < info->classes; i++) {
        const char *found = pp_dataset_class_name(data, i),
                   *expected = pp_dataset_class_name(training, i);
        if (strcmp(found, expected) != 0)
            return cli_fail(setup->command,
                            "--data %s: found class '%s' as number %" PRIu32
                            " of the test split, expected '%s' as in "
                            "the training split",
                            name, found, i, expected);
    }
    return CLI_OK;
}

/* One number stands for all channels. NULL: the data set's own. */
static const float *spread(const cli_triple *triple, float values[3]) {
    if (!triple->count) return NULL;
    for (size_t i = 0; i < 3; i++) values[i] = triple->values[triple->count == 1 ? 0 : i];
    return values;
}

/* What bytes stand for: the data set's normalisation, or values in [-1, 1] without data. Inputs
 * with more channels than images have are float32. */
static void set_pixels(cli_setup *setup, uint32_t channels) {
    const cli_settings *settings = setup->settings;
    const pp_dataset_info *info = &setup->data_info;
    if (settings->float_input || channels > PP_PIXEL_CHANNELS) return;
    pp_pixels *pixels = &setup->pixels;
    pixels->maximum = info->count ? info->pixel_max : UINT8_MAX;
    for (size_t c = 0; c < PP_PIXEL_CHANNELS; c++) pixels->mean[c] = pixels->deviation[c] = 0.5f;
    if (info->count) {
        float given[3];
        const float *mean = spread(&settings->mean, given);
        memcpy(pixels->mean, mean ? mean : info->mean, sizeof given);
        const float *deviation = spread(&settings->deviation, given);
        memcpy(pixels->deviation, deviation ? deviation : info->deviation, sizeof given);
    }
    setup->model.pixels = pixels;
}

int cli_setup_data(cli_setup *setup, pp_split split) {
    const cli_settings *settings = setup->settings;
    pp_model_options own;
    int code = cli_check(setup, pp_model_defaults(setup->engine, settings->model, &own));
    if (code) return code;
    uint32_t height = setup->model.height, width = setup->model.width;
    pp_dataset_options options = {.height = height ? height : own.height,
                                  .width = width ? width : own.width,
                                  .limit = (uint32_t)settings->limit};
    pp_dataset **data = &setup->data[split];
    code = cli_check(setup, pp_dataset_open(setup->engine, settings->data, split, &options, data));
    if (code) return code;

    pp_dataset_info info;
    pp_dataset_describe(*data, &info);
    if (setup->data_info.count) return check_same_data(setup, *data, &info);
    if (height && (height != info.height || width != info.width))
        return cli_fail(setup->command,
                        "--height, --width: found %" PRIu32 "x%" PRIu32 ", expected %" PRIu32
                        "x%" PRIu32 ", the size of the samples of %s",
                        height, width, info.height, info.width, settings->data);
    setup->data_info = info;
    setup->model.height = info.height;
    setup->model.width = info.width;
    setup->model.channels = info.channels;
    setup->model.classes = info.classes;
    code = check_normalisation(setup, "mean", &settings->mean);
    if (!code) code = check_normalisation(setup, "deviation", &settings->deviation);
    set_pixels(setup, info.channels);
    return code;
}

int cli_setup_graph(cli_setup *setup) {
    pp_model_options own;
    int code = cli_check(setup, pp_model_defaults(setup->engine, setup->settings->model, &own));
    if (code) return code;
    if (!setup->data_info.count)
        set_pixels(setup, setup->model.channels ? setup->model.channels : own.channels);
    pp_status status =
        pp_model_build(setup->engine, setup->settings->model, &setup->model, &setup->graph);
    return cli_check(setup, status);
}

static int open_profile(cli_setup *setup) {
    const char *given = setup->settings->profile;
    char *path = NULL;
    int code = CLI_OK;
    if (!given && !setup->shipped_profile)
        code = cli_check(
            setup, pp_profile_find(setup->engine, pp_device_describe(setup->device), NULL, &path));
    if (!code)
        code = cli_check(
            setup, pp_profile_for_device(setup->device, given ? given : path, &setup->profile));
    if (!code && path) {
        char line[512];
        snprintf(line, sizeof line, "profile %s", path);
        receive_log(setup, PP_LOG_INFO, line);
    }
    pp_text_free(setup->engine, path);
    return code;
}

int cli_setup_device(cli_setup *setup) {
    pp_device_options options = {.no_cache = setup->settings->no_cache,
                                 .profiling = setup->profiling};
    int code = cli_check(
        setup, pp_device_open(setup->engine, setup->settings->device, &options, &setup->device));
    return code ? code : open_profile(setup);
}

int cli_setup_profile(cli_setup *setup) {
    const char *name = setup->settings->profile ? setup->settings->profile : "default";
    return cli_check(setup, pp_profile_load(setup->engine, name, &setup->profile));
}

int cli_setup_plan_options(const cli_setup *setup, bool inference, pp_plan_options *options_out) {
    const cli_settings *settings = setup->settings;
    pp_optimizer optimizer = {.momentum = (float)settings->momentum,
                              .nesterov = settings->nesterov,
                              .weight_decay = (float)settings->weight_decay,
                              .decay_all = settings->decay_all,
                              .clip_norm = (float)settings->clip_norm,
                              .state_bits = strcmp(settings->optimizer_bits, "8") ? 32 : 8};
    if (!pp_optimizer_kind_read(settings->optimizer, &optimizer.kind))
        return cli_fail(setup->command, "--optimizer: found '%s', expected sgd, adam or adamw",
                        settings->optimizer);
    if (optimizer.kind != PP_OPTIMIZER_SGD) optimizer.momentum = 0;
    *options_out =
        (pp_plan_options){.batch = (uint32_t)settings->batch,
                          .codec = settings->codec,
                          .overrides = settings->overrides.items,
                          .override_count = settings->overrides.count,
                          .budget_bytes = (size_t)settings->budget,
                          .bands = settings->bands.items,
                          .band_count = settings->bands.count,
                          .recompute = settings->recompute.items,
                          .recompute_count = settings->recompute.count,
                          .transient_bits = strcmp(settings->transient_bits, "16") ? 32 : 16,
                          .optimizer = optimizer,
                          .rules = settings->rules.items,
                          .rule_count = settings->rules.count,
                          .accumulate = (uint32_t)settings->accumulate,
                          .inference = inference};
    return CLI_OK;
}

static int save_policy(cli_setup *setup) {
    char *text = NULL;
    cli_outfile file = {0};
    int code = cli_check(setup, pp_plan_print_policy(setup->plan, &text));
    if (!code)
        code =
            cli_outfile_open(&file, setup->command, "--save-policy", setup->settings->save_policy);
    if (!code) fputs(text, file.file);
    if (!code) code = cli_outfile_finish(&file);
    cli_outfile_discard(&file);
    pp_text_free(setup->engine, text);
    return code;
}

/* As the settings ask, with a policy's decisions; `harms` may be NULL. */
static int make_plan(cli_setup *setup, bool inference, const pp_harm *harms, size_t harm_count,
                     pp_plan **plan_out) {
    pp_plan_options options;
    int code = cli_setup_plan_options(setup, inference, &options);
    options.harms = harms;
    options.harm_count = harm_count;
    if (setup->plan) options.batch = setup->summary.batch;
    char *policy = NULL;
    size_t length;
    if (!code && setup->settings->policy) {
        code = cli_check(setup,
                         pp__file_read(setup->engine, setup->settings->policy, &policy, &length));
        options.policy = policy;
    }
    if (setup->stored_policy) {
        options.policy = setup->stored_policy;
        options.codec = NULL;
        options.budget_bytes = 0;
        if (!options.batch) options.batch = setup->stored_batch;
    }
    if (!code)
        code =
            cli_check_plan(setup, pp_plan_create(setup->graph, setup->profile, &options, plan_out));
    pp__release(setup->engine, policy);
    return code;
}

static int take_plan(cli_setup *setup) {
    pp_plan_summarize(setup->plan, &setup->summary);
    return setup->settings->save_policy ? save_policy(setup) : CLI_OK;
}

int cli_setup_plan(cli_setup *setup, bool inference) {
    const uint64_t budget = setup->settings->budget;
    int code = make_plan(setup, inference, NULL, 0, &setup->plan);
    if (!code) pp_plan_summarize(setup->plan, &setup->summary);
    if (!code && setup->stored_policy && budget && setup->summary.peak_bytes > budget) {
        receive_log(setup, PP_LOG_WARNING,
                    "the checkpoint's policy needs more than --budget and is chosen anew");
        setup->stored_policy = NULL;
        pp_plan_destroy(setup->plan);
        setup->plan = NULL;
        code = make_plan(setup, inference, NULL, 0, &setup->plan);
        if (!code) pp_plan_summarize(setup->plan, &setup->summary);
    }
    /* A budget for more samples than there are leaves no whole batch. */
    const size_t samples = setup->data_info.count;
    if (!code && !inference && !setup->settings->batch && samples &&
        setup->summary.batch > samples) {
        setup->summary.batch = (uint32_t)samples;
        return cli_setup_replan(setup, NULL, 0);
    }
    return code ? code : take_plan(setup);
}

int cli_setup_replan(cli_setup *setup, const pp_harm *harms, size_t harm_count) {
    pp_plan *plan = NULL;
    int code = make_plan(setup, false, harms, harm_count, &plan);
    if (code) return code;
    pp_plan_destroy(setup->plan);
    setup->plan = plan;
    return take_plan(setup);
}

static const double quiet_seconds = 0.5; /* builds that are over by then show nothing */

typedef struct build_progress {
    cli_progress bar;
    double began;
} build_progress;

static void show_build(void *user, size_t done, size_t total) {
    build_progress *build = user;
    if (!build->bar.is_terminal || cli_seconds() - build->began < quiet_seconds) return;
    char numbers[32];
    snprintf(numbers, sizeof numbers, "%3zu %%", 100 * done / total);
    build->bar.epoch_total = total;
    cli_progress_show(&build->bar, done, numbers);
}

int cli_setup_session(cli_setup *setup) {
    build_progress build = {.began = cli_seconds()};
    cli_progress_begin(&build.bar, stderr, 1);
    cli_progress_begin_epoch(&build.bar, "building kernels", 1);
    pp_session_options options = {
        .seed = setup->settings->seed, .progress = show_build, .progress_user = &build};
    pp_status status =
        pp_session_create(setup->device, setup->plan, setup->profile, &options, &setup->session);
    cli_progress_clear(&build.bar);
    return cli_check(setup, status);
}

static void print_match(const pp_weights_row *row) {
    switch (row->match) {
        case PP_WEIGHTS_LOADED: break;
        case PP_WEIGHTS_MISSING:
            fprintf(stderr, "not in the file: %s %s\n", row->name, row->expected);
            break;
        case PP_WEIGHTS_UNUSED:
            fprintf(stderr, "not in the network: %s %s\n", row->in_file, row->found);
            break;
        case PP_WEIGHTS_SHAPE:
            fprintf(stderr, "of another shape: %s is %s in the file, %s in the network\n",
                    row->name, row->found, row->expected);
            break;
    }
}

static void print_report(const cli_setup *setup, const pp_weights_report *report) {
    const char *prefix = pp_weights_report_prefix(report);
    size_t names = 0;
    for (size_t i = 0; i < pp_weights_report_count(report); i++) {
        pp_weights_row row;
        pp_weights_report_read(report, i, &row);
        names += row.in_file[0] != '\0';
        print_match(&row);
    }
    if (*prefix) fprintf(stderr, "prefix %s stripped from %zu names\n", prefix, names);
    if (setup->settings->partial)
        fprintf(stderr, "loaded: %zu of the network's %zu tensors, from %s\n",
                pp_weights_report_matches(report, PP_WEIGHTS_LOADED),
                pp_plan_parameter_count(setup->plan), setup->settings->weights);
}

/* A file that does not fit is bad input, whatever the library calls it. */
int cli_setup_weights(cli_setup *setup) {
    const cli_settings *settings = setup->settings;
    if (!settings->weights) return CLI_OK;
    const pp_weights_options options = {.renames = settings->renames.items,
                                        .rename_count = settings->renames.count,
                                        .partial = settings->partial};
    pp_weights_report *report = NULL;
    const pp_status status = pp_weights_load(setup->session, settings->weights, &options, &report);
    const bool some_fit = report && pp_weights_report_matches(report, PP_WEIGHTS_LOADED) > 0;
    if (status == PP_OK) print_report(setup, report);
    pp_weights_report_destroy(report);
    if (status == PP_ERROR_SHAPE && some_fit)
        return cli_fail(setup->command, "%s (--partial loads what fits)",
                        pp_engine_error(setup->engine));
    return cli_check(setup, status);
}

void cli_setup_ready(cli_setup *setup) {
    setup->is_ready = true;
    fputs(setup->notes, stderr);
}

void cli_setup_end(cli_setup *setup) {
    pp_session_destroy(setup->session);
    pp_plan_destroy(setup->plan);
    pp_profile_destroy(setup->profile);
    pp_device_close(setup->device);
    pp_graph_destroy(setup->graph);
    pp_dataset_close(setup->data[PP_SPLIT_TRAIN]);
    pp_dataset_close(setup->data[PP_SPLIT_TEST]);
    pp_engine_destroy(setup->engine);
}

int cli_setup_loader(cli_setup *setup, pp_split split, bool training, pp_loader **loader_out) {
    const cli_settings *settings = setup->settings;
    bool is_natural =
        !strncmp(settings->data, "cifar", 5) || !strncmp(settings->data, "images:", 7);
    bool augment = training && (settings->augment || (is_natural && !settings->no_augment));
    uint64_t pad = settings->pad != CLI_AUTOMATIC_COUNT ? settings->pad : augment ? 4 : 0;
    float mean[3], deviation[3];
    pp_loader_options options = {.batch = setup->summary.batch,
                                 .shuffle = training,
                                 .drop_last = training,
                                 .seed = settings->seed,
                                 .pad = training ? (uint32_t)pad : 0,
                                 .flip = training && (augment || settings->flip),
                                 .threads = (uint32_t)settings->threads,
                                 .mean = spread(&settings->mean, mean),
                                 .deviation = spread(&settings->deviation, deviation),
                                 .bytes = setup->model.pixels != NULL};
    return cli_check(setup, pp_loader_create(setup->data[split], &options, loader_out));
}

int cli_evaluate(cli_setup *setup, pp_loader *loader, const volatile sig_atomic_t *stop,
                 pp_metrics *metrics_out) {
    int code = cli_check(setup, pp_session_reset_metrics(setup->session));
    if (!code) code = cli_check(setup, pp_loader_start_epoch(loader, 0));
    while (!code && !(stop && *stop)) {
        pp_batch batch;
        code = cli_check(setup, pp_loader_next(loader, &batch));
        if (code || !batch.count) break;
        code = cli_check(setup, pp_session_evaluate(setup->session, &batch));
    }
    return code ? code : cli_check(setup, pp_session_read_metrics(setup->session, metrics_out));
}

uint64_t cli_peak_bytes(const cli_setup *setup) {
    if (!setup->device) return 0;
    pp_device_counters counters;
    pp_device_read_counters(setup->device, &counters);
    return counters.peak_buffer_bytes;
}
