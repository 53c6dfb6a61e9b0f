/* The launches of update rules and gradient clipping. Formulas: cl/exec/update.cl. */
#ifndef PP_EXEC_UPDATE_H
#define PP_EXEC_UPDATE_H

#include <pocketprop/optimizer.h>

#include "device/launch.h"

typedef struct pp__update {
    pp__ref value, gradient, moments[2];
    uint32_t elems;
    bool decayed;
} pp__update;

/* Records the update of one parameter. */
pp_status pp__update_record(pp__stream *stream, const pp_optimizer *optimizer,
                            const pp__update *update, pp__ref scalars);

/* Records the sum of squares of one gradient into squares[index]. */
pp_status pp__update_record_squares(pp__stream *stream, pp__ref gradient, uint32_t elems,
                                    pp__ref squares, size_t index);

/* Records the clip factor of squares[0..count-1] into the scalars. */
pp_status pp__update_record_clip(pp__stream *stream, pp__ref squares, uint32_t count, float bound,
                                 pp__ref scalars);

#endif
