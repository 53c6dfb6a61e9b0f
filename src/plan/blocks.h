/* Candidates for bands (bands.c). */
#ifndef PP_PLAN_BLOCKS_H
#define PP_PLAN_BLOCKS_H

#include "plan/plan.h"

/* Nodes first..last; tail..last is the part that holds the block's largest values as a rule. */
typedef struct pp__block {
    uint32_t first, tail, last;
} pp__block;

/* In order, without overlaps. The caller releases *blocks_out. */
pp_status pp__plan_find_blocks(const pp_plan *plan, pp__block **blocks_out, size_t *count_out);

#endif
