#include "util/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void pp__json_begin(pp__json *json, pp__json_sink *sink, void *user, uint32_t line_depth) {
    memset(json, 0, sizeof *json);
    json->sink = sink;
    json->user = user;
    json->line_depth = line_depth;
}

static void put(pp__json *json, const char *text, size_t byte_count) {
    if (json->failed || !byte_count) return;
    if (!json->sink(json->user, text, byte_count)) json->failed = true;
}

static void put_text(pp__json *json, const char *text) {
    put(json, text, strlen(text));
}

static void put_line_break(pp__json *json) {
    put_text(json, "\n");
    for (uint32_t i = 0; i < json->depth; i++) put_text(json, "  ");
}

/* The bytes of the UTF-8 sequence that begins at `text`, or 0 where there is none: a stray or
 * missing continuation byte, an overlong form, a surrogate, or a number past U+10FFFF (RFC 3629,
 * section 4). */
static size_t utf8_length(const unsigned char *text) {
    unsigned char first = text[0], low = 0x80, high = 0xBF;
    if (first < 0x80) return 1;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return 0;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < low || text[i] > high) return 0;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

static void put_quoted(pp__json *json, const char *text) {
    put_text(json, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        size_t length = utf8_length(c);
        char escape[8] = "\\ufffd";
        if (*c == '"' || *c == '\\')
            snprintf(escape, sizeof escape, "\\%c", *c);
        else if (*c < 0x20)
            snprintf(escape, sizeof escape, "\\u%04x", *c);
        else if (length)
            escape[0] = '\0';
        if (escape[0])
            put_text(json, escape);
        else
            put(json, (const char *)c, length);
        c += length ? length : 1;
    }
    put_text(json, "\"");
}

/* What stands before every item: the comma, the line break and the key. False: no item may stand
 * here. */
static bool begin_item(pp__json *json, const char *key) {
    bool in_object = json->depth && json->closer[json->depth - 1] == '}';
    bool second_root = !json->depth && json->has_root;
    if (second_root || in_object != (key != NULL)) json->failed = true;
    if (json->failed) return false;
    if (json->depth) {
        bool *has_items = &json->has_items[json->depth - 1];
        bool own_line = json->depth <= json->line_depth;
        if (*has_items) put_text(json, own_line ? "," : ", ");
        if (own_line) put_line_break(json);
        *has_items = true;
    }
    json->has_root = true;
    if (key) {
        put_quoted(json, key);
        put_text(json, ": ");
    }
    return !json->failed;
}

static void open_container(pp__json *json, const char *key, const char *opener, char closer) {
    if (json->depth == PP__JSON_DEPTH) json->failed = true;
    if (!begin_item(json, key)) return;
    put_text(json, opener);
    json->closer[json->depth] = closer;
    json->has_items[json->depth] = false;
    json->depth++;
}

void pp__json_open_object(pp__json *json, const char *key) {
    open_container(json, key, "{", '}');
}

void pp__json_open_array(pp__json *json, const char *key) {
    open_container(json, key, "[", ']');
}

void pp__json_close(pp__json *json) {
    if (!json->depth) json->failed = true;
    if (json->failed) return;
    bool own_line = json->has_items[json->depth - 1] && json->depth <= json->line_depth;
    json->depth--;
    if (own_line) put_line_break(json);
    put(json, &json->closer[json->depth], 1);
}

void pp__json_text(pp__json *json, const char *key, const char *text) {
    if (!begin_item(json, key)) return;
    if (text)
        put_quoted(json, text);
    else
        put_text(json, "null");
}

void pp__json_integer(pp__json *json, const char *key, uint64_t value) {
    if (!begin_item(json, key)) return;
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    put_text(json, digits);
}

void pp__json_real(pp__json *json, const char *key, double value) {
    if (!begin_item(json, key)) return;
    char digits[32] = "null";
    if (isfinite(value)) {
        snprintf(digits, sizeof digits, "%.9g", value);
        /* The host application's locale may write a decimal comma. */
        char *comma = strchr(digits, ',');
        if (comma) *comma = '.';
    }
    put_text(json, digits);
}

void pp__json_bool(pp__json *json, const char *key, bool value) {
    if (begin_item(json, key)) put_text(json, value ? "true" : "false");
}

bool pp__json_end(pp__json *json) {
    if (json->depth || !json->has_root) json->failed = true;
    put_text(json, "\n");
    return !json->failed;
}
