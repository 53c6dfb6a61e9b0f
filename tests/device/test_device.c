/* Listing and opening devices: selectors, limits, and a machine without a driver. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profile.h"
#include "support/support.h"

static const char *program_path;

START_TEST(lists) {
    size_t count, again;
    TEST_OK(pp_device_list(test_engine(), NULL, 0, &count));
    ck_assert(count >= 1);
    pp_device_info infos[2] = {{.index = 9}, {.index = 9}};
    TEST_OK(pp_device_list(test_engine(), infos, 1, &again));
    ck_assert(again == count && infos[0].index == 0 && infos[1].index == 9);
    ck_assert(infos[0].name[0] && infos[0].platform[0] && infos[0].profile[0]);
    ck_assert(strncmp(infos[0].version, "OpenCL ", 7) == 0);
    ck_assert(infos[0].compute_units && infos[0].memory_bytes && infos[0].max_work_group_size);
    ck_assert(infos[0].max_allocation_bytes <= infos[0].memory_bytes);
}
END_TEST

static void expect_opens(const char *selector, const pp_device_info *expected) {
    pp_device *device;
    TEST_OK(pp_device_open(test_engine(), selector, NULL, &device));
    const pp_device_info *info = pp_device_describe(device);
    if (expected) {
        ck_assert_uint_eq(info->index, expected->index);
        ck_assert_str_eq(info->name, expected->name);
    }
    pp_device_counters counters;
    pp_device_read_counters(device, &counters);
    ck_assert(counters.live_buffer_bytes == 0 && counters.programs_built == 0);
    pp_device_close(device);
}

START_TEST(selects) {
    pp_device_info first;
    size_t count;
    TEST_OK(pp_device_list(test_engine(), &first, 1, &count));
    expect_opens(NULL, NULL);
    expect_opens("", NULL);
    expect_opens("0", &first);
    static const char *const types[] = {"GPU", "cpu", "Accelerator"};
    if (first.type != PP_DEVICE_OTHER) expect_opens(types[first.type], &first);
    char part[16];
    snprintf(part, sizeof part, "%.8s", first.platform);
    for (char *c = part; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    expect_opens(part, &first);
    expect_opens(first.name, NULL);
}
END_TEST

START_TEST(refuses_selectors) {
    pp_device_info first;
    size_t count;
    TEST_OK(pp_device_list(test_engine(), &first, 1, &count));
    pp_device *device;
    TEST_FAILS(pp_device_open(test_engine(), "no such thing", NULL, &device),
               PP_ERROR_INVALID_ARGUMENT,
               "no OpenCL device matches \"no such thing\"; there are: 0 \"");
    ck_assert(test_contains(pp_engine_error(test_engine()), first.name) && device == NULL);
    TEST_FAILS(pp_device_open(test_engine(), "4000", NULL, &device), PP_ERROR_INVALID_ARGUMENT,
               "\"4000\"");
    TEST_FAILS(pp_device_open(test_engine(), "4294967296", NULL, &device),
               PP_ERROR_INVALID_ARGUMENT, "matches");
}
END_TEST

START_TEST(obeys_limits) {
    setenv("POCKETPROP_LIMITS",
           "work_group=8,local_memory=8K,max_allocation=16M,alignment=4096,no_half,no_images", 1);
    pp_device *device;
    TEST_OK(pp_device_open(test_engine(), NULL, NULL, &device));
    const pp_device_info *info = pp_device_describe(device);
    ck_assert_uint_eq(info->max_work_group_size, 8);
    ck_assert_uint_eq(info->local_memory_bytes, 8192);
    ck_assert_uint_eq(info->max_allocation_bytes, 16 << 20);
    ck_assert_uint_eq(info->base_alignment_bytes, 4096);
    ck_assert(!info->half && !info->images);
    pp_profile *profile;
    TEST_OK(pp_profile_for_device(device, NULL, &profile));
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.max_allocation_bytes"), 16 << 20);
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.alignment_bytes"), 4096);
    ck_assert_uint_eq(pp__profile_u32(profile, "launch.max_work_group_size"), 8);
    ck_assert_uint_eq(pp__profile_bytes(profile, "launch.local_memory_bytes"), 8192);
    pp_profile_destroy(profile);
    pp_device_close(device);

    setenv("POCKETPROP_LIMITS", "work_group=32,colour=3", 1);
    TEST_FAILS(pp_device_open(test_engine(), NULL, NULL, &device), PP_ERROR_INVALID_ARGUMENT,
               "\"colour=3\" is none of work_group=N");
    unsetenv("POCKETPROP_LIMITS");
}
END_TEST

START_TEST(folds_the_device_into_the_profile) {
    const pp_device_info *info = pp_device_describe(test_device());
    pp_profile *profile;
    TEST_OK(pp_profile_for_device(test_device(), NULL, &profile));
    ck_assert_str_eq(pp_profile_name(profile), info->profile);
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.max_allocation_bytes"),
                      info->max_allocation_bytes);
    ck_assert(pp__profile_bytes(profile, "memory.alignment_bytes") >= info->base_alignment_bytes);
    pp_profile_destroy(profile);
    TEST_OK(pp_profile_for_device(test_device(), "mali", &profile));
    ck_assert_str_eq(pp_profile_name(profile), "mali");
    ck_assert_uint_eq(pp__profile_u32(profile, "launch.max_work_group_size"),
                      info->max_work_group_size);
    pp_profile_destroy(profile);
    TEST_FAILS(pp_profile_for_device(test_device(), "none", &profile), PP_ERROR_INVALID_ARGUMENT,
               "pocl-cpu");
    ck_assert(profile == NULL);
}
END_TEST

/* Every allocation fails once; nothing leaks (the sanitizer build looks) and nothing is left half
 * open. */
static size_t allowed;
static void *fail_later(void *user, size_t bytes) {
    (void)user;
    return allowed-- ? malloc(bytes) : (allowed = 0, NULL);
}
static void release(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(survives_refused_memory) {
    pp_status status = PP_ERROR_INTERNAL;
    for (size_t n = 1; n < 1000 && status != PP_OK; n++) {
        allowed = n;
        pp_engine *engine;
        pp_engine_options options = {.allocator = {fail_later, release, NULL}};
        ck_assert(pp_engine_create(&options, &engine) == PP_OK);
        pp_device *device;
        status = pp_device_open(engine, NULL, NULL, &device);
        ck_assert(status == PP_OK || (status == PP_ERROR_OUT_OF_MEMORY && device == NULL));
        pp_device_close(device);
        pp_engine_destroy(engine);
    }
    ck_assert(status == PP_OK);
}
END_TEST

/* Drivers are found when the process first asks for them, so this takes a process of its own,
 * without a simulator that is preloaded. */
START_TEST(says_what_to_install) {
    char command[600];
    snprintf(
        command, sizeof command,
        "LD_PRELOAD= OCL_ICD_VENDORS=/nonexistent OPENCL_VENDOR_PATH=/nonexistent '%s' no-driver",
        program_path);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

static int check_without_driver(void) {
    pp_engine *engine;
    pp_device *device;
    size_t count = 99;
    if (pp_engine_create(NULL, &engine) != PP_OK) return 2;
    if (pp_device_list(engine, NULL, 0, &count) != PP_OK || count != 0) return 3;
    if (pp_device_open(engine, NULL, NULL, &device) != PP_ERROR_DEVICE || device) return 4;
    if (!test_contains(pp_engine_error(engine), "apt install pocl-opencl-icd")) return 5;
    pp_engine_destroy(engine);
    return 0;
}

int main(int argument_count, char **arguments) {
    if (argument_count == 2 && strcmp(arguments[1], "no-driver") == 0)
        return check_without_driver();
    program_path = arguments[0];
    unsetenv("POCKETPROP_LIMITS");
    TCase *device = tcase_create("device");
    tcase_add_test(device, lists);
    tcase_add_test(device, selects);
    tcase_add_test(device, refuses_selectors);
    tcase_add_test(device, obeys_limits);
    tcase_add_test(device, folds_the_device_into_the_profile);
    tcase_add_test(device, survives_refused_memory);
    tcase_add_test(device, says_what_to_install);
    Suite *suite = suite_create("device");
    suite_add_tcase(suite, device);
    return test_run(suite);
}
