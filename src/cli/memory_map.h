/* A plan as two drawings over its steps: what is live, by class, and where in the arena every value
 * lies. */
#ifndef PP_CLI_MEMORY_MAP_H
#define PP_CLI_MEMORY_MAP_H

#include <pocketprop/plan.h>

#include "cli/report.h"

/* The key to the colours: a memory class's colour is its number. */
void cli_page_class_key(cli_page *page);

/* Up to so many values each is drawn as a rectangle, however thin; of more, those thinner than a
 * pixel of the drawing are one outline per class. */
enum { CLI_MAP_VALUES = 3000 };

/* The drawings and a line on what was left out. False: no host memory. */
bool cli_page_memory_map(cli_page *page, const pp_plan *plan);

#endif
