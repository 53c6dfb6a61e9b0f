/* Programs: built once per device for a list of files and options. */
#ifndef PP_DEVICE_PROGRAM_H
#define PP_DEVICE_PROGRAM_H

#include <pocketprop/device.h>
#include <stdbool.h>

#include "device/launch.h"
#include "device/opencl_library.h"

typedef struct pp__program {
    struct pp__program *next;
    cl_program handle;
    char *files[PP__LAUNCH_FILES];
    size_t file_count;
    char *options;
    bool from_source;  /* else loaded from the cache */
    bool has_kernel;   /* a kernel was created: its binary is worth keeping */
    bool driver_keeps; /* the driver has a cache of its own: launch.driver_cache = 1 */
} pp__program;

/* The device's program for these files and options, built when it is asked for first.
 * PP_ERROR_DEVICE with files, options and build log. */
pp_status pp__program_get(pp_device *device, const char *const *files, size_t file_count,
                          const char *options, pp__program **program_out);

/* A new kernel object, which the caller releases. A cached program that lacks the kernel is built
 * again from its source. */
pp_status pp__program_kernel(pp_device *device, pp__program *program, const char *name,
                             cl_kernel *kernel_out);

/* Writes what was built from source to the on-disk cache and releases all programs. */
void pp__program_destroy_all(pp_device *device);

#endif
