/* Which shipped profile fits a device. Match strings are not inherited: a profile is for the
 * devices that its own strings name. Several strings of one kind are alternatives; all kinds that
 * are given must fit. */
#include <string.h>

#include "profile/profile.h"
#include "profile/lines.h"
#include "util/embedded.h"
#include "util/parse.h"

enum { MAX_DEPTH = 8 };

/* Whether one of the strings, separated by '|', is a part of `text`. */
static bool holds_any(const char *text, const char *strings, size_t length) {
    while (length) {
        const char *bar = memchr(strings, '|', length);
        const char *part = strings;
        size_t part_length = bar ? (size_t)(bar - strings) : length;
        size_t step = bar ? part_length + 1 : length;
        strings += step, length -= step;
        pp__parse_trim(&part, &part_length);
        if (part_length && pp__parse_holds(text, part, part_length)) return true;
    }
    return false;
}

static bool fits(const char *profile_text, const pp__profile_subject *subject) {
    bool asked = false;
    pp__profile_line line;
    for (pp__profile_reader reader = {profile_text, 0}; pp__profile_next(&reader, &line);) {
        if (!line.key || !pp__profile_is_match_key(&line)) continue;
        const char *text =
            pp__parse_same(line.key, line.key_length, "match.platform") ? subject->platform_name
            : pp__parse_same(line.key, line.key_length, "match.device") ? subject->device_name
            : pp__parse_same(line.key, line.key_length, "match.vendor") ? subject->vendor_name
                                                                        : subject->type_name;
        if (!holds_any(text, line.value, line.value_length)) return false;
        asked = true;
    }
    return asked;
}

/* How many ancestors a profile has. */
static size_t depth_of(const char *profile_text) {
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

const char *pp__profile_match(const pp__profile_subject *subject) {
    const char *best = "default";
    size_t best_depth = 0;
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const pp__embedded *file = &pp__embedded_files[i];
        if (strncmp(file->name, PP__PROFILE_FOLDER, strlen(PP__PROFILE_FOLDER)) != 0) continue;
        if (!fits(file->text, subject)) continue;
        size_t depth = depth_of(file->text);
        if (depth > best_depth) best = file->name + strlen(PP__PROFILE_FOLDER), best_depth = depth;
    }
    return best;
}
