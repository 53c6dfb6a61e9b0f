/* A profile's text, line by line, and the shipped profiles by name. */
#ifndef PP_PROFILE_LINES_H
#define PP_PROFILE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define PP__PROFILE_FOLDER "platforms/"

typedef struct pp__profile_line {
    const char *key,
        *value; /* trimmed, not terminated; both NULL when the line is not key = value */
    size_t key_length, value_length;
    size_t number; /* counts from 1 */
} pp__profile_line;

typedef struct pp__profile_reader {
    const char *cursor;
    size_t line_number;
} pp__profile_reader;

/* The next line that holds something besides a comment; false at the end. */
bool pp__profile_next(pp__profile_reader *reader, pp__profile_line *line_out);

/* Whether the line is one of match.platform, .device, .vendor, .type, .vector. */
bool pp__profile_is_match_key(const pp__profile_line *line);

/* The shipped profile's text, or NULL. Static. */
const char *pp__profile_shipped(const char *name);

#endif
