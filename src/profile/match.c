/* Which shipped profile fits a device. Match strings are not inherited: a profile is for the
 * devices that its own strings name. Several strings of one kind are alternatives; all kinds that
 * are given must fit. */
#include "profile/match.h"

#include <string.h>

#include "profile/lines.h"
#include "util/embedded.h"
#include "util/parse.h"

enum { MAX_DEPTH = 8 };

/* The next of the parts that '|' separates, trimmed; false behind the last. */
static bool next_part(const char **strings, size_t *length, const char **part_out,
                      size_t *part_length_out) {
    if (*length == 0) return false;
    const char *bar = memchr(*strings, '|', *length);
    size_t part_length = bar ? (size_t)(bar - *strings) : *length;
    size_t step = bar ? part_length + 1 : *length;
    *part_out = *strings, *part_length_out = part_length;
    pp__parse_trim(part_out, part_length_out);
    *strings += step, *length -= step;
    return true;
}

/* Whether one of the strings is a part of `text`. */
static bool holds_any(const char *text, const char *strings, size_t length) {
    const char *part;
    size_t part_length;
    while (next_part(&strings, &length, &part, &part_length))
        if (part_length && pp__parse_holds(text, part, part_length)) return true;
    return false;
}

static bool names_number(uint32_t value, const char *numbers, size_t length) {
    const char *part;
    size_t part_length;
    uint64_t number;
    while (next_part(&numbers, &length, &part, &part_length))
        if (pp__parse_bytes(part, part_length, &number) && number == value) return true;
    return false;
}

static bool line_fits(const pp__profile_line *line, const pp__profile_subject *subject) {
    if (pp__parse_same(line->key, line->key_length, "match.vector"))
        return names_number(subject->vector_float, line->value, line->value_length);
    const char *text =
        pp__parse_same(line->key, line->key_length, "match.platform") ? subject->platform_name
        : pp__parse_same(line->key, line->key_length, "match.device") ? subject->device_name
        : pp__parse_same(line->key, line->key_length, "match.vendor") ? subject->vendor_name
                                                                      : subject->type_name;
    return holds_any(text, line->value, line->value_length);
}

bool pp__profile_fits(const char *profile_text, const pp__profile_subject *subject) {
    bool asked = false;
    pp__profile_line line;
    for (pp__profile_reader reader = {profile_text, 0}; pp__profile_next(&reader, &line);) {
        if (!line.key || !pp__profile_is_match_key(&line)) continue;
        if (!line_fits(&line, subject)) return false;
        asked = true;
    }
    return asked;
}

size_t pp__profile_depth(const char *profile_text) {
    size_t depth = 0;
    while (profile_text && depth < MAX_DEPTH) {
        char parent[64] = "";
        pp__profile_line line;
        for (pp__profile_reader reader = {profile_text, 0}; pp__profile_next(&reader, &line);)
            if (line.key && pp__parse_same(line.key, line.key_length, "parent") &&
                line.value_length < sizeof parent) {
                memcpy(parent, line.value, line.value_length);
                parent[line.value_length] = 0;
            }
        profile_text = parent[0] ? pp__profile_shipped(parent) : NULL;
        depth += profile_text != NULL;
    }
    return depth;
}

pp__profile_subject pp__profile_subject_of(const pp_device_info *info) {
    static const char *const type_names[] = {"gpu", "cpu", "accelerator", "other"};
    return (pp__profile_subject){info->name, info->platform, info->vendor, type_names[info->type],
                                 info->native_vector_float};
}

const char *pp__profile_match(const pp__profile_subject *subject) {
    const char *best = "default";
    size_t best_depth = 0;
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const pp__embedded *file = &pp__embedded_files[i];
        if (strncmp(file->name, PP__PROFILE_FOLDER, strlen(PP__PROFILE_FOLDER)) != 0) continue;
        if (!pp__profile_fits(file->text, subject)) continue;
        size_t depth = pp__profile_depth(file->text);
        if (depth > best_depth) best = file->name + strlen(PP__PROFILE_FOLDER), best_depth = depth;
    }
    return best;
}
