/* plan --compare: policies and budgets side by side. */
#ifndef PP_CLI_COMPARE_H
#define PP_CLI_COMPARE_H

#include "cli/setup.h"

/* Options that would decide what --compare compares. */
int cli_compare_check(const cli_command *command, const cli_settings *settings);

/* Plans the setup's graph for its profile once per item of --compare, and prints a table, or JSON
 * where the settings ask for it. Nothing is printed when one of them cannot be planned. */
int cli_compare(cli_setup *setup);

#endif
