/* Times of enqueued commands, on devices that were opened for profiling. */
#ifndef PP_DEVICE_TRACE_H
#define PP_DEVICE_TRACE_H

#include <pocketprop/device.h>

#include "device/opencl_library.h"

/* Commands whose times the device may still owe. A full pool is emptied by half, and waits for
 * that. */
enum { PP__TRACE_PENDING = 4096 };

typedef struct pp__trace {
    bool paused;
    cl_event next;                       /* of the call that is being made */
    uint64_t begin_ns;                   /* when that call was entered */
    pp_device_trace_event *events;       /* the device's times on the device's clock */
    size_t event_count, event_capacity;  /* the last pending_count of them have no times yet */
    cl_event pending[PP__TRACE_PENDING]; /* theirs, in the same order */
    size_t pending_count;
    /* The device's clock is ahead of the host's by something between these two, as far as is known:
     * a command is queued between the beginning and the end of its call. */
    int64_t least_ahead_ns, most_ahead_ns;
} pp__trace;

/* device->trace of a device that is traced; the device owns it. */
pp_status pp__trace_create(pp_device *device);
void pp__trace_destroy(pp_device *device); /* accepts a device without one */

/* Where the enqueuing call that follows puts its event: NULL where nothing is traced, and then
 * nothing else happens. */
cl_event *pp__trace_event(pp_device *device);

/* Behind an enqueuing call that was given an event and succeeded: keeps it as one command. Both
 * texts are copied. */
pp_status pp__trace_add(pp_device *device, const char *label, const char *kernel);

/* Reads the times of everything pending, and so waits for it. */
pp_status pp__trace_collect(pp_device *device);

#endif
