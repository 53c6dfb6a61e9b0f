/* train --report FILE: a run as a page, its epochs as curves and its plan. Without the option
 * everything here does nothing. */
#ifndef PP_CLI_TRAIN_REPORT_H
#define PP_CLI_TRAIN_REPORT_H

#include "cli/adapt.h"
#include "cli/outfile.h"
#include "cli/setup.h"

/* NaN where there is nothing yet. */
typedef struct cli_epoch {
    double train_loss, train_top1, test_loss, test_top1; /* accuracies in percent */
    double images_per_second, learning_rate, seconds;
} cli_epoch;

typedef struct cli_train_report {
    const cli_setup *setup; /* borrowed, as is the next */
    const cli_adapt *adapt;
    cli_outfile file; /* not open: no report wanted, or written */
    cli_epoch *epochs;
    size_t count, capacity;
} cli_train_report;

/* Call it before anything slow: a file that cannot be written shows here. */
int cli_train_report_open(cli_train_report *report, const cli_setup *setup, const cli_adapt *adapt);

/* Behind each whole epoch. */
int cli_train_report_add(cli_train_report *report, const cli_epoch *epoch);

/* The page of what there is. */
int cli_train_report_write(cli_train_report *report);

/* Leaves nothing behind but a written file. Accepts a zeroed report. */
void cli_train_report_close(cli_train_report *report);

#endif
