#include "support/host_app.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/support.h"

void host_app_create(host_app *app, cl_command_queue_properties properties) {
    cl_int code = clGetCommandQueueInfo(pp_device_queue(test_device()), CL_QUEUE_DEVICE,
                                        sizeof app->id, &app->id, NULL);
    ck_assert_int_eq(code, CL_SUCCESS);
    app->context = clCreateContext(NULL, 1, &app->id, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    app->queue = clCreateCommandQueue(app->context, app->id, properties, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
}

void host_app_destroy(host_app *app) {
    ck_assert_int_eq(clReleaseCommandQueue(app->queue), CL_SUCCESS);
    ck_assert_int_eq(clReleaseContext(app->context), CL_SUCCESS);
}

cl_mem host_app_buffer(const host_app *app, cl_mem_flags flags, size_t bytes, unsigned char byte) {
    unsigned char *content = malloc(bytes);
    ck_assert(content != NULL);
    memset(content, byte, bytes);
    cl_int code;
    cl_mem buffer =
        clCreateBuffer(app->context, flags | CL_MEM_COPY_HOST_PTR, bytes, content, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    free(content);
    return buffer;
}

void host_app_expect_references(cl_mem buffer, cl_uint expected) {
    enum { TRIES = 5000, PAUSE_NS = 1000000 };
    cl_uint found = 0;
    for (int i = 0; i < TRIES && found != expected; i++) {
        if (i) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        ck_assert_int_eq(
            clGetMemObjectInfo(buffer, CL_MEM_REFERENCE_COUNT, sizeof found, &found, NULL),
            CL_SUCCESS);
    }
    ck_assert_uint_eq(found, expected);
}

void host_app_read(const host_app *app, cl_mem buffer, size_t offset_bytes, void *to,
                   size_t bytes) {
    ck_assert_int_eq(
        clEnqueueReadBuffer(app->queue, buffer, CL_TRUE, offset_bytes, bytes, to, 0, NULL, NULL),
        CL_SUCCESS);
}

void host_app_write(const host_app *app, cl_mem buffer, size_t offset_bytes, const void *from,
                    size_t bytes) {
    ck_assert_int_eq(
        clEnqueueWriteBuffer(app->queue, buffer, CL_TRUE, offset_bytes, bytes, from, 0, NULL, NULL),
        CL_SUCCESS);
}

pp_device *host_app_open(const host_app *app, cl_command_queue queue) {
    pp_device *device;
    TEST_OK(pp_device_open_opencl(test_engine(), app->context, app->id, queue, NULL, &device));
    return device;
}

pp_memory *host_app_wrap(pp_device *device, cl_mem buffer, size_t offset_bytes, size_t bytes) {
    pp_memory *memory;
    TEST_OK(pp_memory_wrap(device, buffer, offset_bytes, bytes, &memory));
    return memory;
}
