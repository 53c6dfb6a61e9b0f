/* Profiles: reading, inheritance, look-up.
 *
 * A profile's text is lines of `key = value`. Loading one applies its ancestors' numbers first,
 * from default.profile down, so that one flat list of keys remains. default.profile alone may bring
 * new keys; any other profile may set only what is there, and `<stem>.group_x/y/z` for a stem of
 * cl/. Shipped profiles say which values a key may have (range.h). A key whose default is not 0 can never be 0,
 * which is why host code divides by tunables without asking.
 */
#include "profile/profile.h"

#include <stdio.h>
#include <string.h>

#include "profile/entry.h"
#include "profile/limits.h"
#include "profile/lookup.h"
#include "profile/lines.h"
#include "util/embedded.h"
#include "util/env.h"
#include "util/file.h"
#include "util/parse.h"

enum { MAX_DEPTH = 8 };

/* What is not a number of bytes counts work-items, elements or buffers of one launch or plan. Host
 * code adds and multiplies such counts, and reserves memory for some. */
enum { MAX_COUNT = 1 << 20 };

pp__profile_entry *pp__profile_entry_find(const pp_profile *profile, const char *key,
                                          size_t length) {
    for (size_t i = 0; i < profile->entry_count; i++) {
        pp__profile_entry *e = &profile->entries[i];
        if (strncmp(e->key, key, length) == 0 && e->key[length] == 0) return e;
    }
    return NULL;
}

bool pp__profile_entry_allows(const pp__profile_entry *entry, size_t value,
                              pp__expected_text *why_out) {
    bool is_zero = value == 0 && !entry->may_be_zero;
    if (!is_zero && pp__range_holds(&entry->range, value)) return true;
    pp__range shown = entry->range;
    if (!entry->may_be_zero && shown.least == 0) shown.least = 1;
    pp__range_print(&shown, entry->in_bytes, why_out->text, sizeof why_out->text);
    return false;
}

/* Whether `key` is "<stem>.group_x" (or _y, _z) for the stem of a kernel file. */
static bool is_group_key(const char *key, size_t length) {
    const char *dot = memchr(key, '.', length);
    if (!dot) return false;
    size_t stem = (size_t)(dot - key), rest = length - stem;
    if (rest != strlen(".group_x") || memcmp(dot, ".group_", rest - 1) != 0) return false;
    if (key[length - 1] < 'x' || key[length - 1] > 'z') return false;
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const char *name = pp__embedded_files[i].name;
        if (strncmp(name, PP__PROFILE_FOLDER, strlen(PP__PROFILE_FOLDER)) == 0) continue;
        const char *slash = strrchr(name, '/');
        const char *file_stem = slash ? slash + 1 : name;
        if (strlen(file_stem) == stem && memcmp(file_stem, key, stem) == 0) return true;
    }
    return false;
}

static bool ends_with(const char *text, size_t length, const char *ending) {
    size_t ending_length = strlen(ending);
    return length >= ending_length &&
           memcmp(text + length - ending_length, ending, ending_length) == 0;
}

typedef struct source {
    const char *where; /* a path or a shipped profile's name, for messages */
    const char *text;
    bool is_root; /* default.profile, which brings the keys */
    bool is_own;  /* the file that was asked for, not a shipped profile */
} source;

static pp_status fail_at(pp_profile *profile, const source *from, const pp__profile_line *line,
                         const char *what) {
    return pp__fail(profile->engine, PP_ERROR_CORRUPT_DATA, "%s:%zu: \"%.*s\": %s", from->where,
                    line->number, (int)(line->key_length < 200 ? line->key_length : 200), line->key,
                    what);
}

/* What stands behind the number of a shipped profile, from the bracket on. */
static pp_status read_range(pp_profile *profile, const source *from, const pp__profile_line *line,
                            const char *bracket, pp__profile_entry *e) {
    size_t length = line->value_length - (size_t)(bracket - line->value);
    if (!pp__range_read(bracket, length, &e->range) || (!e->in_bytes && e->range.most > MAX_COUNT))
        return fail_at(profile, from, line, "expected a range such as [1..16: 1 2 4 8] or [1 2 4]");
    return PP_OK;
}

static pp_status add_entry(pp_profile *profile, const source *from, const pp__profile_line *line,
                           pp__profile_entry **entry_out) {
    if (line->key_length >= PP__PROFILE_KEY)
        return fail_at(profile, from, line, "the key is too long");
    pp__profile_entry added = {.in_bytes = ends_with(line->key, line->key_length, "_bytes")};
    memcpy(added.key, line->key, line->key_length);
    added.range.most = added.in_bytes ? SIZE_MAX : MAX_COUNT;
    PP_TRY(pp__grow(profile->engine, &profile->entries, &profile->entry_capacity,
                    profile->entry_count + 1, sizeof added));
    *entry_out = &profile->entries[profile->entry_count++];
    **entry_out = added;
    return PP_OK;
}

static pp_status set_number(pp_profile *profile, const source *from, const pp__profile_line *line) {
    pp__profile_entry *e = pp__profile_entry_find(profile, line->key, line->key_length);
    if (!e && !from->is_root && !is_group_key(line->key, line->key_length))
        return fail_at(profile, from, line,
                       "no such key in default.profile, and no kernel file of that stem");
    if (e && e->origin == from->text)
        return fail_at(profile, from, line, "the key stands here twice");

    const char *bracket = from->is_own ? NULL : memchr(line->value, '[', line->value_length);
    const char *number = line->value;
    size_t length = bracket ? (size_t)(bracket - number) : line->value_length;
    pp__parse_trim(&number, &length);
    uint64_t value;
    if (!pp__parse_bytes(number, length, &value))
        return fail_at(profile, from, line,
                       "expected a whole number, bytes with K, M or G behind it");
    if (value > SIZE_MAX) return fail_at(profile, from, line, "too large for this machine");
    if (!e) PP_TRY(add_entry(profile, from, line, &e));
    if (bracket) PP_TRY(read_range(profile, from, line, bracket, e));
    if (from->is_root) e->may_be_zero = value == 0;
    pp__expected_text expected;
    if (!pp__profile_entry_allows(e, (size_t)value, &expected)) {
        char what[sizeof expected.text + 64];
        snprintf(what, sizeof what, "found %.*s, expected %s", (int)(length < 32 ? length : 32),
                 number, expected.text);
        return fail_at(profile, from, line, what);
    }
    if (strcmp(e->key, "memory.alignment_bytes") == 0 &&
        (value < 4 || value > PP__MAX_ALIGNMENT_BYTES || (value & (value - 1))))
        return fail_at(profile, from, line, "expected a power of two from 4 to 1M");
    e->value = (size_t)value;
    if (!from->is_own) e->inherited = e->value;
    e->is_own = from->is_own;
    e->origin = from->text;
    return PP_OK;
}

static pp_status apply_shipped(pp_profile *profile, const char *name, size_t length, size_t depth);

static pp_status apply(pp_profile *profile, const source *from, size_t depth) {
    char parent[PP__PROFILE_NAME] = "default";
    pp__profile_line line;
    pp__profile_reader reader = {from->text, 0};
    while (pp__profile_next(&reader, &line)) {
        if (!line.key) {
            return pp__fail(profile->engine, PP_ERROR_CORRUPT_DATA, "%s:%zu: expected key = value",
                            from->where, line.number);
        }
        if (!pp__parse_same(line.key, line.key_length, "parent")) continue;
        if (line.value_length >= sizeof parent || from->is_root || depth >= MAX_DEPTH)
            return fail_at(profile, from, &line, "too long a name, or parents in a circle");
        memcpy(parent, line.value, line.value_length);
        parent[line.value_length] = 0;
        if (!pp__profile_shipped(parent))
            return fail_at(profile, from, &line, "expected the name of a shipped profile");
    }
    if (from->is_own) memcpy(profile->base, parent, sizeof parent);
    if (!from->is_root) PP_TRY(apply_shipped(profile, parent, strlen(parent), depth + 1));

    reader = (pp__profile_reader){from->text, 0};
    while (pp__profile_next(&reader, &line)) {
        bool is_match = line.key_length > 6 && memcmp(line.key, "match.", 6) == 0;
        if (is_match && !pp__profile_is_match_key(&line))
            return fail_at(profile, from, &line,
                           "expected match.platform, .device, .vendor, .type or .vector");
        if (is_match || pp__parse_same(line.key, line.key_length, "parent")) continue;
        PP_TRY(set_number(profile, from, &line));
    }
    return PP_OK;
}

static pp_status apply_shipped(pp_profile *profile, const char *name, size_t length, size_t depth) {
    char file[sizeof PP__PROFILE_FOLDER + PP__PROFILE_NAME];
    snprintf(file, sizeof file, "%s%.*s", PP__PROFILE_FOLDER, (int)length, name);
    char *text;
    PP_TRY(pp__embedded_read(profile->engine, file, &text));
    if (!text)
        return pp__fail(profile->engine, PP_ERROR_INTERNAL, "%s.profile is not built in", file);
    source from = {file, text, strcmp(name, "default") == 0, false};
    pp_status status = apply(profile, &from, depth);
    pp__release(profile->engine, text);
    return status;
}

static pp_status apply_file(pp_profile *profile, const char *path) {
    char *text;
    size_t length;
    PP_TRY(pp__file_read(profile->engine, path, &text, &length));
    source from = {path, text, false, true};
    pp_status status = PP_OK;
    if (strlen(text) != length)
        status = pp__fail(profile->engine, PP_ERROR_CORRUPT_DATA,
                          "%s: holds a zero byte at %zu; expected lines of key = value", path,
                          strlen(text));
    if (status == PP_OK) status = apply(profile, &from, 0);
    pp__release(profile->engine, text);
    return status;
}

static pp_status apply_limits(pp_profile *profile) {
    pp__limits limits;
    PP_TRY(pp__limits_read(profile->engine, pp__env("POCKETPROP_LIMITS"), &limits));
    PP_TRY(
        pp__profile_tighten(profile, "launch.max_work_group_size", limits.work_group_size, false));
    PP_TRY(pp__profile_tighten(profile, "launch.local_memory_bytes", limits.local_memory_bytes,
                               false));
    PP_TRY(pp__profile_tighten(profile, "memory.max_allocation_bytes", limits.max_allocation_bytes,
                               false));
    PP_TRY(pp__profile_tighten(profile, "memory.total_bytes", limits.memory_bytes, false));
    return pp__profile_tighten(profile, "memory.alignment_bytes", limits.alignment_bytes, true);
}

static pp_status fail_unknown(pp_engine *engine, const char *name) {
    char list[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const char *file = pp__embedded_files[i].name;
        if (strncmp(file, PP__PROFILE_FOLDER, strlen(PP__PROFILE_FOLDER)) != 0) continue;
        int length = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                              file + strlen(PP__PROFILE_FOLDER));
        if (length < 0 || (size_t)length >= sizeof list - used) break;
        used += (size_t)length;
    }
    return pp__fail(
        engine, PP_ERROR_INVALID_ARGUMENT,
        "no profile \"%s\"; there are %s, and files whose path holds a '/' or ends in .profile",
        name, list);
}

pp_status pp_profile_load(pp_engine *engine, const char *name_or_path, pp_profile **profile_out) {
    *profile_out = NULL;
    size_t length = strlen(name_or_path);
    bool is_path = strchr(name_or_path, '/') || ends_with(name_or_path, length, ".profile");
    if (!is_path && !pp__profile_shipped(name_or_path)) return fail_unknown(engine, name_or_path);

    pp_profile *profile;
    PP_TRY(pp__allocate(engine, 1, sizeof *profile, &profile));
    profile->engine = engine;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(engine, 1, sizeof *profile->status, &profile->status), failed);
    *profile->status = PP_OK;
    const char *slash = strrchr(name_or_path, '/');
    const char *base = slash ? slash + 1 : name_or_path;
    snprintf(profile->name, sizeof profile->name, "%s", base);
    char *ending = strstr(profile->name, ".profile");
    if (is_path && ending) *ending = 0;
    if (is_path) {
        PP_TRY_GOTO(status, apply_file(profile, name_or_path), failed);
    } else {
        memcpy(profile->base, profile->name, sizeof profile->base);
        PP_TRY_GOTO(status, apply_shipped(profile, name_or_path, length, 0), failed);
    }
    PP_TRY_GOTO(status, apply_limits(profile), failed);
    *profile_out = profile;
    return PP_OK;

failed:
    pp_profile_destroy(profile);
    return status;
}

void pp_profile_destroy(pp_profile *profile) {
    if (!profile) return;
    pp_engine *engine = profile->engine;
    pp__release(engine, profile->entries);
    pp__release(engine, profile->status);
    pp__release(engine, profile);
}

const char *pp_profile_name(const pp_profile *profile) {
    return profile->name;
}

pp_status pp__profile_status(const pp_profile *profile) {
    return *profile->status;
}

size_t pp__profile_bytes(const pp_profile *profile, const char *key) {
    const pp__profile_entry *e = pp__profile_entry_find(profile, key, strlen(key));
    if (e) return e->value;
    if (*profile->status == PP_OK)
        *profile->status = pp__fail(
            profile->engine, PP_ERROR_INTERNAL,
            "profile %s has no \"%s\"; default.profile must define every key", profile->name, key);
    return 1;
}

uint32_t pp__profile_u32(const pp_profile *profile, const char *key) {
    size_t value = pp__profile_bytes(profile, key);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

bool pp__profile_find(const pp_profile *profile, const char *key, size_t *value_out) {
    const pp__profile_entry *e = pp__profile_entry_find(profile, key, strlen(key));
    if (e) *value_out = e->value;
    return e != NULL;
}

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c == '.' ? '_' : c;
}

size_t pp__profile_defines(const pp_profile *profile, const char *stem, char *text,
                           size_t capacity) {
    size_t stem_length = strlen(stem), used = 0;
    if (capacity) text[0] = 0;
    for (size_t i = 0; i < profile->entry_count; i++) {
        const pp__profile_entry *e = &profile->entries[i];
        if (strncmp(e->key, stem, stem_length) != 0 || e->key[stem_length] != '.') continue;
        char name[PP__PROFILE_KEY];
        for (size_t c = 0; c < sizeof name; c++) name[c] = upper(e->key[c]);
        int length = snprintf(used < capacity ? text + used : NULL,
                              used < capacity ? capacity - used : 0, " -D%s=%zu", name, e->value);
        used += length > 0 ? (size_t)length : 0;
    }
    return used;
}

pp_status pp__profile_tighten(pp_profile *profile, const char *key, size_t value, bool larger) {
    pp__profile_entry *e = pp__profile_entry_find(profile, key, strlen(key));
    if (!e)
        return pp__fail(profile->engine, PP_ERROR_INTERNAL, "profile %s has no \"%s\" to tighten",
                        profile->name, key);
    if (value && (larger ? value > e->value : e->value == 0 || value < e->value)) e->value = value;
    return PP_OK;
}
