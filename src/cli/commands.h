/* The commands, one cmd_NAME.c each. */
#ifndef PP_CLI_COMMANDS_H
#define PP_CLI_COMMANDS_H

#include "cli/args.h"

extern const cli_command cli_devices;
extern const cli_command cli_plan;
extern const cli_command cli_train;
extern const cli_command cli_eval;
extern const cli_command cli_fidelity;
extern const cli_command cli_inspect;
extern const cli_command cli_convert;
extern const cli_command cli_tune;
extern const cli_command cli_bench_step;
extern const cli_command cli_bench_ops;
extern const cli_command cli_bench_peak;

#endif
