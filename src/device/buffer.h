/* Device memory and host transfers. Compiles without OpenCL. */
#ifndef PP_DEVICE_BUFFER_H
#define PP_DEVICE_BUFFER_H

#include "device/launch.h"

/* One allocation of `bytes` (at least 1). Counted in the device's counters. */
pp_status pp__memory_create(pp_device *device, size_t bytes, pp__memory **memory_out);
void pp__memory_destroy(pp__memory *memory); /* accepts NULL */

/* Enqueues a write and does not wait: `bytes` at `from` must stay as they are until the device is
 * waited for, or until pp__device_wait_write with the returned ticket. Tickets count up from 1; the
 * device keeps the events of the last few. */
pp_status pp__write(pp_device *device, pp__ref to, const void *from, size_t bytes,
                    uint64_t *ticket_out);
pp_status pp__wait_write(pp_device *device, uint64_t ticket);

/* Blocking transfers. */
pp_status pp__write_now(pp_device *device, pp__ref to, const void *from, size_t bytes);
pp_status pp__read_now(pp_device *device, pp__ref from, void *to, size_t bytes);

/* Enqueues a copy on the device and does not wait. */
pp_status pp__copy(pp_device *device, pp__ref from, pp__ref to, size_t bytes);

/* Waits for the device, then gives the host `bytes` at `to` to write; what they held is lost. Until
 * they are unmapped, nothing else can be done with the memory. Unmapping does not wait. */
pp_status pp__map(pp_device *device, pp__ref to, size_t bytes, void **bytes_out);
pp_status pp__unmap(pp_device *device, pp__ref to);

/* Submits what is enqueued / waits until it is done. */
pp_status pp__device_flush(pp_device *device);
pp_status pp__device_finish(pp_device *device);

/* Waits after a failure, whose sentence stays. */
void pp__device_settle(pp_device *device);

pp_engine *pp__device_engine(const pp_device *device);

#endif
