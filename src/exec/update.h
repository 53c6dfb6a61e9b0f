/* The launches of update rules and gradient clipping, each over many parameters at once. Formulas
 * and the table on the device: cl/exec/update.cl. */
#ifndef PP_EXEC_UPDATE_H
#define PP_EXEC_UPDATE_H

#include <pocketprop/optimizer.h>

#include "device/launch.h"

/* One parameter with a gradient: a row of the table. */
typedef struct pp__update {
    pp__ref value, gradient, moments[2];
    uint32_t elems;
    float rate; /* of the learning rate */
    bool decayed;
    bool coded; /* its moments are in 8 bits */
} pp__update;

/* All of a plan's, in its order. */
typedef struct pp__updates {
    pp__update *rows;
    size_t count;
    pp__ref table; /* PP__UPDATE_ROW_WORDS (plan/plan.h) for each row */
    pp__ref scalars;
    const pp_optimizer *optimizer;
    bool coded; /* any row is */
} pp__updates;

/* Writes the table that the launches below read, for the tunables of `profile`. */
pp_status pp__update_write_table(pp_device *device, const pp_profile *profile,
                                 const pp__updates *updates);

/* Records the update of rows first .. first + count - 1: one launch where their tensors lie in the
 * same allocations. */
pp_status pp__update_record(pp__stream *stream, const pp__updates *updates, size_t first,
                            size_t count);

/* Records the clip factor of all gradients' norm into the scalars; `squares` has a float for each
 * block of each gradient. */
pp_status pp__update_record_clip(pp__stream *stream, const pp__updates *updates, pp__ref squares);

#endif
