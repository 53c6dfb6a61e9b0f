/* What the bench commands share: a batch that needs no data set, timed steps, medians. */
#ifndef PP_CLI_BENCH_H
#define PP_CLI_BENCH_H

#include "cli/output.h"
#include "cli/setup.h"

/* Steps in front of those that count: pages, caches and clocks settle. */
enum { CLI_BENCH_WARM_UP = 3 };

#define CLI_BENCH_LEARNING_RATE 0.01f

/* Opens everything that `bench step` and `bench ops` need, up to the plan. */
int cli_bench_setup(cli_setup *setup, const cli_command *command, const cli_settings *settings,
                    bool profiling);

/* The network's input and classes: what the options give, the model's own where they give none. */
int cli_bench_read_shape(const cli_setup *setup, pp_model_options *shape_out);

/* One synthetic batch of the plan's size, for every step. The caller destroys it, also after a
 * failure. */
int cli_bench_create_batch(const cli_setup *setup, pp_batch *batch_out);
void cli_bench_destroy_batch(pp_batch *batch);

/* Of one step, on the clock of cli_seconds: pp_session_step was called, it returned, the device had
 * done everything. The device was idle before, so the host waited for nothing while it enqueued. */
typedef struct cli_step_times {
    double began, enqueued, finished;
} cli_step_times;
int cli_bench_step_once(const cli_setup *setup, const pp_batch *batch, cli_step_times *times_out);

/* Sorts the values. */
double cli_median(double *values, size_t count);

/* The members of a JSON object, and the first line of a table: what was measured, and on what. */
void cli_bench_write_subject(pp__json *json, const cli_setup *setup);
void cli_bench_print_subject(const cli_setup *setup);

/* --steps and --seed. */
extern const cli_group cli_bench_options;

#endif
