/* What losses share: the last launch of their forward pass. */
#ifndef PP_OP_LOSS_H
#define PP_OP_LOSS_H

#include "op/op.h"

/* Adds the per-sample losses in b->output to metrics[0] and, where `hits` is not empty, the
 * per-sample hits to metrics[1]. One work-item adds in a fixed order, so a run can be repeated to
 * the bit. Losses that are not finite are counted in the scalars, and in training the update is left
 * out (scalars.h). */
pp_status pp__loss_forward(const pp__op_binding *b, pp__ref hits);

#endif
