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
    /* Counts over all platforms, in the loader's order; UINT32_MAX: a part of a device. */
    uint32_t index;
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
    bool shares_memory; /* with the host: mapping device memory copies nothing */
    char profile[64];   /* the profile that matches */
} pp_device_info;

/* Fills up to `capacity` entries (`infos` may be NULL when it is 0); *count_out is the number there
 * are. No platform and no device is no error here: *count_out is 0. */
PP_API pp_status pp_device_list(pp_engine *engine, pp_device_info *infos, size_t capacity,
                                size_t *count_out);

/* Zeroed members are the defaults. */
typedef struct pp_device_options {
    bool no_cache; /* neither read nor write the on-disk program cache */
    /* NULL: POCKETPROP_CACHE_DIR, else $XDG_CACHE_HOME/pocketprop, else ~/.cache/pocketprop. */
    const char *cache_dir;
    bool profiling; /* record every command's times: the trace below */
} pp_device_options;

/* `selector`: NULL (the first GPU, else the first device), an index ("0"), a type ("gpu", "cpu",
 * "accelerator") or a part of the name or platform, case ignored. `options` may be NULL.
 * PP_ERROR_DEVICE when there is no OpenCL platform or no device: the message names what to install.
 * PP_ERROR_INVALID_ARGUMENT when nothing matches: the message lists what there is.
 * PP_ERROR_UNSUPPORTED: the device has no OpenCL 1.2 or no compiler. The caller owns *device_out
 * and closes it after its sessions; closing waits, and writes built programs to the cache. */
PP_API pp_status pp_device_open(pp_engine *engine, const char *selector,
                                const pp_device_options *options, pp_device **device_out);
PP_API void pp_device_close(pp_device *device); /* accepts NULL */

/* Borrowed from the device. */
PP_API const pp_device_info *pp_device_describe(const pp_device *device);

/* A stretch of an OpenCL buffer that belongs to the application: opencl.h makes one, session.h takes
 * it as memory to live in, as a batch, or as room for predictions. */
typedef struct pp_memory pp_memory;

/* What begins `offset_bytes` into it. `memory` NULL: there is nothing. Borrowed. */
typedef struct pp_place {
    pp_memory *memory;
    size_t offset_bytes;
} pp_place;

/* Counters since the device was opened. Memory of the application's is not counted. */
typedef struct pp_device_counters {
    uint64_t live_buffer_bytes; /* device memory held now */
    uint64_t peak_buffer_bytes; /* the most ever held */
    uint64_t buffers_created;
    uint64_t programs_built;  /* from source */
    uint64_t programs_loaded; /* from the on-disk cache */
    uint64_t kernels_enqueued;
} pp_device_counters;
PP_API void pp_device_read_counters(const pp_device *device, pp_device_counters *counters_out);

/* The trace of a device that was opened with `profiling`: every kernel, copy and transfer with its
 * times, in the order in which they were enqueued.
 *
 *     pp_device_open(engine, NULL, &(pp_device_options){.profiling = true}, &device);
 *     ... warm up ...
 *     pp_device_clear_trace(device);
 *     pp_session_step(session, &batch, rate);
 *     size_t count;
 *     pp_device_read_trace(device, NULL, 0, &count);           // how many there are
 *     pp_device_read_trace(device, events, count, &count);     // into memory of the caller's
 *
 * All times are nanoseconds on the host's CLOCK_MONOTONIC. The device's four are moved there from
 * its own clock; they are exact among one another, and to the host's as near as an enqueuing call
 * is short. A traced device allocates host memory in a step, about 250 bytes for every command
 * until the trace is cleared or paused; a device without `profiling` makes no events and pays
 * nothing. Commands may run apart in time even though their queue is in order: what lies between
 * the end of one and the start of the next is the driver's. */
typedef struct pp_device_trace_event {
    /* What the command belongs to: a step of the plan, by pp_plan_step_name, or "transfer". Cut to
     * fit. */
    char label[128];
    /* The kernel's name; or "copy", "zero", "write", "read", "map", "unmap". */
    char kernel[64];
    uint64_t enqueue_begin_ns, enqueue_end_ns; /* the host was inside the call that enqueued it */
    uint64_t queued_ns, submit_ns, start_ns, end_ns; /* as OpenCL's event profiling defines them */
} pp_device_trace_event;

/* Waits for the device, then fills up to `capacity` entries, the oldest first (`events` may be NULL
 * when it is 0); *count_out is the number there are. PP_ERROR_UNSUPPORTED: a device without
 * `profiling`; PP_ERROR_DEVICE: a command failed. The same holds for the two calls below. */
PP_API pp_status pp_device_read_trace(pp_device *device, pp_device_trace_event *events,
                                      size_t capacity, size_t *count_out);

/* Waits for the device and forgets what was traced so far. */
PP_API pp_status pp_device_clear_trace(pp_device *device);

/* While paused, commands are enqueued without events and leave nothing in the trace. Does not
 * wait. */
PP_API pp_status pp_device_pause_trace(pp_device *device, bool paused);

#ifdef __cplusplus
}
#endif

#endif
