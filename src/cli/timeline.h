/* --trace FILE: what device and host did, in Chrome's trace format (chrome://tracing,
 * ui.perfetto.dev). Without the option everything here does nothing.
 *
 * The file appears under its name when it is whole: after CLI_TIMELINE_STEPS steps, or at the end
 * of a run that has fewer.
 */
#ifndef PP_CLI_TIMELINE_H
#define PP_CLI_TIMELINE_H

#include "cli/outfile.h"
#include "cli/setup.h"

enum { CLI_TIMELINE_STEPS = 20 };

typedef struct cli_timeline {
    const cli_setup *setup;
    cli_outfile file; /* not open: nothing to trace, or written */
    struct {
        double began, enqueued; /* on the clock of cli_seconds */
    } steps[CLI_TIMELINE_STEPS];
    size_t step_count;
} cli_timeline;

/* The device must have been opened with `profiling`. Call it before anything slow: a file that
 * cannot be written shows here. */
int cli_timeline_open(cli_timeline *timeline, const cli_setup *setup);

/* The steps that follow are traced, what was before is not. */
int cli_timeline_start(cli_timeline *timeline);

/* Behind each pp_session_step: when it was called and when it returned. */
int cli_timeline_add_step(cli_timeline *timeline, double began, double enqueued);

/* Writes what there is, unless it is written. */
int cli_timeline_write(cli_timeline *timeline);

/* Everything that the device's trace holds, oldest first. The caller frees *events_out, also after
 * a failure. */
int cli_timeline_read(const cli_setup *setup, pp_device_trace_event **events_out,
                      size_t *count_out);

/* Leaves nothing behind but a written file. Accepts a zeroed timeline. */
void cli_timeline_close(cli_timeline *timeline);

#endif
