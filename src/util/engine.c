#include "util/engine.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *default_allocate(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void default_release(void *user, void *memory) {
    (void)user;
    free(memory);
}

pp_status pp_engine_create(const pp_engine_options *options, pp_engine **engine_out) {
    if (!engine_out) return PP_ERROR_INVALID_ARGUMENT;
    *engine_out = NULL;
    pp_allocator allocator = {default_allocate, default_release, NULL};
    if (options && (options->allocator.allocate || options->allocator.release)) {
        if (!options->allocator.allocate || !options->allocator.release)
            return PP_ERROR_INVALID_ARGUMENT;
        allocator = options->allocator;
    }
    pp_engine *engine = allocator.allocate(allocator.user, sizeof *engine);
    if (!engine) return PP_ERROR_OUT_OF_MEMORY;
    memset(engine, 0, sizeof *engine);
    engine->allocator = allocator;
    engine->allocation_count = 1;
    if (options) {
        engine->log = options->log;
        engine->log_user = options->log_user;
    }
    *engine_out = engine;
    return PP_OK;
}

void pp_engine_destroy(pp_engine *engine) {
    if (!engine) return;
    pp_allocator allocator = engine->allocator;
    allocator.release(allocator.user, engine);
}

const char *pp_engine_error(const pp_engine *engine) {
    return engine ? engine->error : "";
}

size_t pp_engine_allocation_count(const pp_engine *engine) {
    return engine->allocation_count;
}

pp_status pp__fail(pp_engine *engine, pp_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(engine->error, sizeof engine->error, format, arguments);
    va_end(arguments);
    return status;
}

void pp__log(pp_engine *engine, pp_log_level level, const char *format, ...) {
    if (!engine->log) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    engine->log(engine->log_user, level, line);
}

pp_status pp__allocate(pp_engine *engine, size_t count, size_t item_bytes,
                       void *memory_out_pointer) {
    void *memory = NULL;
    memcpy(memory_out_pointer, &memory, sizeof memory);
    if (item_bytes && count > SIZE_MAX / item_bytes)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY,
                        "host memory: %zu items of %zu bytes overflow", count, item_bytes);
    size_t bytes = count * item_bytes;
    memory = engine->allocator.allocate(engine->allocator.user, bytes ? bytes : 1);
    if (!memory)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY, "host memory: %zu bytes were refused",
                        bytes);
    engine->allocation_count++;
    memset(memory, 0, bytes ? bytes : 1);
    memcpy(memory_out_pointer, &memory, sizeof memory);
    return PP_OK;
}

pp_status pp__grow(pp_engine *engine, void *array_pointer, size_t *capacity, size_t count,
                   size_t item_bytes) {
    if (count <= *capacity) return PP_OK;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    if (wanted < count) wanted = count;
    void *old, *grown;
    memcpy(&old, array_pointer, sizeof old);
    PP_TRY(pp__allocate(engine, wanted, item_bytes, &grown));
    if (old) memcpy(grown, old, *capacity * item_bytes);
    pp__release(engine, old);
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return PP_OK;
}

void pp__release(pp_engine *engine, void *memory) {
    if (memory) engine->allocator.release(engine->allocator.user, memory);
}

pp_status pp__copy_text(pp_engine *engine, const char *text, char **copy_out) {
    size_t bytes = strlen(text) + 1;
    PP_TRY(pp__allocate(engine, bytes, 1, copy_out));
    memcpy(*copy_out, text, bytes);
    return PP_OK;
}
