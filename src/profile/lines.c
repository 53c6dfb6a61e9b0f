#include "profile/lines.h"

#include <string.h>

#include "util/embedded.h"
#include "util/parse.h"

bool pp__profile_next(pp__profile_reader *reader, pp__profile_line *line_out) {
    while (*reader->cursor) {
        const char *start = reader->cursor;
        size_t length = strcspn(start, "\n");
        reader->cursor = start + length + (start[length] == '\n');
        reader->line_number++;
        if (length && start[length - 1] == '\r') length--;
        for (size_t i = 0; i < length; i++)
            if (start[i] == '#') length = i;
        pp__parse_trim(&start, &length);
        if (length == 0) continue;

        *line_out = (pp__profile_line){.number = reader->line_number};
        const char *sign = memchr(start, '=', length);
        if (!sign) return true;
        const char *key = start, *value = sign + 1;
        size_t key_length = (size_t)(sign - start), value_length = length - key_length - 1;
        pp__parse_trim(&key, &key_length);
        pp__parse_trim(&value, &value_length);
        if (key_length == 0 || value_length == 0) return true;
        line_out->key = key, line_out->key_length = key_length;
        line_out->value = value, line_out->value_length = value_length;
        return true;
    }
    return false;
}

bool pp__profile_is_match_key(const pp__profile_line *line) {
    return pp__parse_same(line->key, line->key_length, "match.platform") ||
           pp__parse_same(line->key, line->key_length, "match.device") ||
           pp__parse_same(line->key, line->key_length, "match.vendor") ||
           pp__parse_same(line->key, line->key_length, "match.type") ||
           pp__parse_same(line->key, line->key_length, "match.vector");
}

const char *pp__profile_shipped(const char *name) {
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const char *file = pp__embedded_files[i].name;
        if (strncmp(file, PP__PROFILE_FOLDER, strlen(PP__PROFILE_FOLDER)) == 0 &&
            strcmp(file + strlen(PP__PROFILE_FOLDER), name) == 0)
            return pp__embedded_files[i].text;
    }
    return NULL;
}
