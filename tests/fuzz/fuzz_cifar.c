/* CIFAR-10's and CIFAR-100's binary files, read as many records as they have and one more. */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "io/cifar.h"

static void read_records(const char *path, const pp__cifar_format *format, size_t count,
                         bool may_succeed) {
    uint8_t *pixels = malloc(count * PP__CIFAR_IMAGE_BYTES), *labels = malloc(count);
    fuzz_expect(pixels && labels, "there is memory for records");
    const bool read =
        fuzz_check(pp__cifar_read(fuzz_engine(), path, format, count, pixels, labels));
    fuzz_expect(may_succeed || !read, "as many records are read as there are");
    for (size_t i = 0; read && i < count; i++)
        fuzz_expect(labels[i] < format->class_counts[format->label_count - 1],
                    "labels are classes");
    free(pixels);
    free(labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static const pp__cifar_format formats[] = {{1, {10}}, {2, {20, 100}}};
    const char *path = fuzz_file(bytes, count);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t records;
        if (!fuzz_check(pp__cifar_count(fuzz_engine(), path, &formats[i], &records))) continue;
        read_records(path, &formats[i], records, true);
        read_records(path, &formats[i], records + 1, false);
        if (records > 1) read_records(path, &formats[i], records - 1, false);
    }
    fuzz_end();
    return 0;
}
