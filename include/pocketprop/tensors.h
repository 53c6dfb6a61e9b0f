/* tensors.h: what is in a safetensors file, and copies of it under other names or in another
 * precision (library pocketprop_data).
 *
 *     pp_tensors *tensors = NULL;
 *     pp_tensors_open(engine, "resnet20.safetensors", &tensors);
 *     for (size_t i = 0; i < pp_tensors_count(tensors); i++) {
 *         pp_tensor_info info;
 *         pp_tensors_describe(tensors, i, &info);
 *     }
 *     pp_tensors_close(tensors);
 *
 * No device is needed. Loading into a network is weights.h's.
 */
#ifndef POCKETPROP_TENSORS_H
#define POCKETPROP_TENSORS_H

#include <pocketprop/weights.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_tensors pp_tensors;

/* Reads and checks the header. The caller owns *tensors_out; the engine must outlive it.
 * PP_ERROR_IO; PP_ERROR_CORRUPT_DATA: no safetensors file, or a damaged one: the message says what
 * is wrong with it; PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_tensors_open(pp_engine *engine, const char *path, pp_tensors **tensors_out);
PP_API void pp_tensors_close(pp_tensors *tensors); /* accepts NULL */

enum { PP_TENSOR_AXES = 8 };

/* Texts live as long as the tensors. */
typedef struct pp_tensor_info {
    const char *name, *type; /* "conv1.weight", "F32" */
    uint64_t extents[PP_TENSOR_AXES];
    uint32_t axis_count;
    uint64_t elem_count, bytes;
} pp_tensor_info;
PP_API size_t pp_tensors_count(const pp_tensors *tensors); /* in the order of their bytes */
PP_API void pp_tensors_describe(const pp_tensors *tensors, size_t index, pp_tensor_info *info_out);

/* The file's texts about itself; NULL past the last. */
PP_API const char *pp_tensors_note(const pp_tensors *tensors, size_t index, const char **key_out);

/* Of the finite elements; NaN where there are none. */
typedef struct pp_tensor_statistics {
    double least, most, mean, deviation;
    uint64_t nan_count, infinite_count;
} pp_tensor_statistics;

/* Reads the tensor. PP_ERROR_UNSUPPORTED: its elements are no floats; PP_ERROR_IO;
 * PP_ERROR_CORRUPT_DATA; PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_tensors_measure(pp_tensors *tensors, size_t index,
                                    pp_tensor_statistics *statistics_out);

typedef enum pp_tensor_floats {
    PP_FLOATS_KEEP,
    PP_FLOATS_32, /* all floats to F32 */
    PP_FLOATS_16  /* all floats to F16, to the nearest even */
} pp_tensor_floats;

/* Zeroed members are the defaults: a plain copy. */
typedef struct pp_tensors_copy_options {
    const pp_rename *renames; /* as in pp_weights_options */
    size_t rename_count;
    pp_tensor_floats floats;
} pp_tensors_copy_options;

/* Writes all tensors and notes to another file, or over this one: as a whole, or not at all. What has a
 * checksum gets one that fits, so that a copy of a checkpoint is not taken for a damaged one.
 * `options` may be NULL. PP_ERROR_INVALID_ARGUMENT: two tensors would have one name; otherwise as
 * above. */
PP_API pp_status pp_tensors_copy(pp_tensors *tensors, const char *path,
                                 const pp_tensors_copy_options *options);

#ifdef __cplusplus
}
#endif

#endif
