#include "device/buffer.h"

#include "device/clerror.h"
#include "device/device.h"
#include "device/trace.h"

pp_status pp__memory_create(pp_device *device, size_t bytes, pp__memory **memory_out) {
    *memory_out = NULL;
    if (bytes > device->info.max_allocation_bytes)
        return pp__fail(
            device->engine, PP_ERROR_OUT_OF_MEMORY,
            "a buffer of %zu bytes is larger than the %llu bytes that %s allows for one", bytes,
            (unsigned long long)device->info.max_allocation_bytes, device->info.name);
    if (bytes > device->info.memory_bytes ||
        device->counters.live_buffer_bytes > device->info.memory_bytes - bytes)
        return pp__fail(
            device->engine, PP_ERROR_OUT_OF_MEMORY,
            "a buffer of %zu bytes beside %llu in use is more than the %llu that %s has", bytes,
            (unsigned long long)device->counters.live_buffer_bytes,
            (unsigned long long)device->info.memory_bytes, device->info.name);
    pp__memory *memory;
    PP_TRY(pp__allocate(device->engine, 1, sizeof *memory, &memory));
    memory->device = device;
    memory->bytes = bytes ? bytes : 1;
    cl_int code;
    memory->handle = clCreateBuffer(device->context, CL_MEM_READ_WRITE, memory->bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        pp_status status =
            pp__cl_fail(device->engine, "clCreateBuffer", code, " for %zu bytes", bytes);
        pp__release(device->engine, memory);
        return status;
    }
    pp_device_counters *counters = &device->counters;
    counters->buffers_created++;
    counters->live_buffer_bytes += memory->bytes;
    if (counters->live_buffer_bytes > counters->peak_buffer_bytes)
        counters->peak_buffer_bytes = counters->live_buffer_bytes;
    *memory_out = memory;
    return PP_OK;
}

void pp__memory_destroy(pp__memory *memory) {
    if (!memory) return;
    pp_engine *engine = memory->device->engine;
    cl_int code = clReleaseMemObject(memory->handle);
    if (code != CL_SUCCESS)
        pp__log(engine, PP_LOG_WARNING, "clReleaseMemObject: %s (%d)", pp__cl_name(code),
                (int)code);
    memory->device->counters.live_buffer_bytes -= memory->bytes;
    pp__release(engine, memory);
}

pp_status pp__ref_check(pp_engine *engine, const char *what, pp__ref ref, size_t bytes) {
    if (!ref.memory) return pp__fail(engine, PP_ERROR_INTERNAL, "%s: there is no memory", what);
    if (ref.memory->mapped)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "%s: the memory is mapped for a batch, which has to be used or unmapped "
                        "first",
                        what);
    size_t whole = ref.memory->bytes;
    if (ref.offset_bytes <= whole && bytes <= whole - ref.offset_bytes) return PP_OK;
    return pp__fail(engine, PP_ERROR_INTERNAL, "%s: %zu bytes at %zu leave the buffer's %zu", what,
                    bytes, ref.offset_bytes, whole);
}

static const char transfer_label[] = "transfer";

/* Keeps a write's event for pp__wait_write. */
static pp_status keep_write(pp_device *device, cl_event event) {
    cl_event *slot = &device->writes[++device->last_ticket % PP__DEVICE_WRITES];
    cl_int code = *slot ? clReleaseEvent(*slot) : CL_SUCCESS;
    *slot = event;
    return code == CL_SUCCESS ? PP_OK
                              : pp__cl_fail(device->engine, "clReleaseEvent", code, "%s", "");
}

pp_status pp__write(pp_device *device, pp__ref to, const void *from, size_t bytes,
                    uint64_t *ticket_out) {
    *ticket_out = device->last_ticket;
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(device->engine, "writing", to, bytes));
    cl_event event, *traced = pp__trace_event(device);
    cl_int code = clEnqueueWriteBuffer(device->queue, to.memory->handle, CL_FALSE, to.offset_bytes,
                                       bytes, from, 0, NULL, &event);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clEnqueueWriteBuffer", code, " for %zu bytes", bytes);
    PP_TRY(keep_write(device, event));
    *ticket_out = device->last_ticket;
    if (!traced) return PP_OK;
    *traced = event;
    code = clRetainEvent(event);
    if (code != CL_SUCCESS) return pp__cl_fail(device->engine, "clRetainEvent", code, "%s", "");
    return pp__trace_add(device, transfer_label, "write");
}

/* The queue is in order, so the oldest write that is still held ends after every write before it.
 */
pp_status pp__wait_write(pp_device *device, uint64_t ticket) {
    if (ticket > device->last_ticket)
        return pp__fail(device->engine, PP_ERROR_INTERNAL, "waiting for write %llu of %llu",
                        (unsigned long long)ticket, (unsigned long long)device->last_ticket);
    if (ticket == 0) return PP_OK;
    if (device->last_ticket - ticket >= PP__DEVICE_WRITES)
        ticket = device->last_ticket - PP__DEVICE_WRITES + 1;
    cl_int code = clWaitForEvents(1, &device->writes[ticket % PP__DEVICE_WRITES]);
    return code == CL_SUCCESS
               ? PP_OK
               : pp__cl_fail(device->engine, "clWaitForEvents", code, " for a write");
}

pp_status pp__write_now(pp_device *device, pp__ref to, const void *from, size_t bytes) {
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(device->engine, "writing", to, bytes));
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueWriteBuffer(device->queue, to.memory->handle, CL_TRUE, to.offset_bytes,
                                       bytes, from, 0, NULL, event);
    if (code == CL_SUCCESS) return event ? pp__trace_add(device, transfer_label, "write") : PP_OK;
    return pp__cl_fail(device->engine, "clEnqueueWriteBuffer", code, " for %zu bytes", bytes);
}

pp_status pp__read_now(pp_device *device, pp__ref from, void *to, size_t bytes) {
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(device->engine, "reading", from, bytes));
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueReadBuffer(device->queue, from.memory->handle, CL_TRUE,
                                      from.offset_bytes, bytes, to, 0, NULL, event);
    if (code == CL_SUCCESS) return event ? pp__trace_add(device, transfer_label, "read") : PP_OK;
    return pp__cl_fail(device->engine, "clEnqueueReadBuffer", code, " for %zu bytes", bytes);
}

pp_status pp__copy(pp_device *device, pp__ref from, pp__ref to, size_t bytes) {
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(device->engine, "copying from", from, bytes));
    PP_TRY(pp__ref_check(device->engine, "copying to", to, bytes));
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueCopyBuffer(device->queue, from.memory->handle, to.memory->handle,
                                      from.offset_bytes, to.offset_bytes, bytes, 0, NULL, event);
    if (code == CL_SUCCESS) return event ? pp__trace_add(device, transfer_label, "copy") : PP_OK;
    return pp__cl_fail(device->engine, "clEnqueueCopyBuffer", code, " for %zu bytes", bytes);
}

pp_status pp__map(pp_device *device, pp__ref to, size_t bytes, void **bytes_out) {
    *bytes_out = NULL;
    PP_TRY(pp__ref_check(device->engine, "mapping", to, bytes));
    cl_event *event = pp__trace_event(device);
    cl_int code;
    void *mapped = clEnqueueMapBuffer(device->queue, to.memory->handle, CL_TRUE,
                                      CL_MAP_WRITE_INVALIDATE_REGION, to.offset_bytes, bytes, 0,
                                      NULL, event, &code);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clEnqueueMapBuffer", code, " for %zu bytes", bytes);
    to.memory->mapped = mapped;
    *bytes_out = mapped;
    return event ? pp__trace_add(device, transfer_label, "map") : PP_OK;
}

pp_status pp__unmap(pp_device *device, pp__ref to) {
    if (!to.memory->mapped) return PP_OK;
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueUnmapMemObject(device->queue, to.memory->handle, to.memory->mapped, 0,
                                          NULL, event);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clEnqueueUnmapMemObject", code, "%s", "");
    to.memory->mapped = NULL;
    return event ? pp__trace_add(device, transfer_label, "unmap") : PP_OK;
}
