/* Entries of the on-disk program cache: reading one needs a device's folder and no device. An input
 * stands in the cache twice, as the whole file and as what follows a sound header. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/cache.h"
#include "device/device.h"
#include "fuzz/fuzz.h"

static const char key[] = "a program";
enum { KEY_BYTES = sizeof key - 1, HEADER_BYTES = 32 };

static char folder[128], path[512];

static void remove_all(void) {
    unlink(path);
    rmdir(folder);
}

/* Saves an entry to learn its file's name, and reads it back. */
static void find_path(pp_device *device) {
    snprintf(folder, sizeof folder, "%s/cache", fuzz_folder());
    device->cache_dir = folder;
    atexit(remove_all);
    pp__cache_save(device, key, (const unsigned char *)"binary", 6);
    DIR *listing = opendir(folder);
    fuzz_expect(listing != NULL, "the cache has made its folder");
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] != '.') snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    closedir(listing);
    unsigned char *binary;
    size_t bytes;
    fuzz_expect(fuzz_check(pp__cache_load(device, key, &binary, &bytes)), "an entry is read");
    fuzz_expect(binary && bytes == 6 && !memcmp(binary, "binary", 6), "what was saved is read");
    pp__release(device->engine, binary);
    fuzz_begin();
}

/* Whatever is loaded must be what stands behind the key in the file. */
static void load(pp_device *device, const uint8_t *file, size_t count) {
    FILE *stream = fopen(path, "wb");
    fuzz_expect(stream && fwrite(file, 1, count, stream) == count && fclose(stream) == 0,
                "the entry is written");
    unsigned char *binary;
    size_t bytes;
    if (!fuzz_check(pp__cache_load(device, key, &binary, &bytes)) || !binary) return;
    fuzz_expect(count == HEADER_BYTES + KEY_BYTES + bytes,
                "an entry is as long as its header says");
    fuzz_expect(!memcmp(file + HEADER_BYTES, key, KEY_BYTES), "an entry has its key");
    fuzz_expect(!memcmp(file + HEADER_BYTES + KEY_BYTES, binary, bytes), "an entry is unchanged");
    pp__release(device->engine, binary);
}

static uint64_t checksum(const uint8_t *bytes, size_t count) {
    uint64_t sum = 0xCBF29CE484222325u;
    for (size_t i = 0; i < count; i++) sum = (sum ^ bytes[i]) * 0x100000001B3u;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static pp_device device;
    device.engine = fuzz_engine();
    if (!device.cache_dir) find_path(&device);
    load(&device, bytes, count);

    uint8_t *file = malloc(HEADER_BYTES + count);
    fuzz_expect(file != NULL, "there is memory for an entry");
    const uint64_t lengths[3] = {KEY_BYTES, count < KEY_BYTES ? 0 : count - KEY_BYTES,
                                 checksum(bytes, count)};
    memcpy(file, "PPPROG1", 8);
    memcpy(file + 8, lengths, sizeof lengths);
    if (count) memcpy(file + HEADER_BYTES, bytes, count);
    load(&device, file, HEADER_BYTES + count);
    free(file);
    fuzz_end();
    return 0;
}
