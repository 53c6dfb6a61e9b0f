/* What operators' costs have in common. */
#ifndef PP_OP_COST_H
#define PP_OP_COST_H

#include "op/op.h"

/* `flops` operations and `floats` float32 reads and writes for every element of `shape`. */
static inline pp__op_cost pp__cost_per_elem(pp__shape shape, double flops, double floats) {
    double elems = (double)pp__shape_pixels(shape) * shape.c;
    return (pp__op_cost){.flops = flops * elems, .bytes = floats * elems * sizeof(float)};
}

/* The bytes of one save in its stored form; 0 where nothing is saved. */
static inline double pp__cost_stored(const pp__op_query *q, size_t save) {
    const pp__stored *stored = q->stored[save];
    return stored ? (double)pp__coding_bytes(&stored->coding, stored->shape) : 0;
}

/* Adds the reading or writing of a save. */
static inline pp__op_cost pp__cost_with_stored(pp__op_cost cost, const pp__op_query *q,
                                               size_t save) {
    cost.bytes += pp__cost_stored(q, save);
    return cost;
}

#endif
