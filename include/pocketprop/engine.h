/* engine.h: the root object. It owns the allocator, the log callback and the last error's text.
 *
 *     pp_engine *engine = NULL;
 *     if (pp_engine_create(NULL, &engine) != PP_OK) return 1;
 *     ...
 *     pp_engine_destroy(engine);
 *
 * There is no global state: two engines in one process do not know of each other, and may be used by
 * two threads at once; they share no more than the folder of built programs, as two processes do,
 * and the tables that drivers and CLBlast keep and guard themselves.
 * One engine, and whatever was created from it, is used from one thread at a time. Parents outlive children:
 * destroy sessions before plans, plans before graphs, and everything before the engine.
 */
#ifndef POCKETPROP_ENGINE_H
#define POCKETPROP_ENGINE_H

#include <stddef.h>

#include <pocketprop/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PP_VERSION_MAJOR 0
#define PP_VERSION_MINOR 1
#define PP_VERSION_PATCH 0

typedef struct pp_engine pp_engine;

/* Where host memory comes from. `allocate` returns memory aligned for any C type, or NULL;
 * `release` accepts what `allocate` returned and never NULL. A background thread of a pp_loader
 * calls neither. All host memory of both libraries comes from here, but for what the decoders of
 * image and compressed files (zlib, libjpeg, libpng), cJSON (about ten times a safetensors
 * header, which is refused above 16 MiB), the C library's streams and folders and the OpenCL driver
 * allocate for themselves. */
typedef struct pp_allocator {
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *memory);
    void *user;
} pp_allocator;

typedef enum pp_log_level { PP_LOG_INFO = 0, PP_LOG_WARNING = 1 } pp_log_level;

/* Receives one line without a newline. The library is silent without one. */
typedef void pp_log_callback(void *user, pp_log_level level, const char *line);

/* Zeroed members mean: malloc and free, no log. */
typedef struct pp_engine_options {
    pp_allocator allocator;
    pp_log_callback *log;
    void *log_user;
} pp_engine_options;

/* Creates an engine. `options` may be NULL; it is copied. On success the caller owns *engine_out.
 * Returns PP_ERROR_OUT_OF_MEMORY, or PP_ERROR_INVALID_ARGUMENT for half an allocator. */
PP_API pp_status pp_engine_create(const pp_engine_options *options, pp_engine **engine_out);

/* Accepts NULL. Everything created from the engine must be gone. */
PP_API void pp_engine_destroy(pp_engine *engine);

/* The sentence that belongs to the last failure: what was found, where, what was expected.
 * Borrowed; valid until the next failing call. "" when nothing has failed yet. */
PP_API const char *pp_engine_error(const pp_engine *engine);

/* Host allocations made through this engine so far, ever. A training step adds none (session.h). */
PP_API size_t pp_engine_allocation_count(const pp_engine *engine);

/* The library's version at run time, e.g. "0.1.0". */
PP_API const char *pp_version(void);

#ifdef __cplusplus
}
#endif

#endif
