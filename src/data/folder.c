/* Image folders: one folder per class, files decoded when they are read.
 *
 * Opening lists names and looks at no file, so that a million images open in seconds; a broken file
 * is found when its sample is read. Samples are ordered by their rank in their class and then by
 * class, so that the first n of them (pp_dataset_options.limit) hold all classes alike.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/draw.h"
#include "data/dataset.h"
#include "io/path.h"
#include "util/engine.h"

enum { CHUNK_BYTES = 1 << 16 };

/* Names lie in chunks that never move, so that entries can point into them. */
typedef struct chunk {
    struct chunk *next;
    size_t used, capacity;
    char text[];
} chunk;

typedef struct entry {
    const char *name;
    uint32_t rank, label;
} entry;

typedef struct entries {
    entry *items;
    size_t count, capacity;
} entries;

struct pp__folder {
    char root[PP__PATH_CAPACITY]; /* the folder that holds the classes */
    chunk *chunks;
    entries classes; /* in alphabetical order */
    entries samples;
};

void pp__folder_release(pp_engine *engine, pp__folder *folder) {
    if (!folder) return;
    for (chunk *next, *c = folder->chunks; c; c = next) {
        next = c->next;
        pp__release(engine, c);
    }
    pp__release(engine, folder->classes.items);
    pp__release(engine, folder->samples.items);
    pp__release(engine, folder);
}

static pp_status keep_name(pp_engine *engine, pp__folder *folder, const char *name,
                           const char **kept_out) {
    size_t bytes = strlen(name) + 1;
    chunk *c = folder->chunks;
    if (!c || c->capacity - c->used < bytes) {
        size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        PP_TRY(pp__allocate(engine, 1, sizeof *c + capacity, &c));
        c->capacity = capacity;
        c->next = folder->chunks;
        folder->chunks = c;
    }
    *kept_out = memcpy(c->text + c->used, name, bytes);
    c->used += bytes;
    return PP_OK;
}

static pp_status append(pp_engine *engine, pp__folder *folder, entries *list, const char *name,
                        uint32_t label) {
    if (list->count == UINT32_MAX)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED, "%s: more than %" PRIu32 " names",
                        folder->root, UINT32_MAX);
    PP_TRY(pp__grow(engine, &list->items, &list->capacity, list->count + 1, sizeof *list->items));
    entry *e = &list->items[list->count];
    PP_TRY(keep_name(engine, folder, name, &e->name));
    e->label = label;
    list->count++;
    return PP_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int compare_ranks(const void *a, const void *b) {
    const entry *left = a, *right = b;
    if (left->rank != right->rank) return left->rank < right->rank ? -1 : 1;
    return (left->label > right->label) - (left->label < right->label);
}

/* Appends the names in `path` that `is_wanted` accepts, in alphabetical order. */
static pp_status list_names(pp_engine *engine, pp__folder *folder, const char *path, uint32_t label,
                            bool (*is_wanted)(const char *path, const char *name), entries *list) {
    DIR *directory = opendir(path);
    if (!directory) return pp__fail_system(engine, path, "open", errno);
    size_t first = list->count;
    pp_status status = PP_OK;
    for (;;) {
        errno = 0;
        const struct dirent *found = readdir(directory);
        if (!found) break;
        if (found->d_name[0] == '.' || !is_wanted(path, found->d_name)) continue;
        PP_TRY_GOTO(status, append(engine, folder, list, found->d_name, label), done);
    }
    if (errno) {
        status = pp__fail_system(engine, path, "list", errno);
        goto done;
    }
    if (list->count > first)
        qsort(list->items + first, list->count - first, sizeof(entry), compare_names);
done:
    closedir(directory);
    return status;
}

static bool is_folder_name(const char *path, const char *name) {
    char full[PP__PATH_CAPACITY];
    int length = snprintf(full, sizeof full, "%s/%s", path, name);
    return length > 0 && length < PP__PATH_CAPACITY && pp__is_folder(full);
}

static bool is_image_name(const char *path, const char *name) {
    (void)path;
    return pp__image_has_name(name);
}

static pp_status list_classes(pp_engine *engine, pp__folder *folder) {
    PP_TRY(list_names(engine, folder, folder->root, 0, is_folder_name, &folder->classes));
    if (!folder->classes.count)
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                        "%s: no folder inside, expected one per class with JPEG and PNG files",
                        folder->root);
    return PP_OK;
}

static pp_status list_samples(pp_engine *engine, pp__folder *folder) {
    entries *samples = &folder->samples;
    for (uint32_t label = 0; label < folder->classes.count; label++) {
        char path[PP__PATH_CAPACITY];
        PP_TRY(pp__join_path(engine, folder->root, folder->classes.items[label].name, path));
        size_t first = samples->count;
        PP_TRY(list_names(engine, folder, path, label, is_image_name, samples));
        if (samples->count == first)
            return pp__fail(
                engine, PP_ERROR_CORRUPT_DATA,
                "%s: the class folder is empty, expected files named *.jpg, *.jpeg or *.png", path);
        for (size_t i = first; i < samples->count; i++)
            samples->items[i].rank = (uint32_t)(i - first);
    }
    qsort(samples->items, samples->count, sizeof(entry), compare_ranks);
    return PP_OK;
}

/* A label is a class's place in its own folder, so both splits must have the same classes. */
static pp_status check_same_classes(pp_engine *engine, const pp__folder *folder,
                                    const char *other_root) {
    pp__folder *other;
    PP_TRY(pp__allocate(engine, 1, sizeof *other, &other));
    memcpy(other->root, other_root, strlen(other_root) + 1);
    pp_status status;
    PP_TRY_GOTO(status, list_classes(engine, other), done);
    size_t count = folder->classes.count;
    if (other->classes.count != count) {
        status =
            pp__fail(engine, PP_ERROR_CORRUPT_DATA, "%s: %zu class folders, expected %zu as in %s",
                     folder->root, count, other->classes.count, other->root);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(folder->classes.items[i].name, other->classes.items[i].name)) {
            status = pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                              "%s: class folder %zu is \"%s\", expected \"%s\" as in %s",
                              folder->root, i, folder->classes.items[i].name,
                              other->classes.items[i].name, other->root);
            goto done;
        }
done:
    pp__folder_release(engine, other);
    return status;
}

/* Finds the folder of this split, and the training split's where the test split must agree. */
static pp_status find_root(pp_dataset *dataset, const char *path, char *root_out,
                           char *train_root_out) {
    pp_engine *engine = dataset->engine;
    char test_root[PP__PATH_CAPACITY];
    PP_TRY(pp__join_path(engine, path, "train", train_root_out));
    PP_TRY(pp__join_path(engine, path, "test", test_root));
    bool has_train = pp__is_folder(train_root_out), has_test = pp__is_folder(test_root);
    bool is_train = dataset->split == PP_SPLIT_TRAIN;
    const char *root = is_train ? train_root_out : test_root;
    if (!pp__is_folder(path))
        return pp__fail(engine, PP_ERROR_IO, "%s: not there, or not a folder", path);
    if (!has_train && !has_test) {
        pp__log(engine, PP_LOG_INFO,
                "%s: no train and test folders in %s: both splits are all of it",
                dataset->source->name, path);
        root = path;
    } else if (!(is_train ? has_train : has_test)) {
        return pp__fail(engine, PP_ERROR_IO, "%s: not a folder, although %s is one", root,
                        is_train ? test_root : train_root_out);
    }
    if (strlen(root) >= PP__PATH_CAPACITY)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "%.200s...: the path is too long", root);
    memcpy(root_out, root, strlen(root) + 1);
    if (is_train || !has_train) train_root_out[0] = '\0';
    return PP_OK;
}

static pp_status open_images(pp_dataset *dataset, const char *path) {
    pp_engine *engine = dataset->engine;
    PP_TRY(pp__allocate(engine, 1, sizeof *dataset->folder, &dataset->folder));
    pp__folder *folder = dataset->folder;
    char train_root[PP__PATH_CAPACITY];
    PP_TRY(find_root(dataset, path, folder->root, train_root));
    PP_TRY(list_classes(engine, folder));
    if (train_root[0]) PP_TRY(check_same_classes(engine, folder, train_root));
    PP_TRY(list_samples(engine, folder));
    dataset->info.count = folder->samples.count;
    dataset->info.height = dataset->options.height;
    dataset->info.width = dataset->options.width;
    dataset->info.channels = 3;
    dataset->info.classes = (uint32_t)folder->classes.count;
    return PP_OK;
}

/* Scales the shorter side to options.resize and cuts the sample out: anywhere in training, else in
 * the middle. */
static pp_status cut(const pp_dataset *dataset, pp__reader *reader, const uint32_t crop[2]) {
    const pp_dataset_options *options = &dataset->options;
    const pp__image *image = &reader->image;
    uint32_t shorter = image->height < image->width ? image->height : image->width;
    uint32_t full_height = (uint32_t)((uint64_t)image->height * options->resize / shorter);
    uint32_t full_width = (uint32_t)((uint64_t)image->width * options->resize / shorter);
    uint32_t free_height = full_height - options->height, free_width = full_width - options->width;
    bool is_train = dataset->split == PP_SPLIT_TRAIN;
    pp__window window = {is_train ? pp__draw_below(crop[0], free_height + 1) : free_height / 2,
                         is_train ? pp__draw_below(crop[1], free_width + 1) : free_width / 2,
                         options->height, options->width};
    return pp__resize(reader->engine, &reader->resizer, image, full_height, full_width, window,
                      reader->sample.pixels);
}

static pp_status read_image(const pp_dataset *dataset, pp__reader *reader, size_t index,
                            const uint32_t crop[2], pp__sample *sample_out) {
    const pp__folder *folder = dataset->folder;
    const pp_dataset_options *options = &dataset->options;
    const entry *e = &folder->samples.items[index];
    char class_path[PP__PATH_CAPACITY], path[PP__PATH_CAPACITY];
    PP_TRY(pp__join_path(reader->engine, folder->root, folder->classes.items[e->label].name,
                         class_path));
    PP_TRY(pp__join_path(reader->engine, class_path, e->name, path));
    PP_TRY(pp__image_read(reader->engine, path, &reader->image));
    sample_out->label = (int32_t)e->label;
    sample_out->pixels = reader->image.pixels;
    if (reader->image.height == options->height && reader->image.width == options->width)
        return PP_OK;
    PP_TRY(
        pp__image_reserve(reader->engine, path, options->height, options->width, &reader->sample));
    sample_out->pixels = reader->sample.pixels;
    return cut(dataset, reader, crop);
}

static const char *folder_class_name(const pp_dataset *dataset, uint32_t class_index) {
    return dataset->folder->classes.items[class_index].name;
}

const pp__source pp__source_images = {
    .name = "images",
    .takes_folder = true,
    .pixel_max = 255,
    .mean = {0.485f, 0.456f, 0.406f},
    .deviation = {0.229f, 0.224f, 0.225f},
    .open = open_images,
    .read = read_image,
    .class_name = folder_class_name,
};
