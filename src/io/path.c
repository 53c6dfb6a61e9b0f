#include "io/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/engine.h"
#include "util/file.h"

pp_status pp__join_path(pp_engine *engine, const char *folder, const char *name, char *path_out) {
    int length = snprintf(path_out, PP__PATH_CAPACITY, "%s/%s", folder, name);
    if (length < 0 || length >= PP__PATH_CAPACITY)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "%.200s.../%.200s: the path is longer than %d characters", folder, name,
                        PP__PATH_CAPACITY - 1);
    return PP_OK;
}

bool pp__is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool pp__is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

pp_status pp__fail_system(pp_engine *engine, const char *path, const char *action,
                          int error_number) {
    return pp__fail(engine, PP_ERROR_IO, "%s: cannot %s: %s", path, action,
                    pp__system_reason(error_number).text);
}

void pp__sync_folder_of(const char *path) {
    char folder[PP__PATH_CAPACITY];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--; /* "run/" lies where "run" does */
    while (length && path[length - 1] != '/') length--;
    snprintf(folder, sizeof folder, "%.*s", length ? (int)length : 1, length ? path : ".");
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

pp_status pp__file_bytes(pp_engine *engine, const char *path, size_t *bytes_out) {
    *bytes_out = 0;
    struct stat info;
    if (stat(path, &info) != 0) return pp__fail_system(engine, path, "open", errno);
    if (!S_ISREG(info.st_mode))
        return pp__fail(engine, PP_ERROR_IO, "%s: not a regular file", path);
    if (info.st_size < 0 || (uintmax_t)info.st_size > SIZE_MAX)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED, "%s: too large for this machine", path);
    *bytes_out = (size_t)info.st_size;
    return PP_OK;
}
