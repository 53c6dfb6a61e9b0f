#include <inttypes.h>
#include <stdio.h>

#include "data/dataset.h"
#include "io/idx.h"
#include "io/path.h"
#include "util/engine.h"

enum { CLASSES = 10 };

/* Sets `path_out` to folder/name or folder/name.gz, whichever is there. */
static pp_status find_file(pp_engine *engine, const char *folder, const char *name,
                           char *path_out) {
    char zipped[64];
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    PP_TRY(pp__join_path(engine, folder, name, path_out));
    if (pp__is_file(path_out)) return PP_OK;
    PP_TRY(pp__join_path(engine, folder, zipped, path_out));
    if (pp__is_file(path_out)) return PP_OK;
    return pp__fail(engine, PP_ERROR_IO, "%s: neither %s nor %s is there", folder, name, zipped);
}

static pp_status check(pp_dataset *dataset, const char *image_path, const pp__idx *images,
                       const char *label_path, const pp__idx *labels) {
    pp_engine *engine = dataset->engine;
    if (images->extents[0] != labels->extents[0])
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                        "%s: %" PRIu32 " labels, expected %" PRIu32 " as there are images in %s",
                        label_path, labels->extents[0], images->extents[0], image_path);
    if (images->extents[1] > PP__IMAGE_MAX_SIDE || images->extents[2] > PP__IMAGE_MAX_SIDE)
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                        "%s: images of %" PRIu32 " x %" PRIu32 ", expected sides of at most %d",
                        image_path, images->extents[1], images->extents[2], PP__IMAGE_MAX_SIDE);
    for (size_t i = 0; i < labels->elem_count; i++)
        if (labels->bytes[i] >= CLASSES)
            return pp__fail(engine, PP_ERROR_CORRUPT_DATA, "%s: label %zu is %u, expected 0 to %d",
                            label_path, i, (unsigned)labels->bytes[i], CLASSES - 1);
    return PP_OK;
}

static pp_status open_mnist(pp_dataset *dataset, const char *folder) {
    pp_engine *engine = dataset->engine;
    bool train = dataset->split == PP_SPLIT_TRAIN;
    char image_path[PP__PATH_CAPACITY], label_path[PP__PATH_CAPACITY];
    PP_TRY(find_file(engine, folder, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte",
                     image_path));
    PP_TRY(find_file(engine, folder, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte",
                     label_path));
    pp__idx images = {0}, labels = {0};
    pp_status status;
    PP_TRY_GOTO(status, pp__idx_read(engine, image_path, 3, &images), done);
    PP_TRY_GOTO(status, pp__idx_read(engine, label_path, 1, &labels), done);
    PP_TRY_GOTO(status, check(dataset, image_path, &images, label_path, &labels), done);
    dataset->info.count = images.extents[0];
    dataset->info.height = images.extents[1];
    dataset->info.width = images.extents[2];
    dataset->info.channels = 1;
    dataset->info.classes = CLASSES;
    /* The files' memory becomes the data set's. */
    dataset->pixels = images.bytes;
    dataset->labels = labels.bytes;
    images.bytes = labels.bytes = NULL;
done:
    pp__idx_release(engine, &images);
    pp__idx_release(engine, &labels);
    return status;
}

const pp__source pp__source_mnist = {
    .name = "mnist",
    .takes_folder = true,
    .pixel_max = 255,
    .mean = {0.1307f},
    .deviation = {0.3081f},
    .class_names = pp__digit_names,
    .open = open_mnist,
    .read = pp__dataset_read_memory,
};
