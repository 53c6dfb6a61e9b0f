/* What a file of tensors says of itself, and copies of it. */
#include <math.h>

#include <pocketprop/tensors.h>

#include "io/make_files.h"
#include "io/safetensors.h"
#include "support/support.h"

static const float values[] = {1, -3, 0.1f, NAN, INFINITY, 5};
static const int64_t numbers[] = {7, 8};

static const char *write_example(const char *name) {
    pp__safe_tensor tensors[] = {
        {.name = "net.w", .type = PP__SAFE_F32, .axis_count = 2, .extents = {2, 3}},
        {.name = "net.n", .type = PP__SAFE_I64, .axis_count = 1, .extents = {2}},
        {.name = "empty", .type = PP__SAFE_F32, .axis_count = 1, .extents = {0}},
    };
    const void *data[] = {values, numbers, NULL};
    const pp__safe_entry entries[] = {{"format", "pt"}, {"by", "a test"}};
    const char *path = make_path(name);
    TEST_OK(pp__safe_write(test_engine(), path, tensors, data, 3, entries, 2, false));
    return path;
}

static pp_tensors *open_file(const char *path) {
    pp_tensors *tensors = NULL;
    TEST_OK(pp_tensors_open(test_engine(), path, &tensors));
    return tensors;
}

static size_t find(const pp_tensors *tensors, const char *name) {
    for (size_t i = 0; i < pp_tensors_count(tensors); i++) {
        pp_tensor_info info;
        pp_tensors_describe(tensors, i, &info);
        if (!strcmp(info.name, name)) return i;
    }
    ck_abort_msg("no %s", name);
}

START_TEST(says_what_is_there) {
    pp_tensors *tensors = open_file(write_example("plain"));
    ck_assert_uint_eq(pp_tensors_count(tensors), 3);
    pp_tensor_info info;
    pp_tensors_describe(tensors, find(tensors, "net.w"), &info);
    ck_assert_str_eq(info.type, "F32");
    ck_assert_uint_eq(info.axis_count, 2);
    ck_assert_uint_eq(info.extents[1], 3);
    ck_assert_uint_eq(info.elem_count, 6);
    ck_assert_uint_eq(info.bytes, 24);
    pp_tensor_statistics s;
    TEST_OK(pp_tensors_measure(tensors, find(tensors, "net.w"), &s));
    const double mean = (1.0 - 3 + (double)0.1f + 5) / 4;
    ck_assert(s.least == -3 && s.most == 5 && fabs(s.mean - mean) < 1e-12);
    double squares = 0;
    for (size_t i = 0; i < 6; i++)
        if (isfinite(values[i])) squares += pow((double)values[i] - mean, 2);
    ck_assert_double_le(fabs(s.deviation - sqrt(squares / 4)), 1e-12);
    ck_assert_uint_eq(s.nan_count, 1);
    ck_assert_uint_eq(s.infinite_count, 1);
    TEST_OK(pp_tensors_measure(tensors, find(tensors, "empty"), &s));
    ck_assert(isnan(s.mean) && isnan(s.least));
    TEST_FAILS(pp_tensors_measure(tensors, find(tensors, "net.n"), &s), PP_ERROR_UNSUPPORTED,
               "'net.n' holds I64");
    const char *key;
    ck_assert_str_eq(pp_tensors_note(tensors, 1, &key), "a test");
    ck_assert_str_eq(key, "by");
    ck_assert_ptr_null(pp_tensors_note(tensors, 2, &key));
    pp_tensors_close(tensors);
}
END_TEST

START_TEST(copies_under_other_names) {
    static const pp_rename rules[] = {{"net.*", "*"}, {"empty", "nothing"}};
    static const struct {
        pp_tensor_floats floats;
        const char *type;
        size_t bytes;
    } cases[] = {{PP_FLOATS_KEEP, "F32", 24}, {PP_FLOATS_16, "F16", 12}, {PP_FLOATS_32, "F32", 24}};
    const char *path = write_example("copied");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_tensors *tensors = open_file(path);
        const pp_tensors_copy_options options = {rules, i ? 0 : 2, cases[i].floats};
        /* Over the file itself. */
        TEST_OK(pp_tensors_copy(tensors, path, &options));
        pp_tensors_close(tensors);
        tensors = open_file(path);
        pp_tensor_info info;
        pp_tensors_describe(tensors, find(tensors, "w"), &info);
        ck_assert_str_eq(info.type, cases[i].type);
        ck_assert_uint_eq(info.bytes, cases[i].bytes);
        pp_tensors_describe(tensors, find(tensors, "n"), &info);
        ck_assert_str_eq(info.type, "I64");
        find(tensors, "nothing");
        pp_tensor_statistics s;
        TEST_OK(pp_tensors_measure(tensors, find(tensors, "w"), &s));
        ck_assert(s.least == -3 && s.most == 5 && s.nan_count == 1 && s.infinite_count == 1);
        const char *key;
        ck_assert_str_eq(pp_tensors_note(tensors, 0, &key), "pt");
        pp_tensors_close(tensors);
    }
}
END_TEST

START_TEST(a_copy_has_a_checksum_of_its_own) {
    pp__safe_tensor tensor = {.name = "w", .type = PP__SAFE_F32, .axis_count = 1, .extents = {6}};
    const void *data[] = {values};
    const pp__safe_entry entry = {"by", "a test"};
    const char *path = make_path("sealed");
    TEST_OK(pp__safe_write(test_engine(), path, &tensor, data, 1, &entry, 1, true));
    pp_tensors *tensors = open_file(path);
    TEST_OK(pp_tensors_copy(tensors, path, &(pp_tensors_copy_options){.floats = PP_FLOATS_16}));
    pp_tensors_close(tensors);
    pp__safe_file *file;
    TEST_OK(pp__safe_open(test_engine(), path, &file));
    TEST_OK(pp__safe_check_seal(file));
    ck_assert_uint_eq(file->entry_count, 2);
    ck_assert_str_eq(pp__safe_metadata(file, "by"), "a test");
    pp__safe_close(file);
}
END_TEST

START_TEST(one_name_twice_is_refused) {
    static const pp_rename rules[] = {{"net.*", "same"}};
    const char *path = write_example("twice");
    pp_tensors *tensors = open_file(path);
    TEST_FAILS(pp_tensors_copy(tensors, make_path("out"),
                               &(pp_tensors_copy_options){.renames = rules, .rename_count = 1}),
               PP_ERROR_INVALID_ARGUMENT, "'net.w' and 'net.n' would both be called 'same'");
    FILE *file = fopen(make_path("out"), "rb");
    ck_assert(file == NULL);
    pp_tensors_close(tensors);
    TEST_FAILS(pp_tensors_open(test_engine(), make_path("nowhere"), &tensors), PP_ERROR_IO,
               "nowhere");
    ck_assert_ptr_null(tensors);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store/tensors");
    TCase *test = tcase_create("host");
    tcase_add_test(test, says_what_is_there);
    tcase_add_test(test, copies_under_other_names);
    tcase_add_test(test, a_copy_has_a_checksum_of_its_own);
    tcase_add_test(test, one_name_twice_is_refused);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
