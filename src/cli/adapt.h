/* train --adapt N: after N updates the values' signals are measured, and training goes on with a
 * plan that knows them, within the same budget. Without the option everything here does nothing.
 *
 * Parameters, moments, running statistics, metrics, counts and the seed go from the old session to
 * the new one; data order and schedule never were the session's. Old session, measuring and new
 * session follow one another on the device. */
#ifndef PP_CLI_ADAPT_H
#define PP_CLI_ADAPT_H

#include "cli/report.h"
#include "cli/setup.h"

typedef struct cli_adapt {
    cli_setup *setup;    /* borrowed */
    pp_signals *signals; /* NULL: nothing measured yet */
    bool is_done;
    size_t changed_count; /* lines of the policy that are new */
} cli_adapt;

/* --adapt needs a budget to choose within. */
int cli_adapt_open(cli_adapt *adapt, cli_setup *setup);

/* In front of a step: so many updates are done. */
bool cli_adapt_is_due(const cli_adapt *adapt);

/* A run that goes on behind the measuring has its plan. */
void cli_adapt_resume(cli_adapt *adapt);

/* Measures on `batch`, the one that the next step takes. Where not even one image fits the budget
 * beside float32, a line on stderr says so and the plan stays. */
int cli_adapt_run(cli_adapt *adapt, const pp_batch *batch);

/* A section: the signals of each saved value, beside its code. */
void cli_adapt_page(const cli_adapt *adapt, cli_page *page);

void cli_adapt_close(cli_adapt *adapt); /* accepts a zeroed one */

#endif
