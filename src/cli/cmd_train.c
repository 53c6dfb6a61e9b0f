/* pocketprop train: trains a built-in network on a data set. Standard error shows the run, standard
 * output gets the result, and --log one JSON object per epoch. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/adapt.h"
#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/outfile.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/setup.h"
#include "cli/timeline.h"
#include "cli/train_report.h"

/* Set by the signal handler, read between steps. A handler has no argument to reach anything else
 * by. */
static volatile sig_atomic_t interrupted;

typedef struct training {
    cli_setup setup;
    pp_loader *train_loader, *test_loader;
    pp_schedule schedule;
    cli_progress progress;
    cli_timeline timeline;
    cli_train_report report;
    cli_adapt adapt;
    cli_checkpoints checkpoints;
    FILE *log;
    bool log_is_new; /* this run made the file */
    uint64_t epochs_done;
    uint64_t epoch_samples; /* of the running epoch, trained on */
    uint64_t micro_steps;   /* since the last update */
    uint64_t last_update;   /* which a rest of micro-steps follows that makes none; 0: no rest */
    pp_metrics trained;     /* of the running epoch, up to its last measurement */
    uint64_t looked_at;     /* the update behind which a fault was looked for last */
    cli_epoch last;         /* of the last epoch, the test's of the last whole one */
    double started;
} training;

static void handle_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* The first Ctrl-C ends the run behind the current step; a second one ends the process at once. What
 * is being read or written meanwhile, by any thread, goes on. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = handle_signal};
    action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    /* A connection that ends, unless the run was told to outlive it. */
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* A limit on the size of files is a failed write like any other, and so is a pipe that nobody reads
     * any more. */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

static int fail_log(const training *run) {
    return cli_fail(run->setup.command,
                    "--log: found '%s', expected a file that can be written: %s",
                    run->setup.settings->log, strerror(errno));
}

/* The log is opened once everything that can be wrong with the input has been checked, and before
 * anything slow. What an earlier run wrote there stays until empty_log. */
static int open_log(training *run) {
    const char *path = run->setup.settings->log;
    if (!path) return CLI_OK;
    const int flags = O_WRONLY | O_APPEND | O_CREAT;
    int descriptor = open(path, flags | O_EXCL, 0666);
    run->log_is_new = descriptor >= 0;
    if (descriptor < 0 && errno == EEXIST) descriptor = open(path, flags, 0666);
    if (descriptor < 0) return fail_log(run);
    run->log = fdopen(descriptor, "a");
    if (run->log) return CLI_OK;
    int code = fail_log(run);
    close(descriptor);
    if (run->log_is_new) remove(path);
    return code;
}

/* Where the line behind `lines` whole ones begins, or the end. */
static off_t behind_lines(const char *path, uint64_t lines) {
    FILE *file = fopen(path, "r");
    off_t at = 0;
    for (int c; file && lines && (c = getc(file)) != EOF; at++) lines -= c == '\n';
    if (file) fclose(file);
    return at;
}

/* Only the epochs stay that the run goes on behind. Pipes and devices have nothing to empty. */
static int empty_log(training *run) {
    struct stat info;
    if (!run->log) return CLI_OK;
    if (fstat(fileno(run->log), &info) != 0) return fail_log(run);
    if (!S_ISREG(info.st_mode)) return CLI_OK;
    const off_t kept = behind_lines(run->setup.settings->log, run->epochs_done);
    return ftruncate(fileno(run->log), kept) == 0 ? CLI_OK : fail_log(run);
}

/* A run that failed before its first whole epoch leaves no empty file behind, and removes none that
 * it did not make. */
static void close_log(training *run, int code) {
    if (!run->log) return;
    fclose(run->log);
    if (run->log_is_new && code && code != CLI_INTERRUPTED && !run->epochs_done)
        remove(run->setup.settings->log);
}

/* Weights that cannot be written are bad input now, not behind the training. */
static int check_save(const training *run) {
    const cli_settings *settings = run->setup.settings;
    cli_outfile file = {0};
    int code = CLI_OK;
    if (settings->save)
        code = cli_outfile_open(&file, run->setup.command, "--save", settings->save);
    cli_outfile_discard(&file);
    return code;
}

static int create_loaders(training *run) {
    cli_setup *setup = &run->setup;
    int code = cli_setup_loader(setup, PP_SPLIT_TRAIN, true, &run->train_loader);
    if (!code) code = cli_setup_loader(setup, PP_SPLIT_TEST, false, &run->test_loader);
    return code;
}

static int plan_schedule(training *run) {
    const cli_settings *settings = run->setup.settings;
    uint64_t steps = settings->epochs * pp_loader_batch_count(run->train_loader);
    if (steps % settings->accumulate) run->last_update = steps / settings->accumulate;
    bool automatic = settings->learning_rate < 0;
    double rate = !strcmp(settings->optimizer, "sgd") ? 0.05 : 0.001;
    run->schedule =
        (pp_schedule){.base = (float)(automatic ? rate : settings->learning_rate),
                      .total_steps = (steps + settings->accumulate - 1) / settings->accumulate,
                      .warmup_steps = settings->warmup,
                      .step_every = settings->step_every,
                      .gamma = (float)settings->gamma};
    if (pp_schedule_kind_read(settings->schedule, &run->schedule.kind)) return CLI_OK;
    return cli_fail(run->setup.command, "--schedule: found '%s', expected constant, step or cosine",
                    settings->schedule);
}

static void print_headline(const training *run) {
    const cli_setup *setup = &run->setup;
    pp_dataset_info test;
    pp_dataset_describe(setup->data[PP_SPLIT_TEST], &test);
    fprintf(stderr,
            "%s on %s: %zu training and %zu test samples of %" PRIu32 "x%" PRIu32 "x%" PRIu32
            ", %" PRIu32 " classes; %zu parameters\nbatch %" PRIu32
            ", %s, on %s (profile %s), planned peak %s\n",
            setup->settings->model, setup->settings->data, setup->data_info.count, test.count,
            setup->data_info.height, setup->data_info.width, setup->data_info.channels,
            setup->data_info.classes, setup->summary.parameter_elems, setup->summary.batch,
            cli_policy_name(setup->settings), pp_device_describe(setup->device)->name,
            pp_profile_name(setup->profile), cli_bytes_text(setup->summary.peak_bytes).text);
}

static int measure(training *run) {
    int code = cli_check(&run->setup, pp_session_read_metrics(run->setup.session, &run->trained));
    if (!code) cli_progress_measure(&run->progress, &run->trained);
    return code;
}

/* Ends the run where updates were left out, wholly or in part, so that nothing is saved behind them;
 * if asked to go on, where no loss of the epoch is finite. */
static int look_for_faults(training *run) {
    const pp_metrics *found = &run->trained;
    const int code = measure(run);
    run->looked_at = pp_session_update_count(run->setup.session);
    if (code || (!found->skipped_updates && !found->kept_elems)) return code;
    const bool skips = !strcmp(run->setup.settings->on_nan, "skip");
    if (skips && found->count) return CLI_OK;
    cli_progress_clear(&run->progress);
    fprintf(stderr,
            "pocketprop train: %s, by update %" PRIu64 ": %" PRIu64 " of %" PRIu64
            " losses are NaN or infinite, %" PRIu64 " updates were left out, of others %" PRIu64
            " elements; a lower --lr may help%s\n",
            run->progress.label, run->looked_at, found->not_finite,
            found->count + found->not_finite, found->skipped_updates, found->kept_elems,
            skips ? "" : ", --on-nan skip goes on");
    return CLI_FAILURE;
}

/* A checkpoint lies between two updates. Behind the last one of a run that ends in the midst of
 * another there is no later place for it. */
static int save_when_due(training *run, uint64_t epoch, uint64_t updates_before) {
    enum { LOOK_EVERY = 32 };
    const uint64_t updates = pp_session_update_count(run->setup.session);
    const bool updated = updates > updates_before;
    run->micro_steps = updated ? 0 : run->micro_steps + 1;
    const bool due = cli_checkpoints_due(&run->checkpoints) || updates == run->last_update;
    if (!updated || (!due && updates < run->looked_at + LOOK_EVERY)) return CLI_OK;
    int code = look_for_faults(run);
    if (!code && due) cli_checkpoints_save(&run->checkpoints, epoch, run->epoch_samples);
    return code;
}

/* An update that was begun is finished, into the next epoch if need be, so that nothing of it is
 * lost to a checkpoint. */
static bool goes_on(const training *run) {
    return !interrupted || (run->setup.settings->checkpoint && run->micro_steps);
}

/* The metrics of training, in whose place those of a test are. In the midst of an update nothing
 * can be saved, and so nothing is put back. */
static int restore_metrics(training *run) {
    pp_session *session = run->setup.session;
    pp_state *state = NULL;
    pp_state_counts counts;
    pp_status status = pp_state_save(session, &state);
    if (status == PP_ERROR_UNSUPPORTED) return CLI_OK;
    if (status != PP_OK) return cli_check(&run->setup, status);
    pp_state_read_counts(state, &counts);
    counts.samples = run->trained.count + run->trained.not_finite;
    counts.loss_sum = (float)run->trained.loss_sum;
    counts.hits = (float)run->trained.correct;
    counts.not_finite = (uint32_t)run->trained.not_finite;
    counts.skipped_updates = (uint32_t)run->trained.skipped_updates;
    counts.kept_elems = (uint32_t)run->trained.kept_elems;
    pp_state_write_counts(state, &counts);
    status = pp_state_load(state, session);
    pp_state_destroy(state);
    return cli_check(&run->setup, status);
}

/* Before the run ends in an epoch that is not whole. */
static void save_and_leave(training *run, uint64_t epoch) {
    if (run->setup.settings->checkpoint && !restore_metrics(run))
        cli_checkpoints_save(&run->checkpoints, epoch, run->epoch_samples);
}

static int train_steps(training *run, uint64_t epoch) {
    int code = CLI_OK;
    while (!code && goes_on(run)) {
        pp_batch batch;
        code = cli_check(&run->setup, pp_loader_next(run->train_loader, &batch));
        if (code && !measure(run)) save_and_leave(run, epoch);
        if (code || !batch.count) break;
        if (cli_adapt_is_due(&run->adapt)) {
            cli_progress_clear(&run->progress);
            code = cli_adapt_run(&run->adapt, &batch);
            if (code) break;
        }
        pp_session *session = run->setup.session;
        float rate = pp_schedule_rate(&run->schedule, pp_session_update_count(session));
        const uint64_t updates = pp_session_update_count(session);
        double began = cli_seconds();
        code = cli_check(&run->setup, pp_session_step(session, &batch, rate));
        run->epoch_samples += batch.count;
        if (!code) code = cli_timeline_add_step(&run->timeline, began, cli_seconds());
        run->last.learning_rate = (double)rate;
        if (!code && cli_progress_wants_metrics(&run->progress)) code = measure(run);
        if (!code) cli_progress_advance(&run->progress, batch.count);
        if (!code) code = save_when_due(run, epoch, updates);
    }
    return code ? code : look_for_faults(run);
}

/* From the sample on that the run stands at. */
static int start_epoch(training *run, uint64_t epoch) {
    const cli_setup *setup = &run->setup;
    const size_t batch = setup->summary.batch, count = pp_loader_batch_count(run->train_loader);
    size_t first = (size_t)(run->epoch_samples + batch - 1) / batch;
    if (run->epoch_samples % batch)
        fprintf(stderr,
                "of another batch than before: %" PRIu64 " samples of the epoch are skipped\n",
                batch - run->epoch_samples % batch);
    if (first > count) first = count;
    run->epoch_samples = first * batch;
    if (!first) {
        int code = cli_check(setup, pp_session_reset_metrics(setup->session));
        if (code) return code;
    }
    return cli_check(setup, pp_loader_start_epoch_at(run->train_loader, epoch, first));
}

static int train_epoch(training *run, uint64_t epoch) {
    const cli_settings *settings = run->setup.settings;
    char label[48];
    snprintf(label, sizeof label, "epoch %" PRIu64 "/%" PRIu64, epoch + 1, settings->epochs);
    int code = start_epoch(run, epoch);
    double started = cli_seconds();
    cli_progress_begin_epoch(&run->progress, label,
                             pp_loader_batch_count(run->train_loader) * run->setup.summary.batch);
    /* Some drivers finish kernels only when they first run. */
    if (!epoch && run->progress.is_terminal) cli_progress_show(&run->progress, 0, "first step");
    if (!code) cli_progress_skip(&run->progress, run->epoch_samples);
    if (!code) code = train_steps(run, epoch);
    cli_progress_clear(&run->progress);
    run->last.seconds = cli_seconds() - started;
    run->last.train_loss = run->progress.loss;
    run->last.train_top1 = run->progress.top1_percent;
    run->last.images_per_second = run->progress.images_per_second;
    return code;
}

/* The test's numbers are kept only when it saw every sample. */
static int test_epoch(training *run) {
    pp_metrics metrics = {0};
    const bool updating = run->setup.settings->checkpoint && run->micro_steps;
    const volatile sig_atomic_t *stop = updating ? NULL : &interrupted;
    int code = cli_evaluate(&run->setup, run->test_loader, stop, &metrics);
    const double count = (double)metrics.count, all = count + (double)metrics.not_finite;
    if (code || !goes_on(run) || all == 0) return code;
    run->last.test_loss = count > 0 ? metrics.loss_sum / count : NAN;
    run->last.test_top1 = 100 * (double)metrics.correct / all;
    return CLI_OK;
}

static void write_measurements(pp__json *json, const training *run) {
    const cli_epoch *last = &run->last;
    pp__json_real(json, "train_loss", last->train_loss);
    pp__json_real(json, "train_top1", last->train_top1);
    pp__json_real(json, "test_loss", last->test_loss);
    pp__json_real(json, "test_top1", last->test_top1);
    pp__json_real(json, "images_per_second", last->images_per_second);
    pp__json_real(json, "learning_rate", last->learning_rate);
    pp__json_integer(json, "planned_peak_bytes", run->setup.summary.peak_bytes);
    pp__json_integer(json, "real_peak_bytes", cli_peak_bytes(&run->setup));
}

/* One whole line, and out of this process at once: whoever follows the file never sees half of one.
 */
static int log_epoch(training *run, uint64_t epoch) {
    if (!run->log) return CLI_OK;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, run->log, 0);
    pp__json_open_object(&json, NULL);
    pp__json_integer(&json, "epoch", epoch);
    write_measurements(&json, run);
    pp__json_integer(&json, "skipped_updates", run->trained.skipped_updates);
    pp__json_integer(&json, "kept_elems", run->trained.kept_elems);
    pp__json_real(&json, "seconds", run->last.seconds);
    pp__json_close(&json);
    bool written = pp__json_end(&json);
    if (fflush(run->log) == 0 && written) return CLI_OK;
    return cli_fail(run->setup.command, "--log: '%s' could not be written: %s",
                    run->setup.settings->log, strerror(errno));
}

static void print_epoch(const training *run) {
    const cli_epoch *last = &run->last;
    fprintf(stderr,
            "%s: train loss %s, top-1 %s %%; test loss %s, top-1 %s %%; %s images/s, %s s\n",
            run->progress.label, cli_real_text(last->train_loss, 4).text,
            cli_real_text(last->train_top1, 2).text, cli_real_text(last->test_loss, 4).text,
            cli_real_text(last->test_top1, 2).text, cli_real_text(last->images_per_second, 0).text,
            cli_real_text(last->seconds, 1).text);
    if (run->trained.skipped_updates || run->trained.kept_elems)
        fprintf(stderr,
                "%s: %" PRIu64 " updates left out, and in others %" PRIu64
                " elements, for NaN or infinity\n",
                run->progress.label, run->trained.skipped_updates, run->trained.kept_elems);
}

static int train(training *run) {
    const cli_settings *settings = run->setup.settings;
    run->started = cli_seconds();
    uint64_t epoch_samples = pp_loader_batch_count(run->train_loader) * run->setup.summary.batch;
    const bool is_over = run->epochs_done >= settings->epochs;
    cli_progress_begin(&run->progress, stderr,
                       is_over ? 0 : (settings->epochs - run->epochs_done) * epoch_samples);
    if (is_over) return test_epoch(run);
    for (uint64_t epoch = run->epochs_done; epoch < settings->epochs && goes_on(run); epoch++) {
        int code = train_epoch(run, epoch);
        if (!code && goes_on(run)) code = test_epoch(run);
        if (code) return code;
        if (!goes_on(run)) {
            save_and_leave(run, epoch);
            break;
        }
        run->epochs_done = epoch + 1;
        print_epoch(run);
        code = log_epoch(run, epoch + 1);
        if (code) save_and_leave(run, epoch);
        if (!code) code = cli_checkpoints_add(&run->checkpoints, &run->last);
        if (!code) code = cli_train_report_add(&run->report, &run->last);
        if (code) return code;
        run->epoch_samples = 0;
        cli_checkpoints_save(&run->checkpoints, epoch + 1, 0);
    }
    if (interrupted)
        fprintf(stderr,
                "pocketprop train: interrupted; %" PRIu64 " of %" PRIu64 " epochs are whole\n",
                run->epochs_done, settings->epochs);
    return CLI_OK;
}

/* FNV-1a (64 bits) over the bytes of all parameters and running statistics in the plan's order: two
 * runs with the same digest ended with the same weights, bit for bit. */
static int digest_weights(const training *run, char digest[17]) {
    const cli_setup *setup = &run->setup;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < pp_plan_parameter_count(setup->plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(setup->plan, i, &info);
        float *values = calloc(info.elem_count, sizeof *values);
        if (!values) {
            cli_fail(setup->command, "no host memory for the %zu elements of %s", info.elem_count,
                     info.name);
            return CLI_FAILURE;
        }
        pp_status status = pp_session_read_parameter(setup->session, i, values, info.elem_count);
        const unsigned char *bytes = (const unsigned char *)values;
        for (size_t j = 0; j < info.elem_count * sizeof *values; j++)
            hash = (hash ^ bytes[j]) * 1099511628211u;
        free(values);
        if (status != PP_OK) return cli_check(setup, status);
    }
    snprintf(digest, 17, "%016" PRIx64, hash);
    return CLI_OK;
}

static void write_result(const training *run, const char *digest) {
    const cli_setup *setup = &run->setup;
    const cli_settings *settings = setup->settings;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", settings->model);
    pp__json_text(&json, "data", settings->data);
    pp__json_text(&json, "codec", cli_policy_name(settings));
    pp__json_text(&json, "optimizer", settings->optimizer);
    pp__json_integer(&json, "batch", run->setup.summary.batch);
    pp__json_integer(&json, "seed", settings->seed);
    pp__json_text(&json, "device", pp_device_describe(setup->device)->name);
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_integer(&json, "parameters", setup->summary.parameter_elems);
    pp__json_integer(&json, "epochs", run->epochs_done);
    pp__json_bool(&json, "interrupted", run->epochs_done < settings->epochs);
    write_measurements(&json, run);
    pp__json_integer(&json, "saved_raw_bytes", setup->summary.saved_raw_bytes);
    pp__json_integer(&json, "saved_stored_bytes", setup->summary.saved_stored_bytes);
    pp__json_real(&json, "seconds", cli_seconds() - run->started);
    pp__json_text(&json, "weights_digest", digest);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const training *run, const char *digest) {
    const pp_plan_summary *summary = &run->setup.summary;
    const cli_epoch *last = &run->last;
    double ratio = (double)summary->saved_raw_bytes / (double)summary->saved_stored_bytes;
    printf("%-22s%s %%\n", "test accuracy", cli_real_text(last->test_top1, 2).text);
    printf("%-22s%s\n", "test loss", cli_real_text(last->test_loss, 4).text);
    printf("%-22s%s\n", "training loss", cli_real_text(last->train_loss, 4).text);
    printf("%-22s%s (%zu bytes)\n", "saved, float32", cli_bytes_text(summary->saved_raw_bytes).text,
           summary->saved_raw_bytes);
    printf("%-22s%s (%zu bytes), %s times less\n", "saved, as stored",
           cli_bytes_text(summary->saved_stored_bytes).text, summary->saved_stored_bytes,
           cli_real_text(ratio, 2).text);
    printf("%-22s%s (%zu bytes)\n", "planned peak", cli_bytes_text(summary->peak_bytes).text,
           summary->peak_bytes);
    printf("%-22s%s (%" PRIu64 " bytes)\n", "real peak",
           cli_bytes_text(cli_peak_bytes(&run->setup)).text, cli_peak_bytes(&run->setup));
    printf("%-22s%s s\n", "time", cli_real_text(cli_seconds() - run->started, 1).text);
    printf("%-22s%s\n", "weights digest", digest);
}

/* The result on standard output, and the page. */
static int report(training *run) {
    char digest[17] = "";
    int code = digest_weights(run, digest);
    if (code) return code;
    if (run->setup.settings->json)
        write_result(run, digest);
    else
        print_result(run, digest);
    if (run->setup.settings->save)
        code = cli_check(&run->setup,
                         pp_weights_save(run->setup.session, run->setup.settings->save, NULL));
    if (!code) code = cli_train_report_write(&run->report);
    if (code) return code;
    if (run->epochs_done < run->setup.settings->epochs) return CLI_INTERRUPTED;
    return run->checkpoints.failed ? CLI_FAILURE : CLI_OK;
}

/* What a resumed run knows of its past. */
static int take_up(training *run) {
    const cli_checkpoints *checkpoints = &run->checkpoints;
    const uint64_t updates = pp_session_update_count(run->setup.session);
    int code = CLI_OK;
    for (size_t i = 0; i < checkpoints->epoch_count && !code; i++) {
        run->last = checkpoints->epochs[i];
        code = cli_train_report_add(&run->report, &run->last);
    }
    /* An epoch whose last step was the checkpoint's has no other step to take its rate from. */
    if (updates) run->last.learning_rate = (double)pp_schedule_rate(&run->schedule, updates - 1);
    cli_adapt_resume(&run->adapt);
    return code;
}

static int run_training(const cli_command *command, const cli_settings *settings) {
    training run = {.last = {.train_loss = NAN,
                             .train_top1 = NAN,
                             .test_loss = NAN,
                             .test_top1 = NAN,
                             .images_per_second = NAN,
                             .learning_rate = NAN,
                             .seconds = NAN}};
    cli_setup *setup = &run.setup;
    int code = cli_setup_begin(setup, command, settings);
    setup->profiling = settings->trace != NULL;
    if (!code) code = cli_adapt_open(&run.adapt, setup);
    if (!code) code = cli_setup_data(setup, PP_SPLIT_TRAIN);
    if (!code) code = cli_setup_data(setup, PP_SPLIT_TEST);
    if (!code) code = cli_setup_graph(setup);
    if (!code) code = cli_setup_device(setup);
    if (!code) code = cli_checkpoints_open(&run.checkpoints, setup);
    if (!code) code = cli_setup_plan(setup, false);
    if (!code) code = create_loaders(&run);
    if (!code) code = plan_schedule(&run);
    if (!code) code = cli_timeline_open(&run.timeline, setup);
    if (!code) code = cli_train_report_open(&run.report, setup, &run.adapt);
    if (!code) code = check_save(&run);
    if (!code) code = cli_checkpoints_make_folder(&run.checkpoints);
    if (!code) code = open_log(&run);
    if (!code) catch_signals();
    if (!code) cli_setup_ready(setup);
    if (!code) print_headline(&run);
    if (!code) code = cli_setup_session(setup);
    if (!code && !run.checkpoints.from) code = cli_setup_weights(setup);
    if (!code)
        code = cli_checkpoints_load(&run.checkpoints, &run.schedule, &run.epochs_done,
                                    &run.epoch_samples);
    if (!code) code = take_up(&run);
    if (!code) code = empty_log(&run);
    if (!code) code = cli_timeline_start(&run.timeline);
    if (!code) code = train(&run);
    if (!code) code = cli_timeline_write(&run.timeline);
    if (!code) code = report(&run);
    pp_loader_destroy(run.train_loader);
    pp_loader_destroy(run.test_loader);
    close_log(&run, code);
    cli_timeline_close(&run.timeline);
    cli_train_report_close(&run.report);
    cli_adapt_close(&run.adapt);
    cli_checkpoints_close(&run.checkpoints);
    cli_setup_end(setup);
    return code;
}

static const cli_group training_options = {
    "Training",
    (const cli_option[]){
        {"epochs", "N", "passes over the training samples", CLI_COUNT,
         .offset = offsetof(cli_settings, epochs), .least = 1, .most = 1000000},
        {"lr", "X", "learning rate; 0.05 for sgd, 0.001 for adam and adamw by default", CLI_REAL,
         .offset = offsetof(cli_settings, learning_rate), .least = 0, .most = 1e6},
        {"schedule", "constant|step|cosine", "of the learning rate", CLI_CHOICE,
         .offset = offsetof(cli_settings, schedule)},
        {"warmup", "STEPS", "updates over which the rate rises from 0", CLI_COUNT,
         .offset = offsetof(cli_settings, warmup), .least = 1, .most = 1e9},
        {"step-every", "STEPS",
         "of the step schedule: updates between two drops; at 1/2 and 3/4 of the run by default",
         CLI_COUNT, .offset = offsetof(cli_settings, step_every), .least = 1, .most = 1e9},
        {"gamma", "X", "of the step schedule: the factor of a drop", CLI_REAL,
         .offset = offsetof(cli_settings, gamma), .least = 1e-9, .most = 1},
        {"label-smoothing", "X", "share of the target that all classes split", CLI_REAL,
         .offset = offsetof(cli_settings, label_smoothing), .least = 0, .most = 0.999},
        {"dropout", "P", "in front of the classifier", CLI_REAL,
         .offset = offsetof(cli_settings, dropout), .least = 0, .most = 0.999},
        {"augment", NULL,
         "pad by 4, crop and flip; without being asked for on cifar and image folders", CLI_FLAG,
         .offset = offsetof(cli_settings, augment)},
        {"no-augment", NULL, "nothing of that", CLI_FLAG,
         .offset = offsetof(cli_settings, no_augment)},
        {"pad", "N", "pad by N pixels and crop, in the place of 4", CLI_COUNT,
         .offset = offsetof(cli_settings, pad), .least = 0, .most = 256},
        {"flip", NULL, "mirror every other sample", CLI_FLAG,
         .offset = offsetof(cli_settings, flip)},
        {"seed", "N", "of the initial weights, the order of the samples and every random draw",
         CLI_COUNT, .offset = offsetof(cli_settings, seed)},
        {"adapt", "N",
         "with --budget: after N updates measure what each codec does to each value, on a few "
         "images, and choose anew within the budget",
         CLI_COUNT, .offset = offsetof(cli_settings, adapt), .least = 1, .most = 1e9},
        {"on-nan", "stop|skip",
         "where a loss or a gradient is NaN or infinite, the update is left out; then end the run, "
         "which is the default, or go on",
         CLI_CHOICE, .offset = offsetof(cli_settings, on_nan)},
        {"save", "FILE", "write the weights to a safetensors file when training ends", CLI_TEXT,
         .offset = offsetof(cli_settings, save)},
        {"checkpoint", "DIR",
         "save the whole run there behind each epoch, and when it is interrupted", CLI_TEXT,
         .offset = offsetof(cli_settings, checkpoint)},
        {"checkpoint-every", "N", "... and every N updates", CLI_COUNT,
         .offset = offsetof(cli_settings, checkpoint_every), .least = 1, .most = 1e9},
        {"keep", "N", "checkpoints to keep, the newest ones", CLI_COUNT,
         .offset = offsetof(cli_settings, keep), .least = 1, .most = 1e6},
        {"resume", NULL,
         "go on from the newest good checkpoint, bit for bit as if nothing had happened", CLI_FLAG,
         .offset = offsetof(cli_settings, resume)},
        {"log", "FILE", "write one JSON object per epoch, each on its line", CLI_TEXT,
         .offset = offsetof(cli_settings, log)},
        {"report", "FILE",
         "write a page: curves of loss, accuracy and speed, and the plan as plan --html shows it",
         CLI_TEXT, .offset = offsetof(cli_settings, report)},
        {0}}};

const cli_command cli_train = {
    .name = "train",
    .summary = "Train a network on a data set; Ctrl-C stops behind the current step.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_weight_options, &cli_data_options,
                                   &training_options, &cli_plan_options, &cli_profile_options,
                                   &cli_codec_options, &cli_optimizer_options, &cli_trace_options,
                                   &cli_device_options, &cli_output_options, NULL},
    .run = run_training,
};
