#include "support/faulty_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { SYNCED = 16 };

static struct {
    bool counts;
    size_t calls, fail_at;
    const char *failed;
    struct stat synced[SYNCED]; /* the first ones */
    size_t synced_count;
} state;

void faulty_files_start(size_t fail_at) {
    state.counts = true;
    state.calls = 0;
    state.fail_at = fail_at;
    state.failed = NULL;
    state.synced_count = 0;
}

const char *faulty_files_stop(void) {
    state.counts = false;
    return state.failed;
}

bool faulty_files_synced(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) return false;
    for (size_t i = 0; i < state.synced_count; i++)
        if (state.synced[i].st_dev == info.st_dev && state.synced[i].st_ino == info.st_ino)
            return true;
    return false;
}

static bool fails(const char *name) {
    if (!state.counts || ++state.calls != state.fail_at) return false;
    state.failed = name;
    return true;
}

/* Sets errno last: what was done before may have changed it. */
static int refuse(void) {
    errno = ENOSPC;
    return -1;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails("open") ? refuse() : __real_open(path, flags, mode);
}

int __real_mkstemp(char *path);
int __wrap_mkstemp(char *path);
int __wrap_mkstemp(char *path) {
    return fails("mkstemp") ? refuse() : __real_mkstemp(path);
}

FILE *__real_fdopen(int descriptor, const char *mode);
FILE *__wrap_fdopen(int descriptor, const char *mode);
FILE *__wrap_fdopen(int descriptor, const char *mode) {
    if (!fails("fdopen")) return __real_fdopen(descriptor, mode);
    (void)refuse();
    return NULL;
}

ssize_t __real_write(int descriptor, const void *bytes, size_t count);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t count);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t count) {
    if (!fails("write")) return __real_write(descriptor, bytes, count);
    (void)!__real_write(descriptor, bytes, count / 2);
    return refuse();
}

size_t __real_fwrite(const void *bytes, size_t item_bytes, size_t count, FILE *file);
size_t __wrap_fwrite(const void *bytes, size_t item_bytes, size_t count, FILE *file);
size_t __wrap_fwrite(const void *bytes, size_t item_bytes, size_t count, FILE *file) {
    if (!fails("fwrite")) return __real_fwrite(bytes, item_bytes, count, file);
    const size_t half = __real_fwrite(bytes, item_bytes, count / 2, file);
    (void)refuse();
    return half;
}

int __real_fflush(FILE *file);
int __wrap_fflush(FILE *file);
int __wrap_fflush(FILE *file) {
    const bool failing = fails("fflush");
    const int code = __real_fflush(file);
    return failing ? refuse() : code;
}

int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor) {
    if (state.counts && state.synced_count < SYNCED &&
        fstat(descriptor, &state.synced[state.synced_count]) == 0)
        state.synced_count++;
    return fails("fsync") ? refuse() : __real_fsync(descriptor);
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file) {
    const bool failing = fails("fclose");
    const int code = __real_fclose(file);
    return failing ? refuse() : code;
}

int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor) {
    const bool failing = fails("close");
    const int code = __real_close(descriptor);
    return failing ? refuse() : code;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) {
    return fails("rename") ? refuse() : __real_rename(from, to);
}
