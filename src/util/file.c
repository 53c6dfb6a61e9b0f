#include "util/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool pp__file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

pp_status pp__file_read(pp_engine *engine, const char *path, char **bytes_out, size_t *length_out) {
    *bytes_out = NULL;
    *length_out = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return pp__fail(engine, PP_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    char *bytes = NULL;
    size_t capacity = 0, length = 0;
    pp_status status;
    for (;;) {
        PP_TRY_GOTO(status, pp__grow(engine, &bytes, &capacity, length + 4096, 1), failed);
        size_t got = fread(bytes + length, 1, capacity - length - 1, file);
        length += got;
        if (ferror(file)) {
            status = pp__fail(engine, PP_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
            goto failed;
        }
        if (length > PP__FILE_MAX_BYTES) {
            status = pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                              "%s: more than %d bytes, expected a text of at most so many", path,
                              PP__FILE_MAX_BYTES);
            goto failed;
        }
        if (got == 0) break;
    }
    bytes[length] = 0;
    fclose(file);
    *bytes_out = bytes;
    *length_out = length;
    return PP_OK;

failed:
    pp__release(engine, bytes);
    fclose(file);
    return status;
}
