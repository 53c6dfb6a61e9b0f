/* Self-tests and their verdicts, with twins that only these tests know; and products of matrices by
 * the library that the build may have. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "device/gemm.h"
#include "device/launch.h"
#include "device/self_test.h"
#include "device/source.h"
#include "support/support.h"

enum { COUNT = 96 };

/* y += x, in ways that are right, wrong by `error`, no number, and no program. */
static const char twins[] =
    "#ifdef TWINS_BROKEN\n"
    "#error no program\n"
    "#endif\n"
    "__kernel void twins_run(__global const float *x, uint x_offset,\n"
    "                        __global float *y, uint y_offset, int count,\n"
    "                        float error, int last_is_nan) {\n"
    "    TENSOR(x);\n"
    "    TENSOR(y);\n"
    "    const int i = (int)get_global_id(0);\n"
    "    if (i >= count) return;\n"
    "    y[i] += x[i] + error;\n"
    "    if (last_is_nan && i == count - 1) y[i] = NAN;\n"
    "}\n";

typedef struct fast_path {
    float error;
    bool last_is_nan, broken;
    size_t *calls;
} fast_path;

/* The last warning, and how many there were. */
static struct {
    char warning[512];
    size_t warnings;
} heard;

static void listen(void *user, pp_log_level level, const char *line) {
    (void)user;
    if (level != PP_LOG_WARNING) return;
    snprintf(heard.warning, sizeof heard.warning, "%s", line);
    heard.warnings++;
}

/* An engine of their own: verdicts belong to a device, and the log to an engine. */
static struct {
    pp_engine *engine;
    pp_device *device;
    pp_profile *profile;
    pp__stream *stream;
} own;

static void ok(pp_status status) {
    ck_assert_msg(status == PP_OK, "%s", pp_engine_error(own.engine));
}

static void open_own(const char *limits) {
    memset(&heard, 0, sizeof heard);
    if (limits) setenv("POCKETPROP_LIMITS", limits, 1);
    ck_assert(pp_engine_create(&(pp_engine_options){.log = listen}, &own.engine) == PP_OK);
    ok(pp_device_open(own.engine, getenv("POCKETPROP_TEST_DEVICE"), NULL, &own.device));
    ok(pp_profile_for_device(own.device, NULL, &own.profile));
    ok(pp__source_add(own.device, "test/twins", twins));
    ok(pp__stream_create(own.device, own.profile, &own.stream));
    ok(pp__stream_label(own.stream, "the twins"));
}

static void close_own(void) {
    pp__stream_destroy(own.stream);
    pp_profile_destroy(own.profile);
    pp_device_close(own.device);
    pp_engine_destroy(own.engine);
}

static pp_status record(pp__stream *stream, const fast_path *path, pp__ref x, pp__ref y) {
    pp__launch l;
    pp__launch_begin(&l, stream, "test/twins", "twins_run");
    if (path->broken) pp__launch_define(&l, "TWINS_BROKEN", 1);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__launch_tensor(&l, y, sizeof(float));
    pp__launch_u32(&l, COUNT);
    pp__launch_f32(&l, path->error);
    pp__launch_u32(&l, path->last_is_nan);
    return pp__launch_cover(&l, COUNT, 1, 1);
}

static pp_status record_twin(const pp__self_test *test, pp__stream *stream,
                             const pp__ref inputs[PP__SELF_TEST_INPUTS], pp__ref output,
                             pp__ref workspace, bool plain) {
    static const fast_path right = {0};
    const fast_path *path = test->subject;
    ck_assert(inputs[0].memory && !inputs[1].memory && !workspace.memory);
    if (path->calls && !plain) ++*path->calls;
    return record(stream, plain ? &right : path, inputs[0], output);
}

static pp__verdict judged(const fast_path *path, uint64_t programs) {
    const pp__self_test test = {.what = "the sum",
                                .programs = programs,
                                .input_bytes = {COUNT * sizeof(float)},
                                .output_bytes = COUNT * sizeof(float),
                                .tolerance = 1e-3f,
                                .record = record_twin,
                                .subject = path};
    ok(pp__self_test_run(own.stream, &test));
    return pp__device_verdict(own.stream, programs);
}

START_TEST(verdicts) {
    size_t calls = 0;
    pp_device_counters counters;
    open_own(NULL);
    ck_assert(pp__device_verdict(own.stream, 1) == PP__VERDICT_NONE);
    ck_assert(judged(&(fast_path){.error = 5e-4f, .calls = &calls}, 1) == PP__VERDICT_RIGHT);
    ck_assert_uint_eq(heard.warnings, 0);
    ck_assert(judged(&(fast_path){.error = 2e-3f, .calls = &calls}, 2) == PP__VERDICT_WRONG);
    ck_assert_uint_eq(heard.warnings, 1);
    ck_assert_msg(strstr(heard.warning, "the sum") && strstr(heard.warning, "0.002") &&
                      strstr(heard.warning, pp_device_describe(own.device)->name) &&
                      strstr(heard.warning, "using the plain kernels"),
                  "%s", heard.warning);
    ck_assert(judged(&(fast_path){.last_is_nan = true}, 3) == PP__VERDICT_WRONG);
    ck_assert(judged(&(fast_path){.broken = true}, 4) == PP__VERDICT_WRONG);
    ck_assert_msg(strstr(heard.warning, "clBuildProgram"), "%s", heard.warning);
    ck_assert_uint_eq(heard.warnings, 3);
    /* What is known is not tested again, whatever it would be now. */
    ck_assert_uint_eq(calls, 2);
    ck_assert(judged(&(fast_path){.error = 1, .calls = &calls}, 1) == PP__VERDICT_RIGHT);
    ck_assert(judged(&(fast_path){.calls = &calls}, 2) == PP__VERDICT_WRONG);
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(heard.warnings, 3);
    pp_device_read_counters(own.device, &counters);
    ck_assert_uint_eq(counters.live_buffer_bytes, 0);
    close_own();
}
END_TEST

START_TEST(distrust_fails_everything) {
    const char *limits = getenv("POCKETPROP_LIMITS");
    char before[256] = "", with[300];
    if (limits) snprintf(before, sizeof before, "%s", limits);
    snprintf(with, sizeof with, "%s%sdistrust", before, *before ? "," : "");
    open_own(with);
    ck_assert(judged(&(fast_path){0}, 1) == PP__VERDICT_WRONG);
    ck_assert(strstr(heard.warning, "distrusted by POCKETPROP_LIMITS"));
    close_own();
    if (limits)
        setenv("POCKETPROP_LIMITS", before, 1);
    else
        unsetenv("POCKETPROP_LIMITS");
}
END_TEST

static uint64_t probed(const fast_path *path) {
    const pp__ref tensor = pp__probe_ref(own.stream);
    pp__probe_begin(own.stream);
    ok(record(own.stream, path, tensor, (pp__ref){tensor.memory, 4096}));
    return pp__probe_end(own.stream);
}

/* Programs are told apart by files, kernels and options, not by arguments; nothing is built. */
START_TEST(probes_build_nothing) {
    pp_device_counters counters;
    open_own(NULL);
    const uint64_t right = probed(&(fast_path){0});
    ck_assert(right == probed(&(fast_path){.error = 1}));
    ck_assert(right != probed(&(fast_path){.broken = true}));
    pp_device_read_counters(own.device, &counters);
    ck_assert_uint_eq(counters.programs_built + counters.programs_loaded, 0);
    ok(pp__stream_run(own.stream));
    pp_device_read_counters(own.device, &counters);
    ck_assert_uint_eq(counters.kernels_enqueued, 0);
    close_own();
}
END_TEST

static double element(const float *values, bool transposed, size_t rows, size_t columns, size_t i,
                      size_t j) {
    return (double)(transposed ? values[j * rows + i] : values[i * columns + j]);
}

/* c begins at an offset, between guards. */
static void check_product(size_t m, size_t n, size_t k, bool ta, bool tb, bool adds) {
    enum { GUARD_ELEMS = 32 };
    const size_t sizes[3] = {m * k, k * n, m * n + 2 * GUARD_ELEMS};
    float *host[3], *found = malloc(sizes[2] * sizeof(float));
    float *expected = malloc(sizes[2] * sizeof(float));
    pp__memory *memory[3];
    for (size_t i = 0; i < 3; i++) {
        host[i] = malloc(sizes[i] * sizeof(float));
        test_fill_normal(host[i], sizes[i]);
        TEST_OK(pp__memory_create(test_device(), sizes[i] * sizeof(float), &memory[i]));
        TEST_OK(pp__write_now(test_device(), (pp__ref){memory[i], 0}, host[i],
                              sizes[i] * sizeof(float)));
    }
    memcpy(expected, host[2], sizes[2] * sizeof(float));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = adds ? (double)host[2][GUARD_ELEMS + i * n + j] : 0;
            for (size_t l = 0; l < k; l++)
                sum += element(host[0], ta, m, k, i, l) * element(host[1], tb, k, n, l, j);
            expected[GUARD_ELEMS + i * n + j] = (float)sum;
        }
    pp_profile *profile;
    pp__stream *stream;
    TEST_OK(pp_profile_for_device(test_device(), NULL, &profile));
    TEST_OK(pp__stream_create(test_device(), profile, &stream));
    TEST_OK(pp__stream_label(stream, "the product"));
    TEST_OK(pp__stream_gemm(stream, &(pp__gemm){.m = m,
                                                .n = n,
                                                .k = k,
                                                .a_transposed = ta,
                                                .b_transposed = tb,
                                                .adds = adds,
                                                .a = {memory[0], 0},
                                                .b = {memory[1], 0},
                                                .c = {memory[2], GUARD_ELEMS * sizeof(float)}}));
    TEST_OK(pp__stream_run(stream));
    TEST_OK(pp__read_now(test_device(), (pp__ref){memory[2], 0}, found, sizes[2] * sizeof(float)));
    /* As tests/op/test_conv2d.c allows sums of k products of N(0,1) values. */
    test_close("c", found, expected, sizes[2], (float)(k + 16) * 0x1p-21f, 0);
    pp__stream_destroy(stream);
    pp_profile_destroy(profile);
    for (size_t i = 0; i < 3; i++) {
        pp__memory_destroy(memory[i]);
        free(host[i]);
    }
    free(found);
    free(expected);
}

START_TEST(library_products) {
    if (!pp__gemm_available()) {
        fprintf(stderr, "SKIPPED: this build has no CLBlast\n");
        pp_profile *profile;
        pp__stream *stream;
        TEST_OK(pp_profile_for_device(test_device(), NULL, &profile));
        TEST_OK(pp__stream_create(test_device(), profile, &stream));
        TEST_FAILS(pp__stream_gemm(stream, &(pp__gemm){.m = 1, .n = 1, .k = 1}),
                   PP_ERROR_UNSUPPORTED, "no CLBlast");
        pp__stream_destroy(stream);
        pp_profile_destroy(profile);
        return;
    }
    if (pp_device_describe(test_device())->max_work_group_size < 64) {
        fprintf(stderr, "SKIPPED: CLBlast wants work-groups of 64\n");
        return;
    }
    for (int form = 0; form < 8; form++) {
        check_product(1, 1, 1, form & 1, form & 2, form & 4);
        check_product(7, 19, 33, form & 1, form & 2, form & 4);
        check_product(130, 70, 64, form & 1, form & 2, form & 4);
    }
    /* Large enough for CLBlast's other kernel, and too large for a simulator. */
    if (!strstr(pp_device_describe(test_device())->platform, "Oclgrind"))
        check_product(400, 420, 384, false, false, false);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("device/self_test");
    TCase *test = tcase_create("device");
    tcase_add_test(test, verdicts);
    tcase_add_test(test, distrust_fails_everything);
    tcase_add_test(test, probes_build_nothing);
    tcase_add_test(test, library_products);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
