#include "store/rename.h"

#include <stdio.h>
#include <string.h>

static bool matches(const pp_rename *rule, const char *name) {
    const char *star = strchr(rule->from, '*');
    if (!star) return !strcmp(rule->from, name);
    const size_t length = strlen(name), head = (size_t)(star - rule->from), tail = strlen(star + 1);
    return length >= head + tail && !strncmp(name, rule->from, head) &&
           !strcmp(name + length - tail, star + 1);
}

/* "a.*" with "a.b" makes "*.c" into "b.c". */
static bool apply(const pp_rename *rule, const char *name, char renamed[PP__RENAME_TEXT]) {
    const char *from = strchr(rule->from, '*'), *to = strchr(rule->to, '*');
    if (!from || !to) return snprintf(renamed, PP__RENAME_TEXT, "%s", rule->to) < PP__RENAME_TEXT;
    const size_t head = (size_t)(from - rule->from), rest = strlen(name) - head - strlen(from + 1);
    return snprintf(renamed, PP__RENAME_TEXT, "%.*s%.*s%s", (int)(to - rule->to), rule->to,
                    (int)rest, name + head, to + 1) < PP__RENAME_TEXT;
}

bool pp__rename(const pp_rename *rules, size_t rule_count, const char *name,
                char renamed[PP__RENAME_TEXT]) {
    for (size_t r = 0; r < rule_count; r++)
        if (matches(&rules[r], name)) return apply(&rules[r], name, renamed);
    return snprintf(renamed, PP__RENAME_TEXT, "%s", name) < PP__RENAME_TEXT;
}
