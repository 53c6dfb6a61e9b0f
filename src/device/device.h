/* The inside of an open device, shared by the files of this folder. */
#ifndef PP_DEVICE_DEVICE_H
#define PP_DEVICE_DEVICE_H

#include <pocketprop/device.h>
#include <stdbool.h>

#include "device/launch.h"
#include "device/opencl_library.h"
#include "device/source.h"
#include "util/engine.h"

enum { PP__DEVICE_WRITES = 8 };

struct pp__program;
struct pp__trace;

struct pp__memory {
    pp_device *device;
    cl_mem handle;
    size_t bytes;
    void *mapped; /* where the host writes some of it; NULL: nowhere */
};

/* The application's. `block.bytes` counts from the beginning of its cl_mem, so that offsets do. */
struct pp_memory {
    struct pp__memory block;
    size_t first_byte;
    cl_mem root; /* what a sub-buffer is a part of, and where it begins there */
    size_t root_offset;
    cl_mem_flags flags;
    bool in_use; /* a session lives in it */
};

/* What a self-test found. */
typedef struct pp__device_judgement {
    uint64_t programs;
    bool right;
} pp__device_judgement;

struct pp_device {
    pp_engine *engine;
    pp_device_info info;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue; /* in order */
    size_t max_group[3];    /* work-items of a group per dimension */
    char platform_version[128];
    pp_device_counters counters;
    struct pp__trace *trace;      /* NULL: opened without profiling */
    struct pp__program *programs; /* a list, the latest first */
    pp__source_text *extra_texts; /* kernel files from outside the library, borrowed */
    size_t extra_text_count, extra_text_capacity;
    char *cache_dir;                    /* NULL: no on-disk program cache */
    struct pp__memory placeholder;      /* marks the arguments of empty refs; it has no buffer */
    cl_event writes[PP__DEVICE_WRITES]; /* of ticket t at t % PP__DEVICE_WRITES */
    uint64_t last_ticket;
    bool uses_gemm; /* a product ran on it (device/gemm.h) */
    bool distrusts; /* POCKETPROP_LIMITS: no self-test passes */
    pp__device_judgement *verdicts;
    size_t verdict_count, verdict_capacity;
    size_t verdicts_saved; /* of them, on disk */
    bool verdicts_loaded;
};

/* One device as the loader reports it. */
typedef struct pp__device_handle {
    cl_platform_id platform;
    cl_device_id id;
} pp__device_handle;

/* All devices of all platforms, in the loader's order; the caller releases *handles_out. None is no
 * error. */
pp_status pp__device_enumerate(pp_engine *engine, pp__device_handle **handles_out,
                               size_t *count_out);

/* What the driver says of one device, tightened by POCKETPROP_LIMITS, with its matching profile. */
pp_status pp__device_query(pp_engine *engine, pp__device_handle handle, size_t index,
                           pp_device_info *info_out);

/* Refuses what cannot be used, and reads the limits of a device whose `info` is there. */
pp_status pp__device_begin(pp_device *device, cl_device_id id);

/* An in-order queue of its own for a device that has a context. */
pp_status pp__device_make_queue(pp_device *device, bool profiling);

/* An internal error unless `bytes` at `ref` lie inside its memory; PP_ERROR_INVALID_ARGUMENT while
 * that is mapped. `what` begins the sentence. */
pp_status pp__ref_check(pp_engine *engine, const char *what, pp__ref ref, size_t bytes);

/* Writes the verdicts of self-tests to the cache folder. */
void pp__self_test_save(pp_device *device);

#endif
