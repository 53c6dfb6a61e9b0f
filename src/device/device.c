/* Devices: listing, choosing, opening, closing. */
#include "device/device.h"

#include <stdio.h>
#include <string.h>

#include "device/buffer.h"
#include "device/cache.h"
#include "device/clerror.h"
#include "device/program.h"
#include "device/stream.h"
#include "device/trace.h"
#include "profile/limits.h"
#include "profile/profile.h"
#include "util/env.h"
#include "util/parse.h"

pp_status pp_device_list(pp_engine *engine, pp_device_info *infos, size_t capacity,
                         size_t *count_out) {
    *count_out = 0;
    pp__device_handle *handles;
    size_t count;
    PP_TRY(pp__device_enumerate(engine, &handles, &count));
    pp_status status = PP_OK;
    for (size_t i = 0; i < count && i < capacity && status == PP_OK; i++)
        status = pp__device_query(engine, handles[i], i, &infos[i]);
    pp__release(engine, handles);
    if (status == PP_OK) *count_out = count;
    return status;
}

/* Whether the selector (not NULL) asks for this device. */
static bool is_selected(const char *selector, const pp_device_info *info) {
    size_t length = strlen(selector);
    uint64_t index;
    if (strspn(selector, "0123456789") == length)
        return pp__parse_bytes(selector, length, &index) && index == info->index;
    if (pp__parse_same(selector, length, "gpu")) return info->type == PP_DEVICE_GPU;
    if (pp__parse_same(selector, length, "cpu")) return info->type == PP_DEVICE_CPU;
    if (pp__parse_same(selector, length, "accelerator")) return info->type == PP_DEVICE_ACCELERATOR;
    return pp__parse_holds(info->name, selector, length) ||
           pp__parse_holds(info->platform, selector, length);
}

static pp_status fail_no_match(pp_engine *engine, const char *selector,
                               const pp__device_handle *handles, size_t count) {
    char list[2048] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        pp_device_info info;
        PP_TRY(pp__device_query(engine, handles[i], i, &info));
        int length = snprintf(list + used, sizeof list - used, "%s%zu \"%s\" (%s)", i ? ", " : "",
                              i, info.name, info.platform);
        if (length < 0 || (size_t)length >= sizeof list - used) break;
        used += (size_t)length;
    }
    return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                    "no OpenCL device matches \"%s\"; there are: %s", selector, list);
}

static pp_status choose(pp_engine *engine, const char *selector, const pp__device_handle *handles,
                        size_t count, pp_device_info *info_out) {
    if (count == 0)
        return pp__fail(engine, PP_ERROR_DEVICE,
                        "no OpenCL device: install a driver (Debian: `apt install pocl-opencl-icd` "
                        "for the CPU, "
                        "the vendor's OpenCL driver for a GPU)");
    for (size_t i = 0; i < count; i++) {
        PP_TRY(pp__device_query(engine, handles[i], i, info_out));
        if (selector ? is_selected(selector, info_out) : info_out->type == PP_DEVICE_GPU)
            return PP_OK;
    }
    if (!selector) return pp__device_query(engine, handles[0], 0, info_out);
    return fail_no_match(engine, selector, handles, count);
}

static pp_status check_usable(pp_engine *engine, cl_device_id id, const pp_device_info *info) {
    unsigned major = 0, minor = 0;
    if (sscanf(info->version, "OpenCL %u.%u", &major, &minor) != 2 || major < 1 ||
        (major == 1 && minor < 2))
        return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                        "device \"%s\" offers \"%s\"; OpenCL 1.2 is needed", info->name,
                        info->version);
    cl_bool available = CL_FALSE, compiler = CL_FALSE;
    cl_int code = clGetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    if (code == CL_SUCCESS)
        code = clGetDeviceInfo(id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetDeviceInfo", code, " of %s", info->name);
    if (!available)
        return pp__fail(engine, PP_ERROR_DEVICE, "device \"%s\" is not available", info->name);
    if (!compiler)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED, "the driver of device \"%s\" has no compiler",
                        info->name);
    return PP_OK;
}

pp_status pp__device_begin(pp_device *device, cl_device_id id) {
    pp_engine *engine = device->engine;
    device->id = id;
    pp__limits limits;
    PP_TRY(pp__limits_read(engine, pp__env("POCKETPROP_LIMITS"), &limits));
    device->distrusts = limits.distrust;
    PP_TRY(check_usable(engine, id, &device->info));
    size_t sizes[16] = {1, 1, 1}; /* a device may have more dimensions than the three in use */
    cl_int code = clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetDeviceInfo", code, " for the work-item sizes of %s",
                           device->info.name);
    memcpy(device->max_group, sizes, sizeof device->max_group);
    return PP_OK;
}

pp_status pp__device_make_queue(pp_device *device, bool profiling) {
    cl_int code;
    device->queue = clCreateCommandQueue(device->context, device->id,
                                         profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    return code == CL_SUCCESS ? PP_OK
                              : pp__cl_fail(device->engine, "clCreateCommandQueue", code, " for %s",
                                            device->info.name);
}

/* Context, queue and program cache. */
static pp_status set_up(pp_device *device, pp__device_handle handle,
                        const pp_device_options *options) {
    PP_TRY(pp__device_begin(device, handle.id));
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)handle.platform, 0};
    cl_int code;
    device->context = clCreateContext(properties, 1, &handle.id, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clCreateContext", code, " for %s", device->info.name);
    PP_TRY(pp__device_make_queue(device, options->profiling));
    if (options->profiling) PP_TRY(pp__trace_create(device));
    return pp__cache_open(device, handle.platform, options);
}

pp_status pp_device_open(pp_engine *engine, const char *selector, const pp_device_options *options,
                         pp_device **device_out) {
    static const pp_device_options defaults = {0};
    if (!options) options = &defaults;
    if (selector && !selector[0]) selector = NULL;
    *device_out = NULL;
    pp__device_handle *handles = NULL;
    size_t count;
    PP_TRY(pp__device_enumerate(engine, &handles, &count));
    pp_device *device = NULL;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(engine, 1, sizeof *device, &device), done);
    device->engine = engine;
    PP_TRY_GOTO(status, choose(engine, selector, handles, count, &device->info), done);
    PP_TRY_GOTO(status, set_up(device, handles[device->info.index], options), done);
    *device_out = device;
    device = NULL;

done:
    pp_device_close(device);
    pp__release(engine, handles);
    return status;
}

/* Releasing has no one left to report to, so a refusal goes to the log. */
static void check_release(pp_device *device, const char *call, cl_int code) {
    if (code != CL_SUCCESS)
        pp__log(device->engine, PP_LOG_WARNING, "%s: %s (%d)", call, pp__cl_name(code), (int)code);
}

void pp_device_close(pp_device *device) {
    if (!device) return;
    pp_engine *engine = device->engine;
    if (device->queue) check_release(device, "clFinish", clFinish(device->queue));
    pp__gemm_close(device);
    pp__program_destroy_all(device);
    pp__trace_destroy(device);
    for (size_t i = 0; i < PP__DEVICE_WRITES; i++)
        if (device->writes[i])
            check_release(device, "clReleaseEvent", clReleaseEvent(device->writes[i]));
    if (device->queue)
        check_release(device, "clReleaseCommandQueue", clReleaseCommandQueue(device->queue));
    if (device->context)
        check_release(device, "clReleaseContext", clReleaseContext(device->context));
    pp__release(engine, device->extra_texts);
    pp__self_test_save(device);
    pp__release(engine, device->verdicts);
    pp__release(engine, device->cache_dir);
    pp__release(engine, device);
}

const pp_device_info *pp_device_describe(const pp_device *device) {
    return &device->info;
}

void pp_device_read_counters(const pp_device *device, pp_device_counters *counters_out) {
    *counters_out = device->counters;
}

pp_engine *pp__device_engine(const pp_device *device) {
    return device->engine;
}

pp_status pp__device_flush(pp_device *device) {
    cl_int code = clFlush(device->queue);
    return code == CL_SUCCESS ? PP_OK : pp__cl_fail(device->engine, "clFlush", code, "%s", "");
}

void pp__device_settle(pp_device *device) {
    (void)clFinish(device->queue);
}

pp_status pp__device_finish(pp_device *device) {
    cl_int code = clFinish(device->queue);
    if (code != CL_SUCCESS) return pp__cl_fail(device->engine, "clFinish", code, "%s", "");
    return pp__trace_collect(device);
}

pp_status pp_profile_for_device(pp_device *device, const char *name_or_path,
                                pp_profile **profile_out) {
    const pp_device_info *info = &device->info;
    PP_TRY(
        pp_profile_load(device->engine, name_or_path ? name_or_path : info->profile, profile_out));
    pp_profile *profile = *profile_out;
    size_t allocation =
        info->max_allocation_bytes > SIZE_MAX ? SIZE_MAX : (size_t)info->max_allocation_bytes;
    size_t total = info->memory_bytes > SIZE_MAX ? SIZE_MAX : (size_t)info->memory_bytes;
    size_t local =
        info->local_memory_bytes > SIZE_MAX ? SIZE_MAX : (size_t)info->local_memory_bytes;
    pp_status status;
    PP_TRY_GOTO(status,
                pp__profile_tighten(profile, "memory.max_allocation_bytes", allocation, false),
                failed);
    PP_TRY_GOTO(status, pp__profile_tighten(profile, "memory.total_bytes", total, false), failed);
    PP_TRY_GOTO(
        status,
        pp__profile_tighten(profile, "memory.alignment_bytes", info->base_alignment_bytes, true),
        failed);
    PP_TRY_GOTO(status,
                pp__profile_tighten(profile, "launch.max_work_group_size",
                                    info->max_work_group_size, false),
                failed);
    PP_TRY_GOTO(status, pp__profile_tighten(profile, "launch.local_memory_bytes", local, false),
                failed);
    return PP_OK;

failed:
    pp_profile_destroy(profile);
    *profile_out = NULL;
    return status;
}
