/* Devices in an application's context and queue, and its buffers: what is refused, what is retained
 * and given back, what waits for what. Sessions in there: exec/test_host_memory.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/buffer.h"
#include "device/opencl.h"
#include "device/source.h"
#include "support/host_app.h"
#include "support/support.h"

static host_app app;

static void set_up(void) {
    host_app_create(&app, 0);
}

static void tear_down(void) {
    host_app_destroy(&app);
}

typedef struct counts {
    cl_uint context, queue;
} counts;

static counts read_counts(void) {
    counts c;
    ck_assert_int_eq(clGetContextInfo(app.context, CL_CONTEXT_REFERENCE_COUNT, sizeof c.context,
                                      &c.context, NULL),
                     CL_SUCCESS);
    ck_assert_int_eq(
        clGetCommandQueueInfo(app.queue, CL_QUEUE_REFERENCE_COUNT, sizeof c.queue, &c.queue, NULL),
        CL_SUCCESS);
    return c;
}

/* Drivers give back what commands held a moment after the commands are done. */
static void expect_counts(counts expected) {
    counts found = read_counts();
    for (int i = 0; i < 5000 && memcmp(&found, &expected, sizeof found) != 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        found = read_counts();
    }
    ck_assert_uint_eq(found.context, expected.context);
    ck_assert_uint_eq(found.queue, expected.queue);
}

/* A device does the least thing that needs both: a transfer there and back. */
static void use(pp_device *device) {
    pp__memory *memory;
    uint32_t out = 0x12345678, in = 0;
    TEST_OK(pp__memory_create(device, sizeof out, &memory));
    TEST_OK(pp__write_now(device, (pp__ref){memory, 0}, &out, sizeof out));
    TEST_OK(pp__read_now(device, (pp__ref){memory, 0}, &in, sizeof in));
    pp__memory_destroy(memory);
    ck_assert_uint_eq(in, out);
}

START_TEST(lends_context_and_queue) {
    const counts before = read_counts();
    pp_device *device = host_app_open(&app, app.queue);
    ck_assert_ptr_eq(pp_device_queue(device), app.queue);
    ck_assert_uint_gt(read_counts().queue, before.queue);
    use(device);
    pp_device_close(device);
    expect_counts(before);
}
END_TEST

START_TEST(makes_a_queue_of_its_own) {
    const counts before = read_counts();
    pp_device *device = host_app_open(&app, NULL);
    ck_assert(pp_device_queue(device) != NULL && pp_device_queue(device) != app.queue);
    use(device);
    pp_device_close(device);
    expect_counts(before);
}
END_TEST

START_TEST(is_the_device_that_the_loader_lists) {
    pp_device *device = host_app_open(&app, app.queue);
    const pp_device_info *here = pp_device_describe(device),
                         *there = pp_device_describe(test_device());
    ck_assert_uint_eq(here->index, there->index);
    ck_assert_str_eq(here->name, there->name);
    ck_assert_str_eq(here->platform, there->platform);
    ck_assert_str_eq(here->profile, there->profile);
    ck_assert_uint_eq(here->max_work_group_size, there->max_work_group_size);
    ck_assert(here->shares_memory == there->shares_memory);
    pp_device_close(device);
}
END_TEST

/* Profiling is asked of an application's queue, never switched on. */
START_TEST(profiles_where_the_queue_does) {
    host_app profiled;
    host_app_create(&profiled, CL_QUEUE_PROFILING_ENABLE);
    const pp_device_options options = {.profiling = true};
    pp_device *device;
    TEST_FAILS(
        pp_device_open_opencl(test_engine(), app.context, app.id, app.queue, &options, &device),
        PP_ERROR_INVALID_ARGUMENT,
        "the application's queue was made without CL_QUEUE_PROFILING_ENABLE");
    ck_assert_ptr_null(device);
    TEST_OK(pp_device_open_opencl(test_engine(), profiled.context, profiled.id, profiled.queue,
                                  &options, &device));
    use(device);
    size_t count;
    TEST_OK(pp_device_read_trace(device, NULL, 0, &count));
    ck_assert_uint_eq(count, 2);
    pp_device_close(device);
    device = host_app_open(&profiled, profiled.queue);
    TEST_FAILS(pp_device_read_trace(device, NULL, 0, &count), PP_ERROR_UNSUPPORTED, "no trace");
    pp_device_close(device);
    host_app_destroy(&profiled);
}
END_TEST

static void expect_refused(cl_context context, cl_command_queue queue, const char *part) {
    pp_device *device;
    const counts before = read_counts();
    TEST_FAILS(pp_device_open_opencl(test_engine(), context, app.id, queue, NULL, &device),
               PP_ERROR_INVALID_ARGUMENT, part);
    ck_assert_ptr_null(device);
    expect_counts(before);
}

START_TEST(refuses_queues) {
    host_app other;
    host_app_create(&other, 0);
    expect_refused(app.context, other.queue, "queue belongs to another context");
    expect_refused(NULL, app.queue, "no context was given");
    host_app_destroy(&other);
    cl_int code;
    cl_command_queue unordered =
        clCreateCommandQueue(app.context, app.id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code == CL_INVALID_QUEUE_PROPERTIES) {
        fprintf(stderr, "SKIPPED: the device has no queues that run out of order\n");
        return;
    }
    ck_assert_int_eq(code, CL_SUCCESS);
    expect_refused(app.context, unordered, "may run out of order; an in-order queue is needed");
    clReleaseCommandQueue(unordered);
}
END_TEST

/* Parts of a device are devices of their own, which the loader does not list. */
START_TEST(takes_parts_of_devices) {
    const cl_device_partition_property by_one[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_device_id parts[64];
    cl_uint count = 0;
    if (clCreateSubDevices(app.id, by_one, 0, NULL, &count) != CL_SUCCESS || count == 0 ||
        count > 64 || clCreateSubDevices(app.id, by_one, count, parts, NULL) != CL_SUCCESS) {
        fprintf(stderr, "SKIPPED: the device has no parts\n");
        return;
    }
    cl_int code;
    cl_context context = clCreateContext(NULL, 1, &parts[0], NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    pp_device *device;
    TEST_OK(pp_device_open_opencl(test_engine(), context, parts[0], NULL, NULL, &device));
    ck_assert_uint_eq(pp_device_describe(device)->index, UINT32_MAX);
    use(device);
    pp_device_close(device);
    clReleaseContext(context);
    for (cl_uint i = 0; i < count; i++) clReleaseDevice(parts[i]);
}
END_TEST

/* Another device of the application's platform, where there is one. */
static bool find_other(cl_device_id *other_out) {
    cl_platform_id platform;
    cl_device_id ids[8];
    cl_uint count = 0;
    ck_assert_int_eq(clGetDeviceInfo(app.id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL),
                     CL_SUCCESS);
    ck_assert_int_eq(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 8, ids, &count), CL_SUCCESS);
    for (cl_uint i = 0; i < count && i < 8; i++)
        if (ids[i] != app.id) {
            *other_out = ids[i];
            return true;
        }
    fprintf(stderr, "SKIPPED: there is no other device\n");
    return false;
}

START_TEST(refuses_a_context_without_the_device) {
    cl_device_id other;
    if (!find_other(&other)) return;
    cl_int code;
    cl_context context = clCreateContext(NULL, 1, &other, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    expect_refused(context, NULL, "the application's context does not hold the device \"");
    cl_context both = clCreateContext(NULL, 2, (cl_device_id[]){app.id, other}, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    cl_command_queue queue = clCreateCommandQueue(both, other, 0, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    expect_refused(both, queue, "queue belongs to another device");
    clReleaseCommandQueue(queue);
    clReleaseContext(both);
    clReleaseContext(context);
}
END_TEST

static const char nothing[] =
    "__kernel void nothing_run(__global float *y, uint y_offset) {\n"
    "    TENSOR(y);\n"
    "    y[0] = 1.0f;\n"
    "}\n";

/* Builds and runs one program; returns how many were built from source. */
static uint64_t run_program(cl_context context) {
    const pp_device_options options = {.cache_dir = test_scratch_folder()};
    pp_device *device;
    pp_profile *profile;
    pp__stream *stream;
    pp__memory *memory;
    pp__launch l;
    pp_device_counters counters;
    float value = 0;
    TEST_OK(pp_device_open_opencl(test_engine(), context, app.id, NULL, &options, &device));
    TEST_OK(pp__source_add(device, "test/nothing", nothing));
    TEST_OK(pp_profile_for_device(device, "default", &profile));
    TEST_OK(pp__stream_create(device, profile, &stream));
    TEST_OK(pp__memory_create(device, sizeof value, &memory));
    pp__launch_begin(&l, stream, "test/nothing", "nothing_run");
    pp__launch_tensor(&l, (pp__ref){memory, 0}, sizeof value);
    TEST_OK(pp__launch_cover(&l, 1, 1, 1));
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp__read_now(device, (pp__ref){memory, 0}, &value, sizeof value));
    ck_assert(value == 1.0f);
    pp_device_read_counters(device, &counters);
    pp__memory_destroy(memory);
    pp__stream_destroy(stream);
    pp_profile_destroy(profile);
    pp_device_close(device);
    return counters.programs_built;
}

/* In a context of several devices, programs are built for the one. Their binaries are not kept, but
 * those of contexts with the one alone are good there too. */
START_TEST(shares_a_context_with_other_devices) {
    cl_device_id other;
    if (!find_other(&other)) return;
    cl_int code;
    cl_context both = clCreateContext(NULL, 2, (cl_device_id[]){other, app.id}, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    ck_assert_uint_eq(run_program(both), 1);
    ck_assert_uint_eq(run_program(app.context), 1);
    ck_assert_uint_eq(run_program(app.context), 0);
    ck_assert_uint_eq(run_program(both), 0);
    clReleaseContext(both);
}
END_TEST

/* A device works on through events: it waits for the application's, and the application for its. */
START_TEST(waits_and_is_waited_for) {
    if (test_contains(pp_device_describe(test_device())->platform, "Oclgrind")) {
        fprintf(stderr, "SKIPPED: Oclgrind runs everything within clFlush, and would wait there\n");
        return;
    }
    pp_device *device = host_app_open(&app, NULL);
    cl_int code, state;
    cl_event gate = clCreateUserEvent(app.context, &code), done;
    ck_assert_int_eq(code, CL_SUCCESS);
    TEST_OK(pp_device_wait_for(device, NULL, 0));
    TEST_OK(pp_device_wait_for(device, &gate, 1));
    TEST_OK(pp_device_mark(device, &done));
    ck_assert_int_eq(
        clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
        CL_SUCCESS);
    ck_assert_int_ne(state, CL_COMPLETE);
    ck_assert_int_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    ck_assert_int_eq(clWaitForEvents(1, &done), CL_SUCCESS);
    clReleaseEvent(done);
    clReleaseEvent(gate);
    TEST_FAILS(pp_device_wait_for(device, NULL, 2), PP_ERROR_INVALID_ARGUMENT, "without a list");
    pp_device_close(device);
}
END_TEST

enum { BYTES = 4096 };

static void expect_unwrapped(pp_device *device, cl_mem buffer, size_t offset, size_t bytes,
                             const char *part) {
    pp_memory *memory;
    TEST_FAILS(pp_memory_wrap(device, buffer, offset, bytes, &memory), PP_ERROR_INVALID_ARGUMENT,
               part);
    ck_assert_ptr_null(memory);
}

START_TEST(wraps_buffers) {
    host_app other;
    host_app_create(&other, 0);
    pp_device *device = host_app_open(&app, app.queue);
    cl_mem mine = host_app_buffer(&app, CL_MEM_READ_WRITE, BYTES, 0);
    cl_mem foreign = host_app_buffer(&other, CL_MEM_READ_WRITE, BYTES, 0);
    expect_unwrapped(device, NULL, 0, 1, "no buffer was given");
    expect_unwrapped(device, foreign, 0, BYTES, "the buffer belongs to another context");
    expect_unwrapped(device, mine, 0, 0, "0 bytes at 0 of a buffer of 4096");
    expect_unwrapped(device, mine, 1, BYTES, "4096 bytes at 1 of a buffer of 4096");
    expect_unwrapped(device, mine, BYTES + 1, 1, "1 bytes at 4097 of a buffer of 4096");
    expect_unwrapped(device, mine, 8, SIZE_MAX, "at 8 of a buffer of 4096");
    host_app_expect_references(mine, 1);
    pp_memory *memory = host_app_wrap(device, mine, 16, BYTES - 16);
    host_app_expect_references(mine, 2);
    pp_memory_release(memory);
    pp_memory_release(NULL);
    host_app_expect_references(mine, 1);
    pp_device_close(device);
    clReleaseMemObject(mine);
    clReleaseMemObject(foreign);
    host_app_destroy(&other);
}
END_TEST

START_TEST(refuses_images) {
    pp_device *device = host_app_open(&app, app.queue);
    const cl_image_format format = {CL_RGBA, CL_UNORM_INT8};
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 8};
    cl_int code;
    cl_mem image = clCreateImage(app.context, CL_MEM_READ_WRITE, &format, &desc, NULL, &code);
    if (code == CL_SUCCESS) {
        expect_unwrapped(device, image, 0, 64, "a buffer (0x10f0) is needed");
        clReleaseMemObject(image);
    } else {
        fprintf(stderr, "SKIPPED: the device has no images\n");
    }
    pp_device_close(device);
}
END_TEST

/* Places count from the beginning of what was wrapped, and end with it. */
START_TEST(finds_places) {
    pp_device *device = host_app_open(&app, app.queue), *second = host_app_open(&app, NULL);
    cl_mem buffer = host_app_buffer(&app, CL_MEM_READ_WRITE, BYTES, 0);
    pp_memory *memory = host_app_wrap(device, buffer, 256, 512);
    TEST_OK(pp__place_check(device, "here", (pp_place){memory, 0}, 512));
    TEST_OK(pp__place_check(device, "here", (pp_place){memory, 12}, 500));
    TEST_FAILS(pp__place_check(device, "here", (pp_place){memory, 13}, 500),
               PP_ERROR_INVALID_ARGUMENT, "here: 500 bytes at 13 of memory of 512 bytes");
    TEST_FAILS(pp__place_check(device, "here", (pp_place){memory, SIZE_MAX}, 4),
               PP_ERROR_INVALID_ARGUMENT, "of memory of 512 bytes");
    TEST_FAILS(pp__place_check(second, "here", (pp_place){memory, 0}, 4), PP_ERROR_INVALID_ARGUMENT,
               "wrapped for another device");
    const uint32_t out = 0xC0FFEE;
    uint32_t in = 0;
    TEST_OK(pp__write_now(device, pp__place_ref((pp_place){memory, 8}), &out, sizeof out));
    host_app_read(&app, buffer, 256 + 8, &in, sizeof in);
    ck_assert_uint_eq(in, out);
    pp_memory_release(memory);
    clReleaseMemObject(buffer);
    pp_device_close(second);
    pp_device_close(device);
}
END_TEST

/* PoCL makes two devices where it is asked to. */
int main(void) {
    setenv("POCL_DEVICES", "pthread pthread", 0);
    Suite *suite = suite_create("device/opencl");
    TCase *test = tcase_create("device");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, lends_context_and_queue);
    tcase_add_test(test, makes_a_queue_of_its_own);
    tcase_add_test(test, is_the_device_that_the_loader_lists);
    tcase_add_test(test, profiles_where_the_queue_does);
    tcase_add_test(test, refuses_queues);
    tcase_add_test(test, takes_parts_of_devices);
    tcase_add_test(test, refuses_a_context_without_the_device);
    tcase_add_test(test, shares_a_context_with_other_devices);
    tcase_add_test(test, waits_and_is_waited_for);
    tcase_add_test(test, wraps_buffers);
    tcase_add_test(test, refuses_images);
    tcase_add_test(test, finds_places);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
