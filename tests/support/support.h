/* What every test program shares: one engine and one device per program, a seed, comparison, data
 * folders.
 *
 * Test programs never fork (an OpenCL context made before Check forks hangs PoCL): test_run sets
 * CK_NOFORK.
 */
#ifndef PP_TEST_SUPPORT_H
#define PP_TEST_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pocketprop/pocketprop.h>

/* Runs one suite and returns main's exit code. Closes what test_engine and test_device opened. */
int test_run(Suite *suite);

/* Made on first use. The log goes to stderr when POCKETPROP_TEST_LOG is set. */
pp_engine *test_engine(void);

/* Opened on first use; POCKETPROP_TEST_DEVICE selects one. A program without a device fails. */
pp_device *test_device(void);

/* POCKETPROP_TEST_PROFILE, by name or path, or NULL: the device's own. For tests that name none. */
const char *test_profile(void);

/* Fails the test with the engine's sentence unless `status` is PP_OK. */
#define TEST_OK(call)                                                                           \
    do {                                                                                        \
        pp_status test_status_ = (call);                                                        \
        ck_assert_msg(test_status_ == PP_OK, "%s: %s: %s", #call, pp_status_name(test_status_), \
                      pp_engine_error(test_engine()));                                          \
    } while (0)

/* Fails unless `call` returns `expected` and the engine's sentence contains `part`. */
#define TEST_FAILS(call, expected, part)                                                          \
    do {                                                                                          \
        pp_status test_status_ = (call);                                                          \
        ck_assert_msg(test_status_ == (expected), "%s: %s, not %s", #call,                        \
                      pp_status_name(test_status_), pp_status_name(expected));                    \
        ck_assert_msg(test_contains(pp_engine_error(test_engine()), part), "\"%s\" lacks \"%s\"", \
                      pp_engine_error(test_engine()), part);                                      \
    } while (0)
bool test_contains(const char *text, const char *part);

/* Random numbers for shapes and contents. The seed is POCKETPROP_TEST_SEED or a fixed one, and is
 * printed when the program fails. */
uint32_t test_random_below(uint32_t bound);
float test_random_normal(void);
float test_random_uniform(float low, float high);
void test_fill_normal(float *values, size_t count);

/* Fails with the worst place unless |found - expected| <= absolute + relative * |expected|
 * everywhere. */
void test_close(const char *what, const float *found, const float *expected, size_t count,
                float absolute, float relative);

/* The folder of real data (POCKETPROP_DATA, else ../shared/data beside the source), or NULL, said
 * aloud on stderr: the calling test then returns without checking anything. `part`: "mnist",
 * "cifar10". */
const char *test_data_folder(const char *part);

/* An empty folder for this test program's files, removed at its end. */
const char *test_scratch_folder(void);

#endif
