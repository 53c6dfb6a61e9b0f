/* What platforms and devices there are and what their drivers say of them. */
#include <stdio.h>
#include <string.h>

#include "device/clerror.h"
#include "device/device.h"
#include "profile/limits.h"
#include "profile/profile.h"
#include "util/env.h"

/* The loader's answer when no driver is installed (cl_khr_icd). */
enum { PLATFORM_NOT_FOUND = -1001 };

/* Appends one platform's devices. A platform that fails is left out with a warning, so that one
 * broken driver does not hide the others. */
static pp_status append_devices(pp_engine *engine, cl_platform_id platform,
                                pp__device_handle **handles, size_t *capacity, size_t *count) {
    cl_uint found = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &found);
    if (code == CL_DEVICE_NOT_FOUND || (code == CL_SUCCESS && found == 0)) return PP_OK;
    cl_device_id *ids = NULL;
    if (code == CL_SUCCESS) {
        PP_TRY(pp__allocate(engine, found, sizeof *ids, &ids));
        code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, found, ids, NULL);
    }
    if (code != CL_SUCCESS) {
        pp__log(engine, PP_LOG_WARNING, "a platform is left out: clGetDeviceIDs: %s (%d)",
                pp__cl_name(code), (int)code);
        pp__release(engine, ids);
        return PP_OK;
    }
    pp_status status = pp__grow(engine, handles, capacity, *count + found, sizeof **handles);
    for (cl_uint i = 0; i < found && status == PP_OK; i++)
        (*handles)[(*count)++] = (pp__device_handle){platform, ids[i]};
    pp__release(engine, ids);
    return status;
}

pp_status pp__device_enumerate(pp_engine *engine, pp__device_handle **handles_out,
                               size_t *count_out) {
    *handles_out = NULL;
    *count_out = 0;
    PP_TRY(pp__opencl_open(engine));
    cl_uint found = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &found);
    if (code == PLATFORM_NOT_FOUND || (code == CL_SUCCESS && found == 0)) return PP_OK;
    if (code != CL_SUCCESS) return pp__cl_fail(engine, "clGetPlatformIDs", code, "%s", "");
    cl_platform_id *platforms;
    PP_TRY(pp__allocate(engine, found, sizeof *platforms, &platforms));
    pp_status status = PP_OK;
    code = clGetPlatformIDs(found, platforms, NULL);
    if (code != CL_SUCCESS) status = pp__cl_fail(engine, "clGetPlatformIDs", code, "%s", "");
    pp__device_handle *handles = NULL;
    size_t capacity = 0, count = 0;
    for (cl_uint i = 0; i < found && status == PP_OK; i++)
        status = append_devices(engine, platforms[i], &handles, &capacity, &count);
    pp__release(engine, platforms);
    if (status != PP_OK) {
        pp__release(engine, handles);
        return status;
    }
    *handles_out = handles;
    *count_out = count;
    return PP_OK;
}

/* Reads one fact of a fixed size; the first failure stays in *code. */
static void read_fact(cl_device_id id, cl_device_info what, void *value, size_t bytes,
                      cl_int *code) {
    if (*code == CL_SUCCESS) *code = clGetDeviceInfo(id, what, bytes, value, NULL);
}

/* Reads a text of any length and cuts it to fit. Drivers refuse a buffer that is too small, so the
 * whole text is fetched first. */
static pp_status read_text(pp_engine *engine, pp__device_handle handle, bool of_platform,
                           cl_uint what, char *text, size_t capacity, bool *contains_half) {
    size_t bytes = 0;
    cl_int code = of_platform ? clGetPlatformInfo(handle.platform, what, 0, NULL, &bytes)
                              : clGetDeviceInfo(handle.id, what, 0, NULL, &bytes);
    char *whole = NULL;
    if (code == CL_SUCCESS) {
        PP_TRY(pp__allocate(engine, bytes + 1, 1, &whole));
        code = of_platform ? clGetPlatformInfo(handle.platform, what, bytes, whole, NULL)
                           : clGetDeviceInfo(handle.id, what, bytes, whole, NULL);
    }
    pp_status status = PP_OK;
    if (code != CL_SUCCESS) {
        status = pp__cl_fail(engine, of_platform ? "clGetPlatformInfo" : "clGetDeviceInfo", code,
                             " for 0x%x", what);
    } else {
        if (text) snprintf(text, capacity, "%s", whole);
        if (contains_half) *contains_half = strstr(whole, "cl_khr_fp16") != NULL;
    }
    pp__release(engine, whole);
    return status;
}

static pp_status read_texts(pp_engine *engine, pp__device_handle handle, pp_device_info *info) {
    const struct {
        bool of_platform;
        cl_uint what;
        char *text;
        size_t capacity;
    } texts[] = {
        {true, CL_PLATFORM_NAME, info->platform, sizeof info->platform},
        {false, CL_DEVICE_NAME, info->name, sizeof info->name},
        {false, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor},
        {false, CL_DEVICE_VERSION, info->version, sizeof info->version},
        {false, CL_DRIVER_VERSION, info->driver_version, sizeof info->driver_version},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        PP_TRY(read_text(engine, handle, texts[i].of_platform, texts[i].what, texts[i].text,
                         texts[i].capacity, NULL));
    return read_text(engine, handle, false, CL_DEVICE_EXTENSIONS, NULL, 0, &info->half);
}

static pp_status read_numbers(pp_engine *engine, pp__device_handle handle, pp_device_info *info) {
    cl_int code = CL_SUCCESS;
    cl_device_type type = 0;
    cl_uint units = 0, alignment_bits = 0, vector = 0;
    cl_ulong memory = 0, allocation = 0, local = 0;
    cl_bool images = CL_FALSE, shares = CL_FALSE;
    size_t group = 0;
    read_fact(handle.id, CL_DEVICE_TYPE, &type, sizeof type, &code);
    read_fact(handle.id, CL_DEVICE_MAX_COMPUTE_UNITS, &units, sizeof units, &code);
    read_fact(handle.id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &alignment_bits, sizeof alignment_bits,
              &code);
    read_fact(handle.id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &vector, sizeof vector, &code);
    read_fact(handle.id, CL_DEVICE_GLOBAL_MEM_SIZE, &memory, sizeof memory, &code);
    read_fact(handle.id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &allocation, sizeof allocation, &code);
    read_fact(handle.id, CL_DEVICE_LOCAL_MEM_SIZE, &local, sizeof local, &code);
    read_fact(handle.id, CL_DEVICE_IMAGE_SUPPORT, &images, sizeof images, &code);
    read_fact(handle.id, CL_DEVICE_HOST_UNIFIED_MEMORY, &shares, sizeof shares, &code);
    read_fact(handle.id, CL_DEVICE_MAX_WORK_GROUP_SIZE, &group, sizeof group, &code);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetDeviceInfo", code, " of %s", info->name);

    info->type = type & CL_DEVICE_TYPE_GPU           ? PP_DEVICE_GPU
                 : type & CL_DEVICE_TYPE_CPU         ? PP_DEVICE_CPU
                 : type & CL_DEVICE_TYPE_ACCELERATOR ? PP_DEVICE_ACCELERATOR
                                                     : PP_DEVICE_OTHER;
    info->compute_units = units;
    info->memory_bytes = memory;
    info->max_allocation_bytes = allocation;
    info->local_memory_bytes = local;
    info->max_work_group_size = group > UINT32_MAX ? UINT32_MAX : (uint32_t)group;
    info->base_alignment_bytes = alignment_bits / 8;
    info->native_vector_float = vector;
    info->images = images == CL_TRUE;
    info->shares_memory = shares == CL_TRUE;
    return PP_OK;
}

/* Folds POCKETPROP_LIMITS in. */
static pp_status tighten(pp_engine *engine, pp_device_info *info) {
    pp__limits limits;
    PP_TRY(pp__limits_read(engine, pp__env("POCKETPROP_LIMITS"), &limits));
    if (limits.max_allocation_bytes && limits.max_allocation_bytes < info->max_allocation_bytes)
        info->max_allocation_bytes = limits.max_allocation_bytes;
    if (limits.memory_bytes && limits.memory_bytes < info->memory_bytes)
        info->memory_bytes = limits.memory_bytes;
    if (limits.local_memory_bytes && limits.local_memory_bytes < info->local_memory_bytes)
        info->local_memory_bytes = limits.local_memory_bytes;
    if (limits.work_group_size && limits.work_group_size < info->max_work_group_size)
        info->max_work_group_size = (uint32_t)limits.work_group_size;
    if (limits.alignment_bytes > info->base_alignment_bytes && limits.alignment_bytes <= UINT32_MAX)
        info->base_alignment_bytes = (uint32_t)limits.alignment_bytes;
    info->half = info->half && !limits.no_half;
    info->images = info->images && !limits.no_images;
    return PP_OK;
}

pp_status pp__device_query(pp_engine *engine, pp__device_handle handle, size_t index,
                           pp_device_info *info_out) {
    memset(info_out, 0, sizeof *info_out);
    info_out->index = (uint32_t)index;
    PP_TRY(read_texts(engine, handle, info_out));
    PP_TRY(read_numbers(engine, handle, info_out));
    PP_TRY(tighten(engine, info_out));
    pp__profile_subject subject = pp__profile_subject_of(info_out);
    snprintf(info_out->profile, sizeof info_out->profile, "%s", pp__profile_match(&subject));
    return PP_OK;
}
