/* bench step --dump: a step in files, so that another program can repeat it. */
#ifndef PP_CLI_BENCH_DUMP_H
#define PP_CLI_BENCH_DUMP_H

#include "cli/setup.h"

/* Writes the session's parameters and the batch, trains on it for three steps, and writes the loss
 * of each. The folder is made where it is missing and holds afterwards:
 *
 *   parameters.f32   all parameters and running statistics before the first step, one behind the
 *                    other in the plan's order and layout, float32, little-endian
 *   inputs.f32       the batch, [batch, height, width, channels]
 *   labels.i32       its labels, int32, little-endian
 *   step.json        names and shapes of the parameters, the optimizer's numbers, the losses
 *
 * CLI_OK, or an exit status after one line on stderr. */
int cli_bench_dump(const cli_setup *setup, const pp_model_options *shape, const pp_batch *batch,
                   float learning_rate, const char *folder);

#endif
