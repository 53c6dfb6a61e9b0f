/* The text of a program: common.cl and the files of a launch, one behind the other. Compiles
 * without OpenCL. */
#ifndef PP_DEVICE_SOURCE_H
#define PP_DEVICE_SOURCE_H

#include <pocketprop/device.h>
#include <stddef.h>

/* A kernel file that is not part of the library. Both texts are borrowed as long as the device is
 * open. */
typedef struct pp__source_text {
    const char *name, *text;
} pp__source_text;

/* Lets launches of this device name a kernel file from outside of cl/ (tests, tuning). */
pp_status pp__source_add(pp_device *device, const char *name, const char *text);

/* The joined text, which the caller releases. #line directives keep the file names in build logs.
 * PP_ERROR_INTERNAL for a file that does not exist. */
pp_status pp__source_join(pp_device *device, const char *const *files, size_t file_count,
                          char **text_out);

#endif
