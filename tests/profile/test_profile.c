/* Profiles need no device: reading, inheritance, matching, limits, files with mistakes. */
#include "profile/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

static pp_profile *load(const char *name) {
    pp_profile *profile;
    TEST_OK(pp_profile_load(test_engine(), name, &profile));
    return profile;
}

static uint32_t number(const char *name, const char *key) {
    pp_profile *profile = load(name);
    uint32_t value = pp__profile_u32(profile, key);
    TEST_OK(pp__profile_status(profile));
    pp_profile_destroy(profile);
    return value;
}

static char path[128];

static const char *write_file(const char *text) {
    snprintf(path, sizeof path, "%s/own.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL && fputs(text, file) >= 0);
    fclose(file);
    return path;
}

START_TEST(inherits) {
    ck_assert_uint_eq(number("default", "conv2d.vector"), 8);
    ck_assert_uint_eq(number("pocl-cpu", "conv2d.vector"), 16);
    ck_assert_uint_eq(number("pocl-cpu-8", "conv2d.vector"), 8);
    ck_assert_uint_eq(number("pocl-cpu-8", "common.chunk"), number("pocl-cpu", "common.chunk"));
    ck_assert_uint_eq(number("mali", "conv2d.vector"), 4);
    ck_assert_uint_eq(number("mali", "batchnorm.split_octets"),
                      number("default", "batchnorm.split_octets"));
    ck_assert_uint_eq(number("mali-g31", "conv2d.vector"), 4);
    ck_assert_uint_eq(number("mali-g31", "conv2d.weight_items"), 256);
}
END_TEST

START_TEST(loads_every_shipped_profile) {
    static const char *const names[] = {"default",  "pocl-cpu", "pocl-cpu-8", "pocl-cpu-4", "mali",
                                        "mali-g31", "adreno",   "intel",      "discrete"};
    pp_profile *profile = load(names[_i]);
    ck_assert_str_eq(pp_profile_name(profile), names[_i]);
    ck_assert(pp__profile_u32(profile, "common.chunk") >= 1);
    ck_assert(pp__profile_bytes(profile, "conv2d.band_bytes") >= 1024);
    TEST_OK(pp__profile_status(profile));
    pp_profile_destroy(profile);
}
END_TEST

START_TEST(matches) {
    static const struct {
        pp__profile_subject subject;
        const char *expected;
    } cases[] = {
        {{"pthread-skylake-avx512-Intel(R) Xeon(R)", "Portable Computing Language", "GenuineIntel",
          "cpu", 16},
         "pocl-cpu"},
        {{"cpu-haswell-AMD EPYC", "Portable Computing Language", "AuthenticAMD", "cpu", 8},
         "pocl-cpu-8"},
        {{"cpu-cortex-a76", "Portable Computing Language", "ARM", "cpu", 4}, "pocl-cpu-4"},
        {{"cpu-riscv64", "Portable Computing Language", "", "cpu", 1}, "pocl-cpu-4"},
        {{"cpu-sve", "Portable Computing Language", "ARM", "cpu", 32}, "pocl-cpu"},
        {{"NVIDIA H100", "Portable Computing Language", "NVIDIA Corporation", "gpu", 1},
         "discrete"},
        {{"Mali-G72", "ARM Platform", "ARM", "gpu", 4}, "mali"},
        {{"Mali-G31 r0p0", "ARM Platform", "ARM", "gpu", 4}, "mali-g31"},
        {{"QUALCOMM Adreno(TM)", "QUALCOMM Snapdragon(TM)", "QUALCOMM", "gpu", 1}, "adreno"},
        {{"Intel(R) UHD Graphics 620", "Intel(R) OpenCL HD Graphics", "Intel(R) Corporation", "gpu",
          1},
         "intel"},
        {{"Intel(R) Core(TM) i7", "Intel(R) OpenCL", "Intel(R) Corporation", "cpu", 8}, "default"},
        {{"gfx1030", "AMD Accelerated Parallel Processing", "Advanced Micro Devices, Inc.", "gpu",
          1},
         "discrete"},
        {{"Oclgrind Simulator", "Oclgrind", "University of Bristol", "other", 1}, "default"},
        {{"", "", "", "", 0}, "default"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(pp__profile_match(&cases[i].subject), cases[i].expected);
}
END_TEST

START_TEST(reads_a_file) {
    pp_profile *profile =
        load(write_file("# my board\r\nparent = mali\n\n  conv2d.tile=2 # small\n"
                        "conv2d.band_bytes = 96K\r\nmatch.device = my board\nrelu.group_x = 32"));
    ck_assert_str_eq(pp_profile_name(profile), "own");
    ck_assert_uint_eq(pp__profile_u32(profile, "conv2d.tile"), 2);
    ck_assert_uint_eq(pp__profile_u32(profile, "conv2d.vector"), 4);
    ck_assert_uint_eq(pp__profile_bytes(profile, "conv2d.band_bytes"), 96 * 1024);
    ck_assert_uint_eq(pp__profile_u32(profile, "relu.group_x"), 32);
    pp_profile_destroy(profile);
    ck_assert_uint_eq(number(write_file(""), "conv2d.tile"), number("default", "conv2d.tile"));
}
END_TEST

START_TEST(refuses_files) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"\nconv2d.tlie = 3\n", "own.profile:2: \"conv2d.tlie\": no such key"},
        {"conv2d.tile 3\n", "own.profile:1: expected key = value"},
        {"conv2d.tile =\n", "own.profile:1: expected key = value"},
        {"conv2d.tile = three\n", "expected a whole number"},
        {"conv2d.tile = -3\n", "expected a whole number"},
        {"conv2d.tile = 3 4\n", "expected a whole number"},
        {"conv2d.tile = 3 [1 2 3]\n", "expected a whole number"},
        {"conv2d.tile = 0\n", "\"conv2d.tile\": found 0, expected 1 to 16"},
        {"conv2d.tile = 17\n", "\"conv2d.tile\": found 17, expected 1 to 16"},
        {"#\nconv2d.vector = 5\n",
         "own.profile:2: \"conv2d.vector\": found 5, expected one of 1 2 4 8 16"},
        {"conv2d.pack = 2\n", "expected one of 0 1"},
        {"conv2d.band_bytes = 2G\n", "found 2G, expected 1 to 1G"},
        {"conv2d.band_bytes = 0\n", "found 0, expected 1 to 1G"},
        {"common.group_x = 0\n", "found 0, expected 1 to 1048576"},
        {"relu.group_x = 4294967296\n", "found 4294967296, expected 1 to 1048576"},
        {"memory.max_chunks = 1048577\n", "expected 1 to 1048576"},
        {"conv2d.tile = 2\rconv2d.block = 4\n", "expected a whole number"},
        {"conv2d.band_bytes = 99999999999999999999\n", "expected a whole number"},
        {"conv2d.band_bytes = 17179869184G\n", "expected a whole number"},
        {"conv2d.tile = 3\nconv2d.tile = 3\n",
         "own.profile:2: \"conv2d.tile\": the key stands here twice"},
        {"memory.alignment_bytes = 100\n", "expected a power of two"},
        {"memory.alignment_bytes = 2M\n", "expected a power of two from 4 to 1M"},
        {"nothing.group_x = 4\n", "no kernel file of that stem"},
        {"common.group_w = 4\n", "no such key"},
        {"parent = martian\n", "expected the name of a shipped profile"},
        {"match.colour = red\n", "expected match.platform"},
    };
    pp_profile *profile;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TEST_FAILS(pp_profile_load(test_engine(), write_file(cases[i].text), &profile),
                   PP_ERROR_CORRUPT_DATA, cases[i].part);
        ck_assert(profile == NULL);
    }
    FILE *file = fopen(write_file(""), "wb");
    fwrite("common.chunk = 4\n\0common.chunk", 1, 30, file);
    fclose(file);
    TEST_FAILS(pp_profile_load(test_engine(), path, &profile), PP_ERROR_CORRUPT_DATA,
               "a zero byte at 17");
    TEST_FAILS(pp_profile_load(test_engine(), "/nonexistent/x.profile", &profile), PP_ERROR_IO,
               "cannot open");
    TEST_FAILS(pp_profile_load(test_engine(), test_scratch_folder(), &profile), PP_ERROR_IO,
               "cannot read");
    if (access("/dev/zero", R_OK) == 0)
        TEST_FAILS(pp_profile_load(test_engine(), "/dev/zero", &profile), PP_ERROR_CORRUPT_DATA,
                   "/dev/zero: more than 4194304 bytes");
    TEST_FAILS(pp_profile_load(test_engine(), "mail", &profile), PP_ERROR_INVALID_ARGUMENT,
               "no profile \"mail\"; there are adreno, default, discrete, intel,");
}
END_TEST

START_TEST(tells_what_may_be_tried) {
    pp_profile *profile = load("mali");
    size_t count = pp_profile_tunable_count(profile);
    bool found_vector = false, found_scratch = false;
    for (size_t i = 0; i < count; i++) {
        pp_tunable t;
        pp_profile_read_tunable(profile, i, &t);
        ck_assert_uint_gt(t.candidate_count, 0);
        ck_assert_uint_ge(t.candidates[0], t.least);
        ck_assert_uint_le(t.candidates[t.candidate_count - 1], t.most);
        for (size_t c = 0; c < t.candidate_count; c++)
            TEST_OK(pp_profile_set(profile, t.key, t.candidates[c]));
        TEST_OK(pp_profile_set(profile, t.key, t.value));
        if (!strcmp(t.key, "conv2d.vector")) {
            found_vector = true;
            ck_assert(t.value == 4 && t.candidate_count == 5 && t.listed && !t.in_bytes);
        }
        found_scratch = found_scratch || (!strcmp(t.key, "conv2d_weight.scratch_bytes") &&
                                          t.in_bytes && !t.listed && t.least == 0);
    }
    ck_assert(found_vector && found_scratch);
    TEST_FAILS(pp_profile_set(profile, "conv2d.vector", 5), PP_ERROR_INVALID_ARGUMENT,
               "profile mali: \"conv2d.vector\": found 5, expected one of 1 2 4 8 16");
    TEST_FAILS(pp_profile_set(profile, "conv2d.colour", 5), PP_ERROR_INVALID_ARGUMENT,
               "has no \"conv2d.colour\"");
    pp_profile_destroy(profile);
    profile = load("pocl-cpu");
    for (size_t i = 0; i < pp_profile_tunable_count(profile); i++) {
        pp_tunable t;
        pp_profile_read_tunable(profile, i, &t);
        ck_assert_str_ne(t.key, "launch.group_x");
    }
    pp_profile_destroy(profile);
}
END_TEST

static void read_back(const char *file, char *text, size_t capacity) {
    FILE *stream = fopen(file, "r");
    ck_assert(stream != NULL);
    text[fread(text, 1, capacity - 1, stream)] = 0;
    fclose(stream);
}

START_TEST(saves_what_was_changed) {
    char file[128], text[1024];
    pp_profile *profile = load("mali");
    snprintf(file, sizeof file, "%s/a/b/saved.profile", test_scratch_folder());
    const pp_device_info device = {
        .type = PP_DEVICE_GPU, .name = "Mali-X (r1) #2|3", .platform = "ARM Platform"};
    TEST_OK(pp_profile_set(profile, "conv2d.tile", 3));
    TEST_OK(pp_profile_set(profile, "conv2d.block", 2));
    TEST_OK(pp_profile_set(profile, "conv2d.block", 4)); /* mali's own */
    TEST_OK(pp_profile_set(profile, "conv2d.band_bytes", 96 << 10));
    TEST_OK(pp__profile_tighten(profile, "memory.alignment_bytes", 4096, true));
    TEST_OK(pp_profile_save(profile, &device, "one\ntwo", file));
    read_back(file, text, sizeof text);
    ck_assert_str_eq(text,
                     "# one\n# two\nparent = mali\nmatch.platform = ARM Platform\n"
                     "match.device = Mali-X (r1) \nmatch.type = gpu\n\nconv2d.tile = 3\n"
                     "conv2d.band_bytes = 96K\n");
    pp_profile_destroy(profile);

    /* Again from the file: its own numbers stay its own. */
    profile = load(file);
    ck_assert_str_eq(pp_profile_name(profile), "saved");
    ck_assert_uint_eq(pp__profile_u32(profile, "conv2d.tile"), 3);
    ck_assert_uint_eq(pp__profile_u32(profile, "conv2d.vector"), 4);
    TEST_OK(pp_profile_set(profile, "conv2d.vector", 8));
    TEST_OK(pp_profile_save(profile, NULL, NULL, file));
    read_back(file, text, sizeof text);
    ck_assert_str_eq(
        text, "parent = mali\n\nconv2d.vector = 8\nconv2d.tile = 3\nconv2d.band_bytes = 96K\n");
    snprintf(file, sizeof file, "%s/own.profile/x.profile", test_scratch_folder());
    write_file("");
    TEST_FAILS(pp_profile_save(profile, NULL, NULL, file), PP_ERROR_IO, "x.profile: cannot write");
    pp_profile_destroy(profile);
}
END_TEST

static void write_named(const char *folder, const char *name, const char *text) {
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *stream = fopen(file, "w");
    ck_assert(stream != NULL && fputs(text, stream) >= 0);
    fclose(stream);
}

START_TEST(finds_the_users) {
    const pp_device_info device = {
        .type = PP_DEVICE_GPU, .name = "Mali-G31", .platform = "ARM", .native_vector_float = 4};
    char folder[128], *found, *own;
    snprintf(folder, sizeof folder, "%s/profiles", test_scratch_folder());
    setenv("POCKETPROP_CONFIG_DIR", test_scratch_folder(), 1);
    TEST_OK(pp_profile_folder(test_engine(), &own));
    ck_assert_str_eq(own, folder);
    pp_text_free(test_engine(), own);
    TEST_OK(pp_profile_find(test_engine(), &device, NULL, &found));
    ck_assert(found == NULL); /* no folder */
    ck_assert(mkdir(folder, 0700) == 0);
    write_named(folder, "a.profile", "conv2d.tile = 2\n");
    write_named(folder, "b.profile", "match.device = mali\nmatch.vector = 8\n");
    write_named(folder, "c.profile.tuning", "match.device = mali\n");
    TEST_OK(pp_profile_find(test_engine(), &device, NULL, &found));
    ck_assert(found == NULL); /* none that fits */
    write_named(folder, "e.profile", "match.device = mali\n");
    write_named(folder, "d.profile", "match.device = mali\nmatch.vector = 2|4\n");
    TEST_OK(pp_profile_find(test_engine(), &device, NULL, &found));
    ck_assert_msg(found && test_contains(found, "/d.profile"), "%s", found);
    pp_text_free(test_engine(), found);
    write_named(folder, "z.profile", "parent = mali\nmatch.device = mali\n");
    TEST_OK(pp_profile_find(test_engine(), &device, folder, &found));
    ck_assert_msg(found && test_contains(found, "/z.profile"), "%s", found);
    pp_text_free(test_engine(), found);
    unsetenv("POCKETPROP_CONFIG_DIR");
}
END_TEST

START_TEST(prints_defines) {
    pp_profile *profile = load(write_file("conv2d.tile = 3\nrelu.group_x = 32\n"));
    char text[512];
    size_t length = pp__profile_defines(profile, "conv2d", text, sizeof text);
    ck_assert_uint_eq(length, strlen(text));
    ck_assert(test_contains(text, " -DCONV2D_TILE=3") &&
              test_contains(text, " -DCONV2D_BAND_BYTES=1048576"));
    ck_assert(!test_contains(text, "COMMON"));
    char small[8];
    ck_assert_uint_eq(pp__profile_defines(profile, "conv2d", small, sizeof small), length);
    ck_assert_uint_eq(pp__profile_defines(profile, "conv2d", NULL, 0), length);
    ck_assert_uint_eq(pp__profile_defines(profile, "relu", text, sizeof text),
                      strlen(" -DRELU_GROUP_X=32"));
    ck_assert_str_eq(text, " -DRELU_GROUP_X=32");
    ck_assert_uint_eq(pp__profile_defines(profile, "conv", text, sizeof text), 0);
    pp_profile_destroy(profile);
}
END_TEST

START_TEST(reports_missing_keys) {
    pp_profile *profile = load("default");
    TEST_OK(pp__profile_status(profile));
    ck_assert_uint_eq(pp__profile_u32(profile, "conv2d.colour"), 1);
    ck_assert(pp__profile_status(profile) == PP_ERROR_INTERNAL);
    ck_assert(test_contains(pp_engine_error(test_engine()), "has no \"conv2d.colour\""));
    pp_profile_destroy(profile);
}
END_TEST

START_TEST(tightens) {
    pp_profile *profile = load("default");
    TEST_OK(pp__profile_tighten(profile, "memory.max_allocation_bytes", 1000,
                                false)); /* was 0: no limit */
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.max_allocation_bytes"), 1000);
    TEST_OK(pp__profile_tighten(profile, "memory.max_allocation_bytes", 2000, false));
    TEST_OK(pp__profile_tighten(profile, "memory.max_allocation_bytes", 0, false));
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.max_allocation_bytes"), 1000);
    TEST_OK(pp__profile_tighten(profile, "memory.alignment_bytes", 64, true));
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.alignment_bytes"), 128);
    TEST_OK(pp__profile_tighten(profile, "memory.alignment_bytes", 512, true));
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.alignment_bytes"), 512);
    TEST_FAILS(pp__profile_tighten(profile, "memory.colour", 1, false), PP_ERROR_INTERNAL,
               "memory.colour");
    pp_profile_destroy(profile);
}
END_TEST

START_TEST(obeys_limits) {
    setenv("POCKETPROP_LIMITS", " work_group=32 , max_allocation=1G,no_half", 1);
    pp_profile *profile = load("mali");
    ck_assert_uint_eq(pp__profile_u32(profile, "launch.max_work_group_size"), 32);
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.max_allocation_bytes"), 1 << 30);
    ck_assert_uint_eq(pp__profile_bytes(profile, "memory.alignment_bytes"), 128);
    ck_assert_uint_eq(pp__profile_bytes(profile, "launch.local_memory_bytes"), 0);
    pp_profile_destroy(profile);
    static const char *const bad[] = {"work_group", "work_group=0",     "work_group=x",
                                      "no_half=1",  "alignment=96",     "no_half,,",
                                      "fast",       "local_memory=8KB", "alignment=2M"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("POCKETPROP_LIMITS", bad[i], 1);
        TEST_FAILS(pp_profile_load(test_engine(), "mali", &profile), PP_ERROR_INVALID_ARGUMENT,
                   "is none of work_group=N, local_memory=BYTES");
    }
    unsetenv("POCKETPROP_LIMITS");
}
END_TEST

int main(void) {
    unsetenv("POCKETPROP_LIMITS");
    TCase *profile = tcase_create("profile");
    tcase_add_test(profile, inherits);
    tcase_add_loop_test(profile, loads_every_shipped_profile, 0, 9);
    tcase_add_test(profile, matches);
    tcase_add_test(profile, reads_a_file);
    tcase_add_test(profile, refuses_files);
    tcase_add_test(profile, tells_what_may_be_tried);
    tcase_add_test(profile, saves_what_was_changed);
    tcase_add_test(profile, finds_the_users);
    tcase_add_test(profile, prints_defines);
    tcase_add_test(profile, reports_missing_keys);
    tcase_add_test(profile, tightens);
    tcase_add_test(profile, obeys_limits);
    Suite *suite = suite_create("profile");
    suite_add_tcase(suite, profile);
    return test_run(suite);
}
