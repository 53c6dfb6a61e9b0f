/* pocketprop tune: finds the numbers that suit this device and writes them as a profile of the
 * user's. The tuner (tune.h) chooses what to try; here networks train a few steps with it and with
 * the best so far, in turn. What was measured stands in a text beside the profile, so that a later
 * run goes on. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/setup.h"
#include "util/file.h"
#include "util/text.h"

/* Without --model: wide layers with little work beside them, then narrow ones with many launches. */
static const struct {
    const char *model;
    uint32_t batch;
} usual_networks[] = {{"resnet18-cifar", 4}, {"resnet20", 16}};
enum { NETWORKS = sizeof usual_networks / sizeof usual_networks[0] };

/* Steps of both in turn: enough for a median, more where the two are close. */
enum { FEWEST_PAIRS = 5, MOST_PAIRS = 15 };
static const double hopeless = 0.95, close_below = 0.985, close_above = 1.05;

static volatile sig_atomic_t interrupted;

/* One network, with the best numbers so far and with those on trial. */
typedef struct contest {
    cli_settings settings;
    cli_setup setup; /* shares engine, device and profile with the command's; holds the best */
    pp_plan *plan;   /* of the trial, as is the session */
    pp_session *session;
    pp_batch batch;
} contest;

typedef struct tuning {
    cli_setup setup;
    contest contests[NETWORKS];
    size_t contest_count;
    pp_tuner *tuner;
    pp_tuner_summary summary;
    bool complete;
    char *path, *state_path;
    cli_progress progress;
    double started, first_trial;
    size_t resumed; /* trials of earlier runs */
} tuning;

static void handle_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* The first Ctrl-C ends the run behind the current step; a second one ends the process at once. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = handle_signal};
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int open_contest(tuning *run, const char *model, uint64_t batch) {
    contest *c = &run->contests[run->contest_count++];
    c->settings = *run->setup.settings;
    c->settings.model = model;
    c->settings.batch = batch;
    c->setup = run->setup;
    c->setup.settings = &c->settings;
    int code = cli_setup_graph(&c->setup);
    if (!code) code = cli_setup_plan(&c->setup, false);
    return code ? code : cli_bench_create_batch(&c->setup, &c->batch);
}

static int open_contests(tuning *run) {
    const cli_settings *settings = run->setup.settings;
    if (settings->model) return open_contest(run, settings->model, settings->batch);
    int code = CLI_OK;
    for (size_t i = 0; !code && i < NETWORKS; i++)
        code = open_contest(run, usual_networks[i].model, usual_networks[i].batch);
    return code;
}

/* The slow part, so it comes when everything else stands. */
static int start_contests(tuning *run) {
    int code = CLI_OK;
    cli_progress_show(&run->progress, 0, "building the first programs");
    for (size_t i = 0; !code && !interrupted && i < run->contest_count; i++) {
        cli_setup *best = &run->contests[i].setup;
        pp_plan_destroy(best->plan); /* an earlier run may have changed the numbers */
        best->plan = NULL;
        code = cli_setup_plan(best, false);
        if (!code) code = cli_setup_session(best);
    }
    return code;
}

static void drop_trial(contest *c) {
    pp_session_destroy(c->session);
    pp_plan_destroy(c->plan);
    c->session = NULL;
    c->plan = NULL;
}

static void keep_trial(contest *c) {
    pp_session_destroy(c->setup.session);
    pp_plan_destroy(c->setup.plan);
    c->setup.session = c->session;
    c->setup.plan = c->plan;
    c->session = NULL;
    c->plan = NULL;
}

static void close_contests(tuning *run) {
    for (size_t i = 0; i < run->contest_count; i++) {
        contest *c = &run->contests[i];
        drop_trial(c);
        keep_trial(c);
        pp_graph_destroy(c->setup.graph);
        cli_bench_destroy_batch(&c->batch);
    }
}

/* Numbers that this device cannot take, for want of memory or of registers, are no failure of the
 * search. */
static bool start_trial(contest *c) {
    pp_plan_options options;
    const cli_setup *best = &c->setup;
    pp_session_options session_options = {.seed = c->settings.seed};
    return cli_setup_plan_options(best, false, &options) == CLI_OK &&
           pp_plan_create(best->graph, best->profile, &options, &c->plan) == PP_OK &&
           pp_session_create(best->device, c->plan, best->profile, &session_options, &c->session) ==
               PP_OK;
}

/* Seconds of one step. */
static pp_status time_step(pp_session *session, const pp_batch *batch, double *seconds_out) {
    double began = cli_seconds();
    pp_status status = pp_session_step(session, batch, CLI_BENCH_LEARNING_RATE);
    if (status == PP_OK) status = pp_session_finish(session);
    *seconds_out = cli_seconds() - began;
    return status;
}

static bool is_decided(const double *gains, size_t count) {
    double sorted[MOST_PAIRS];
    memcpy(sorted, gains, count * sizeof *gains);
    double median = cli_median(sorted, count);
    if (count >= 3 && median < hopeless) return true;
    return count >= FEWEST_PAIRS && (median < close_below || median > close_above);
}

/* How many times as fast the trial is; 0 where it does not run. */
static int compare(contest *c, double *gain_out) {
    double gains[MOST_PAIRS], best, trial;
    size_t count = 0;
    *gain_out = 0;
    if (!start_trial(c)) return CLI_OK;
    /* The first pair finds cold pages and caches. */
    for (bool warm = false; !interrupted && count < MOST_PAIRS; warm = true) {
        int code = cli_check(&c->setup, time_step(c->setup.session, &c->batch, &best));
        if (code) return code;
        if (time_step(c->session, &c->batch, &trial) != PP_OK) return CLI_OK;
        if (!warm) continue;
        gains[count++] = best / trial;
        if (is_decided(gains, count)) break;
    }
    if (count) *gain_out = cli_median(gains, count);
    return CLI_OK;
}

/* The geometric mean over the networks; what is hopeless on one is not tried on the next. */
static int measure(tuning *run, double *gain_out) {
    double logarithms = 0;
    size_t count = 0;
    int code = CLI_OK;
    *gain_out = 1;
    while (!code && !interrupted && count < run->contest_count && *gain_out >= hopeless) {
        code = compare(&run->contests[count++], gain_out);
        logarithms += log(*gain_out);
    }
    *gain_out = exp(logarithms / (double)count);
    return code;
}

/* The state: what the measurements hold for, and the search. */
static void print_subject(const tuning *run, pp__text *text) {
    const pp_device_info *device = pp_device_describe(run->setup.device);
    pp__text_add(text,
                 "# What `pocketprop tune` has measured. The next run goes on behind the last "
                 "line, or begins anew without this file.\n");
    pp__text_add(text, "pocketprop %s\ndevice %s\nplatform %s\ndriver %s\nprofile %s\n",
                 pp_version(), device->name, device->platform, device->driver_version,
                 pp_profile_name(run->setup.profile));
    for (size_t i = 0; i < run->contest_count; i++)
        pp__text_add(text, "network %s batch %" PRIu64 " %s\n", run->contests[i].settings.model,
                     run->contests[i].settings.batch, cli_policy_name(&run->contests[i].settings));
}

static int read_state(tuning *run) {
    pp_engine *engine = run->setup.engine;
    pp__text text = {.engine = engine};
    print_subject(run, &text);
    char *subject, *state = NULL;
    size_t length;
    int code = cli_check(&run->setup, pp__text_take(&text, &subject));
    if (code) return code;
    if (pp__file_exists(run->state_path))
        code = cli_check(&run->setup, pp__file_read(engine, run->state_path, &state, &length));
    if (!code && state) {
        size_t subject_length = strlen(subject);
        bool same = !strncmp(state, subject, subject_length) &&
                    pp_tuner_resume(run->tuner, state + subject_length);
        if (!same)
            fprintf(stderr, "pocketprop tune: %s was measured on something else; beginning anew\n",
                    run->state_path);
    }
    pp_tuner_summarize(run->tuner, &run->summary);
    run->resumed = run->summary.trial_count;
    pp_text_free(engine, state);
    pp_text_free(engine, subject);
    return code;
}

static int write_state(const tuning *run) {
    pp_engine *engine = run->setup.engine;
    pp__text text = {.engine = engine};
    print_subject(run, &text);
    char *search = NULL, *state = NULL;
    int code = cli_check(&run->setup, pp_tuner_print(run->tuner, &search));
    if (!code) pp__text_add(&text, "%s", search);
    if (!code) code = cli_check(&run->setup, pp__text_take(&text, &state));
    if (!code) code = cli_check(&run->setup, pp__file_write(engine, run->state_path, state));
    pp_text_free(engine, state);
    pp_text_free(engine, search);
    return code;
}

static int write_profile(const tuning *run) {
    const pp_device_info *device = pp_device_describe(run->setup.device);
    char comment[512];
    snprintf(comment, sizeof comment,
             "Written by pocketprop tune: %zu trials, %.2f times as fast as profile %s.\n"
             "Driver %s, Pocketprop %s.",
             run->summary.trial_count, run->summary.gain, pp_profile_name(run->setup.profile),
             device->driver_version, pp_version());
    return cli_check(&run->setup, pp_profile_save(run->setup.profile, device, comment, run->path));
}

static void show(tuning *run, const pp_trial *trial) {
    char numbers[128];
    snprintf(numbers, sizeof numbers, "%s %zu -> %zu  trial %zu  %.2fx so far", trial->key,
             trial->from, trial->value, run->summary.trial_count + 1, run->summary.gain);
    double elapsed = cli_seconds() - run->started;
    cli_progress_show(&run->progress, (uint64_t)(1000 * elapsed), numbers);
}

/* One trial, from the proposal to the files. */
static int try_one(tuning *run, const pp_trial *trial) {
    double gain = 0;
    bool kept = false;
    show(run, trial);
    int code = measure(run, &gain);
    if (!code && !interrupted)
        code = cli_check(&run->setup, pp_tuner_report(run->tuner, gain, &kept));
    for (size_t i = 0; i < run->contest_count; i++) {
        if (kept)
            keep_trial(&run->contests[i]);
        else
            drop_trial(&run->contests[i]);
    }
    if (code || interrupted) return code;
    pp_tuner_summarize(run->tuner, &run->summary);
    if (kept) {
        cli_progress_clear(&run->progress);
        fprintf(stderr, "%s: %zu -> %zu, %.3f times as fast\n", trial->key, trial->from,
                trial->value, gain);
        code = write_profile(run);
    }
    return code ? code : write_state(run);
}

/* At least one trial of this run, then as many as are likely to end in time. */
static bool is_time_left(const tuning *run) {
    size_t done = run->summary.trial_count - run->resumed;
    if (!done) return true;
    double now = cli_seconds(), each = (now - run->first_trial) / (double)done;
    return now + each - run->started <= (double)run->setup.settings->time_limit;
}

static int search(tuning *run) {
    pp_trial trial;
    int code = CLI_OK;
    run->first_trial = cli_seconds();
    while (!code && !interrupted && is_time_left(run)) {
        run->complete = !pp_tuner_propose(run->tuner, &trial);
        if (run->complete) break;
        code = try_one(run, &trial);
    }
    cli_progress_clear(&run->progress);
    return code;
}

/* Letters and digits of a name; everything else, however long, becomes one dash. */
static void add_slug(const char *name, char *slug, size_t capacity) {
    size_t used = strlen(slug), end = used + 1 < capacity ? capacity - 1 : used;
    for (; *name && used < end; name++) {
        bool is_upper = *name >= 'A' && *name <= 'Z';
        bool is_plain = (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9');
        if (is_upper || is_plain)
            slug[used++] = (char)(is_upper ? *name - 'A' + 'a' : *name);
        else if (used && slug[used - 1] != '-')
            slug[used++] = '-';
    }
    if (used && slug[used - 1] == '-') used--;
    slug[used] = '\0';
}

/* Where the profile goes: --out, or a file of the user's that is called after the device. */
static int choose_paths(tuning *run) {
    pp_engine *engine = run->setup.engine;
    pp__text path = {.engine = engine}, state = {.engine = engine};
    const char *given = run->setup.settings->out;
    char *folder = NULL;
    int code = CLI_OK;
    if (given) {
        pp__text_add(&path, "%s", given);
    } else {
        const pp_device_info *device = pp_device_describe(run->setup.device);
        char slug[60] = "";
        add_slug(device->name, slug, 40);
        snprintf(slug + strlen(slug), sizeof slug - strlen(slug), "-");
        add_slug(device->platform, slug, sizeof slug);
        code = cli_check(&run->setup, pp_profile_folder(engine, &folder));
        if (!code) pp__text_add(&path, "%s/%s.profile", folder, slug);
        pp_text_free(engine, folder);
    }
    if (!code) code = cli_check(&run->setup, pp__text_take(&path, &run->path));
    if (!code) pp__text_add(&state, "%s.tuning", run->path);
    return code ? code : cli_check(&run->setup, pp__text_take(&state, &run->state_path));
}

static void write_result(const tuning *run) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 1);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "device", pp_device_describe(run->setup.device)->name);
    pp__json_text(&json, "parent", pp_profile_name(run->setup.profile));
    pp__json_text(&json, "profile", run->path);
    pp__json_integer(&json, "trials", run->summary.trial_count);
    pp__json_integer(&json, "kept", run->summary.kept_count);
    pp__json_real(&json, "gain", run->summary.gain);
    pp__json_bool(&json, "complete", run->complete);
    pp__json_open_object(&json, "tunables");
    for (size_t i = 0; i < pp_profile_tunable_count(run->setup.profile); i++) {
        pp_tunable tunable;
        pp_profile_read_tunable(run->setup.profile, i, &tunable);
        pp__json_integer(&json, tunable.key, tunable.value);
    }
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_result(const tuning *run) {
    printf("%s: %zu trials, %zu kept, %.2f times as fast as profile %s\n",
           pp_device_describe(run->setup.device)->name, run->summary.trial_count,
           run->summary.kept_count, run->summary.gain, pp_profile_name(run->setup.profile));
    printf("written to %s\n", run->path);
    if (run->complete)
        printf("nothing is left to try; remove %s to begin anew\n", run->state_path);
    else
        printf("there is more to try: the same command goes on where this one ended\n");
}

/* A trial that Ctrl-C cut short is undone with the tuner, so the profile is written behind that. */
static int finish(tuning *run) {
    pp_tuner_destroy(run->tuner);
    run->tuner = NULL;
    int code = write_profile(run);
    if (code) return code;
    if (run->setup.settings->json)
        write_result(run);
    else
        print_result(run);
    return interrupted ? CLI_INTERRUPTED : CLI_OK;
}

/* The program cache stays as it is: most programs of a search are never wanted again, and some
 * drivers take as long to hand one out as to build it. */
static int run_tuning(const cli_command *command, const cli_settings *given) {
    tuning run = {.started = cli_seconds()};
    cli_settings settings = *given;
    settings.no_cache = true;
    cli_setup *setup = &run.setup;
    int code = cli_setup_begin(setup, command, &settings);
    setup->shipped_profile = true;
    if (!code) code = cli_setup_device(setup);
    if (!code) code = choose_paths(&run);
    if (!code) code = open_contests(&run);
    if (!code) code = cli_check(setup, pp_tuner_create(setup->engine, setup->profile, &run.tuner));
    if (!code) code = read_state(&run);
    if (!code) cli_setup_ready(setup);
    if (!code) catch_signals();
    cli_progress_begin(&run.progress, stderr, 0);
    cli_progress_begin_epoch(&run.progress, "tune", 1000 * settings.time_limit);
    if (!code) code = start_contests(&run);
    if (!code) code = search(&run);
    if (!code) code = finish(&run);
    pp_tuner_destroy(run.tuner);
    close_contests(&run);
    pp_text_free(setup->engine, run.path);
    pp_text_free(setup->engine, run.state_path);
    cli_setup_end(setup);
    return code;
}

static const cli_group tuning_options = {
    "Tuning",
    (const cli_option[]){
        {"model", "NAME",
         "the network to be fast at; without it resnet18-cifar at batch 4 and resnet20 at batch 16",
         CLI_TEXT, .offset = offsetof(cli_settings, model)},
        {"batch", "N", "samples per step of --model", CLI_COUNT,
         .offset = offsetof(cli_settings, batch), .least = 1, .most = 1048576},
        {"codec", "POLICY", "how activations are kept for the backward pass", CLI_TEXT,
         .offset = offsetof(cli_settings, codec)},
        {"profile", "NAME|PATH",
         "where to begin; the shipped one that matches the device by default", CLI_TEXT,
         .offset = offsetof(cli_settings, profile)},
        {"time-limit", "SECONDS", "start no trial that is likely to end later", CLI_COUNT,
         .offset = offsetof(cli_settings, time_limit), .least = 1, .most = 1000000},
        {"out", "FILE",
         "write the profile there, for --profile; by default into the folder of the user's "
         "profiles, where every command finds it",
         CLI_TEXT, .offset = offsetof(cli_settings, out)},
        {0}}};

static const cli_group selection_options = {
    "Device",
    (const cli_option[]){
        {"device", "SELECTOR",
         "an index, gpu, cpu, accelerator, or a part of the name; the first GPU by default, else "
         "the first device",
         CLI_TEXT, .offset = offsetof(cli_settings, device)},
        {0}}};

const cli_command cli_tune = {
    .name = "tune",
    .summary =
        "Find the numbers that suit this device; what was measured is kept, and a later run "
        "goes on.",
    .groups =
        (const cli_group *const[]){&tuning_options, &selection_options, &cli_output_options, NULL},
    .run = run_tuning,
};
