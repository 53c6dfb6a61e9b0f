/* device.h: OpenCL devices: list them, open one.
 *
 *     pp_device *device = NULL;
 *     if (pp_device_open(engine, NULL, NULL, &device) != PP_OK) puts(pp_engine_error(engine));
 *
 * OpenCL 1.2 core is enough; no extension is needed. A device holds its context, its one in-order
 * queue and its built programs; plans and sessions of one device share them.
 */
#ifndef POCKETPROP_DEVICE_H
#define POCKETPROP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pocketprop/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_device pp_device;

typedef enum pp_device_type {
    PP_DEVICE_GPU,
    PP_DEVICE_CPU,
    PP_DEVICE_ACCELERATOR,
    PP_DEVICE_OTHER
} pp_device_type;

/* As the driver reports it, tightened by POCKETPROP_LIMITS. Texts are cut to fit, never
 * unterminated. */
typedef struct pp_device_info {
    uint32_t index; /* counts over all platforms, in the loader's order */
    pp_device_type type;
    char name[128];
    char vendor[128];
    char platform[128];
    char version[64]; /* e.g. "OpenCL 3.0 PoCL HSTR: ..." */
    char driver_version[64];
    uint32_t compute_units;
    uint64_t memory_bytes;
    uint64_t max_allocation_bytes;
    uint64_t local_memory_bytes;
    uint32_t max_work_group_size;
    uint32_t base_alignment_bytes;
    uint32_t native_vector_float; /* elements */
    bool half;                    /* cl_khr_fp16; Pocketprop never needs it */
    bool images;
    char profile[64]; /* the profile that matches */
} pp_device_info;

/* Fills up to `capacity` entries (`infos` may be NULL when it is 0); *count_out is the number there
 * are. No platform and no device is no error here: *count_out is 0. */
pp_status pp_device_list(pp_engine *engine, pp_device_info *infos, size_t capacity,
                         size_t *count_out);

/* Zeroed members are the defaults. */
typedef struct pp_device_options {
    bool no_cache; /* neither read nor write the on-disk program cache */
    /* NULL: POCKETPROP_CACHE_DIR, else $XDG_CACHE_HOME/pocketprop, else ~/.cache/pocketprop. */
    const char *cache_dir;
    bool profiling; /* a queue that records times, for outside tools; Pocketprop reads none */
} pp_device_options;

/* `selector`: NULL (the first GPU, else the first device), an index ("0"), a type ("gpu", "cpu",
 * "accelerator") or a part of the name or platform, case ignored. `options` may be NULL.
 * PP_ERROR_DEVICE when there is no OpenCL platform or no device: the message names what to install.
 * PP_ERROR_INVALID_ARGUMENT when nothing matches: the message lists what there is.
 * PP_ERROR_UNSUPPORTED: the device has no OpenCL 1.2 or no compiler. The caller owns *device_out
 * and closes it after its sessions; closing waits, and writes built programs to the cache. */
pp_status pp_device_open(pp_engine *engine, const char *selector, const pp_device_options *options,
                         pp_device **device_out);
void pp_device_close(pp_device *device); /* accepts NULL */

/* Borrowed from the device. */
const pp_device_info *pp_device_describe(const pp_device *device);

/* Counters since the device was opened. */
typedef struct pp_device_counters {
    uint64_t live_buffer_bytes; /* device memory held now */
    uint64_t peak_buffer_bytes; /* the most ever held */
    uint64_t buffers_created;
    uint64_t programs_built;  /* from source */
    uint64_t programs_loaded; /* from the on-disk cache */
    uint64_t kernels_enqueued;
} pp_device_counters;
void pp_device_read_counters(const pp_device *device, pp_device_counters *counters_out);

#ifdef __cplusplus
}
#endif

#endif
