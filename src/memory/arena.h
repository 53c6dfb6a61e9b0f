/* The arena: the plan's chunks as device memory. */
#ifndef PP_MEMORY_ARENA_H
#define PP_MEMORY_ARENA_H

#include "device/buffer.h"
#include "util/engine.h"

typedef struct pp__arena {
    pp_engine *engine;
    pp__memory **chunks;
    size_t chunk_count;
    size_t bytes;
} pp__arena;

/* Allocates every chunk. A failure leaves an arena that pp__arena_release accepts. */
pp_status pp__arena_create(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp__arena *arena_out);
void pp__arena_release(pp__arena *arena); /* accepts a zeroed one */

#endif
