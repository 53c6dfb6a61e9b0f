/* An application that uses OpenCL itself: a context and a queue on the device of test_device, which
 * Pocketprop had no part in. Every function fails the running test by itself. */
#ifndef PP_TEST_HOST_APP_H
#define PP_TEST_HOST_APP_H

#include <pocketprop/opencl.h>

typedef struct host_app {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
} host_app;

void host_app_create(host_app *app, cl_command_queue_properties properties);
void host_app_destroy(host_app *app);

/* A buffer of the application's; every byte is `byte`. */
cl_mem host_app_buffer(const host_app *app, cl_mem_flags flags, size_t bytes, unsigned char byte);

/* Waits, for some seconds at most, until the buffer has so many references: drivers give back what
 * commands held a moment after the commands are done. */
void host_app_expect_references(cl_mem buffer, cl_uint expected);

/* Blocking transfers on the application's queue. */
void host_app_read(const host_app *app, cl_mem buffer, size_t offset_bytes, void *to, size_t bytes);
void host_app_write(const host_app *app, cl_mem buffer, size_t offset_bytes, const void *from,
                    size_t bytes);

/* A device of the engine's in the context; `queue` may be NULL. */
pp_device *host_app_open(const host_app *app, cl_command_queue queue);

pp_memory *host_app_wrap(pp_device *device, cl_mem buffer, size_t offset_bytes, size_t bytes);

#endif
