#include "support/faulty_cl.h"

#include <CL/cl.h>
#include <string.h>

static struct {
    faulty_cl_fault fault;
    size_t calls, live;
    const char *failed; /* the first */
} state;

void faulty_cl_start(const faulty_cl_fault *fault) {
    state.fault = *fault;
    state.calls = 0;
    state.failed = NULL;
}

size_t faulty_cl_calls(void) {
    return state.calls;
}

const char *faulty_cl_failed(void) {
    return state.failed;
}

size_t faulty_cl_live(void) {
    return state.live;
}

static bool fails(const char *name) {
    const faulty_cl_fault *f = &state.fault;
    if (f->only && strcmp(f->only, name) != 0) return false;
    state.calls++;
    const bool now =
        f->fail_at && (f->and_later ? state.calls >= f->fail_at : state.calls == f->fail_at);
    if (now && !state.failed) state.failed = name;
    return now;
}

static void count_event(cl_int code, const cl_event *event) {
    if (code == CL_SUCCESS && event) state.live++;
}

/* Functions that return a code. */
#define CALL(name, parameters, ...)                \
    cl_int __real_##name parameters;               \
    cl_int __wrap_##name parameters;               \
    cl_int __wrap_##name parameters {              \
        if (fails(#name)) return state.fault.code; \
        return __real_##name(__VA_ARGS__);         \
    }

/* The same, with an event last. */
#define ENQUEUE(name, parameters, ...)                  \
    cl_int __real_##name parameters;                    \
    cl_int __wrap_##name parameters;                    \
    cl_int __wrap_##name parameters {                   \
        if (fails(#name)) return state.fault.code;      \
        const cl_int code = __real_##name(__VA_ARGS__); \
        count_event(code, event);                       \
        return code;                                    \
    }

/* Functions that return an object and write a code. */
#define CREATE(type, name, parameters, ...)        \
    type __real_##name parameters;                 \
    type __wrap_##name parameters;                 \
    type __wrap_##name parameters {                \
        if (fails(#name)) {                        \
            *code_out = state.fault.code;          \
            return NULL;                           \
        }                                          \
        type object = __real_##name(__VA_ARGS__);  \
        if (*code_out == CL_SUCCESS) state.live++; \
        return object;                             \
    }

#define RELEASE(name, type)                        \
    cl_int __real_##name(type object);             \
    cl_int __wrap_##name(type object);             \
    cl_int __wrap_##name(type object) {            \
        const bool failing = fails(#name);         \
        const cl_int code = __real_##name(object); \
        if (code == CL_SUCCESS) state.live--;      \
        return failing ? state.fault.code : code;  \
    }

#define WAIT(name, parameters, ...)                     \
    cl_int __real_##name parameters;                    \
    cl_int __wrap_##name parameters;                    \
    cl_int __wrap_##name parameters {                   \
        const bool failing = fails(#name);              \
        const cl_int code = __real_##name(__VA_ARGS__); \
        return failing ? state.fault.code : code;       \
    }

#define RETAIN(name, type)                         \
    cl_int __real_##name(type object);             \
    cl_int __wrap_##name(type object);             \
    cl_int __wrap_##name(type object) {            \
        if (fails(#name)) return state.fault.code; \
        const cl_int code = __real_##name(object); \
        if (code == CL_SUCCESS) state.live++;      \
        return code;                               \
    }

CALL(clGetPlatformIDs, (cl_uint count, cl_platform_id *platforms, cl_uint *count_out), count,
     platforms, count_out)
CALL(clGetPlatformInfo,
     (cl_platform_id platform, cl_platform_info what, size_t bytes, void *value, size_t *bytes_out),
     platform, what, bytes, value, bytes_out)
CALL(clGetDeviceIDs,
     (cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
      cl_uint *count_out),
     platform, type, count, devices, count_out)
CALL(clGetDeviceInfo,
     (cl_device_id device, cl_device_info what, size_t bytes, void *value, size_t *bytes_out),
     device, what, bytes, value, bytes_out)
CALL(clBuildProgram,
     (cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
      void(CL_CALLBACK *notify)(cl_program, void *), void *user),
     program, count, devices, options, notify, user)
CALL(clGetProgramInfo,
     (cl_program program, cl_program_info what, size_t bytes, void *value, size_t *bytes_out),
     program, what, bytes, value, bytes_out)
CALL(clGetProgramBuildInfo,
     (cl_program program, cl_device_id device, cl_program_build_info what, size_t bytes,
      void *value, size_t *bytes_out),
     program, device, what, bytes, value, bytes_out)
CALL(clGetKernelInfo,
     (cl_kernel kernel, cl_kernel_info what, size_t bytes, void *value, size_t *bytes_out), kernel,
     what, bytes, value, bytes_out)
CALL(clGetKernelWorkGroupInfo,
     (cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what, size_t bytes,
      void *value, size_t *bytes_out),
     kernel, device, what, bytes, value, bytes_out)
CALL(clGetContextInfo,
     (cl_context context, cl_context_info what, size_t bytes, void *value, size_t *bytes_out),
     context, what, bytes, value, bytes_out)
CALL(clGetCommandQueueInfo,
     (cl_command_queue queue, cl_command_queue_info what, size_t bytes, void *value,
      size_t *bytes_out),
     queue, what, bytes, value, bytes_out)
CALL(clGetMemObjectInfo,
     (cl_mem memory, cl_mem_info what, size_t bytes, void *value, size_t *bytes_out), memory, what,
     bytes, value, bytes_out)
CALL(clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t bytes, const void *value), kernel,
     index, bytes, value)
CALL(clGetEventProfilingInfo,
     (cl_event event, cl_profiling_info what, size_t bytes, void *value, size_t *bytes_out), event,
     what, bytes, value, bytes_out)
CALL(clFlush, (cl_command_queue queue), queue)
WAIT(clWaitForEvents, (cl_uint count, const cl_event *events), count, events)
WAIT(clFinish, (cl_command_queue queue), queue)

ENQUEUE(clEnqueueNDRangeKernel,
        (cl_command_queue queue, cl_kernel kernel, cl_uint axes, const size_t *offset,
         const size_t *global, const size_t *local, cl_uint count, const cl_event *events,
         cl_event *event),
        queue, kernel, axes, offset, global, local, count, events, event)
ENQUEUE(clEnqueueWriteBuffer,
        (cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset, size_t bytes,
         const void *from, cl_uint count, const cl_event *events, cl_event *event),
        queue, memory, waits, offset, bytes, from, count, events, event)
ENQUEUE(clEnqueueReadBuffer,
        (cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset, size_t bytes,
         void *to, cl_uint count, const cl_event *events, cl_event *event),
        queue, memory, waits, offset, bytes, to, count, events, event)
ENQUEUE(clEnqueueCopyBuffer,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
         size_t bytes, cl_uint count, const cl_event *events, cl_event *event),
        queue, from, to, from_offset, to_offset, bytes, count, events, event)
ENQUEUE(clEnqueueFillBuffer,
        (cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_bytes,
         size_t offset, size_t bytes, cl_uint count, const cl_event *events, cl_event *event),
        queue, memory, pattern, pattern_bytes, offset, bytes, count, events, event)

ENQUEUE(clEnqueueUnmapMemObject,
        (cl_command_queue queue, cl_mem memory, void *mapped, cl_uint count, const cl_event *events,
         cl_event *event),
        queue, memory, mapped, count, events, event)
ENQUEUE(clEnqueueMarkerWithWaitList,
        (cl_command_queue queue, cl_uint count, const cl_event *events, cl_event *event), queue,
        count, events, event)
ENQUEUE(clEnqueueBarrierWithWaitList,
        (cl_command_queue queue, cl_uint count, const cl_event *events, cl_event *event), queue,
        count, events, event)

CREATE(cl_context, clCreateContext,
       (const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
        void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user,
        cl_int *code_out),
       properties, count, devices, notify, user, code_out)
CREATE(cl_command_queue, clCreateCommandQueue,
       (cl_context context, cl_device_id device, cl_command_queue_properties properties,
        cl_int *code_out),
       context, device, properties, code_out)
CREATE(cl_mem, clCreateBuffer,
       (cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code_out),
       context, flags, bytes, host, code_out)
CREATE(cl_program, clCreateProgramWithSource,
       (cl_context context, cl_uint count, const char **texts, const size_t *lengths,
        cl_int *code_out),
       context, count, texts, lengths, code_out)
CREATE(cl_program, clCreateProgramWithBinary,
       (cl_context context, cl_uint count, const cl_device_id *devices, const size_t *lengths,
        const unsigned char **binaries, cl_int *status, cl_int *code_out),
       context, count, devices, lengths, binaries, status, code_out)
CREATE(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *code_out), program,
       name, code_out)

RELEASE(clReleaseContext, cl_context)
RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseProgram, cl_program)
RELEASE(clReleaseKernel, cl_kernel)
RELEASE(clReleaseEvent, cl_event)

RETAIN(clRetainContext, cl_context)
RETAIN(clRetainCommandQueue, cl_command_queue)
RETAIN(clRetainMemObject, cl_mem)
RETAIN(clRetainEvent, cl_event)

void *__real_clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits,
                                cl_map_flags flags, size_t offset, size_t bytes, cl_uint count,
                                const cl_event *events, cl_event *event, cl_int *code_out);
void *__wrap_clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits,
                                cl_map_flags flags, size_t offset, size_t bytes, cl_uint count,
                                const cl_event *events, cl_event *event, cl_int *code_out);
void *__wrap_clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits,
                                cl_map_flags flags, size_t offset, size_t bytes, cl_uint count,
                                const cl_event *events, cl_event *event, cl_int *code_out) {
    if (fails("clEnqueueMapBuffer")) {
        *code_out = state.fault.code;
        return NULL;
    }
    void *mapped = __real_clEnqueueMapBuffer(queue, memory, waits, flags, offset, bytes, count,
                                             events, event, code_out);
    count_event(*code_out, event);
    return mapped;
}
