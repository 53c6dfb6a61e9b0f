/* The cost of operators that do the same work for every element. */
#ifndef PP_OP_COST_H
#define PP_OP_COST_H

#include "op/op.h"

/* `flops` operations and `floats` float32 reads and writes for every element of `shape`. */
static inline pp__op_cost pp__cost_per_elem(pp__shape shape, double flops, double floats) {
    double elems = (double)pp__shape_pixels(shape) * shape.c;
    return (pp__op_cost){.flops = flops * elems, .bytes = floats * elems * sizeof(float)};
}

#endif
