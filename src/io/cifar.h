/* The binary form of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records without a header.
 *
 *     CIFAR-10    label            1024 red, 1024 green, 1024 blue     3073 bytes
 *     CIFAR-100   coarse, fine     1024 red, 1024 green, 1024 blue     3074 bytes
 */
#ifndef PP_IO_CIFAR_H
#define PP_IO_CIFAR_H

#include <pocketprop/engine.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP__CIFAR_SIDE = 32,
    PP__CIFAR_CHANNELS = 3,
    PP__CIFAR_IMAGE_BYTES = PP__CIFAR_SIDE * PP__CIFAR_SIDE * PP__CIFAR_CHANNELS,
    PP__CIFAR_MAX_LABELS = 2
};

/* The bytes in front of each image; the last of them is the label that is used. */
typedef struct pp__cifar_format {
    uint32_t label_count;
    uint32_t class_counts[PP__CIFAR_MAX_LABELS];
} pp__cifar_format;

/* How many records a file holds, from its size alone. PP_ERROR_CORRUPT_DATA: it is empty or not a
 * whole number of records. */
pp_status pp__cifar_count(pp_engine *engine, const char *path, const pp__cifar_format *format,
                          size_t *count_out);

/* Reads exactly `count` records and no trailing byte. `pixels_out` receives [count, 32, 32, 3] (the
 * planes are interleaved here, once), `labels_out` [count]. PP_ERROR_CORRUPT_DATA: fewer or more
 * bytes, or a label out of range. */
pp_status pp__cifar_read(pp_engine *engine, const char *path, const pp__cifar_format *format,
                         size_t count, uint8_t *pixels_out, uint8_t *labels_out);

#endif
