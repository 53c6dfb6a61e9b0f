/* A cache file is called after a 128-bit hash of its key and holds
 *
 *     magic, 8 bytes | key length, u64 | binary length, u64 | checksum, u64 | key | binary
 *
 * in the machine's byte order. The key is compared as a whole, so a collision of hashes costs a
 * build and nothing else. A file is written under a temporary name and renamed, so a reader never
 * sees half of one.
 */
#include "device/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/clerror.h"
#include "device/device.h"
#include "util/env.h"
#include "util/file.h"

static const char magic[8] = "PPPROG1";
enum { PATH_CAPACITY = 1024 };
static const uint64_t largest_binary_bytes = (uint64_t)1 << 30;

typedef struct header {
    char magic[8];
    uint64_t key_bytes, binary_bytes, checksum;
} header;

/* FNV-1a (Fowler, Noll, Vo), continued from `state`. */
static uint64_t hash(uint64_t state, const void *data, size_t bytes) {
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++) state = (state ^ byte[i]) * 0x100000001B3u;
    return state;
}
static const uint64_t hash_start = 0xCBF29CE484222325u, other_start = 0x9E3779B97F4A7C15u;

static pp_status set_folder(pp_device *device, const char *first, const char *second) {
    size_t capacity = strlen(first) + strlen(second) + 1;
    PP_TRY(pp__allocate(device->engine, capacity, 1, &device->cache_dir));
    snprintf(device->cache_dir, capacity, "%s%s", first, second);
    return PP_OK;
}

pp_status pp__cache_open(pp_device *device, cl_platform_id platform,
                         const pp_device_options *options) {
    const char *setting = pp__env("POCKETPROP_CACHE");
    if (options->no_cache || (setting && strcmp(setting, "off") == 0)) return PP_OK;
    char version[512] = "";
    cl_int code = clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof version, version, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clGetPlatformInfo", code, " for its version");
    snprintf(device->platform_version, sizeof device->platform_version, "%.*s",
             (int)sizeof device->platform_version - 1, version);

    const char *folder = options->cache_dir ? options->cache_dir : pp__env("POCKETPROP_CACHE_DIR");
    if (folder) return set_folder(device, folder, "");
    if ((folder = pp__env("XDG_CACHE_HOME"))) return set_folder(device, folder, "/pocketprop");
    if ((folder = pp__env("HOME"))) return set_folder(device, folder, "/.cache/pocketprop");
    return PP_OK;
}

static bool print_path(const pp_device *device, const char *key, const char *ending,
                       char path[PATH_CAPACITY]) {
    size_t bytes = strlen(key);
    int length = snprintf(path, PATH_CAPACITY, "%s/%016llx%016llx%s", device->cache_dir,
                          (unsigned long long)hash(hash_start, key, bytes),
                          (unsigned long long)hash(other_start, key, bytes), ending);
    return length > 0 && length < PATH_CAPACITY;
}

static uint64_t checksum(const char *key, size_t key_bytes, const unsigned char *binary,
                         size_t binary_bytes) {
    return hash(hash(hash_start, key, key_bytes), binary, binary_bytes);
}

/* Whether the file is as long as its header says, so that a damaged one costs no memory. */
static bool has_whole_length(FILE *file, const header *h) {
    struct stat info;
    return fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode) &&
           (uint64_t)info.st_size == sizeof *h + h->key_bytes + h->binary_bytes;
}

/* Reads the rest of a file behind a sound header; leaves *binary_out NULL when it is not what was
 * saved. */
static pp_status read_rest(pp_device *device, FILE *file, const header *h, const char *key,
                           unsigned char **binary_out) {
    size_t key_bytes = (size_t)h->key_bytes, binary_bytes = (size_t)h->binary_bytes;
    unsigned char *content;
    PP_TRY(pp__allocate(device->engine, key_bytes + binary_bytes, 1, &content));
    bool sound = fread(content, 1, key_bytes + binary_bytes, file) == key_bytes + binary_bytes &&
                 fgetc(file) == EOF && memcmp(content, key, key_bytes) == 0 &&
                 checksum(key, key_bytes, content + key_bytes, binary_bytes) == h->checksum;
    if (sound) {
        memmove(content, content + key_bytes, binary_bytes);
        *binary_out = content;
    } else {
        pp__release(device->engine, content);
    }
    return PP_OK;
}

pp_status pp__cache_load(pp_device *device, const char *key, unsigned char **binary_out,
                         size_t *bytes_out) {
    *binary_out = NULL;
    *bytes_out = 0;
    char path[PATH_CAPACITY];
    if (!print_path(device, key, "", path)) return PP_OK;
    FILE *file = fopen(path, "rb");
    if (!file) return PP_OK;
    header h;
    pp_status status = PP_OK;
    if (fread(&h, sizeof h, 1, file) == 1 && memcmp(h.magic, magic, sizeof magic) == 0 &&
        h.key_bytes == strlen(key) && h.binary_bytes > 0 &&
        h.binary_bytes <= largest_binary_bytes && has_whole_length(file, &h)) {
        status = read_rest(device, file, &h, key, binary_out);
        *bytes_out = (size_t)h.binary_bytes;
    }
    fclose(file);
    return status;
}

/* Makes the folder and those above it; the write that follows tells whether it worked. */
static void make_folder(const char *folder) {
    char path[PATH_CAPACITY];
    size_t length = strlen(folder);
    if (length >= sizeof path) return;
    memcpy(path, folder, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        char end = path[i];
        path[i] = 0;
        (void)mkdir(path, 0755);
        path[i] = end;
    }
}

static bool write_all(FILE *file, const char *key, const unsigned char *binary, size_t bytes) {
    header h = {.key_bytes = strlen(key), .binary_bytes = bytes};
    memcpy(h.magic, magic, sizeof magic);
    h.checksum = checksum(key, strlen(key), binary, bytes);
    return fwrite(&h, sizeof h, 1, file) == 1 && fwrite(key, 1, strlen(key), file) == strlen(key) &&
           fwrite(binary, 1, bytes, file) == bytes;
}

void pp__cache_save(pp_device *device, const char *key, const unsigned char *binary, size_t bytes) {
    char path[PATH_CAPACITY], temporary[PATH_CAPACITY];
    if (!print_path(device, key, "", path) || !print_path(device, key, ".XXXXXX", temporary))
        return;
    make_folder(device->cache_dir);
    int descriptor = mkstemp(temporary);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    if (!file) {
        pp__log(device->engine, PP_LOG_INFO, "no program cache: %s: %s", device->cache_dir,
                pp__system_reason(errno).text);
        if (descriptor >= 0) {
            close(descriptor);
            unlink(temporary);
        }
        return;
    }
    bool written = write_all(file, key, binary, bytes);
    written = fclose(file) == 0 && written;
    if (!written || rename(temporary, path) != 0) {
        pp__log(device->engine, PP_LOG_INFO, "no program cache: %s: %s", path,
                pp__system_reason(errno).text);
        unlink(temporary);
    }
}
