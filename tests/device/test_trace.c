/* The trace of a device of its own, opened for profiling. */
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "device/launch.h"
#include "device/source.h"
#include "device/trace.h"
#include "support/support.h"

enum { COUNT = 64 };

static const char fill[] =
    "__kernel void fill_run(__global float *y, uint y_offset, uint count) {\n"
    "    TENSOR(y);\n"
    "    uint i = get_global_id(0);\n"
    "    if (i < count) y[i] = i;\n"
    "}\n";

static pp_device *device;
static pp_profile *profile;
static pp__memory *memory;
static pp__stream *stream;
static pp_device_trace_event events[PP__TRACE_PENDING + 1000];
static float host[COUNT];

static pp_device *open_device(bool profiling) {
    pp_device *opened;
    pp_device_options options = {.profiling = profiling};
    TEST_OK(pp_device_open(test_engine(), getenv("POCKETPROP_TEST_DEVICE"), &options, &opened));
    return opened;
}

static void set_up(void) {
    device = open_device(true);
    TEST_OK(pp__source_add(device, "test/fill", fill));
    TEST_OK(pp_profile_for_device(device, NULL, &profile));
    TEST_OK(pp__memory_create(device, 2 * sizeof host, &memory));
    TEST_OK(pp__stream_create(device, profile, &stream));
}

static void tear_down(void) {
    pp__stream_destroy(stream);
    pp__memory_destroy(memory);
    pp_profile_destroy(profile);
    pp_device_close(device);
}

static pp__ref at(size_t elem) {
    return (pp__ref){memory, elem * sizeof(float)};
}

static void record_fill(void) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/fill", "fill_run");
    pp__launch_tensor(&l, at(0), sizeof(float));
    pp__launch_u32(&l, COUNT);
    TEST_OK(pp__launch_cover(&l, COUNT, 1, 1));
}

static size_t read_trace(void) {
    size_t count;
    TEST_OK(pp_device_read_trace(device, events, sizeof events / sizeof events[0], &count));
    return count;
}

static void check_event(size_t index, const char *label, const char *kernel) {
    const pp_device_trace_event *event = &events[index];
    ck_assert_str_eq(event->label, label);
    ck_assert_str_eq(event->kernel, kernel);
    ck_assert(event->enqueue_begin_ns <= event->enqueue_end_ns);
    ck_assert(event->queued_ns <= event->submit_ns);
    ck_assert(event->submit_ns <= event->start_ns);
    ck_assert(event->start_ns <= event->end_ns);
    if (index) ck_assert(event->enqueue_begin_ns >= events[index - 1].enqueue_end_ns);
    if (index) ck_assert(event->start_ns >= events[index - 1].end_ns);
}

START_TEST(names_every_command) {
    TEST_OK(pp__stream_label(stream, "a fill"));
    record_fill();
    TEST_OK(pp__stream_label(stream, "the rest"));
    TEST_OK(pp__stream_copy(stream, at(0), at(COUNT), sizeof host));
    TEST_OK(pp__stream_zero(stream, at(0), sizeof host));
    uint64_t ticket;
    TEST_OK(pp__write(device, at(0), host, sizeof host, &ticket));
    TEST_OK(pp__wait_write(device, ticket));
    TEST_OK(pp__write_now(device, at(0), host, sizeof host));
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp__read_now(device, at(COUNT), host, sizeof host));
    ck_assert(host[COUNT - 1] == COUNT - 1);
    ck_assert_uint_eq(read_trace(), 6);
    check_event(0, "transfer", "write");
    check_event(1, "transfer", "write");
    check_event(2, "a fill", "fill_run");
    check_event(3, "the rest", "copy");
    check_event(4, "the rest", "zero");
    check_event(5, "transfer", "read");
    /* The device's times are on the host's clock. A blocking read ends inside its call, give or
     * take the width of the shortest call, by which the clocks are matched. */
    ck_assert(events[5].end_ns > events[5].enqueue_begin_ns);
    ck_assert(events[5].end_ns < events[5].enqueue_end_ns + 1000000);
}
END_TEST

START_TEST(clears_and_pauses) {
    TEST_OK(pp__stream_label(stream, "a fill"));
    record_fill();
    TEST_OK(pp__stream_run(stream));
    ck_assert_uint_eq(read_trace(), 1);
    ck_assert_uint_eq(read_trace(), 1); /* reading takes nothing away */
    TEST_OK(pp_device_clear_trace(device));
    ck_assert_uint_eq(read_trace(), 0);
    TEST_OK(pp_device_pause_trace(device, true));
    size_t allocations = pp_engine_allocation_count(test_engine());
    TEST_OK(pp__stream_run(stream));
    ck_assert_uint_eq(pp_engine_allocation_count(test_engine()), allocations);
    TEST_OK(pp_device_pause_trace(device, false));
    ck_assert_uint_eq(read_trace(), 0);
    TEST_OK(pp__stream_run(stream));
    size_t count;
    TEST_OK(pp_device_read_trace(device, NULL, 0, &count));
    ck_assert_uint_eq(count, 1);
}
END_TEST

/* More commands than events are kept at a time, and nobody waits in between. */
START_TEST(outgrows_its_pool) {
    TEST_OK(pp__stream_label(stream, "fills"));
    for (size_t i = 0; i < 100; i++) record_fill();
    for (size_t i = 0; i < (PP__TRACE_PENDING + 1000) / 100; i++) TEST_OK(pp__stream_run(stream));
    size_t count = read_trace();
    ck_assert_uint_eq(count, (PP__TRACE_PENDING + 1000) / 100 * 100);
    for (size_t i = 0; i < count; i++) check_event(i, "fills", "fill_run");
}
END_TEST

START_TEST(cuts_long_labels) {
    char label[300];
    memset(label, 'x', sizeof label);
    label[sizeof label - 1] = '\0';
    TEST_OK(pp__stream_label(stream, label));
    record_fill();
    TEST_OK(pp__stream_run(stream));
    ck_assert_uint_eq(read_trace(), 1);
    ck_assert_uint_eq(strlen(events[0].label), sizeof events[0].label - 1);
}
END_TEST

START_TEST(is_absent_without_profiling) {
    pp_device *plain = open_device(false);
    size_t count;
    TEST_FAILS(pp_device_read_trace(plain, NULL, 0, &count), PP_ERROR_UNSUPPORTED,
               "without `profiling`");
    TEST_FAILS(pp_device_clear_trace(plain), PP_ERROR_UNSUPPORTED, "without `profiling`");
    TEST_FAILS(pp_device_pause_trace(plain, true), PP_ERROR_UNSUPPORTED, "without `profiling`");
    pp_device_close(plain);
}
END_TEST

/* Closing releases the events of commands that nobody asked about. */
START_TEST(closes_with_events_pending) {
    record_fill();
    TEST_OK(pp__stream_run(stream));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("device/trace");
    TCase *cases = tcase_create("trace");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, names_every_command);
    tcase_add_test(cases, clears_and_pauses);
    tcase_add_test(cases, outgrows_its_pool);
    tcase_add_test(cases, cuts_long_labels);
    tcase_add_test(cases, is_absent_without_profiling);
    tcase_add_test(cases, closes_with_events_pending);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
