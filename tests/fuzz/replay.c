/* Feeds a fuzzer the files of a folder in place of libFuzzer, so that every build runs what was
 * found once.
 *
 *     fuzz_idx corpus/idx
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/fuzz.h"

enum { PATH_CAPACITY = 4096 };

static uint8_t *read_whole(const char *path, size_t *count_out) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return NULL;
    long count = ftell(file);
    rewind(file);
    uint8_t *bytes = count < 0 ? NULL : malloc((size_t)count ? (size_t)count : 1);
    *count_out = (size_t)count;
    if (bytes && fread(bytes, 1, *count_out, file) != *count_out) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return EXIT_FAILURE;
    }
    DIR *folder = opendir(arguments[1]);
    if (!folder) {
        perror(arguments[1]);
        return EXIT_FAILURE;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    size_t inputs = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        char path[PATH_CAPACITY];
        snprintf(path, sizeof path, "%s/%s", arguments[1], entry->d_name);
        size_t bytes_count;
        uint8_t *bytes = read_whole(path, &bytes_count);
        if (!bytes) {
            perror(path);
            return EXIT_FAILURE;
        }
        fprintf(stderr, "%s\n", path);
        LLVMFuzzerTestOneInput(bytes, bytes_count);
        free(bytes);
        inputs++;
    }
    closedir(folder);
    fprintf(stderr, "%zu inputs\n", inputs);
    return inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
