#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "data/dataset.h"
#include "util/engine.h"
#include "util/size.h"

static const pp__source *const sources[] = {&pp__source_digits, &pp__source_mnist,
                                            &pp__source_cifar10, &pp__source_cifar100,
                                            &pp__source_images};
enum { SOURCE_COUNT = sizeof sources / sizeof *sources };

enum { DEFAULT_SIDE = 224 };

const char *const pp__digit_names[10] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

pp_status pp__dataset_reserve(pp_dataset *dataset, size_t count) {
    const pp_dataset_info *info = &dataset->info;
    size_t sample_bytes;
    if (!pp__size_multiply((size_t)info->height * info->channels, info->width, &sample_bytes))
        return pp__fail(dataset->engine, PP_ERROR_OUT_OF_MEMORY,
                        "%s: samples of %" PRIu32 " x %" PRIu32 " x %" PRIu32 " overflow",
                        dataset->source->name, info->height, info->width, info->channels);
    PP_TRY(pp__allocate(dataset->engine, count, sample_bytes, &dataset->pixels));
    return pp__allocate(dataset->engine, count, 1, &dataset->labels);
}

pp_status pp__dataset_read_memory(const pp_dataset *dataset, pp__reader *reader, size_t index,
                                  const uint32_t crop[2], pp__sample *sample_out) {
    (void)reader;
    (void)crop;
    const pp_dataset_info *info = &dataset->info;
    size_t sample_bytes = (size_t)info->height * info->width * info->channels;
    sample_out->pixels = dataset->pixels + index * sample_bytes;
    sample_out->label = dataset->labels[index];
    return PP_OK;
}

pp_status pp__reader_create(pp_engine *engine, pp__reader *reader) {
    memset(reader, 0, sizeof *reader);
    if (pp_engine_create(NULL, &reader->engine) != PP_OK)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY, "loader: no memory for a reader");
    return PP_OK;
}

void pp__reader_release(pp__reader *reader) {
    if (!reader->engine) return;
    pp__image_release(reader->engine, &reader->image);
    pp__image_release(reader->engine, &reader->sample);
    pp__resizer_release(reader->engine, &reader->resizer);
    pp_engine_destroy(reader->engine);
    memset(reader, 0, sizeof *reader);
}

/* Finds the source and the folder behind its name; NULL where there is none. */
static pp_status read_specification(pp_engine *engine, const char *specification,
                                    const pp__source **source_out, const char **folder_out) {
    size_t name_length = strcspn(specification, ":");
    const char *folder = specification[name_length] ? specification + name_length + 1 : NULL;
    char known[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        const pp__source *source = sources[i];
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s%s", i ? ", " : "",
                                 source->name, source->takes_folder ? ":DIR" : "");
        if (strlen(source->name) != name_length || memcmp(source->name, specification, name_length))
            continue;
        if (source->takes_folder && (!folder || !*folder))
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                            "data set \"%s\": no folder is named, expected %s:DIR", specification,
                            source->name);
        if (!source->takes_folder && folder)
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                            "data set \"%s\": %s is built in and takes no folder", specification,
                            source->name);
        *source_out = source;
        *folder_out = folder;
        return PP_OK;
    }
    return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                    "data set \"%s\": unknown, expected one of %s", specification, known);
}

static pp_status fill_options(pp_engine *engine, const pp_dataset_options *options,
                              pp_dataset_options *filled) {
    if (options) *filled = *options;
    if (!filled->height) filled->height = DEFAULT_SIDE;
    if (!filled->width) filled->width = DEFAULT_SIDE;
    uint32_t longer = filled->height > filled->width ? filled->height : filled->width;
    if (longer > PP__IMAGE_MAX_SIDE ||
        (uint64_t)filled->height * filled->width > PP__IMAGE_MAX_PIXELS)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "data set: samples of %" PRIu32 " x %" PRIu32
                        ", expected sides of at most %d and at most %d pixels",
                        filled->height, filled->width, PP__IMAGE_MAX_SIDE, PP__IMAGE_MAX_PIXELS);
    if (!filled->resize) filled->resize = longer * 8 / 7;
    if (filled->resize < longer || filled->resize > 2 * PP__IMAGE_MAX_SIDE)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "data set: resize is %" PRIu32 ", expected %" PRIu32
                        " to %d for samples of %" PRIu32 " x %" PRIu32,
                        filled->resize, longer, 2 * PP__IMAGE_MAX_SIDE, filled->height,
                        filled->width);
    return PP_OK;
}

pp_status pp_dataset_open(pp_engine *engine, const char *specification, pp_split split,
                          const pp_dataset_options *options, pp_dataset **dataset_out) {
    *dataset_out = NULL;
    if (!specification)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "data set: no specification");
    const pp__source *source = NULL;
    const char *folder = NULL;
    PP_TRY(read_specification(engine, specification, &source, &folder));
    pp_dataset_options filled = {0};
    PP_TRY(fill_options(engine, options, &filled));

    pp_dataset *dataset;
    PP_TRY(pp__allocate(engine, 1, sizeof *dataset, &dataset));
    dataset->engine = engine;
    dataset->source = source;
    dataset->split = split;
    dataset->options = filled;
    dataset->info.pixel_max = source->pixel_max;
    memcpy(dataset->info.mean, source->mean, sizeof source->mean);
    memcpy(dataset->info.deviation, source->deviation, sizeof source->deviation);
    pp_status status = source->open(dataset, folder);
    if (status == PP_OK && dataset->info.count > UINT32_MAX)
        status =
            pp__fail(engine, PP_ERROR_UNSUPPORTED, "%s: %zu samples, expected at most %" PRIu32,
                     specification, dataset->info.count, UINT32_MAX);
    if (status != PP_OK) {
        pp_dataset_close(dataset);
        return status;
    }
    if (filled.limit && filled.limit < dataset->info.count) dataset->info.count = filled.limit;
    *dataset_out = dataset;
    return PP_OK;
}

void pp_dataset_close(pp_dataset *dataset) {
    if (!dataset) return;
    pp_engine *engine = dataset->engine;
    pp__release(engine, dataset->pixels);
    pp__release(engine, dataset->labels);
    pp__folder_release(engine, dataset->folder);
    pp__release(engine, dataset);
}

void pp_dataset_describe(const pp_dataset *dataset, pp_dataset_info *info_out) {
    *info_out = dataset->info;
}

const char *pp_dataset_class_name(const pp_dataset *dataset, uint32_t class_index) {
    const pp__source *source = dataset->source;
    if (class_index >= dataset->info.classes) return "";
    if (source->class_name) return source->class_name(dataset, class_index);
    return source->class_names ? source->class_names[class_index] : "";
}
