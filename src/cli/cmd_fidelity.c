/* pocketprop fidelity: how far a policy's gradients are from the exact ones, layer by layer.
 *
 * Two sessions hold the same weights: one keeps everything in float32, the other as the policy says.
 * Both see the same batches, and no weight moves while they are measured. What is measured:
 * fidelity_report.h. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/fidelity_report.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "cli/setup.h"

/* Set by the signal handler, read between steps. */
static volatile sig_atomic_t interrupted;

/* Keeps all gradients to the end of the step, and is never reached. */
static const float endless_norm = 1e12f;
static const double default_rate = 0.05;

/* Where a gradient lies, and sums over the draws of the running batch. */
typedef struct measured {
    cli_gradient *found;
    size_t index, first; /* in the plan; of its elements among those of all gradients */
    double error, spread;
} measured;

typedef struct fidelity {
    cli_setup setup;
    pp_plan *plans[2];
    pp_session *sessions[2];
    pp_loader *loader;
    uint64_t epoch;
    cli_outfile page;
    cli_gradients found;
    measured *running; /* one for each of found.items */
    float *exact;      /* all gradients of a batch, in the plan's order */
    double *means;     /* of the draws' errors so far */
    float *values;     /* one parameter's */
} fidelity;

enum { EXACT, POLICY };

static void handle_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = handle_signal};
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* What training decided, in a plan that keeps its gradients. These take memory, so a budget holds
 * for the plan of training and is not asked again. */
static int plan_policy(fidelity *run) {
    cli_setup *setup = &run->setup;
    pp_plan_options options;
    char *policy = NULL;
    int code = cli_setup_plan_options(setup, false, &options);
    if (!code) code = cli_check(setup, pp_plan_print_policy(setup->plan, &policy));
    pp_plan_options kept = {.batch = setup->summary.batch,
                            .policy = policy,
                            .transient_bits = options.transient_bits,
                            .optimizer = options.optimizer,
                            .rules = options.rules,
                            .rule_count = options.rule_count,
                            .accumulate = 1};
    kept.optimizer.clip_norm = endless_norm;
    kept.optimizer.momentum = 0;
    if (!code)
        code = cli_check_plan(
            setup, pp_plan_create(setup->graph, setup->profile, &kept, &run->plans[POLICY]));
    pp_text_free(setup->engine, policy);
    return code;
}

static int plan_exact(fidelity *run) {
    cli_setup *setup = &run->setup;
    pp_plan_options options;
    int code = cli_setup_plan_options(setup, false, &options);
    if (code) return code;
    pp_plan_options kept = {.batch = setup->summary.batch,
                            .codec = "raw",
                            .optimizer = options.optimizer,
                            .rules = options.rules,
                            .rule_count = options.rule_count,
                            .accumulate = 1};
    kept.optimizer.clip_norm = endless_norm;
    return cli_check_plan(setup,
                          pp_plan_create(setup->graph, setup->profile, &kept, &run->plans[EXACT]));
}

/* The codec of what a weight's gradient is taken from: the layer's input, or its x-hat. */
static const char *codec_of(const pp_plan *plan, const char *parameter) {
    const char *suffix = strrchr(parameter, '.');
    if (!suffix || strcmp(suffix, ".weight") != 0) return "";
    const size_t length = (size_t)(suffix - parameter);
    for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
        pp_plan_layer layer;
        pp_plan_read_layer(plan, i, &layer);
        if (strlen(layer.name) != length || strncmp(layer.name, parameter, length) != 0) continue;
        for (size_t r = 0; r < layer.read_count; r++) {
            if (strcmp(layer.reads[r].view, "value") && strcmp(layer.reads[r].view, "x-hat"))
                continue;
            pp_plan_row row;
            pp_plan_read_row(plan, layer.reads[r].row, &row);
            return row.codec;
        }
    }
    return "";
}

static int fail_memory(const fidelity *run) {
    cli_fail(run->setup.command, "no host memory for the gradients of %zu parameters",
             run->setup.summary.parameter_elems);
    return CLI_FAILURE;
}

static int allocate(fidelity *run) {
    const pp_plan *plan = run->plans[POLICY];
    const size_t count = pp_plan_parameter_count(plan);
    size_t most = 1;
    cli_gradients *found = &run->found;
    found->setup = &run->setup;
    found->items = calloc(count + 1, sizeof *found->items);
    run->running = calloc(count + 1, sizeof *run->running);
    if (!found->items || !run->running) return fail_memory(run);
    for (size_t i = 0; i < count; i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, i, &info);
        if (info.elem_count > most) most = info.elem_count;
        if (!info.trainable) continue;
        cli_gradient *g = &found->items[found->count];
        *g = (cli_gradient){
            info.name, codec_of(plan, info.name), info.elem_count, {.least_cosine = INFINITY}};
        run->running[found->count++] = (measured){g, i, found->elem_count, 0, 0};
        found->elem_count += info.elem_count;
    }
    found->overall.least_cosine = INFINITY;
    run->exact = calloc(found->elem_count + 1, sizeof *run->exact);
    run->means = calloc(found->elem_count + 1, sizeof *run->means);
    run->values = calloc(most, sizeof *run->values);
    return run->exact && run->means && run->values ? CLI_OK : fail_memory(run);
}

/* The session of another plan of the same set-up. The policy's gets the other one's weights. */
static int open_session(fidelity *run, int which) {
    cli_setup view = run->setup;
    view.plan = run->plans[which];
    int code = cli_setup_session(&view);
    if (!code && which == EXACT) code = cli_setup_weights(&view);
    run->sessions[which] = view.session;
    return code;
}

/* The next batch; behind the last one the next epoch's first. */
static int next_batch(fidelity *run, pp_batch *batch_out) {
    int code = cli_check(&run->setup, pp_loader_next(run->loader, batch_out));
    if (code || batch_out->count) return code;
    code = cli_check(&run->setup, pp_loader_start_epoch(run->loader, ++run->epoch));
    return code ? code : cli_check(&run->setup, pp_loader_next(run->loader, batch_out));
}

static void show(cli_progress *progress, uint64_t done, uint64_t total) {
    char numbers[64];
    if (!progress->is_terminal) return;
    snprintf(numbers, sizeof numbers, "%" PRIu64 " of %" PRIu64, done, total);
    progress->epoch_total = total;
    cli_progress_show(progress, done, numbers);
}

/* Exact training; its loss is that of the last step. */
static int warm_up(fidelity *run, cli_progress *progress) {
    const cli_settings *settings = run->setup.settings;
    const double rate = settings->learning_rate < 0 ? default_rate : settings->learning_rate;
    pp_session *session = run->sessions[EXACT];
    int code = cli_check(&run->setup, pp_loader_start_epoch(run->loader, 0));
    cli_progress_begin_epoch(progress, "warm-up", 1);
    for (uint64_t step = 0; !code && !interrupted && step < settings->warm_up; step++) {
        pp_batch batch;
        show(progress, step, settings->warm_up);
        code = next_batch(run, &batch);
        if (!code && step + 1 == settings->warm_up)
            code = cli_check(&run->setup, pp_session_reset_metrics(session));
        if (!code) code = cli_check(&run->setup, pp_session_step(session, &batch, (float)rate));
    }
    pp_metrics metrics = {0};
    if (!code && settings->warm_up)
        code = cli_check(&run->setup, pp_session_read_metrics(session, &metrics));
    run->found.warm_up_loss = metrics.count ? metrics.loss_sum / (double)metrics.count : NAN;
    return code;
}

static int copy_weights(fidelity *run) {
    pp_status status = PP_OK;
    for (size_t i = 0; i < pp_plan_parameter_count(run->plans[POLICY]) && status == PP_OK; i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(run->plans[POLICY], i, &info);
        status = pp_session_read_parameter(run->sessions[EXACT], i, run->values, info.elem_count);
        if (status == PP_OK)
            status =
                pp_session_write_parameter(run->sessions[POLICY], i, run->values, info.elem_count);
    }
    return cli_check(&run->setup, status);
}

static int run_exact(fidelity *run, const pp_batch *batch) {
    pp_session *session = run->sessions[EXACT];
    pp_status status = pp_session_step(session, batch, 0);
    double square = 0;
    for (size_t i = 0; i < run->found.count && status == PP_OK; i++) {
        measured *g = &run->running[i];
        float *exact = run->exact + g->first;
        status = pp_session_read_gradient(session, g->index, exact, g->found->elem_count);
        double own = 0;
        for (size_t j = 0; j < g->found->elem_count; j++)
            own += (double)exact[j] * (double)exact[j];
        g->found->match.exact += own;
        square += own;
    }
    run->found.overall.exact += square;
    if (status != PP_OK) return cli_check(&run->setup, status);
    if (isfinite(square)) return CLI_OK;
    cli_fail(run->setup.command,
             "the exact gradients are not finite after %" PRIu64
             " steps of warm-up; a smaller --lr may keep them so",
             run->setup.settings->warm_up);
    return CLI_FAILURE;
}

/* Of one draw. */
typedef struct products {
    double exact, found, both;
} products;

static void add_cosine(cli_match *m, const products *p) {
    double cosine = p->both / (sqrt(p->exact) * sqrt(p->found));
    /* Rounding may leave equal gradients an ulp beside 1. */
    if (cosine > 1) cosine = 1;
    if (isnan(cosine)) return;
    m->cosines += cosine;
    m->cosine_count++;
    if (cosine < m->least_cosine) m->least_cosine = cosine;
}

/* Draw number `draw`, from 1: Welford's update of the means, so that equal draws have spread 0. */
static products add_draw(const fidelity *run, measured *g, double draw) {
    const float *exact = run->exact + g->first;
    double *means = run->means + g->first;
    products p = {0};
    for (size_t j = 0; j < g->found->elem_count; j++) {
        const double right = (double)exact[j], found = (double)run->values[j];
        const double error = found - right, step = error - means[j];
        means[j] += step / draw;
        g->spread += step * (error - means[j]);
        g->error += error * error;
        p.exact += right * right;
        p.found += found * found;
        p.both += right * found;
    }
    add_cosine(&g->found->match, &p);
    return p;
}

static int run_draw(fidelity *run, const pp_batch *batch, size_t draw, double *spread_out) {
    pp_session *session = run->sessions[POLICY];
    pp_status status = pp_session_step(session, batch, 0);
    products all = {0};
    *spread_out = 0;
    for (size_t i = 0; i < run->found.count && status == PP_OK; i++) {
        measured *g = &run->running[i];
        status = pp_session_read_gradient(session, g->index, run->values, g->found->elem_count);
        if (status != PP_OK) break;
        const products p = add_draw(run, g, (double)draw);
        all.exact += p.exact;
        all.found += p.found;
        all.both += p.both;
        *spread_out += g->spread;
    }
    add_cosine(&run->found.overall, &all);
    return cli_check(&run->setup, status);
}

static void add_match(cli_match *to, double error, double mean_error, double spread, double draws) {
    to->error += error;
    to->mean_error += mean_error;
    to->spread += spread;
    to->chance += spread / draws;
}

/* The draws of a batch become part of the sums. One draw says nothing of its spread. */
static void finish_batch(fidelity *run, size_t draw_count) {
    const double draws = (double)draw_count;
    for (size_t i = 0; i < run->found.count; i++) {
        measured *g = &run->running[i];
        const double *means = run->means + g->first;
        double mean_error = 0;
        for (size_t j = 0; j < g->found->elem_count; j++) mean_error += means[j] * means[j];
        const double error = g->error / draws;
        const double spread = draw_count > 1 ? g->spread / (draws - 1) : NAN;
        add_match(&g->found->match, error, mean_error, spread, draws);
        add_match(&run->found.overall, error, mean_error, spread, draws);
    }
    run->found.draws_done = draw_count;
}

/* Where the second draw equals the first bit for bit nothing is random, and no more are needed. */
static int measure_batch(fidelity *run) {
    pp_batch batch;
    int code = next_batch(run, &batch);
    if (!code) code = run_exact(run, &batch);
    for (size_t i = 0; i < run->found.count; i++)
        run->running[i].error = run->running[i].spread = 0;
    for (size_t j = 0; j < run->found.elem_count; j++) run->means[j] = 0;
    size_t draw = 0;
    while (!code && !interrupted && draw < run->setup.settings->draws) {
        double spread;
        code = run_draw(run, &batch, ++draw, &spread);
        if (draw < 2) continue;
        if (!(spread > 0)) break;
        run->found.draws_differ = true;
    }
    if (!code && !interrupted) finish_batch(run, draw);
    return code;
}

static int measure(fidelity *run) {
    const uint64_t batches = run->setup.settings->batches;
    cli_progress progress;
    cli_progress_begin(&progress, stderr, 1);
    int code = warm_up(run, &progress);
    if (!code && !interrupted) code = copy_weights(run);
    cli_progress_begin_epoch(&progress, "batches", 1);
    for (uint64_t i = 0; !code && !interrupted && i < batches; i++) {
        show(&progress, i, batches);
        code = measure_batch(run);
    }
    cli_progress_clear(&progress);
    if (code || !interrupted) return code;
    fprintf(stderr, "pocketprop fidelity: interrupted before all batches were measured\n");
    return CLI_INTERRUPTED;
}

static void print_headline(const fidelity *run) {
    const cli_settings *settings = run->setup.settings;
    fprintf(stderr,
            "%s on %s: %s beside exact gradients, %" PRIu64 " batches of %" PRIu32 " after %" PRIu64
            " exact steps, on %s (profile %s)\n",
            settings->model, settings->data, cli_policy_name(settings), settings->batches,
            run->setup.summary.batch, settings->warm_up,
            pp_device_describe(run->setup.device)->name, pp_profile_name(run->setup.profile));
}

static int run_fidelity(const cli_command *command, const cli_settings *settings) {
    fidelity run = {0};
    cli_setup *setup = &run.setup;
    int code = cli_setup_begin(setup, command, settings);
    if (!code) code = cli_setup_data(setup, PP_SPLIT_TRAIN);
    if (!code) code = cli_setup_graph(setup);
    if (!code) code = cli_setup_device(setup);
    if (!code) code = cli_setup_plan(setup, false);
    if (!code) code = plan_policy(&run);
    if (!code) code = plan_exact(&run);
    if (!code) code = cli_setup_loader(setup, PP_SPLIT_TRAIN, true, &run.loader);
    if (!code) code = allocate(&run);
    if (!code && settings->html)
        code = cli_outfile_open(&run.page, command, "--html", settings->html);
    if (!code) cli_setup_ready(setup);
    if (!code) print_headline(&run);
    if (!code) catch_signals();
    if (!code) code = open_session(&run, EXACT);
    if (!code) code = open_session(&run, POLICY);
    if (!code) code = measure(&run);
    if (!code) code = cli_fidelity_report(&run.found, &run.page);
    cli_outfile_discard(&run.page);
    for (int i = 0; i < 2; i++) {
        pp_session_destroy(run.sessions[i]);
        pp_plan_destroy(run.plans[i]);
    }
    pp_loader_destroy(run.loader);
    free(run.found.items);
    free(run.running);
    free(run.exact);
    free(run.means);
    free(run.values);
    cli_setup_end(setup);
    return code;
}

static const cli_group measuring_options = {
    "Measuring",
    (const cli_option[]){
        {"batches", "K", "training batches that are measured", CLI_COUNT,
         .offset = offsetof(cli_settings, batches), .least = 1, .most = 1e6},
        {"draws", "D",
         "runs of each batch, which differ where codecs round at random, to tell bias from spread",
         CLI_COUNT, .offset = offsetof(cli_settings, draws), .least = 1, .most = 1e6},
        {"warm-up", "STEPS", "of exact training first, so that the weights are not random",
         CLI_COUNT, .offset = offsetof(cli_settings, warm_up), .least = 0, .most = 1e9},
        {"lr", "X", "learning rate of the warm-up; 0.05 by default", CLI_REAL,
         .offset = offsetof(cli_settings, learning_rate), .least = 0, .most = 1e6},
        {"no-augment", NULL, "samples as they are; training pads, crops and flips some data sets",
         CLI_FLAG, .offset = offsetof(cli_settings, no_augment)},
        {"seed", "N", "of the initial weights, the order of the samples and every random draw",
         CLI_COUNT, .offset = offsetof(cli_settings, seed)},
        {"html", "FILE", "write a page: cosine and error of each parameter as plots and a table",
         CLI_TEXT, .offset = offsetof(cli_settings, html)},
        {0}}};

const cli_command cli_fidelity = {
    .name = "fidelity",
    .summary = "Compare a policy's gradients with the exact ones, layer by layer.",
    .groups = (const cli_group *const[]){&cli_network_options, &cli_weight_options,
                                         &cli_data_options, &measuring_options, &cli_plan_options,
                                         &cli_profile_options, &cli_codec_options,
                                         &cli_device_options, &cli_output_options, NULL},
    .run = run_fidelity,
};
