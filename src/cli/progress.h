/* What a long run shows while it runs: one bar that redraws itself on a terminal, a plain line
 * every few seconds otherwise. Everything goes to one stream, standard error for `train`. */
#ifndef PP_CLI_PROGRESS_H
#define PP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <pocketprop/session.h>

typedef struct cli_progress {
    FILE *stream;
    bool is_terminal;
    bool is_drawn; /* a bar stands on the current line */
    char label[48];
    uint64_t run_total, run_done;     /* samples */
    uint64_t epoch_total, epoch_done; /* samples */
    uint64_t epoch_skipped;           /* of those done, by an earlier run */
    double epoch_started;             /* seconds, as are the next two */
    double shown, measured;
    double loss, top1_percent, images_per_second; /* NaN before the first measurement */
} cli_progress;

void cli_progress_begin(cli_progress *progress, FILE *stream, uint64_t run_total);
void cli_progress_begin_epoch(cli_progress *progress, const char *label, uint64_t epoch_total);

/* Counts samples that were handed to the device, and draws when it is time. */
void cli_progress_advance(cli_progress *progress, uint64_t samples);

/* Samples of this epoch that an earlier run trained on: no part of the speed. Before any advance. */
void cli_progress_skip(cli_progress *progress, uint64_t samples);

/* Reading metrics waits for the device, so they are wanted only now and then. */
bool cli_progress_wants_metrics(const cli_progress *progress);
void cli_progress_measure(cli_progress *progress, const pp_metrics *metrics);

/* Draws at once: `done` of the epoch's total, with a text of the caller's for the numbers. */
void cli_progress_show(cli_progress *progress, uint64_t done, const char *numbers);

/* Wipes the bar, so that other lines can be written. */
void cli_progress_clear(cli_progress *progress);

#endif
