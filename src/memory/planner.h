/* Offsets for lives: pure integers. The planner never sees an operator or a device. */
#ifndef PP_MEMORY_PLANNER_H
#define PP_MEMORY_PLANNER_H

#include <stddef.h>

#include <pocketprop/status.h>

/* One value: it needs `bytes` from step `first` to step `last`, both included. The planner writes
 * the chunk (0, 1, ...) and the offset in it. */
typedef struct pp__life {
    size_t bytes;
    size_t first, last;
    size_t chunk, offset_bytes;
} pp__life;

typedef struct pp__layout_limits {
    size_t alignment_bytes; /* of every offset and chunk size; at least 1 */
    size_t chunk_bytes;     /* the largest chunk; 0: no limit */
    size_t enough_bytes;    /* the first layout whose peak is at most this ends the search */
    unsigned haste;         /* the search's length is divided by this; 0: by 1 */
} pp__layout_limits;

typedef struct pp__layout {
    size_t chunk_count;
    size_t peak_bytes;        /* the sum of the chunks' sizes */
    size_t lower_bound_bytes; /* the largest sum of `bytes` (unrounded) live in one step */
    size_t peak_step;         /* the first step that reaches it */
} pp__layout;

/* Bytes of scratch that the caller provides, aligned for any type. */
size_t pp__planner_scratch_bytes(size_t life_count);

/* Writes chunk and offset of every life, and the layout. Deterministic. `chunk_sizes` gets the
 * bytes of each chunk, at most `chunk_capacity` of them. PP_ERROR_OUT_OF_MEMORY: a life is larger
 * than chunk_bytes (its index in *offender_out), or more than chunk_capacity chunks are needed
 * (*offender_out is life_count). PP_ERROR_INVALID_ARGUMENT: first > last. */
pp_status pp__planner_run(pp__life *lives, size_t life_count, const pp__layout_limits *limits,
                          void *scratch, size_t *chunk_sizes, size_t chunk_capacity,
                          pp__layout *layout_out, size_t *offender_out);

#endif
