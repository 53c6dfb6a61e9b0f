#include <stdio.h>
#include <string.h>

#include "data/dataset.h"
#include "io/cifar.h"
#include "io/path.h"
#include "util/engine.h"
#include "util/size.h"

enum { MAX_FILES = 5 };

/* The files of a folder that are present. Their paths are joined where they are opened: a small
 * machine's stack has no room for all of them at once. */
typedef struct batches {
    const char *names[MAX_FILES];
    size_t counts[MAX_FILES];
    size_t file_count, sample_count;
} batches;

static pp_status add_file(pp_dataset *dataset, const char *folder, const char *name,
                          const pp__cifar_format *format, batches *found) {
    char path[PP__PATH_CAPACITY];
    size_t *count = &found->counts[found->file_count];
    PP_TRY(pp__join_path(dataset->engine, folder, name, path));
    if (!pp__is_file(path)) return PP_OK;
    PP_TRY(pp__cifar_count(dataset->engine, path, format, count));
    if (!pp__size_add(found->sample_count, *count, &found->sample_count))
        return pp__fail(dataset->engine, PP_ERROR_OUT_OF_MEMORY, "%s: too many records", path);
    found->names[found->file_count++] = name;
    return PP_OK;
}

static void log_files(const pp_dataset *dataset, const char *folder, const batches *found,
                      size_t of) {
    char names[MAX_FILES * 32] = "";
    size_t used = 0;
    for (size_t i = 0; i < found->file_count; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                 found->names[i]);
    pp__log(dataset->engine, PP_LOG_INFO, "%s: %zu of %zu training batches present in %s: %s",
            dataset->source->name, found->file_count, of, folder, names);
}

static pp_status read_files(pp_dataset *dataset, const char *folder, const pp__cifar_format *format,
                            const batches *found) {
    char path[PP__PATH_CAPACITY];
    dataset->info.count = found->sample_count;
    dataset->info.height = dataset->info.width = PP__CIFAR_SIDE;
    dataset->info.channels = PP__CIFAR_CHANNELS;
    dataset->info.classes = format->class_counts[format->label_count - 1];
    PP_TRY(pp__dataset_reserve(dataset, found->sample_count));
    size_t first = 0;
    for (size_t i = 0; i < found->file_count; i++) {
        PP_TRY(pp__join_path(dataset->engine, folder, found->names[i], path));
        PP_TRY(pp__cifar_read(dataset->engine, path, format, found->counts[i],
                              dataset->pixels + first * PP__CIFAR_IMAGE_BYTES,
                              dataset->labels + first));
        first += found->counts[i];
    }
    return PP_OK;
}

static pp_status open_cifar10(pp_dataset *dataset, const char *folder) {
    static const pp__cifar_format format = {1, {10}};
    static const char *const train_names[MAX_FILES] = {"data_batch_1.bin", "data_batch_2.bin",
                                                       "data_batch_3.bin", "data_batch_4.bin",
                                                       "data_batch_5.bin"};
    batches found;
    memset(&found, 0, sizeof found);
    if (dataset->split == PP_SPLIT_TEST) {
        PP_TRY(add_file(dataset, folder, "test_batch.bin", &format, &found));
        if (!found.file_count)
            return pp__fail(dataset->engine, PP_ERROR_IO, "%s: no test_batch.bin is there", folder);
    } else {
        for (size_t i = 0; i < MAX_FILES; i++)
            PP_TRY(add_file(dataset, folder, train_names[i], &format, &found));
        if (!found.file_count)
            return pp__fail(dataset->engine, PP_ERROR_IO,
                            "%s: none of data_batch_1.bin to data_batch_5.bin is there", folder);
        log_files(dataset, folder, &found, MAX_FILES);
    }
    return read_files(dataset, folder, &format, &found);
}

static pp_status open_cifar100(pp_dataset *dataset, const char *folder) {
    static const pp__cifar_format format = {2, {20, 100}};
    const char *name = dataset->split == PP_SPLIT_TRAIN ? "train.bin" : "test.bin";
    batches found;
    memset(&found, 0, sizeof found);
    PP_TRY(add_file(dataset, folder, name, &format, &found));
    if (!found.file_count)
        return pp__fail(dataset->engine, PP_ERROR_IO, "%s: no %s is there", folder, name);
    return read_files(dataset, folder, &format, &found);
}

static const char *const cifar10_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};

const pp__source pp__source_cifar10 = {
    .name = "cifar10",
    .takes_folder = true,
    .pixel_max = 255,
    .mean = {0.4914f, 0.4822f, 0.4465f},
    .deviation = {0.2470f, 0.2435f, 0.2616f},
    .class_names = cifar10_names,
    .open = open_cifar10,
    .read = pp__dataset_read_memory,
};

const pp__source pp__source_cifar100 = {
    .name = "cifar100",
    .takes_folder = true,
    .pixel_max = 255,
    .mean = {0.5071f, 0.4865f, 0.4409f},
    .deviation = {0.2673f, 0.2564f, 0.2762f},
    .open = open_cifar100,
    .read = pp__dataset_read_memory,
};
