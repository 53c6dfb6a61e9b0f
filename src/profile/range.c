#include "profile/range.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/parse.h"

static bool read_number(const char *text, size_t length, size_t *value_out) {
    uint64_t value;
    pp__parse_trim(&text, &length);
    if (!pp__parse_bytes(text, length, &value) || value > SIZE_MAX) return false;
    *value_out = (size_t)value;
    return true;
}

/* "1..16" */
static bool read_bounds(const char *text, size_t length, pp__range *range) {
    const char *dots = memchr(text, '.', length);
    if (!dots) return false;
    size_t before = (size_t)(dots - text);
    return length > before + 2 && dots[1] == '.' && read_number(text, before, &range->least) &&
           read_number(dots + 2, length - before - 2, &range->most) && range->least <= range->most;
}

/* "1 2 4 8" */
static bool read_candidates(const char *text, size_t length, pp__range *range) {
    for (;;) {
        pp__parse_trim(&text, &length);
        if (length == 0) return range->candidate_count > 0;
        const char *blank = memchr(text, ' ', length);
        size_t word = blank ? (size_t)(blank - text) : length, value;
        if (range->candidate_count == PP__RANGE_CANDIDATES || !read_number(text, word, &value))
            return false;
        if (range->candidate_count && value <= range->candidates[range->candidate_count - 1])
            return false;
        range->candidates[range->candidate_count++] = value;
        text += word, length -= word;
    }
}

bool pp__range_read(const char *text, size_t length, pp__range *range_out) {
    memset(range_out, 0, sizeof *range_out);
    if (length < 2 || text[0] != '[' || text[length - 1] != ']') return false;
    text++, length -= 2;
    const char *colon = memchr(text, ':', length);
    size_t bounds = colon ? (size_t)(colon - text) : length;
    if (colon || memchr(text, '.', length)) {
        if (!read_bounds(text, bounds, range_out)) return false;
        if (!colon) return true;
        if (!read_candidates(colon + 1, length - bounds - 1, range_out)) return false;
    } else {
        if (!read_candidates(text, length, range_out)) return false;
        range_out->listed = true;
        range_out->least = range_out->candidates[0];
        range_out->most = range_out->candidates[range_out->candidate_count - 1];
    }
    return range_out->candidates[0] >= range_out->least &&
           range_out->candidates[range_out->candidate_count - 1] <= range_out->most;
}

bool pp__range_holds(const pp__range *range, size_t value) {
    if (!range->listed) return value >= range->least && value <= range->most;
    for (size_t i = 0; i < range->candidate_count; i++)
        if (range->candidates[i] == value) return true;
    return false;
}

pp__number_text pp__number_print(size_t value, bool in_bytes) {
    static const char units[] = {'K', 'M', 'G'};
    size_t unit = 0;
    while (in_bytes && unit < sizeof units && value && value % 1024 == 0) value /= 1024, unit++;
    pp__number_text number;
    if (unit)
        snprintf(number.text, sizeof number.text, "%zu%c", value, units[unit - 1]);
    else
        snprintf(number.text, sizeof number.text, "%zu", value);
    return number;
}

void pp__range_print(const pp__range *range, bool in_bytes, char *text, size_t capacity) {
    if (!range->listed && range->most == SIZE_MAX) {
        snprintf(text, capacity, "at least %s", pp__number_print(range->least, in_bytes).text);
        return;
    }
    if (!range->listed) {
        snprintf(text, capacity, "%s to %s", pp__number_print(range->least, in_bytes).text,
                 pp__number_print(range->most, in_bytes).text);
        return;
    }
    snprintf(text, capacity, "one of");
    for (size_t i = 0; i < range->candidate_count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, capacity - used, " %s",
                 pp__number_print(range->candidates[i], in_bytes).text);
    }
}
