/* The arena: the plan's chunks as device memory, its own or the application's. */
#ifndef PP_MEMORY_ARENA_H
#define PP_MEMORY_ARENA_H

#include "device/buffer.h"
#include "util/engine.h"

typedef struct pp__arena {
    pp_engine *engine;
    pp__ref *chunks; /* where each begins */
    size_t chunk_count;
    size_t bytes;         /* of all chunks */
    pp_memory **borrowed; /* the application's blocks; NULL: the chunks are the arena's own */
} pp__arena;

/* Allocates every chunk. A failure leaves an arena that pp__arena_release accepts. */
pp_status pp__arena_create(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp__arena *arena_out);

/* The same in blocks of the application's that pp__memory_check let pass, one for each chunk; marks
 * them as in use until the arena is released. Copies the array. */
pp_status pp__arena_borrow(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp_memory *const *blocks, pp__arena *arena_out);

void pp__arena_release(pp__arena *arena); /* accepts a zeroed one */

#endif
