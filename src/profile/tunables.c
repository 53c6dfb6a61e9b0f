/* Changing a profile's numbers, and writing one. */
#include <string.h>

#include "profile/entry.h"
#include "util/file.h"
#include "util/text.h"

size_t pp_profile_tunable_count(const pp_profile *profile) {
    size_t count = 0;
    for (size_t i = 0; i < profile->entry_count; i++)
        count += profile->entries[i].range.candidate_count > 0;
    return count;
}

void pp_profile_read_tunable(const pp_profile *profile, size_t index, pp_tunable *tunable_out) {
    const pp__profile_entry *e = profile->entries;
    while (e->range.candidate_count == 0 || index-- > 0) e++;
    *tunable_out = (pp_tunable){.key = e->key,
                                .value = e->value,
                                .least = e->range.least,
                                .most = e->range.most,
                                .listed = e->range.listed,
                                .in_bytes = e->in_bytes,
                                .candidates = e->range.candidates,
                                .candidate_count = e->range.candidate_count};
}

pp_status pp_profile_set(pp_profile *profile, const char *key, size_t value) {
    pp__profile_entry *e = pp__profile_entry_find(profile, key, strlen(key));
    if (!e)
        return pp__fail(profile->engine, PP_ERROR_INVALID_ARGUMENT, "profile %s has no \"%.200s\"",
                        profile->name, key);
    pp__expected_text expected;
    if (!pp__profile_entry_allows(e, value, &expected))
        return pp__fail(profile->engine, PP_ERROR_INVALID_ARGUMENT,
                        "profile %s: \"%s\": found %zu, expected %s", profile->name, key, value,
                        expected.text);
    e->value = value;
    e->is_own = value != e->inherited;
    return PP_OK;
}

static void add_comment(pp__text *text, const char *comment) {
    while (*comment) {
        size_t length = strcspn(comment, "\n");
        pp__text_add(text, "# %.*s\n", (int)length, comment);
        comment += length;
        if (*comment) comment++;
    }
}

/* A match string holds a part of the name, so a name with a character that means something in a
 * profile is cut there. */
static void add_match(pp__text *text, const char *key, const char *name) {
    size_t length = strcspn(name, "|#\r\n");
    if (strspn(name, " \t") < length)
        pp__text_add(text, "match.%s = %.*s\n", key, (int)length, name);
}

static pp_status print(const pp_profile *profile, const pp_device_info *device, const char *comment,
                       char **text_out) {
    pp__text text = {.engine = profile->engine};
    if (comment) add_comment(&text, comment);
    pp__text_add(&text, "parent = %s\n", profile->base);
    if (device) {
        pp__profile_subject subject = pp__profile_subject_of(device);
        add_match(&text, "platform", subject.platform_name);
        add_match(&text, "device", subject.device_name);
        add_match(&text, "vendor", subject.vendor_name);
        add_match(&text, "type", subject.type_name);
    }
    pp__text_add(&text, "\n");
    for (size_t i = 0; i < profile->entry_count; i++) {
        const pp__profile_entry *e = &profile->entries[i];
        if (e->is_own)
            pp__text_add(&text, "%s = %s\n", e->key, pp__number_print(e->value, e->in_bytes).text);
    }
    return pp__text_take(&text, text_out);
}

pp_status pp_profile_save(const pp_profile *profile, const pp_device_info *device,
                          const char *comment, const char *path) {
    char *text;
    PP_TRY(print(profile, device, comment, &text));
    pp_status status = pp__file_write(profile->engine, path, text);
    pp__release(profile->engine, text);
    return status;
}
