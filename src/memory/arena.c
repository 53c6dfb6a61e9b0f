#include "memory/arena.h"

#include "device/opencl.h"

static pp_status begin(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                       pp__arena *arena) {
    *arena = (pp__arena){.engine = pp__device_engine(device)};
    PP_TRY(pp__allocate(arena->engine, chunk_count, sizeof *arena->chunks, &arena->chunks));
    arena->chunk_count = chunk_count;
    for (size_t i = 0; i < chunk_count; i++) arena->bytes += chunk_bytes[i];
    return PP_OK;
}

pp_status pp__arena_create(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp__arena *arena_out) {
    PP_TRY(begin(device, chunk_bytes, chunk_count, arena_out));
    for (size_t i = 0; i < chunk_count; i++)
        PP_TRY(pp__memory_create(device, chunk_bytes[i], &arena_out->chunks[i].memory));
    return PP_OK;
}

pp_status pp__arena_borrow(pp_device *device, const size_t *chunk_bytes, size_t chunk_count,
                           pp_memory *const *blocks, pp__arena *arena_out) {
    PP_TRY(begin(device, chunk_bytes, chunk_count, arena_out));
    PP_TRY(pp__allocate(arena_out->engine, chunk_count, sizeof *arena_out->borrowed,
                        &arena_out->borrowed));
    for (size_t i = 0; i < chunk_count; i++) {
        arena_out->borrowed[i] = blocks[i];
        pp__memory_use(blocks[i], true);
        arena_out->chunks[i] = pp__place_ref((pp_place){.memory = blocks[i]});
    }
    return PP_OK;
}

void pp__arena_release(pp__arena *arena) {
    for (size_t i = 0; i < arena->chunk_count; i++)
        if (!arena->borrowed)
            pp__memory_destroy(arena->chunks[i].memory);
        else if (arena->borrowed[i])
            pp__memory_use(arena->borrowed[i], false);
    if (arena->engine) {
        pp__release(arena->engine, arena->chunks);
        pp__release(arena->engine, arena->borrowed);
    }
    *arena = (pp__arena){0};
}
