/* opencl.h: Pocketprop inside an application that uses OpenCL itself.
 *
 *     pp_device_open_opencl(engine, context, id, queue, NULL, &device);
 *     ... profile, graph and plan as always ...
 *     pp_plan_chunk chunk;
 *     pp_plan_read_chunk(plan, 0, &chunk);                     // how much, before anything exists
 *     cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, chunk.bytes, NULL, &code);
 *     pp_memory_wrap(device, buffer, 0, chunk.bytes, &block);
 *     pp_session_create(device, plan, profile,
 *                       &(pp_session_options){.memory = &block, .memory_count = 1}, &session);
 *     pp_memory_wrap(device, frames, 0, frames_bytes, &inputs);
 *     pp_batch batch = {.device_inputs = {inputs, offset}, .labels = labels, .count = 32};
 *     pp_session_step(session, &batch, rate);
 *
 * This is the only public header with OpenCL types, and pocketprop.h leaves it out. It includes
 * <CL/cl.h>: an application that wants a certain CL_TARGET_OPENCL_VERSION defines it before. OpenCL
 * 1.2 is enough.
 *
 * Order. Everything that Pocketprop does is enqueued in the device's one in-order queue. On that
 * queue, what the application enqueued before a call is done before it, and what it enqueues
 * afterwards waits for it: a kernel that makes a batch, the step that takes it and a kernel that
 * overwrites it need nothing between them. Commands on other queues are ordered by events
 * (pp_device_wait_for, pp_device_mark), with a clFlush of the queue that is waited for, or by
 * clFinish and pp_session_finish.
 *
 * Threads. As everywhere, one engine is used by one thread at a time. The application may use its
 * own context, and its queue, from others meanwhile, as far as OpenCL allows.
 */
#ifndef POCKETPROP_OPENCL_H
#define POCKETPROP_OPENCL_H

#include <CL/cl.h>

#include <pocketprop/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A device in the application's context, which may hold others too (the on-disk program cache then
 * only reads); parts of devices (clCreateSubDevices) are as good. `queue` is the application's, or NULL: Pocketprop then makes one
 * of its own in that context. Context and queue are retained until the device is closed, and
 * released as often as they were retained; closing waits for the queue. `options` may be NULL.
 *
 * PP_ERROR_INVALID_ARGUMENT: a context without that device; a queue of another context or device, or
 * one that may run out of order; `profiling` asked of a queue without CL_QUEUE_PROFILING_ENABLE.
 * PP_ERROR_UNSUPPORTED: the device has no OpenCL 1.2 or no compiler. PP_ERROR_DEVICE,
 * PP_ERROR_OUT_OF_MEMORY: the driver's refusals. The caller owns *device_out (pp_device_close). */
PP_API pp_status pp_device_open_opencl(pp_engine *engine, cl_context context, cl_device_id id,
                                       cl_command_queue queue, const pp_device_options *options,
                                       pp_device **device_out);

/* The queue that the device works with: the application's, or its own. Borrowed. */
PP_API cl_command_queue pp_device_queue(const pp_device *device);

/* Makes what is enqueued from now on wait for `events` of any queue of the context; the host does
 * not wait. Nothing to wait for (`count` 0) is no error. PP_ERROR_DEVICE: the driver refuses them. */
PP_API pp_status pp_device_wait_for(pp_device *device, const cl_event *events, size_t count);

/* An event that is complete when everything enqueued so far is done: for other queues to wait for.
 * The caller releases *event_out (clReleaseEvent). What was enqueued is submitted, so nobody waits
 * for ever. PP_ERROR_DEVICE. */
PP_API pp_status pp_device_mark(pp_device *device, cl_event *event_out);

/* `bytes` of the application's buffer from `offset_bytes` on. Nothing is created or copied; the
 * buffer, which may be a sub-buffer, is retained until pp_memory_release. One buffer may be wrapped
 * any number of times. Device and engine outlive the memory, and it outlives the sessions that live
 * in it and the calls that it is given to.
 *
 * PP_ERROR_INVALID_ARGUMENT: no buffer (an image, a pipe), one of another context, no bytes, or more
 * than there are. Memory that a session is to live in has to meet more (pp_session_options). */
PP_API pp_status pp_memory_wrap(pp_device *device, cl_mem buffer, size_t offset_bytes, size_t bytes,
                                pp_memory **memory_out);
PP_API void pp_memory_release(pp_memory *memory); /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
