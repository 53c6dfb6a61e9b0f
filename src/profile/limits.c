#include "profile/limits.h"

#include <stdint.h>
#include <string.h>

#include "util/parse.h"

static pp_status fail(pp_engine *engine, const char *entry, size_t length) {
    return pp__fail(
        engine, PP_ERROR_INVALID_ARGUMENT,
        "POCKETPROP_LIMITS: \"%.*s\" is none of work_group=N, local_memory=BYTES, "
        "max_allocation=BYTES, memory=BYTES, alignment=BYTES (a power of two up to 1M), "
        "no_half, no_images, distrust",
        (int)(length < 200 ? length : 200), entry);
}

static pp_status read_entry(pp_engine *engine, const char *entry, size_t length,
                            pp__limits *limits) {
    const struct {
        const char *name;
        size_t *number;
        bool *flag;
    } known[] = {
        {"work_group", &limits->work_group_size, NULL},
        {"local_memory", &limits->local_memory_bytes, NULL},
        {"max_allocation", &limits->max_allocation_bytes, NULL},
        {"memory", &limits->memory_bytes, NULL},
        {"alignment", &limits->alignment_bytes, NULL},
        {"no_half", NULL, &limits->no_half},
        {"no_images", NULL, &limits->no_images},
        {"distrust", NULL, &limits->distrust},
    };
    const char *sign = memchr(entry, '=', length);
    size_t name_length = sign ? (size_t)(sign - entry) : length;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!pp__parse_same(entry, name_length, known[i].name)) continue;
        if (known[i].flag) {
            if (sign) break;
            *known[i].flag = true;
            return PP_OK;
        }
        uint64_t value;
        if (!sign || !pp__parse_bytes(sign + 1, length - name_length - 1, &value)) break;
        if (value == 0 || value > SIZE_MAX) break;
        if (known[i].number == &limits->alignment_bytes &&
            (value > PP__MAX_ALIGNMENT_BYTES || (value & (value - 1))))
            break;
        *known[i].number = (size_t)value;
        return PP_OK;
    }
    return fail(engine, entry, length);
}

pp_status pp__limits_read(pp_engine *engine, const char *text, pp__limits *limits_out) {
    memset(limits_out, 0, sizeof *limits_out);
    while (text && *text) {
        size_t length = strcspn(text, ",");
        const char *entry = text;
        size_t entry_length = length;
        pp__parse_trim(&entry, &entry_length);
        PP_TRY(read_entry(engine, entry, entry_length, limits_out));
        text += length;
        if (*text == ',') text++;
    }
    return PP_OK;
}
