/* The trace: an event for every command, turned into times when it is done. */
#include "device/trace.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device/buffer.h"
#include "device/clerror.h"
#include "device/device.h"

static uint64_t host_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

pp_status pp__trace_create(pp_device *device) {
    PP_TRY(pp__allocate(device->engine, 1, sizeof *device->trace, &device->trace));
    device->trace->least_ahead_ns = INT64_MIN;
    device->trace->most_ahead_ns = INT64_MAX;
    return PP_OK;
}

static void release_event(pp_device *device, cl_event event) {
    cl_int code = clReleaseEvent(event);
    if (code != CL_SUCCESS)
        pp__log(device->engine, PP_LOG_WARNING, "clReleaseEvent: %s (%d)", pp__cl_name(code),
                (int)code);
}

void pp__trace_destroy(pp_device *device) {
    pp__trace *trace = device->trace;
    if (!trace) return;
    for (size_t i = 0; i < trace->pending_count; i++) release_event(device, trace->pending[i]);
    pp__release(device->engine, trace->events);
    pp__release(device->engine, trace);
    device->trace = NULL;
}

cl_event *pp__trace_event(pp_device *device) {
    pp__trace *trace = device->trace;
    if (!trace || trace->paused) return NULL;
    trace->begin_ns = host_ns();
    return &trace->next;
}

/* The in-order queue has done everything in front of the last of them. */
static pp_status collect(pp_device *device, size_t count) {
    static const cl_profiling_info what[] = {CL_PROFILING_COMMAND_QUEUED,
                                             CL_PROFILING_COMMAND_SUBMIT,
                                             CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    pp__trace *trace = device->trace;
    if (count == 0) return PP_OK;
    cl_int code = clWaitForEvents(1, &trace->pending[count - 1]);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clWaitForEvents", code, "%s", " for the trace");
    pp_device_trace_event *event = &trace->events[trace->event_count - trace->pending_count];
    for (size_t i = 0; i < count; i++, event++) {
        cl_ulong times[4];
        for (size_t t = 0; t < 4; t++) {
            code = clGetEventProfilingInfo(trace->pending[i], what[t], sizeof times[t], &times[t],
                                           NULL);
            if (code != CL_SUCCESS)
                return pp__cl_fail(device->engine, "clGetEventProfilingInfo", code, " of %s, %s",
                                   event->label, event->kernel);
        }
        event->queued_ns = times[0];
        event->submit_ns = times[1];
        event->start_ns = times[2];
        event->end_ns = times[3];
        int64_t least = (int64_t)(times[0] - event->enqueue_end_ns);
        int64_t most = (int64_t)(times[0] - event->enqueue_begin_ns);
        if (least > trace->least_ahead_ns) trace->least_ahead_ns = least;
        if (most < trace->most_ahead_ns) trace->most_ahead_ns = most;
    }
    for (size_t i = 0; i < count; i++) release_event(device, trace->pending[i]);
    trace->pending_count -= count;
    memmove(trace->pending, trace->pending + count, trace->pending_count * sizeof(cl_event));
    return PP_OK;
}

pp_status pp__trace_collect(pp_device *device) {
    return device->trace ? collect(device, device->trace->pending_count) : PP_OK;
}

pp_status pp__trace_add(pp_device *device, const char *label, const char *kernel) {
    pp__trace *trace = device->trace;
    uint64_t end_ns = host_ns();
    pp_status status =
        trace->pending_count < PP__TRACE_PENDING ? PP_OK : collect(device, PP__TRACE_PENDING / 2);
    if (status == PP_OK)
        status = pp__grow(device->engine, &trace->events, &trace->event_capacity,
                          trace->event_count + 1, sizeof *trace->events);
    if (status != PP_OK) {
        release_event(device, trace->next);
        return status;
    }
    pp_device_trace_event *event = &trace->events[trace->event_count++];
    *event = (pp_device_trace_event){.enqueue_begin_ns = trace->begin_ns, .enqueue_end_ns = end_ns};
    snprintf(event->label, sizeof event->label, "%s", label);
    snprintf(event->kernel, sizeof event->kernel, "%s", kernel);
    trace->pending[trace->pending_count++] = trace->next;
    return PP_OK;
}

static pp_status check_traced(const pp_device *device) {
    if (device->trace) return PP_OK;
    return pp__fail(device->engine, PP_ERROR_UNSUPPORTED,
                    "the device was opened without `profiling`: there is no trace");
}

/* Overflows nothing: the bounds are differences of clocks that count from a start. */
static uint64_t to_host(const pp__trace *trace, uint64_t device_ns) {
    int64_t ahead = trace->least_ahead_ns + (trace->most_ahead_ns - trace->least_ahead_ns) / 2;
    return device_ns - (uint64_t)ahead;
}

pp_status pp_device_read_trace(pp_device *device, pp_device_trace_event *events, size_t capacity,
                               size_t *count_out) {
    *count_out = 0;
    PP_TRY(check_traced(device));
    PP_TRY(pp__device_finish(device));
    const pp__trace *trace = device->trace;
    for (size_t i = 0; i < trace->event_count && i < capacity; i++) {
        events[i] = trace->events[i];
        events[i].queued_ns = to_host(trace, events[i].queued_ns);
        events[i].submit_ns = to_host(trace, events[i].submit_ns);
        events[i].start_ns = to_host(trace, events[i].start_ns);
        events[i].end_ns = to_host(trace, events[i].end_ns);
    }
    *count_out = trace->event_count;
    return PP_OK;
}

pp_status pp_device_clear_trace(pp_device *device) {
    PP_TRY(check_traced(device));
    PP_TRY(pp__device_finish(device));
    device->trace->event_count = 0;
    return PP_OK;
}

pp_status pp_device_pause_trace(pp_device *device, bool paused) {
    PP_TRY(check_traced(device));
    device->trace->paused = paused;
    return PP_OK;
}
