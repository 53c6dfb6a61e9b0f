#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST_BYTES = 64 << 20 };

static struct {
    pp_engine *engine;
    size_t live, live_at_begin;
    char folder[64], path[96];
} state;

static void *allocate(void *user, size_t bytes) {
    (void)user;
    void *memory = bytes > LARGEST_BYTES ? NULL : malloc(bytes);
    state.live += memory != NULL;
    return memory;
}

static void release(void *user, void *memory) {
    (void)user;
    state.live--;
    free(memory);
}

void fuzz_expect(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "does not hold: %s; last sentence: \"%s\"\n", what,
            pp_engine_error(state.engine));
    abort();
}

pp_engine *fuzz_engine(void) {
    if (!state.engine) {
        const pp_engine_options options = {.allocator = {allocate, release, NULL}};
        fuzz_expect(pp_engine_create(&options, &state.engine) == PP_OK, "there is an engine");
        fuzz_begin();
    }
    return state.engine;
}

static void remove_folder(void) {
    if (state.path[0]) unlink(state.path);
    rmdir(state.folder);
}

/* In memory where the system has such a folder. */
const char *fuzz_folder(void) {
    if (state.folder[0]) return state.folder;
    snprintf(state.folder, sizeof state.folder, "%s/pocketprop-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_expect(mkdtemp(state.folder) != NULL, "there is a folder");
    atexit(remove_folder);
    return state.folder;
}

const char *fuzz_file(const uint8_t *bytes, size_t count) {
    snprintf(state.path, sizeof state.path, "%s/input", fuzz_folder());
    FILE *file = fopen(state.path, "wb");
    fuzz_expect(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0,
                "the input is written");
    return state.path;
}

char *fuzz_text(const uint8_t *bytes, size_t count) {
    char *text = malloc(count + 1);
    fuzz_expect(text != NULL, "there is memory for a text");
    if (count) memcpy(text, bytes, count);
    text[count] = 0;
    return text;
}

bool fuzz_check(pp_status status) {
    if (status == PP_OK) return true;
    fuzz_expect(status != PP_ERROR_INTERNAL, "no input causes an internal error");
    fuzz_expect(status != PP_ERROR_DEVICE, "no input causes a device's error");
    fuzz_expect(pp_engine_error(fuzz_engine())[0] != 0, "a failure has a sentence");
    return false;
}

void fuzz_begin(void) {
    state.live_at_begin = state.live;
}

void fuzz_end(void) {
    fuzz_expect(state.live == state.live_at_begin, "all host memory is released");
}
