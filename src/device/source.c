#include "device/source.h"

#include <stdio.h>
#include <string.h>

#include "device/device.h"
#include "util/embedded.h"

pp_status pp__source_add(pp_device *device, const char *name, const char *text) {
    PP_TRY(pp__grow(device->engine, &device->extra_texts, &device->extra_text_capacity,
                    device->extra_text_count + 1, sizeof(pp__source_text)));
    device->extra_texts[device->extra_text_count++] = (pp__source_text){name, text};
    return PP_OK;
}

static pp_status read_file(pp_device *device, const char *name, char **text_out) {
    for (size_t i = 0; i < device->extra_text_count; i++)
        if (strcmp(device->extra_texts[i].name, name) == 0)
            return pp__copy_text(device->engine, device->extra_texts[i].text, text_out);
    PP_TRY(pp__embedded_read(device->engine, name, text_out));
    if (*text_out) return PP_OK;
    return pp__fail(device->engine, PP_ERROR_INTERNAL, "there is no kernel file cl/%s.cl", name);
}

/* Appends one file to the growing text. */
static pp_status append(pp_device *device, const char *name, char **text, size_t *capacity,
                        size_t *length) {
    char *part;
    PP_TRY(read_file(device, name, &part));
    size_t need = *length + strlen(name) + strlen(part) + 32;
    pp_status status = pp__grow(device->engine, text, capacity, need, 1);
    if (status == PP_OK) {
        int written =
            snprintf(*text + *length, *capacity - *length, "#line 1 \"%s.cl\"\n%s\n", name, part);
        *length += (size_t)written;
    }
    pp__release(device->engine, part);
    return status;
}

pp_status pp__source_join(pp_device *device, const char *const *files, size_t file_count,
                          char **text_out) {
    *text_out = NULL;
    char *text = NULL;
    size_t capacity = 0, length = 0;
    pp_status status = append(device, "common", &text, &capacity, &length);
    for (size_t i = 0; i < file_count && status == PP_OK; i++)
        status = append(device, files[i], &text, &capacity, &length);
    if (status != PP_OK) {
        pp__release(device->engine, text);
        return status;
    }
    *text_out = text;
    return PP_OK;
}
