#include "io/cifar.h"

#include <errno.h>
#include <stdio.h>

#include "io/path.h"
#include "util/engine.h"

static size_t record_bytes(const pp__cifar_format *format) {
    return (size_t)format->label_count + PP__CIFAR_IMAGE_BYTES;
}

pp_status pp__cifar_count(pp_engine *engine, const char *path, const pp__cifar_format *format,
                          size_t *count_out) {
    *count_out = 0;
    size_t bytes;
    PP_TRY(pp__file_bytes(engine, path, &bytes));
    if (!bytes || bytes % record_bytes(format))
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                        "%s: %zu bytes, expected a multiple of the record's %zu", path, bytes,
                        record_bytes(format));
    *count_out = bytes / record_bytes(format);
    return PP_OK;
}

static void interleave(const uint8_t *planes, uint8_t *pixels) {
    enum { PLANE = PP__CIFAR_SIDE * PP__CIFAR_SIDE };
    for (size_t i = 0; i < PLANE; i++)
        for (size_t c = 0; c < PP__CIFAR_CHANNELS; c++)
            pixels[i * PP__CIFAR_CHANNELS + c] = planes[c * PLANE + i];
}

static pp_status read_records(pp_engine *engine, const char *path, FILE *file,
                              const pp__cifar_format *format, size_t count, uint8_t *pixels_out,
                              uint8_t *labels_out) {
    uint8_t record[PP__CIFAR_MAX_LABELS + PP__CIFAR_IMAGE_BYTES];
    for (size_t i = 0; i < count; i++) {
        size_t got = fread(record, 1, record_bytes(format), file);
        if (ferror(file)) return pp__fail_system(engine, path, "read", errno);
        if (got < record_bytes(format))
            return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                            "%s: truncated: record %zu has %zu bytes, expected %zu", path, i, got,
                            record_bytes(format));
        for (uint32_t label = 0; label < format->label_count; label++)
            if (record[label] >= format->class_counts[label])
                return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                                "%s: record %zu: label %u, expected 0 to %u", path, i,
                                (unsigned)record[label], (unsigned)format->class_counts[label] - 1);
        labels_out[i] = record[format->label_count - 1];
        interleave(record + format->label_count, pixels_out + i * PP__CIFAR_IMAGE_BYTES);
    }
    if (fgetc(file) != EOF)
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA, "%s: bytes follow the %zu expected records",
                        path, count);
    return PP_OK;
}

pp_status pp__cifar_read(pp_engine *engine, const char *path, const pp__cifar_format *format,
                         size_t count, uint8_t *pixels_out, uint8_t *labels_out) {
    FILE *file = fopen(path, "rb");
    if (!file) return pp__fail_system(engine, path, "open", errno);
    pp_status status = read_records(engine, path, file, format, count, pixels_out, labels_out);
    fclose(file);
    return status;
}
