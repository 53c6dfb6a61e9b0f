/* Small readers of text, with lengths, so that parts of a line can be read in place. ASCII only. */
#ifndef PP_UTIL_PARSE_H
#define PP_UTIL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole number without a sign, with K, M or G (times 1024, 1024^2, 1024^3) behind it. False
 * when anything else stands there or the number does not fit. */
bool pp__parse_bytes(const char *text, size_t length, uint64_t *value_out);

/* Whether the two are the same, and whether `text` holds `part`, both without regard to case. */
bool pp__parse_same(const char *a, size_t a_length, const char *b);
bool pp__parse_holds(const char *text, const char *part, size_t part_length);

/* Takes spaces and tabs off both ends. */
void pp__parse_trim(const char **text, size_t *length);

#endif
