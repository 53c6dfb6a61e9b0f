#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

pp__reason pp__system_reason(int error_number) {
    pp__reason reason;
    if (strerror_r(error_number, reason.text, sizeof reason.text) != 0)
        snprintf(reason.text, sizeof reason.text, "error %d", error_number);
    return reason;
}

bool pp__file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

pp_status pp__file_read(pp_engine *engine, const char *path, char **bytes_out, size_t *length_out) {
    *bytes_out = NULL;
    *length_out = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return pp__fail(engine, PP_ERROR_IO, "%s: cannot open: %s", path,
                        pp__system_reason(errno).text);
    char *bytes = NULL;
    size_t capacity = 0, length = 0;
    pp_status status;
    for (;;) {
        PP_TRY_GOTO(status, pp__grow(engine, &bytes, &capacity, length + 4096, 1), failed);
        size_t got = fread(bytes + length, 1, capacity - length - 1, file);
        length += got;
        if (ferror(file)) {
            status = pp__fail(engine, PP_ERROR_IO, "%s: cannot read: %s", path,
                              pp__system_reason(errno).text);
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

/* Makes every folder of the path but the last part; the write that follows tells whether it worked.
 * `path` is as before afterwards. */
static void make_folders(char *path) {
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        if (slash == path) continue;
        *slash = 0;
        (void)mkdir(path, 0755);
        *slash = '/';
    }
}

static bool write_whole(int descriptor, const char *text) {
    bool written = true;
    for (size_t left = strlen(text); written && left;) {
        ssize_t put = write(descriptor, text, left);
        written = put > 0;
        if (written) text += put, left -= (size_t)put;
    }
    return close(descriptor) == 0 && written;
}

pp_status pp__file_write(pp_engine *engine, const char *path, const char *text) {
    pp__text builder = {.engine = engine};
    /* No other process has this number, and no other thread of this one the builder's address. */
    pp__text_add(&builder, "%s.%ld.%jx", path, (long)getpid(), (uintmax_t)(uintptr_t)&builder);
    char *temporary;
    PP_TRY(pp__text_take(&builder, &temporary));
    make_folders(temporary);
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    bool written = descriptor >= 0 && write_whole(descriptor, text) && rename(temporary, path) == 0;
    pp_status status = PP_OK;
    if (!written)
        status = pp__fail(engine, PP_ERROR_IO, "%s: cannot write: %s", path,
                          pp__system_reason(errno).text);
    if (!written && descriptor >= 0) unlink(temporary);
    pp__release(engine, temporary);
    return status;
}
