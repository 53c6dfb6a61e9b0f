/* pocketprop bench ops: the time of every step of a plan, beside what the device can do at best.
 *
 * A row is one step of the plan: one pass of one operator, an encoding, an update. Its time is that
 * of its kernels on the device, the median over the timed steps. Its share of the peak compares a
 * sum of products with the multiply-add rate and everything else with the copy rate (plan.h says
 * which is which). Tensors that lie in a cache beat the copy rate, which is that of memory. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/timeline.h"

typedef struct row {
    pp_plan_step_info info;
    size_t step_count;    /* of the plan, that it stands for */
    size_t command_count; /* kernels and copies of one run */
    double ms, gflops, gbps, share;
} row;

/* Of a whole step, in milliseconds. */
enum {
    COMMANDS,  /* on the device, all rows together */
    TRANSFERS, /* of batch and scalars to the device */
    GAPS,      /* the device did neither */
    WALL,      /* the step, waited for, on the host's clock */
    ENQUEUING, /* the host inside pp_session_step, beside the device */
    TOTAL_COUNT
};

typedef struct measurement {
    cli_setup setup;
    pp_peak peak;
    pp_batch batch;
    row *rows;
    size_t row_count, step_count;
    row *groups; /* the rows of one operator and pass added up, in the order of their first rows */
    size_t group_count;
    cli_step_times *times; /* [step_count] */
    double *row_ms;        /* [row_count][step_count] */
    double *total_ms;      /* [TOTAL_COUNT][step_count] */
    pp_device_trace_event *events;
    size_t event_count;
    cli_timeline timeline;
    double totals[TOTAL_COUNT]; /* medians */
} measurement;

static int fail_memory(const measurement *m) {
    cli_fail(m->setup.command, "no host memory for %zu times of %zu steps", m->step_count,
             m->row_count);
    return CLI_FAILURE;
}

static int prepare(measurement *m) {
    m->step_count = (size_t)m->setup.settings->steps;
    m->row_count = m->setup.summary.step_count;
    m->rows = calloc(m->row_count, sizeof *m->rows);
    m->groups = calloc(m->row_count, sizeof *m->groups);
    m->row_ms = calloc(m->row_count * m->step_count, sizeof *m->row_ms);
    m->total_ms = calloc(TOTAL_COUNT * m->step_count, sizeof *m->total_ms);
    m->times = calloc(m->step_count, sizeof *m->times);
    if (!m->rows || !m->groups || !m->row_ms || !m->total_ms || !m->times) return fail_memory(m);
    for (size_t r = 0; r < m->row_count; r++) {
        m->rows[r].step_count = 1;
        pp_plan_describe_step(m->setup.plan, r, &m->rows[r].info);
    }
    return cli_bench_create_batch(&m->setup, &m->batch);
}

static void release(measurement *m) {
    cli_bench_destroy_batch(&m->batch);
    free(m->times);
    free(m->rows);
    free(m->groups);
    free(m->row_ms);
    free(m->total_ms);
    free(m->events);
}

static int run_steps(measurement *m) {
    const cli_setup *setup = &m->setup;
    cli_step_times warm_up;
    int code = CLI_OK;
    for (size_t i = 0; !code && i < CLI_BENCH_WARM_UP; i++)
        code = cli_bench_step_once(setup, &m->batch, &warm_up);
    if (!code) code = cli_check(setup, pp_device_clear_trace(setup->device));
    for (size_t i = 0; !code && i < m->step_count; i++)
        code = cli_bench_step_once(setup, &m->batch, &m->times[i]);
    return code;
}

/* The row of a command: commands come in the plan's order, so the search goes on where the last one
 * ended. row_count for a transfer, which belongs to no row. */
static size_t find_row(const measurement *m, const char *label, size_t last) {
    for (size_t i = 0; i < m->row_count; i++) {
        size_t r = (last + i) % m->row_count;
        if (!strncmp(m->rows[r].info.name, label, sizeof m->events[0].label - 1)) return r;
    }
    return m->row_count;
}

/* Adds up the commands of one step and returns the number of the first that is not the step's. */
static size_t add_step(measurement *m, size_t step, size_t first) {
    const cli_step_times *times = &m->times[step];
    const uint64_t finished_ns = (uint64_t)(1e9 * times->finished);
    size_t i = first, last = 0;
    double commands = 0, transfers = 0;
    for (; i < m->event_count && m->events[i].enqueue_begin_ns < finished_ns; i++) {
        const pp_device_trace_event *event = &m->events[i];
        double ms = 1e-6 * (double)(event->end_ns - event->start_ns);
        size_t r = find_row(m, event->label, last);
        if (r == m->row_count) {
            transfers += ms;
            continue;
        }
        m->row_ms[r * m->step_count + step] += ms;
        m->rows[r].command_count += step == 0;
        commands += ms;
        last = r;
    }
    double wall = 1000 * (times->finished - times->began);
    const double values[TOTAL_COUNT] = {
        [COMMANDS] = commands,
        [TRANSFERS] = transfers,
        [GAPS] = wall - commands - transfers,
        [WALL] = wall,
        [ENQUEUING] = 1000 * (times->enqueued - times->began),
    };
    for (size_t t = 0; t < TOTAL_COUNT; t++) m->total_ms[t * m->step_count + step] = values[t];
    return i;
}

static int read_steps(measurement *m) {
    int code = cli_timeline_read(&m->setup, &m->events, &m->event_count);
    if (code) return code;
    size_t next = 0;
    for (size_t i = 0; i < m->step_count; i++) next = add_step(m, i, next);
    for (size_t i = 0; !code && i < m->step_count; i++)
        code = cli_timeline_add_step(&m->timeline, m->times[i].began, m->times[i].enqueued);
    return code ? code : cli_timeline_write(&m->timeline);
}

/* NaN where a step took no time that the device can tell. */
static double rate(double amount, double ms) {
    return ms > 0 ? 1e-6 * amount / ms : NAN;
}

static void compare(row *x, const pp_peak *peak) {
    x->gflops = rate(x->info.flops, x->ms);
    x->gbps = rate(x->info.bytes, x->ms);
    x->share = x->info.is_product ? x->gflops / peak->fma_gflops : x->gbps / peak->copy_gbps;
}

static void add_to_group(measurement *m, const row *x) {
    row *group = m->groups;
    for (; group < m->groups + m->group_count; group++)
        if (!strcmp(group->info.operator_name, x->info.operator_name) &&
            !strcmp(group->info.pass, x->info.pass))
            break;
    if (group == m->groups + m->group_count) {
        m->group_count++;
        group->info = x->info;
        group->info.flops = group->info.bytes = 0;
    }
    group->info.flops += x->info.flops;
    group->info.bytes += x->info.bytes;
    group->step_count++;
    group->command_count += x->command_count;
    group->ms += x->ms;
}

static void summarize(measurement *m) {
    for (size_t r = 0; r < m->row_count; r++) {
        m->rows[r].ms = cli_median(m->row_ms + r * m->step_count, m->step_count);
        compare(&m->rows[r], &m->peak);
        add_to_group(m, &m->rows[r]);
    }
    for (size_t g = 0; g < m->group_count; g++) compare(&m->groups[g], &m->peak);
    for (size_t t = 0; t < TOTAL_COUNT; t++)
        m->totals[t] = cli_median(m->total_ms + t * m->step_count, m->step_count);
}

/* `is_group`: of an operator and pass, not of one step. */
static void write_row(pp__json *json, const row *x, bool is_group) {
    pp__json_open_object(json, NULL);
    if (!is_group) pp__json_text(json, "step", x->info.name);
    if (!is_group) pp__json_text(json, "node", x->info.node);
    pp__json_text(json, "operator", x->info.operator_name);
    pp__json_text(json, "pass", x->info.pass);
    if (is_group) pp__json_integer(json, "steps", x->step_count);
    pp__json_integer(json, "commands", x->command_count);
    pp__json_real(json, "ms", x->ms);
    pp__json_real(json, "flops", x->info.flops);
    pp__json_real(json, "bytes", x->info.bytes);
    pp__json_real(json, "gflops", x->gflops);
    pp__json_real(json, "gbps", x->gbps);
    pp__json_text(json, "against", x->info.is_product ? "fma" : "copy");
    pp__json_real(json, "share", x->share);
    pp__json_close(json);
}

static void write_result(const measurement *m) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_object(&json, NULL);
    cli_bench_write_subject(&json, &m->setup);
    pp__json_real(&json, "fma_gflops", m->peak.fma_gflops);
    pp__json_real(&json, "copy_gbps", m->peak.copy_gbps);
    pp__json_real(&json, "step_ms", m->totals[WALL]);
    pp__json_real(&json, "device_ms", m->totals[COMMANDS]);
    pp__json_real(&json, "transfer_ms", m->totals[TRANSFERS]);
    pp__json_real(&json, "gap_ms", m->totals[GAPS]);
    pp__json_real(&json, "enqueue_ms", m->totals[ENQUEUING]);
    pp__json_real(&json, "enqueue_share", m->totals[ENQUEUING] / m->totals[WALL]);
    pp__json_open_array(&json, "rows");
    for (size_t i = 0; i < m->row_count; i++) write_row(&json, &m->rows[i], false);
    pp__json_close(&json);
    pp__json_open_array(&json, "operators");
    for (size_t i = 0; i < m->group_count; i++) write_row(&json, &m->groups[i], true);
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

static void print_totals(const measurement *m) {
    static const char *const names[TOTAL_COUNT][2] = {
        [COMMANDS] = {"all of these", "on the device"},
        [TRANSFERS] = {"transfers", "batch and scalars to the device"},
        [GAPS] = {"gaps", "the device did neither"},
        [WALL] = {"step", "waited for, on the host's clock"},
        [ENQUEUING] = {"enqueuing", "the host inside the step, beside the device"},
    };
    printf("\n");
    for (size_t t = 0; t < TOTAL_COUNT; t++)
        printf("%-40s %9.3f ms %5.1f %%  %s\n", names[t][0], m->totals[t],
               100 * m->totals[t] / m->totals[WALL], names[t][1]);
}

static void print_header(const char *what) {
    printf("\n%-40s %9s    %7s %9s %8s %11s\n", what, "time", "of step", "GFLOP/s", "GB/s",
           "of peak");
}

static void print_row(const measurement *m, const row *x, const char *name) {
    printf("%-40s %9.3f ms %5.1f %% %9s %8s %4s %5s%%\n", name, x->ms,
           100 * x->ms / m->totals[WALL], cli_real_text(x->gflops, 1).text,
           cli_real_text(x->gbps, 1).text, x->info.is_product ? "fma" : "copy",
           cli_real_text(100 * x->share, 1).text);
}

static void print_result(const measurement *m) {
    cli_bench_print_subject(&m->setup);
    printf("peak: multiply-add %.1f GFLOP/s, copy %.1f GB/s; medians of %zu steps\n",
           m->peak.fma_gflops, m->peak.copy_gbps, m->step_count);
    print_header("step");
    for (size_t i = 0; i < m->row_count; i++) print_row(m, &m->rows[i], m->rows[i].info.name);
    print_header("operator and pass");
    for (size_t i = 0; i < m->group_count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s %s (%zu)", m->groups[i].info.operator_name,
                 m->groups[i].info.pass, m->groups[i].step_count);
        print_row(m, &m->groups[i], name);
    }
    print_totals(m);
}

/* Micro-steps and the update after the last of them would mix two kinds of steps. */
static int check_settings(const cli_command *command, const cli_settings *settings) {
    if (settings->accumulate == 1) return CLI_OK;
    return cli_fail(command,
                    "--accumulate: found %" PRIu64 ", expected 1, so that all steps are alike",
                    settings->accumulate);
}

static int run(const cli_command *command, const cli_settings *settings) {
    measurement m = {.row_count = 0};
    int code = check_settings(command, settings);
    if (code) return code;
    code = cli_bench_setup(&m.setup, command, settings, true);
    if (!code) code = cli_timeline_open(&m.timeline, &m.setup);
    if (!code) cli_setup_ready(&m.setup);
    if (!code)
        code = cli_check(&m.setup, pp_peak_measure(m.setup.device, m.setup.profile, &m.peak));
    if (!code) code = cli_setup_session(&m.setup);
    if (!code) code = prepare(&m);
    if (!code) code = run_steps(&m);
    if (!code) code = read_steps(&m);
    if (!code) summarize(&m);
    if (!code && settings->json) write_result(&m);
    if (!code && !settings->json) print_result(&m);
    release(&m);
    cli_timeline_close(&m.timeline);
    cli_setup_end(&m.setup);
    return code;
}

const cli_command cli_bench_ops = {
    .name = "bench",
    .topic = "ops",
    .summary =
        "Time every operator and pass of a training step, as a share of what `bench peak` "
        "measures.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_shape_options, &cli_plan_options,
                                   &cli_profile_options, &cli_codec_options, &cli_optimizer_options,
                                   &cli_bench_options, &cli_trace_options, &cli_device_options,
                                   &cli_output_options, NULL},
    .run = run,
};
