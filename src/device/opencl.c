/* Inside the application's OpenCL: its context and queue, its buffers. What is not ours is released
 * as often as it was retained. */
#include <pocketprop/opencl.h>

#include <string.h>

#include "device/cache.h"
#include "device/clerror.h"
#include "device/device.h"
#include "device/opencl.h"
#include "device/trace.h"

/* Where the loader lists the device; a part of one is not in its list. */
static pp_status find_index(pp_engine *engine, cl_device_id id, size_t *index_out) {
    pp__device_handle *handles;
    size_t count;
    PP_TRY(pp__device_enumerate(engine, &handles, &count));
    *index_out = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        if (handles[i].id == id) *index_out = i;
    pp__release(engine, handles);
    return PP_OK;
}

/* Of a part of a device, PoCL's contexts hold the whole. */
static pp_status check_context(pp_device *device, cl_context context, cl_device_id id) {
    pp_engine *engine = device->engine;
    cl_device_id whole = NULL, *ids = NULL;
    size_t bytes = 0;
    cl_int code = clGetDeviceInfo(id, CL_DEVICE_PARENT_DEVICE, sizeof whole, &whole, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetDeviceInfo", code, " of %s", device->info.name);
    code = clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &bytes);
    if (code == CL_SUCCESS) {
        PP_TRY(pp__allocate(engine, bytes, 1, &ids));
        code = clGetContextInfo(context, CL_CONTEXT_DEVICES, bytes, ids, NULL);
    }
    bool holds = false;
    for (size_t i = 0; code == CL_SUCCESS && i < bytes / sizeof *ids; i++)
        holds |= ids[i] == id || ids[i] == whole;
    pp__release(engine, ids);
    if (code != CL_SUCCESS) return pp__cl_fail(engine, "clGetContextInfo", code, "%s", "");
    if (holds) return PP_OK;
    return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                    "opencl: the application's context does not hold the device \"%s\"",
                    device->info.name);
}

static pp_status check_queue(const pp_device *device, cl_context context, cl_device_id id,
                             cl_command_queue queue, bool profiling) {
    cl_context its_context = NULL;
    cl_device_id its_id = NULL;
    cl_command_queue_properties properties = 0;
    cl_int code =
        clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof its_context, &its_context, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof its_id, &its_id, NULL);
    if (code == CL_SUCCESS)
        code =
            clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clGetCommandQueueInfo", code, "%s", "");
    const char *wrong = NULL;
    if (its_context != context) wrong = "belongs to another context than the one given";
    if (!wrong && its_id != id) wrong = "belongs to another device than the one given";
    if (!wrong && properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        wrong = "may run out of order; an in-order queue is needed";
    if (!wrong && profiling && !(properties & CL_QUEUE_PROFILING_ENABLE))
        wrong = "was made without CL_QUEUE_PROFILING_ENABLE, which `profiling` needs";
    if (!wrong) return PP_OK;
    return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT, "opencl: the application's queue %s",
                    wrong);
}

/* The device keeps what it has retained, so that closing it releases no more. */
static pp_status retain(pp_device *device, cl_context context, cl_command_queue queue) {
    cl_int code = clRetainContext(context);
    if (code != CL_SUCCESS) return pp__cl_fail(device->engine, "clRetainContext", code, "%s", "");
    device->context = context;
    if (!queue) return PP_OK;
    code = clRetainCommandQueue(queue);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clRetainCommandQueue", code, "%s", "");
    device->queue = queue;
    return PP_OK;
}

static pp_status set_up(pp_device *device, cl_context context, cl_device_id id,
                        cl_command_queue queue, const pp_device_options *options) {
    pp_engine *engine = device->engine;
    pp__device_handle handle = {.id = id};
    cl_int code =
        clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof handle.platform, &handle.platform, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetDeviceInfo", code, " for its platform");
    size_t index;
    PP_TRY(find_index(engine, id, &index));
    PP_TRY(pp__device_query(engine, handle, index, &device->info));
    PP_TRY(pp__device_begin(device, id));
    PP_TRY(check_context(device, context, id));
    if (queue) PP_TRY(check_queue(device, context, id, queue, options->profiling));
    PP_TRY(retain(device, context, queue));
    if (!queue) PP_TRY(pp__device_make_queue(device, options->profiling));
    if (options->profiling) PP_TRY(pp__trace_create(device));
    return pp__cache_open(device, handle.platform, options);
}

pp_status pp_device_open_opencl(pp_engine *engine, cl_context context, cl_device_id id,
                                cl_command_queue queue, const pp_device_options *options,
                                pp_device **device_out) {
    static const pp_device_options defaults = {0};
    *device_out = NULL;
    if (!context || !id)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "opencl: no %s was given",
                        context ? "device" : "context");
    PP_TRY(pp__opencl_open(engine));
    pp_device *device;
    PP_TRY(pp__allocate(engine, 1, sizeof *device, &device));
    device->engine = engine;
    const pp_status status = set_up(device, context, id, queue, options ? options : &defaults);
    if (status == PP_OK)
        *device_out = device;
    else
        pp_device_close(device);
    return status;
}

cl_command_queue pp_device_queue(const pp_device *device) {
    return device->queue;
}

pp_status pp_device_wait_for(pp_device *device, const cl_event *events, size_t count) {
    if (!count) return PP_OK;
    if (!events || count > UINT32_MAX)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "opencl: waiting for %zu events%s", count,
                        events ? ", which are too many" : " without a list of them");
    cl_int code = clEnqueueBarrierWithWaitList(device->queue, (cl_uint)count, events, NULL);
    return code == CL_SUCCESS ? PP_OK
                              : pp__cl_fail(device->engine, "clEnqueueBarrierWithWaitList", code,
                                            " for %zu events", count);
}

pp_status pp_device_mark(pp_device *device, cl_event *event_out) {
    *event_out = NULL;
    cl_event event;
    cl_int code = clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clEnqueueMarkerWithWaitList", code, "%s", "");
    code = clFlush(device->queue);
    if (code != CL_SUCCESS) {
        (void)clReleaseEvent(event);
        return pp__cl_fail(device->engine, "clFlush", code, "%s", "");
    }
    *event_out = event;
    return PP_OK;
}

/* What OpenCL says of a buffer. */
typedef struct buffer_facts {
    cl_mem_object_type type;
    cl_context context;
    size_t bytes;
} buffer_facts;

/* The first failure ends it. */
static cl_int read_facts(cl_mem buffer, pp_memory *memory, buffer_facts *facts) {
    const struct {
        cl_mem_info what;
        void *value;
        size_t bytes;
    } queries[] = {
        {CL_MEM_TYPE, &facts->type, sizeof facts->type},
        {CL_MEM_CONTEXT, &facts->context, sizeof facts->context},
        {CL_MEM_SIZE, &facts->bytes, sizeof facts->bytes},
        {CL_MEM_FLAGS, &memory->flags, sizeof memory->flags},
        {CL_MEM_ASSOCIATED_MEMOBJECT, &memory->root, sizeof memory->root},
        {CL_MEM_OFFSET, &memory->root_offset, sizeof memory->root_offset},
    };
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; code == CL_SUCCESS && i < sizeof queries / sizeof *queries; i++)
        code =
            clGetMemObjectInfo(buffer, queries[i].what, queries[i].bytes, queries[i].value, NULL);
    if (!memory->root) memory->root = buffer;
    return code;
}

static pp_status check_buffer(const pp_device *device, const buffer_facts *facts,
                              size_t offset_bytes, size_t bytes) {
    if (facts->type != CL_MEM_OBJECT_BUFFER)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "opencl: a cl_mem of type 0x%x; a buffer (0x%x) is needed",
                        (unsigned)facts->type, CL_MEM_OBJECT_BUFFER);
    if (facts->context != device->context)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "opencl: the buffer belongs to another context than the device");
    if (!bytes || offset_bytes > facts->bytes || bytes > facts->bytes - offset_bytes)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "opencl: %zu bytes at %zu of a buffer of %zu bytes", bytes, offset_bytes,
                        facts->bytes);
    return PP_OK;
}

pp_status pp_memory_wrap(pp_device *device, cl_mem buffer, size_t offset_bytes, size_t bytes,
                         pp_memory **memory_out) {
    *memory_out = NULL;
    pp_engine *engine = device->engine;
    if (!buffer) return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "opencl: no buffer was given");
    pp_memory *memory;
    PP_TRY(pp__allocate(engine, 1, sizeof *memory, &memory));
    buffer_facts facts = {0};
    cl_int code = read_facts(buffer, memory, &facts);
    pp_status status = code == CL_SUCCESS
                           ? check_buffer(device, &facts, offset_bytes, bytes)
                           : pp__cl_fail(engine, "clGetMemObjectInfo", code, "%s", "");
    if (status == PP_OK && (code = clRetainMemObject(buffer)) != CL_SUCCESS)
        status = pp__cl_fail(engine, "clRetainMemObject", code, "%s", "");
    if (status != PP_OK) {
        pp__release(engine, memory);
        return status;
    }
    memory->block = (struct pp__memory){device, buffer, offset_bytes + bytes, NULL};
    memory->first_byte = offset_bytes;
    *memory_out = memory;
    return PP_OK;
}

void pp_memory_release(pp_memory *memory) {
    if (!memory) return;
    pp_engine *engine = memory->block.device->engine;
    cl_int code = clReleaseMemObject(memory->block.handle);
    if (code != CL_SUCCESS)
        pp__log(engine, PP_LOG_WARNING, "clReleaseMemObject: %s (%d)", pp__cl_name(code),
                (int)code);
    pp__release(engine, memory);
}

static size_t size_of(const pp_memory *memory) {
    return memory->block.bytes - memory->first_byte;
}

pp__ref pp__place_ref(pp_place place) {
    return (pp__ref){&place.memory->block, place.memory->first_byte + place.offset_bytes};
}

pp_status pp__place_check(const pp_device *device, const char *what, pp_place place, size_t bytes) {
    if (place.memory->block.device != device)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "%s: the memory was wrapped for another device than the session's", what);
    const size_t whole = size_of(place.memory);
    if (place.offset_bytes <= whole && bytes <= whole - place.offset_bytes) return PP_OK;
    return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                    "%s: %zu bytes at %zu of memory of %zu bytes", what, bytes, place.offset_bytes,
                    whole);
}

static pp_status check_use(const pp_device *device, const pp_memory *memory, size_t number) {
    static const struct {
        cl_mem_flags flag;
        const char *name;
    } refused[] = {{CL_MEM_READ_ONLY, "CL_MEM_READ_ONLY"},
                   {CL_MEM_WRITE_ONLY, "CL_MEM_WRITE_ONLY"},
                   {CL_MEM_HOST_READ_ONLY, "CL_MEM_HOST_READ_ONLY"},
                   {CL_MEM_HOST_WRITE_ONLY, "CL_MEM_HOST_WRITE_ONLY"},
                   {CL_MEM_HOST_NO_ACCESS, "CL_MEM_HOST_NO_ACCESS"}};
    if (memory->block.device != device)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: memory block %zu was wrapped for another device", number);
    if (memory->in_use)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: another session lives in memory block %zu", number);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (memory->flags & refused[i].flag)
            return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                            "session: memory block %zu was made with %s; kernels and the host read "
                            "and write it",
                            number, refused[i].name);
    return PP_OK;
}

/* Kernels count elements in 32 bits, and those of a code are bytes. */
static pp_status check_extent(const pp_device *device, const pp_memory *memory, size_t number,
                              size_t bytes, size_t alignment_bytes) {
    const size_t first = memory->first_byte;
    if (size_of(memory) < bytes)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: memory block %zu has %zu bytes; the plan's chunk needs %zu",
                        number, size_of(memory), bytes);
    if (first % alignment_bytes)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: memory block %zu begins at byte %zu of its buffer, which is no "
                        "multiple of %zu",
                        number, first, alignment_bytes);
    if (bytes > UINT32_MAX || first > UINT32_MAX - bytes)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: memory block %zu, %zu bytes at %zu of its buffer, is not within "
                        "the 4 GiB that kernels reach",
                        number, bytes, first);
    return PP_OK;
}

static bool overlap(const pp_memory *a, const pp_memory *b) {
    const size_t a_first = a->root_offset + a->first_byte, b_first = b->root_offset + b->first_byte;
    return a->root == b->root && a_first < b_first + size_of(b) && b_first < a_first + size_of(a);
}

pp_status pp__memory_check(const pp_device *device, pp_memory *const *blocks, size_t block_count,
                           const size_t *chunk_bytes, size_t chunk_count, size_t alignment_bytes) {
    if (block_count != chunk_count)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: %zu memory blocks for a plan of %zu chunks", block_count,
                        chunk_count);
    if (!blocks)
        return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: no list of memory blocks");
    for (size_t i = 0; i < chunk_count; i++) {
        if (!blocks[i])
            return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                            "session: memory block %zu is NULL", i);
        PP_TRY(check_use(device, blocks[i], i));
        PP_TRY(check_extent(device, blocks[i], i, chunk_bytes[i], alignment_bytes));
        for (size_t j = 0; j < i; j++)
            if (overlap(blocks[i], blocks[j]))
                return pp__fail(device->engine, PP_ERROR_INVALID_ARGUMENT,
                                "session: memory blocks %zu and %zu overlap", j, i);
    }
    return PP_OK;
}

void pp__memory_use(pp_memory *memory, bool in_use) {
    memory->in_use = in_use;
}
