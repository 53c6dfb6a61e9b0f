/* A folder with one checkpoint: opening it, what it says of the run, and loading it. An input stands there twice,
 * as it is and with a seal that fits, since no mutation would find one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <pocketprop/checkpoint.h>

#include "fuzz/fuzz_session.h"

static const char seal_key[] = "\"crc32\":\"";
enum { SEAL_DIGITS = 8 };

static char folder[128], path[192];

static void remove_all(void) {
    unlink(path);
    rmdir(folder);
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "%s/run", fuzz_folder());
    fuzz_expect(mkdir(folder, 0700) == 0, "there is a folder for checkpoints");
    snprintf(path, sizeof path, "%s/step-000000001.safetensors", folder);
    atexit(remove_all);
}

/* Bytes of the replay set are read, so that a sanitizer sees whether they are there. */
static uint64_t sum_of(const void *bytes, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += ((const uint8_t *)bytes)[i];
    return sum;
}

static void open_folder(const uint8_t *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    fuzz_expect(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0,
                "the input is written");
    pp_checkpoint *checkpoint = NULL;
    if (fuzz_check(pp_checkpoint_open(fuzz_engine(), folder, &checkpoint))) {
        fuzz_expect(checkpoint != NULL, "a folder with checkpoints gives one, or a failure");
        pp_checkpoint_place place;
        pp_checkpoint_describe(checkpoint, &place);
        const pp_replay *r = &place.replay;
        const size_t elems = (size_t)r->count * r->height * r->width * r->channels;
        if (r->pixels) (void)sum_of(r->pixels, elems);
        if (r->inputs) (void)sum_of(r->inputs, elems * sizeof(float));
        if (r->labels) (void)sum_of(r->labels, r->count * sizeof(int32_t));
        fuzz_check(pp_checkpoint_load(checkpoint, fuzz_session()));
        fuzz_expect(!strcmp(pp_checkpoint_path(checkpoint), path), "it is the file that is there");
    }
    pp_checkpoint_close(checkpoint);
}

/* Writes the checksum into the first seal, if there is one. */
static void seal(uint8_t *bytes, size_t count) {
    const size_t key_bytes = sizeof seal_key - 1;
    for (size_t i = 0; i + key_bytes + SEAL_DIGITS <= count; i++) {
        if (memcmp(bytes + i, seal_key, key_bytes) != 0) continue;
        char digits[SEAL_DIGITS + 1];
        memset(bytes + i + key_bytes, '0', SEAL_DIGITS);
        snprintf(digits, sizeof digits, "%08lx", crc32(0, bytes, (uInt)count));
        memcpy(bytes + i + key_bytes, digits, SEAL_DIGITS);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    (void)fuzz_session();
    if (!folder[0]) make_folder();
    open_folder(bytes, count);
    uint8_t *sealed = (uint8_t *)fuzz_text(bytes, count);
    seal(sealed, count);
    open_folder(sealed, count);
    free(sealed);
    fuzz_end();
    return 0;
}
