/* Plans within a budget. */
#ifndef PP_PLAN_BUDGET_H
#define PP_PLAN_BUDGET_H

#include "plan/plan.h"

/* pp_plan_create where options->budget_bytes is not 0. */
pp_status pp__plan_within_budget(const pp_graph *graph, const pp_profile *profile,
                                 const pp_plan_options *options, pp_plan **plan_out);

/* The policy whose values all come from one stored root each, so that every code is used best. */
const char *pp__budget_base_codec(void);

#endif
