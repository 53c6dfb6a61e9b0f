/* Small things that every command writes with. */
#ifndef PP_CLI_OUTPUT_H
#define PP_CLI_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/json.h"

/* A JSON sink whose user pointer is a FILE. */
bool cli_write_to_file(void *file, const char *text, size_t byte_count);

/* "21.3 MiB" and the like. */
typedef struct cli_text {
    char text[32];
} cli_text;
cli_text cli_bytes_text(uint64_t bytes);

/* A value with `digits` decimals, or "-" for NaN: there is none. */
cli_text cli_real_text(double value, int digits);

/* Seconds on a clock that never goes back. */
double cli_seconds(void);

#endif
