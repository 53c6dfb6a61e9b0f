/* train --checkpoint and --resume: a run that goes on where it was cut off. Without the options
 * everything here does nothing. */
#ifndef PP_CLI_CHECKPOINTS_H
#define PP_CLI_CHECKPOINTS_H

#include <pocketprop/checkpoint.h>

#include "cli/setup.h"
#include "cli/train_report.h"

typedef struct cli_checkpoints {
    cli_setup *setup;    /* borrowed */
    pp_checkpoint *from; /* what the run goes on from, or NULL */
    char schedule[160];  /* in words */
    uint64_t saved_at;   /* updates */
    bool pending;        /* one was due in the midst of an update */
    bool failed;         /* the last one could not be written */
    cli_epoch *epochs;   /* whole ones, from the run's beginning on */
    size_t epoch_count, epoch_capacity;
} cli_checkpoints;

/* Opens what --resume goes on from, before there is a plan: its policy is the plan's where --adapt
 * had made one. */
int cli_checkpoints_open(cli_checkpoints *checkpoints, cli_setup *setup);

/* Once everything else that can be wrong has been checked: a folder that cannot take a checkpoint is
 * bad input now, not behind an epoch. */
int cli_checkpoints_make_folder(const cli_checkpoints *checkpoints);
void cli_checkpoints_close(cli_checkpoints *checkpoints); /* accepts a zeroed one */

/* Loads it into the session, and says so. `epoch_out` and `samples_out`: where the data goes on. */
int cli_checkpoints_load(cli_checkpoints *checkpoints, const pp_schedule *schedule,
                         uint64_t *epoch_out, uint64_t *samples_out);

/* An epoch is whole: the next checkpoint has its numbers. */
int cli_checkpoints_add(cli_checkpoints *checkpoints, const cli_epoch *epoch);

/* --checkpoint-every updates have passed, or one is overdue. */
bool cli_checkpoints_due(const cli_checkpoints *checkpoints);

/* In the midst of an update nothing is saved, and one is due behind it. What cannot be written is a
 * warning, and the run goes on. */
void cli_checkpoints_save(cli_checkpoints *checkpoints, uint64_t epoch, uint64_t samples);

#endif
