/* A JSON writer (RFC 8259): text goes to a sink as it is made, so nothing is held in memory.
 *
 *     pp__json json;
 *     pp__json_begin(&json, write_to_file, file, 0);
 *     pp__json_open_object(&json, NULL);
 *     pp__json_integer(&json, "epoch", 3);
 *     pp__json_close(&json);
 *     bool written = pp__json_end(&json);
 *
 * Items inside an object carry a key, items inside an array and the outermost value carry NULL. The
 * writer is sticky: after a refused write or a call that would give malformed text, every later
 * call does nothing and pp__json_end returns false.
 */
#ifndef PP_UTIL_JSON_H
#define PP_UTIL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes `byte_count` bytes of text, without a terminating zero. False: they could not be written.
 */
typedef bool pp__json_sink(void *user, const char *text, size_t byte_count);

enum { PP__JSON_DEPTH = 16 }; /* containers inside one another, at most */

typedef struct pp__json {
    pp__json_sink *sink;
    void *user;
    uint32_t line_depth;
    uint32_t depth;
    char closer[PP__JSON_DEPTH]; /* '}' or ']' of each open container */
    bool has_items[PP__JSON_DEPTH];
    bool has_root;
    bool failed;
} pp__json;

/* The items of the outermost `line_depth` levels of containers stand on lines of their own; what is
 * deeper stays on one line. 0 writes everything on one line. */
void pp__json_begin(pp__json *json, pp__json_sink *sink, void *user, uint32_t line_depth);

void pp__json_open_object(pp__json *json, const char *key);
void pp__json_open_array(pp__json *json, const char *key);
void pp__json_close(pp__json *json); /* the container opened last */

/* Control characters, quotes and backslashes are escaped; bytes that are no UTF-8 become U+FFFD. A
 * NULL `text` is written as null. */
void pp__json_text(pp__json *json, const char *key, const char *text);
void pp__json_integer(pp__json *json, const char *key, uint64_t value);
void pp__json_real(pp__json *json, const char *key,
                   double value); /* 9 digits; NaN and infinities: null */
void pp__json_bool(pp__json *json, const char *key, bool value);

/* Ends the text with a newline. False: a write was refused, a container is still open, nothing was
 * written, or an item stood where it may not. */
bool pp__json_end(pp__json *json);

#endif
