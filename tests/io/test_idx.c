#include "io/idx.h"

#include "io/make_files.h"

static const uint32_t extents[3] = {2, 3, 4};
static uint8_t elems[24];

static void check_read(const char *path) {
    pp__idx idx;
    TEST_OK(pp__idx_read(test_engine(), path, 3, &idx));
    ck_assert_uint_eq(idx.axis_count, 3);
    ck_assert_mem_eq(idx.extents, extents, sizeof extents);
    ck_assert_uint_eq(idx.elem_count, 24);
    ck_assert_mem_eq(idx.bytes, elems, sizeof elems);
    pp__idx_release(test_engine(), &idx);
    ck_assert_ptr_null(idx.bytes);
}

static void check_fails(const char *path, uint32_t axis_count, pp_status status, const char *part) {
    pp__idx idx;
    TEST_FAILS(pp__idx_read(test_engine(), path, axis_count, &idx), status, part);
    ck_assert_msg(test_contains(pp_engine_error(test_engine()), path), "no path in \"%s\"",
                  pp_engine_error(test_engine()));
    ck_assert_ptr_null(idx.bytes);
}

START_TEST(reads_plain_and_gzip) {
    size_t count;
    for (size_t i = 0; i < sizeof elems; i++) elems[i] = (uint8_t)(i * 11);
    uint8_t *bytes = make_idx(3, extents, elems, sizeof elems, &count);
    check_read(make_file("whole", bytes, count));
    check_read(make_gzip("whole.gz", bytes, count));
    free(bytes);
}
END_TEST

START_TEST(refuses_a_wrong_magic) {
    size_t count;
    uint8_t *bytes = make_idx(3, extents, elems, sizeof elems, &count);
    const char *path = make_file("images", bytes, count);
    check_fails(path, 1, PP_ERROR_CORRUPT_DATA, "magic is 0x00000803, expected 0x00000801");
    bytes[2] = 0x0D;
    path = make_file("floats", bytes, count);
    check_fails(path, 3, PP_ERROR_CORRUPT_DATA, "magic is 0x00000D03, expected 0x00000803");
    free(bytes);
}
END_TEST

START_TEST(refuses_every_truncation) {
    size_t count;
    uint8_t *bytes = make_idx(3, extents, elems, sizeof elems, &count);
    for (size_t length = 0; length < count; length++)
        check_fails(make_file("cut", bytes, length), 3, PP_ERROR_CORRUPT_DATA, "");
    check_fails(make_file("cut", bytes, 10), 3, PP_ERROR_CORRUPT_DATA,
                "10 bytes, expected an IDX header of 16");
    check_fails(make_file("cut", bytes, count - 5), 3, PP_ERROR_CORRUPT_DATA,
                "truncated: 19 elements, the header promises 24");
    check_fails(make_gzip("cut.gz", bytes, count - 5), 3, PP_ERROR_CORRUPT_DATA,
                "truncated: 19 elements, the header promises 24");
    free(bytes);
}
END_TEST

START_TEST(refuses_trailing_bytes) {
    size_t count;
    uint8_t more[25] = {0};
    uint8_t *bytes = make_idx(3, extents, more, sizeof more, &count);
    check_fails(make_file("long", bytes, count), 3, PP_ERROR_CORRUPT_DATA,
                "bytes follow the 24 elements");
    check_fails(make_gzip("long.gz", bytes, count), 3, PP_ERROR_CORRUPT_DATA,
                "bytes follow the 24 elements");
    free(bytes);
}
END_TEST

START_TEST(refuses_broken_gzip) {
    size_t count, zipped_count;
    uint8_t *bytes = make_idx(3, extents, elems, sizeof elems, &count);
    uint8_t *zipped = make_copy(make_gzip("good.gz", bytes, count), &zipped_count);
    /* The last eight bytes are checksum and length; losing them loses no element. */
    for (size_t length = 18; length < zipped_count; length++)
        check_fails(make_file("cut.gz", zipped, length), 3, PP_ERROR_CORRUPT_DATA, "");
    zipped[zipped_count - 8] ^= 1;
    check_fails(make_file("sum.gz", zipped, zipped_count), 3, PP_ERROR_CORRUPT_DATA,
                "broken gzip stream");
    free(zipped);
    free(bytes);
}
END_TEST

START_TEST(bounds_memory_by_the_file) {
    size_t count;
    uint32_t huge[3] = {60000, 28000, 28000}, wraps[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    uint32_t none[3] = {2, 0, 4};
    uint8_t *bytes = make_idx(3, huge, elems, 4, &count);
    check_fails(make_file("huge", bytes, count), 3, PP_ERROR_CORRUPT_DATA,
                "more elements than a file of 20 bytes can hold");
    free(bytes);
    /* Within reach of a gzip stream, not of a plain file. */
    bytes = make_idx(3, (uint32_t[3]){4, 30, 30}, elems, 4, &count);
    check_fails(make_file("plain", bytes, count), 3, PP_ERROR_CORRUPT_DATA,
                "more elements than a file of 20 bytes can hold");
    check_fails(make_gzip("plain.gz", bytes, count), 3, PP_ERROR_CORRUPT_DATA,
                "truncated: 4 elements");
    free(bytes);
    bytes = make_idx(3, wraps, elems, 4, &count);
    check_fails(make_file("wraps", bytes, count), 3, PP_ERROR_CORRUPT_DATA, "more elements than");
    free(bytes);
    bytes = make_idx(3, none, elems, 0, &count);
    check_fails(make_file("none", bytes, count), 3, PP_ERROR_CORRUPT_DATA, "extent 1 is 0");
    free(bytes);
}
END_TEST

START_TEST(names_missing_files) {
    check_fails(make_path("missing"), 3, PP_ERROR_IO, "cannot open: No such file");
    check_fails(test_scratch_folder(), 3, PP_ERROR_IO, "not a regular file");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("idx");
    TCase *tests = tcase_create("idx");
    tcase_add_test(tests, reads_plain_and_gzip);
    tcase_add_test(tests, refuses_a_wrong_magic);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_test(tests, refuses_trailing_bytes);
    tcase_add_test(tests, refuses_broken_gzip);
    tcase_add_test(tests, bounds_memory_by_the_file);
    tcase_add_test(tests, names_missing_files);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
