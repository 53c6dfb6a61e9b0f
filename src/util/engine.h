/* The engine's private side: errors and host memory. */
#ifndef PP_UTIL_ENGINE_H
#define PP_UTIL_ENGINE_H

#include <pocketprop/engine.h>
#include <stddef.h>

#if defined(__GNUC__)
#define PP_PRINTF(format_index, first_argument) \
    __attribute__((format(printf, format_index, first_argument)))
#else
#define PP_PRINTF(format_index, first_argument)
#endif

enum { PP__ERROR_CAPACITY = 4096 };

struct pp_engine {
    pp_allocator allocator;
    pp_log_callback *log;
    void *log_user;
    size_t allocation_count;
    char error[PP__ERROR_CAPACITY];
};

/* Stores the one sentence of a failure and returns `status`. Call it where the facts are, once;
 * callers further up return the status and leave the sentence alone. Long build logs are cut at the
 * capacity. */
pp_status pp__fail(pp_engine *engine, pp_status status, const char *format, ...) PP_PRINTF(3, 4);

/* Hands one line to the log callback, if there is one. */
void pp__log(pp_engine *engine, pp_log_level level, const char *format, ...) PP_PRINTF(3, 4);

/* Zeroed host memory for `count` items of `item_bytes`; the product is checked. *memory_out is NULL
 * on failure (PP_ERROR_OUT_OF_MEMORY, sentence stored). Zero bytes give a valid pointer. */
pp_status pp__allocate(pp_engine *engine, size_t count, size_t item_bytes,
                       void *memory_out_pointer);

/* Makes room for `count` items in a growing array: doubles *capacity when needed, keeps the
 * content, zeroes the rest. `array_pointer` is the address of the array's pointer. */
pp_status pp__grow(pp_engine *engine, void *array_pointer, size_t *capacity, size_t count,
                   size_t item_bytes);

/* Accepts NULL. */
void pp__release(pp_engine *engine, void *memory);

/* A copy of `text` that the caller releases. */
pp_status pp__copy_text(pp_engine *engine, const char *text, char **copy_out);

/* The two error macros of the project. */
#define PP_TRY(call)                                  \
    do {                                              \
        pp_status pp__status_ = (call);               \
        if (pp__status_ != PP_OK) return pp__status_; \
    } while (0)

#define PP_TRY_GOTO(status, call, label)   \
    do {                                   \
        (status) = (call);                 \
        if ((status) != PP_OK) goto label; \
    } while (0)

#endif
