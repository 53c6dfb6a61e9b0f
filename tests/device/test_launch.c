/* Launches and streams on a device, with kernels that only these tests know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "device/launch.h"
#include "device/source.h"
#include "profile/profile.h"
#include "support/support.h"
#include "util/engine.h"

enum { COUNT = 1000 };

/* axpy_run: y += factor * x + shift, and where every work-item was. Guards beyond `count` must
 * stay. */
static const char axpy[] =
    "#ifndef AXPY_BIAS\n"
    "#define AXPY_BIAS 0.0f\n"
    "#endif\n"
    "__kernel void axpy_run(__global const float *x, uint x_offset, __global float *y, uint "
    "y_offset,\n"
    "                       uint count, int shift, float factor) {\n"
    "    TENSOR(x);\n"
    "    TENSOR(y);\n"
    "    uint i = get_global_id(0);\n"
    "    if (i >= count) return;\n"
    "    y[i] += factor * x[i] + shift + AXPY_BIAS;\n"
    "}\n"
    "__kernel void axpy_group(__global uint *y, uint y_offset) {\n"
    "    TENSOR(y);\n"
    "    if (get_global_id(0) + get_global_id(1) + get_global_id(2)) return;\n"
    "    for (uint d = 0; d < 3; d++) y[d] = get_local_size(d), y[3 + d] = get_global_size(d);\n"
    "}\n"
    "__kernel void axpy_maybe(__global const float *x, uint x_offset, __global float *y, uint "
    "y_offset) {\n"
    "    TENSOR(x);\n"
    "    TENSOR(y);\n"
    "    if (get_global_id(0)) return;\n"
    "    y[0] = x_offset == 0 ? 42.0f + COMMON_CHUNK : x[0];\n"
    "}\n";
static const char broken[] = "__kernel void broken_run(__global float *y) { y[0] = nonsense; }\n";

static pp_profile *profile;
static pp__memory *memory;
static pp__stream *stream;
static float host[2 * COUNT + 16];

/* An allocator that refuses after `allowed` allocations. */
static size_t allowed;
static void *allocate_some(void *user, size_t bytes) {
    (void)user;
    if (allowed == 0) return NULL;
    allowed--;
    return malloc(bytes);
}
static void release(void *user, void *block) {
    (void)user;
    free(block);
}

static void add_kernels(void) {
    TEST_OK(pp__source_add(test_device(), "test/axpy", axpy));
    TEST_OK(pp__source_add(test_device(), "test/broken", broken));
}

static void set_up(void) {
    pp_device *device = test_device();
    TEST_OK(pp_profile_for_device(device, NULL, &profile));
    TEST_OK(pp__memory_create(device, sizeof host, &memory));
    TEST_OK(pp__stream_create(device, profile, &stream));
    TEST_OK(pp__stream_label(stream, "the test"));
    for (size_t i = 0; i < 2 * COUNT + 16; i++) host[i] = i < COUNT ? (float)i : 1000.0f;
    TEST_OK(pp__write_now(device, (pp__ref){memory, 0}, host, sizeof host));
}

static void tear_down(void) {
    pp__stream_destroy(stream);
    pp__memory_destroy(memory);
    pp_profile_destroy(profile);
}

static pp__ref at(size_t elem) {
    return (pp__ref){memory, elem * sizeof(float)};
}

static void read_back(void) {
    TEST_OK(pp__read_now(test_device(), at(0), host, sizeof host));
}

static void begin_axpy(pp__launch *launch, uint32_t count, float factor) {
    pp__launch_begin(launch, stream, "test/axpy", "axpy_run");
    pp__launch_tensor(launch, at(0), sizeof(float));
    pp__launch_tensor(launch, at(COUNT), sizeof(float));
    pp__launch_u32(launch, count);
    pp__launch_i32(launch, -3);
    pp__launch_f32(launch, factor);
}

START_TEST(runs_twice) {
    pp__launch l;
    begin_axpy(&l, COUNT - 1, 0.5f);
    TEST_OK(pp__launch_cover(&l, COUNT - 1, 1, 1));
    pp_device_counters before, after;
    pp_device_read_counters(test_device(), &before);
    size_t allocations = pp_engine_allocation_count(test_engine());
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp__device_finish(test_device()));
    ck_assert(pp_engine_allocation_count(test_engine()) == allocations);
    pp_device_read_counters(test_device(), &after);
    ck_assert(after.kernels_enqueued == before.kernels_enqueued + 2);
    read_back();
    for (size_t i = 0; i < COUNT - 1; i++)
        ck_assert_msg(host[COUNT + i] == 1000.0f + 2 * (0.5f * (float)i - 3), "element %zu", i);
    for (size_t i = 2 * COUNT - 1; i < 2 * COUNT + 16; i++) ck_assert(host[i] == 1000.0f);
}
END_TEST

START_TEST(keeps_order) {
    pp__launch l;
    begin_axpy(&l, COUNT, 1.0f);
    TEST_OK(pp__launch_cover(&l, COUNT, 1, 1));
    TEST_OK(pp__stream_copy(stream, at(COUNT), at(0), 10 * sizeof(float)));
    TEST_OK(pp__stream_zero(stream, at(COUNT + 5), 7 * sizeof(float)));
    TEST_OK(pp__stream_zero(stream, (pp__ref){memory, (COUNT + 20) * sizeof(float) + 1}, 2));
    begin_axpy(&l, COUNT, 1.0f);
    TEST_OK(pp__launch_cover(&l, COUNT, 1, 1));
    TEST_OK(pp__stream_run(stream));
    read_back();
    for (size_t i = 0; i < 30; i++) {
        float y = 1000.0f + (float)i - 3, x = i < 10 ? y : (float)i;
        if (i == 20) { /* 1017 is 0x447E4000, and its middle bytes were zeroed */
            unsigned char bytes[4];
            memcpy(bytes, &y, sizeof y);
            bytes[1] = bytes[2] = 0;
            memcpy(&y, bytes, sizeof y);
        }
        if (i >= 5 && i < 12) y = 0;
        ck_assert_msg(host[COUNT + i] == y + x - 3, "element %zu is %g", i,
                      (double)host[COUNT + i]);
        ck_assert(host[i] == x);
    }
}
END_TEST

START_TEST(counts_arguments) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/axpy", "axpy_run");
    pp__launch_tensor(&l, at(0), sizeof(float));
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_INTERNAL,
               "the test, kernel axpy_run takes 7 arguments; the launch has 2");
}
END_TEST

START_TEST(reports_build_errors) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/broken", "broken_run");
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_DEVICE, "common + test/broken");
    ck_assert(test_contains(pp_engine_error(test_engine()), "CL_BUILD_PROGRAM_FAILURE (-11)"));
    ck_assert(test_contains(pp_engine_error(test_engine()), "nonsense"));
    pp__launch_begin(&l, stream, "test/axpy", "axpy_walk");
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_DEVICE,
               "CL_INVALID_KERNEL_NAME (-46) for axpy_walk");
    pp__launch_begin(&l, stream, "test/none", "none_run");
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_INTERNAL, "no kernel file cl/test/none.cl");
}
END_TEST

START_TEST(is_sticky) {
    pp__launch l;
    begin_axpy(&l, 1, 1.0f);
    pp__launch_tensor(&l, (pp__ref){memory, 6}, sizeof(float));
    pp__launch_tensor(&l, (pp__ref){memory, 7}, sizeof(float));
    TEST_FAILS(pp__launch_cover(&l, 0, 1, 1), PP_ERROR_INTERNAL, "offset 6");
    begin_axpy(&l, 1, 1.0f);
    for (uint32_t i = 0; i < PP__LAUNCH_ARGUMENTS; i++) pp__launch_u32(&l, i);
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_INTERNAL, "more than 48 arguments");
    begin_axpy(&l, 1, 1.0f);
    pp__launch_define(&l, "N", 1);
    pp__launch_define(&l, "N", 12);
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_INTERNAL, "N is defined twice");
    TEST_FAILS(pp__stream_copy(stream, at(2 * COUNT), at(0), 17 * sizeof(float)), PP_ERROR_INTERNAL,
               "leave");
}
END_TEST

START_TEST(covers_nothing) {
    pp__launch l;
    begin_axpy(&l, COUNT, 1.0f);
    TEST_OK(pp__launch_cover(&l, COUNT, 0, 1));
    TEST_OK(pp__stream_zero(stream, at(COUNT), 0));
    TEST_OK(pp__stream_run(stream));
    read_back();
    for (size_t i = COUNT; i < 2 * COUNT; i++) ck_assert(host[i] == 1000.0f);
}
END_TEST

START_TEST(passes_empty_refs_and_defines) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/axpy", "axpy_maybe");
    pp__launch_define(&l, "COMMON_CHUNK", 5); /* the profile has one too */
    pp__launch_tensor(&l, (pp__ref){NULL, 0}, sizeof(float));
    pp__launch_tensor(&l, at(COUNT), sizeof(float));
    TEST_OK(pp__launch_cover(&l, 1, 1, 1));
    TEST_OK(pp__stream_run(stream));
    read_back();
    ck_assert(host[COUNT] == 47.0f);
}
END_TEST

START_TEST(takes_profile_defines) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/axpy", "axpy_maybe");
    pp__launch_tensor(&l, (pp__ref){NULL, 0}, sizeof(float));
    pp__launch_tensor(&l, at(COUNT), sizeof(float));
    TEST_OK(pp__launch_cover(&l, 1, 1, 1));
    TEST_OK(pp__stream_run(stream));
    read_back();
    ck_assert(host[COUNT] == 42.0f + (float)pp__profile_u32(profile, "common.chunk"));
}
END_TEST

START_TEST(defines_floats_exactly) {
    static const float values[] = {0.1f, -1.0f / 3, 1e-40f, 3.4e38f, 0.0f, 1e-8f};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        pp__launch l;
        begin_axpy(&l, 1, 0.0f);
        pp__launch_define_f32(&l, "AXPY_BIAS", values[i]);
        const char *text = strstr(l.options, "AXPY_BIAS=") + strlen("AXPY_BIAS=");
        ck_assert(strtof(text, NULL) == values[i]);
        if (i == 0) ck_assert_str_eq(l.options, " -DAXPY_BIAS=0x1.99999ap-4f");
        TEST_OK(pp__launch_cover(&l, 1, 1, 1));
    }
    float zero = 0;
    TEST_OK(pp__write_now(test_device(), at(0), &zero, sizeof zero));
    TEST_OK(pp__write_now(test_device(), at(COUNT), &zero, sizeof zero));
    TEST_OK(pp__stream_run(stream));
    pp__launch l;
    begin_axpy(&l, 1, 0.0f);
    pp__launch_define_f32(&l, "AXPY_BIAS", 1e38f * 10);
    TEST_FAILS(pp__launch_cover(&l, 1, 1, 1), PP_ERROR_INTERNAL, "AXPY_BIAS is not finite");
}
END_TEST

/* Runs axpy_group over an extent under a profile of its own and reads local and global sizes. */
static void read_group(const char *group, const size_t extent[3], uint32_t sizes[6]) {
    char path[128];
    snprintf(path, sizeof path, "%s/group.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fputs(group, file);
    fclose(file);
    pp_profile *special;
    TEST_OK(pp_profile_for_device(test_device(), path, &special));
    pp__stream *other;
    TEST_OK(pp__stream_create(test_device(), special, &other));
    pp__launch l;
    pp__launch_begin(&l, other, "test/axpy", "axpy_group");
    pp__launch_tensor(&l, at(COUNT), sizeof(float));
    TEST_OK(pp__launch_cover(&l, extent[0], extent[1], extent[2]));
    TEST_OK(pp__stream_run(other));
    TEST_OK(pp__read_now(test_device(), at(COUNT), sizes, 6 * sizeof sizes[0]));
    pp__stream_destroy(other);
    pp_profile_destroy(special);
}

START_TEST(clamps_groups) {
    uint32_t sizes[6];
    read_group("launch.group_x = 4\nlaunch.group_y = 2\n", (const size_t[]){9, 3, 1}, sizes);
    ck_assert(sizes[0] == 4 && sizes[1] == 2 && sizes[2] == 1);
    ck_assert(sizes[3] == 12 && sizes[4] == 4 && sizes[5] == 1);
    /* A short extent: the group shrinks with it. */
    read_group("launch.group_x = 64\nlaunch.group_y = 2\n", (const size_t[]){3, 1, 1}, sizes);
    ck_assert(sizes[0] == 4 && sizes[1] == 1 && sizes[3] == 4 && sizes[4] == 1);
    read_group("launch.group_x = 64\nlaunch.max_work_group_size = 4\n", (const size_t[]){101, 1, 1},
               sizes);
    ck_assert(sizes[0] == 4 && sizes[3] == 104);
    read_group("launch.group_x = 4096\nlaunch.group_y = 64\n", (const size_t[]){4096, 64, 1},
               sizes);
    ck_assert((size_t)sizes[0] * sizes[1] <=
              pp_device_describe(test_device())->max_work_group_size);
}
END_TEST

START_TEST(writes_tickets) {
    pp_device *device = test_device();
    uint64_t tickets[20];
    for (size_t i = 0; i < 20; i++) {
        TEST_OK(pp__write(device, at(i), &host[i + 100], sizeof(float), &tickets[i]));
        if (i) ck_assert(tickets[i] == tickets[i - 1] + 1);
    }
    TEST_OK(pp__wait_write(device, tickets[0])); /* long gone from the ring */
    TEST_OK(pp__wait_write(device, tickets[19]));
    TEST_FAILS(pp__wait_write(device, tickets[19] + 1), PP_ERROR_INTERNAL, "waiting for write");
    float back[20];
    TEST_OK(pp__read_now(device, at(0), back, sizeof back));
    for (size_t i = 0; i < 20; i++) ck_assert(back[i] == (float)(i + 100));
    TEST_FAILS(pp__read_now(device, at(2 * COUNT + 16), back, 4), PP_ERROR_INTERNAL,
               "leave the buffer's");
}
END_TEST

START_TEST(counts_memory) {
    pp_device_counters before, during, after;
    pp_device_read_counters(test_device(), &before);
    pp__memory *more;
    TEST_OK(pp__memory_create(test_device(), 12345, &more));
    pp_device_read_counters(test_device(), &during);
    pp__memory_destroy(more);
    pp_device_read_counters(test_device(), &after);
    ck_assert(during.live_buffer_bytes == before.live_buffer_bytes + 12345);
    ck_assert(during.buffers_created == before.buffers_created + 1);
    ck_assert(after.live_buffer_bytes == before.live_buffer_bytes);
    ck_assert(after.peak_buffer_bytes >= during.live_buffer_bytes);
    TEST_FAILS(pp__memory_create(test_device(), SIZE_MAX / 2, &more), PP_ERROR_OUT_OF_MEMORY,
               "allows for one");
    ck_assert(more == NULL);
}
END_TEST

/* Everything from opening to running, up to the first refusal. */
static pp_status use_device(pp_device *device) {
    pp_profile *own_profile = NULL;
    pp__memory *own_memory = NULL;
    pp__stream *own_stream = NULL;
    pp__launch l;
    uint64_t ticket;
    float value = 3;
    pp_status status;
    PP_TRY_GOTO(status, pp__source_add(device, "test/axpy", axpy), done);
    PP_TRY_GOTO(status, pp_profile_for_device(device, NULL, &own_profile), done);
    PP_TRY_GOTO(status, pp__memory_create(device, 4, &own_memory), done);
    PP_TRY_GOTO(status, pp__stream_create(device, own_profile, &own_stream), done);
    PP_TRY_GOTO(status, pp__stream_label(own_stream, "refused"), done);
    pp__launch_begin(&l, own_stream, "test/axpy", "axpy_maybe");
    pp__launch_prefix(&l, "rng");
    pp__launch_tensor(&l, (pp__ref){NULL, 0}, sizeof(float));
    pp__launch_tensor(&l, (pp__ref){own_memory, 0}, sizeof(float));
    PP_TRY_GOTO(status, pp__launch_cover(&l, 1, 1, 1), done);
    PP_TRY_GOTO(status, pp__write(device, (pp__ref){own_memory, 0}, &value, sizeof value, &ticket),
                done);
    PP_TRY_GOTO(status, pp__stream_run(own_stream), done);
    PP_TRY_GOTO(status, pp__read_now(device, (pp__ref){own_memory, 0}, &value, sizeof value), done);
    ck_assert(value > 42.0f);

done:
    pp__stream_destroy(own_stream);
    pp__memory_destroy(own_memory);
    pp_profile_destroy(own_profile);
    return status;
}

START_TEST(survives_refused_memory) {
    pp_status status = PP_ERROR_INTERNAL;
    for (size_t n = 0; n < 1000 && status != PP_OK; n++) {
        pp_engine *engine;
        pp_device *device;
        allowed = SIZE_MAX;
        pp_engine_options options = {.allocator = {allocate_some, release, NULL}};
        ck_assert(pp_engine_create(&options, &engine) == PP_OK);
        ck_assert(pp_device_open(engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &device) == PP_OK);
        allowed = n;
        status = use_device(device);
        ck_assert_msg(status == PP_OK || status == PP_ERROR_OUT_OF_MEMORY, "%zu: %s", n,
                      pp_engine_error(engine));
        pp_device_close(device);
        pp_engine_destroy(engine);
    }
    ck_assert(status == PP_OK);
}
END_TEST

int main(void) {
    TCase *launch = tcase_create("launch");
    tcase_add_checked_fixture(launch, set_up, tear_down);
    tcase_add_unchecked_fixture(launch, add_kernels, NULL);
    tcase_add_test(launch, runs_twice);
    tcase_add_test(launch, keeps_order);
    tcase_add_test(launch, counts_arguments);
    tcase_add_test(launch, reports_build_errors);
    tcase_add_test(launch, is_sticky);
    tcase_add_test(launch, covers_nothing);
    tcase_add_test(launch, passes_empty_refs_and_defines);
    tcase_add_test(launch, takes_profile_defines);
    tcase_add_test(launch, defines_floats_exactly);
    tcase_add_test(launch, clamps_groups);
    tcase_add_test(launch, writes_tickets);
    tcase_add_test(launch, counts_memory);
    tcase_add_test(launch, survives_refused_memory);
    Suite *suite = suite_create("launch");
    suite_add_tcase(suite, launch);
    return test_run(suite);
}
