#include "memory/arena.h"

pp_status pp__arena_create(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp__arena *arena_out) {
    *arena_out = (pp__arena){.engine = pp__device_engine(device)};
    PP_TRY(pp__allocate(arena_out->engine, chunk_count, sizeof *arena_out->chunks,
                        &arena_out->chunks));
    arena_out->chunk_count = chunk_count;
    for (size_t i = 0; i < chunk_count; i++) {
        PP_TRY(pp__memory_create(device, chunk_bytes[i], &arena_out->chunks[i]));
        arena_out->bytes += chunk_bytes[i];
    }
    return PP_OK;
}

void pp__arena_release(pp__arena *arena) {
    for (size_t i = 0; i < arena->chunk_count; i++) pp__memory_destroy(arena->chunks[i]);
    if (arena->chunks) pp__release(arena->engine, arena->chunks);
    *arena = (pp__arena){0};
}
