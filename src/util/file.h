/* Whole files, and why the system refuses one. */
#ifndef PP_UTIL_FILE_H
#define PP_UTIL_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "util/engine.h"

/* Why the system refused, by errno's number. Unlike strerror, for any thread. */
typedef struct pp__reason {
    char text[128];
} pp__reason;
pp__reason pp__system_reason(int error_number);

bool pp__file_exists(const char *path);

/* Sources and profiles have a few KiB; the bound stops at devices and pipes that never end. */
enum { PP__FILE_MAX_BYTES = 1 << 22 };

/* The file's bytes and a NUL behind them, which *length_out does not count; the caller releases
 * them. PP_ERROR_IO with path and reason; PP_ERROR_CORRUPT_DATA: larger than the bound. */
pp_status pp__file_read(pp_engine *engine, const char *path, char **bytes_out, size_t *length_out);

/* Makes the folders of `path` and writes the text there: under a temporary name first, which is
 * then renamed, so that a reader sees the old file or the new one, never half of one. PP_ERROR_IO
 * with path and reason. */
pp_status pp__file_write(pp_engine *engine, const char *path, const char *text);

#endif
