/* safetensors files: opening, reading every tensor, the seal, and writing what was read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "io/safetensors.h"
#include "util/engine.h"

enum { MOST_TENSORS = 64 };

static size_t bytes_of(const pp__safe_tensor *tensor) {
    return (size_t)tensor->elem_count * pp__safe_type_bytes(tensor->type);
}

/* What was read is written and read again as the same. */
static void write_again(const pp__safe_file *file, void *const *data) {
    pp_engine *engine = fuzz_engine();
    char path[128];
    snprintf(path, sizeof path, "%s/again", fuzz_folder());
    pp__safe_tensor tensors[MOST_TENSORS];
    if (file->tensor_count) memcpy(tensors, file->tensors, file->tensor_count * sizeof *tensors);
    if (!fuzz_check(pp__safe_write(engine, path, tensors, (const void *const *)data,
                                   file->tensor_count, file->entries, file->entry_count, false)))
        return;
    pp__safe_file *again = NULL;
    fuzz_expect(fuzz_check(pp__safe_open(engine, path, &again)), "a written file is read");
    fuzz_expect(again->tensor_count == file->tensor_count, "a written file has the same tensors");
    for (size_t i = 0; i < file->tensor_count; i++)
        fuzz_expect(pp__safe_find(again, file->tensors[i].name) != SIZE_MAX,
                    "a written file has the same names");
    pp__safe_close(again);
    unlink(path);
}

static void read_all(pp__safe_file *file) {
    void *data[MOST_TENSORS] = {0};
    bool read = file->tensor_count <= MOST_TENSORS;
    for (size_t i = 0; read && i < file->tensor_count; i++) {
        fuzz_expect(file->tensors[i].offset_bytes + bytes_of(&file->tensors[i]) <= file->data_bytes,
                    "a tensor lies within the file");
        fuzz_expect(pp__safe_find(file, file->tensors[i].name) == i, "names are unique");
        data[i] = malloc(bytes_of(&file->tensors[i]) + 1);
        fuzz_expect(data[i] != NULL, "a tensor of a small file is small");
        read = fuzz_check(pp__safe_read(file, i, data[i]));
    }
    fuzz_check(pp__safe_check_seal(file));
    (void)pp__safe_metadata(file, "crc32");
    if (read) write_again(file, data);
    for (size_t i = 0; i < MOST_TENSORS; i++) free(data[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    pp__safe_file *file = NULL;
    if (fuzz_check(pp__safe_open(fuzz_engine(), fuzz_file(bytes, count), &file))) read_all(file);
    pp__safe_close(file);
    fuzz_end();
    return 0;
}
