/* What a command builds before it can work: engine, data sets, graph, device, profile, plan,
 * session. Each step returns CLI_OK, or an exit status after one line on stderr; the command calls
 * those it needs, in the order below, and cli_setup_end whatever happened.
 */
#ifndef PP_CLI_SETUP_H
#define PP_CLI_SETUP_H

#include <signal.h>

#include <pocketprop/data.h>
#include <pocketprop/pocketprop.h>

#include "cli/args.h"

typedef struct cli_setup {
    const cli_command *command;   /* borrowed */
    const cli_settings *settings; /* borrowed */
    pp_engine *engine;
    pp_model_options
        model;        /* the network's input and classes: data set, settings, or the model's own */
    pp_pixels pixels; /* what the input's bytes stand for, where model.pixels is not NULL */
    pp_dataset *data[2]; /* by pp_split */
    pp_dataset_info data_info;
    pp_graph *graph;
    pp_device *device;
    pp_profile *profile;
    pp_plan *plan;
    pp_plan_summary summary;
    pp_session *session;
    const char *stored_policy; /* of a checkpoint, in the place of codec and budget; borrowed */
    uint32_t stored_batch;     /* of the same, where --batch is auto */
    bool shipped_profile;      /* set it before cli_setup_device: no profile of the user's */
    bool profiling;            /* set it before cli_setup_device: the device records a trace */
    bool is_ready;
    char notes[8192]; /* the library's log lines until everything is ready */
} cli_setup;

/* The engine; checks the options that need no file. Call it on any cli_setup; it starts from
 * nothing. */
int cli_setup_begin(cli_setup *setup, const cli_command *command, const cli_settings *settings);

/* One split of --data. The second one must have the shape and the classes of the first. */
int cli_setup_data(cli_setup *setup, pp_split split);

/* Where a command has data, its size and its classes are the network's. */
int cli_setup_graph(cli_setup *setup);

/* The device with its profile: --profile, else the user's that fits the device, which is said in a
 * line on stderr, else the shipped one. Or a profile alone. */
int cli_setup_device(cli_setup *setup);
int cli_setup_profile(cli_setup *setup);

int cli_setup_plan(cli_setup *setup, bool inference);

/* Another plan of the same batch, by measured harms, in the place of the present one, which no
 * session uses any more. */
int cli_setup_replan(cli_setup *setup, const pp_harm *harms, size_t harm_count);

/* What the settings ask of a plan; borrows from them. */
int cli_setup_plan_options(const cli_setup *setup, bool inference, pp_plan_options *options_out);

/* The slow one: device memory and programs. */
int cli_setup_session(cli_setup *setup);

/* --weights into the session. With --partial, what does not fit is said in a line each, and then how
 * much does. */
int cli_setup_weights(cli_setup *setup);

/* From here on the library's log lines go to stderr at once; those that were held back do so now.
 * Until then bad input gives one line, the error. */
void cli_setup_ready(cli_setup *setup);

void cli_setup_end(cli_setup *setup);

/* A loader over `split` as the settings ask for: shuffled, augmented and in whole batches where
 * `training`. */
int cli_setup_loader(cli_setup *setup, pp_split split, bool training, pp_loader **loader_out);

/* One pass over the loader's split in inference mode. Stops early once *stop is not 0 (may be
 * NULL). */
int cli_evaluate(cli_setup *setup, pp_loader *loader, const volatile sig_atomic_t *stop,
                 pp_metrics *metrics_out);

/* CLI_OK for PP_OK; else prints the engine's sentence and returns the exit status that belongs to
 * it. */
int cli_check(const cli_setup *setup, pp_status status);
/* Of a plan: nothing has run yet, so what has no room or cannot be planned is bad input too. */
int cli_check_plan(const cli_setup *setup, pp_status status);

/* The most device memory ever held, or 0 without a device. */
uint64_t cli_peak_bytes(const cli_setup *setup);

#endif
