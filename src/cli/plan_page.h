/* What a page says of a plan. */
#ifndef PP_CLI_PLAN_PAGE_H
#define PP_CLI_PLAN_PAGE_H

#include <pocketprop/plan.h>

#include "cli/report.h"
#include "cli/setup.h"

/* Rows of facts on the planned network: its policy in words, peak, saved bytes. */
void cli_page_plan_facts(cli_page *page, const cli_setup *setup);

/* Sections: the memory map; classes beside a float32 framework; what is kept in which form; layers
 * and which of their gradients are exact; the decisions as --save-policy writes them. CLI_OK, or
 * CLI_FAILURE after one line on stderr. */
int cli_page_plan(cli_page *page, const cli_setup *setup);

/* The sections by themselves. False: no host memory. */
void cli_page_classes(cli_page *page, const pp_plan *plan);
bool cli_page_layers(cli_page *page, const pp_plan *plan);

#endif
