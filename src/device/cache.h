/* The on-disk program cache: one file per program. */
#ifndef PP_DEVICE_CACHE_H
#define PP_DEVICE_CACHE_H

#include <pocketprop/device.h>
#include <stddef.h>

#include "device/opencl_library.h"

/* Sets the device's cache folder, or leaves it NULL: no_cache, POCKETPROP_CACHE=off, no home. */
pp_status pp__cache_open(pp_device *device, cl_platform_id platform,
                         const pp_device_options *options);

/* The binary that was saved under `key`, which the caller releases, or NULL. A file that is damaged
 * or belongs to another key counts as none. Fails for want of host memory alone. */
pp_status pp__cache_load(pp_device *device, const char *key, unsigned char **binary_out,
                         size_t *bytes_out);

/* A folder or file that cannot be written is no error: the log hears of it. */
void pp__cache_save(pp_device *device, const char *key, const unsigned char *binary, size_t bytes);

#endif
