/* Streams: recorded commands, enqueued again and again. */
#include "device/stream.h"

#include <stdio.h>
#include <string.h>

#include "device/buffer.h"
#include "device/clerror.h"
#include "device/device.h"
#include "device/trace.h"
#include "util/size.h"

pp_status pp__stream_create(pp_device *device, const pp_profile *profile, pp__stream **stream_out) {
    *stream_out = NULL;
    pp__stream *stream;
    PP_TRY(pp__allocate(device->engine, 1, sizeof *stream, &stream));
    stream->device = device;
    stream->profile = profile;
    *stream_out = stream;
    return PP_OK;
}

static void release_kernel(pp_device *device, cl_kernel kernel) {
    if (!kernel) return;
    cl_int code = clReleaseKernel(kernel);
    if (code != CL_SUCCESS)
        pp__log(device->engine, PP_LOG_WARNING, "clReleaseKernel: %s (%d)", pp__cl_name(code),
                (int)code);
}

void pp__stream_destroy(pp__stream *stream) {
    if (!stream) return;
    pp_engine *engine = stream->device->engine;
    for (size_t i = 0; i < stream->command_count; i++)
        release_kernel(stream->device, stream->commands[i].kernel);
    for (size_t i = 0; i < stream->label_count; i++) pp__release(engine, stream->labels[i]);
    pp__release(engine, stream->commands);
    pp__release(engine, stream->labels);
    pp__release(engine, stream);
}

pp_engine *pp__stream_engine(const pp__stream *stream) {
    return stream->device->engine;
}

const pp_profile *pp__stream_profile(const pp__stream *stream) {
    return stream->profile;
}

pp_status pp__stream_label(pp__stream *stream, const char *label) {
    pp_engine *engine = stream->device->engine;
    PP_TRY(pp__grow(engine, &stream->labels, &stream->label_capacity, stream->label_count + 1,
                    sizeof(char *)));
    PP_TRY(pp__copy_text(engine, label, &stream->labels[stream->label_count]));
    stream->label_count++;
    return PP_OK;
}

const char *pp__stream_label_text(const pp__stream *stream, size_t label) {
    return label < stream->label_count ? stream->labels[label] : "the stream";
}

pp_status pp__stream_append(pp__stream *stream, const pp__command *command) {
    pp_status status =
        pp__grow(stream->device->engine, &stream->commands, &stream->command_capacity,
                 stream->command_count + 1, sizeof *command);
    if (status != PP_OK) {
        release_kernel(stream->device, command->kernel);
        return status;
    }
    pp__command *added = &stream->commands[stream->command_count++];
    *added = *command;
    added->label = stream->label_count - 1; /* SIZE_MAX before the first label */
    return PP_OK;
}

pp_status pp__stream_copy(pp__stream *stream, pp__ref from, pp__ref to, size_t bytes) {
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(stream->device->engine, "copying from", from, bytes));
    PP_TRY(pp__ref_check(stream->device->engine, "copying to", to, bytes));
    pp__command command = {.kind = PP__COMMAND_COPY, .from = from, .to = to, .bytes = bytes};
    return pp__stream_append(stream, &command);
}

pp_status pp__stream_zero(pp__stream *stream, pp__ref to, size_t bytes) {
    if (bytes == 0) return PP_OK;
    PP_TRY(pp__ref_check(stream->device->engine, "zeroing", to, bytes));
    pp__command command = {.kind = PP__COMMAND_ZERO, .to = to, .bytes = bytes};
    return pp__stream_append(stream, &command);
}

/* Halves the longest side of a group; false when it is one work-item already. */
static bool halve_group(size_t local[3]) {
    size_t longest = 0;
    for (size_t d = 1; d < 3; d++)
        if (local[d] > local[longest]) longest = d;
    if (local[longest] <= 1) return false;
    local[longest] /= 2;
    return true;
}

static void read_kernel_name(cl_kernel kernel, char *name, size_t capacity) {
    if (clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, capacity, name, NULL) != CL_SUCCESS)
        snprintf(name, capacity, "unknown");
}

/* What a driver promises for a kernel's group size and what it can do with all its registers in use
 * may differ, so a refused group is halved, for good. */
static pp_status run_kernel(pp__stream *stream, pp__command *command) {
    pp_device *device = stream->device;
    const char *label = pp__stream_label_text(stream, command->label);
    cl_event *event = pp__trace_event(device);
    cl_int code;
    do {
        size_t global[3];
        for (size_t d = 0; d < 3; d++)
            global[d] = pp__round_up(command->extent[d], command->local[d]);
        code = clEnqueueNDRangeKernel(device->queue, command->kernel, 3, NULL, global,
                                      command->local, 0, NULL, event);
    } while ((code == CL_OUT_OF_RESOURCES || code == CL_INVALID_WORK_GROUP_SIZE) &&
             !command->exact && halve_group(command->local));
    if (code == CL_SUCCESS) device->counters.kernels_enqueued++;
    if (code == CL_SUCCESS && !event) return PP_OK;
    char name[128];
    read_kernel_name(command->kernel, name, sizeof name);
    if (code == CL_SUCCESS) return pp__trace_add(device, label, name);
    return pp__cl_fail(device->engine, "clEnqueueNDRangeKernel", code, " in %s, kernel %s", label,
                       name);
}

static pp_status run_copy(pp__stream *stream, const pp__command *command) {
    pp_device *device = stream->device;
    const char *label = pp__stream_label_text(stream, command->label);
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueCopyBuffer(device->queue, command->from.memory->handle,
                                      command->to.memory->handle, command->from.offset_bytes,
                                      command->to.offset_bytes, command->bytes, 0, NULL, event);
    if (code == CL_SUCCESS) return event ? pp__trace_add(device, label, "copy") : PP_OK;
    return pp__cl_fail(device->engine, "clEnqueueCopyBuffer", code, " in %s, %zu bytes", label,
                       command->bytes);
}

static pp_status run_zero(pp__stream *stream, const pp__command *command) {
    pp_device *device = stream->device;
    const char *label = pp__stream_label_text(stream, command->label);
    static const cl_uint zero = 0;
    /* Offset and size must be multiples of the pattern. */
    size_t pattern = (command->to.offset_bytes | command->bytes) % sizeof zero ? 1 : sizeof zero;
    cl_event *event = pp__trace_event(device);
    cl_int code = clEnqueueFillBuffer(device->queue, command->to.memory->handle, &zero, pattern,
                                      command->to.offset_bytes, command->bytes, 0, NULL, event);
    if (code == CL_SUCCESS) return event ? pp__trace_add(device, label, "zero") : PP_OK;
    return pp__cl_fail(device->engine, "clEnqueueFillBuffer", code, " in %s, %zu bytes", label,
                       command->bytes);
}

pp_status pp__stream_run(pp__stream *stream) {
    for (size_t i = 0; i < stream->command_count; i++) {
        pp__command *command = &stream->commands[i];
        switch (command->kind) {
            case PP__COMMAND_KERNEL: PP_TRY(run_kernel(stream, command)); break;
            case PP__COMMAND_COPY: PP_TRY(run_copy(stream, command)); break;
            case PP__COMMAND_ZERO: PP_TRY(run_zero(stream, command)); break;
            case PP__COMMAND_GEMM: PP_TRY(pp__gemm_run(stream, command)); break;
        }
    }
    return pp__device_flush(stream->device);
}
