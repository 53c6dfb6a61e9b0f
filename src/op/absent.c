/* Operators that the build leaves out (POCKETPROP_WITHOUT): a name, and nothing that could be
 * called. The graph refuses nodes of them, and plan/fuse.c does not introduce them. */
#include "op/op.h"

#define PP__OP(stem, text) const pp__op pp__op_##stem = {.name = (text)};
#include "op/absent_list.inc"
#undef PP__OP
