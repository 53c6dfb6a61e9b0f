#include "util/parse.h"

#include <string.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool pp__parse_bytes(const char *text, size_t length, uint64_t *value_out) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (i == 0) return false;
    if (i + 1 == length) {
        char unit = lower(text[i]);
        int shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;
        if (!shift || value > UINT64_MAX >> shift) return false;
        value <<= shift;
        i++;
    }
    if (i != length) return false;
    *value_out = value;
    return true;
}

bool pp__parse_same(const char *a, size_t a_length, const char *b) {
    if (strlen(b) != a_length) return false;
    for (size_t i = 0; i < a_length; i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

bool pp__parse_holds(const char *text, const char *part, size_t part_length) {
    size_t length = strlen(text);
    for (size_t start = 0; start + part_length <= length; start++) {
        size_t i = 0;
        while (i < part_length && lower(text[start + i]) == lower(part[i])) i++;
        if (i == part_length) return true;
    }
    return false;
}

void pp__parse_trim(const char **text, size_t *length) {
    while (*length && (**text == ' ' || **text == '\t')) (*text)++, (*length)--;
    while (*length && ((*text)[*length - 1] == ' ' || (*text)[*length - 1] == '\t')) (*length)--;
}
