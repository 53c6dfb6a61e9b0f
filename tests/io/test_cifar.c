#include "io/cifar.h"

#include "io/make_files.h"

enum { RECORD = 1 + PP__CIFAR_IMAGE_BYTES, PLANE = 1024 };

static const pp__cifar_format one_label = {1, {10}}, two_labels = {2, {20, 100}};
static uint8_t records[2 * (RECORD + 1) + 1], pixels[2 * PP__CIFAR_IMAGE_BYTES], labels[2];

static void fill(void) {
    for (size_t i = 0; i < sizeof records; i++) records[i] = (uint8_t)test_random_below(256);
}

START_TEST(reads_and_interleaves) {
    fill();
    records[0] = 9;
    records[RECORD] = 0;
    const char *path = make_file("two.bin", records, 2 * RECORD);
    size_t count;
    TEST_OK(pp__cifar_count(test_engine(), path, &one_label, &count));
    ck_assert_uint_eq(count, 2);
    TEST_OK(pp__cifar_read(test_engine(), path, &one_label, 2, pixels, labels));
    ck_assert_uint_eq(labels[0], 9);
    ck_assert_uint_eq(labels[1], 0);
    for (size_t i = 0; i < 2; i++)
        for (size_t y = 0; y < 32; y++)
            for (size_t x = 0; x < 32; x++)
                for (size_t c = 0; c < 3; c++)
                    ck_assert_uint_eq(pixels[((i * 32 + y) * 32 + x) * 3 + c],
                                      records[i * RECORD + 1 + c * PLANE + y * 32 + x]);
}
END_TEST

START_TEST(reads_the_fine_label) {
    fill();
    records[0] = 19;
    records[1] = 99;
    const char *path = make_file("fine.bin", records, RECORD + 1);
    TEST_OK(pp__cifar_read(test_engine(), path, &two_labels, 1, pixels, labels));
    ck_assert_uint_eq(labels[0], 99);
    ck_assert_uint_eq(pixels[0], records[2]);
    records[0] = 20;
    path = make_file("coarse.bin", records, RECORD + 1);
    TEST_FAILS(pp__cifar_read(test_engine(), path, &two_labels, 1, pixels, labels),
               PP_ERROR_CORRUPT_DATA, "coarse.bin: record 0: label 20, expected 0 to 19");
}
END_TEST

START_TEST(refuses_wrong_sizes) {
    size_t count;
    const char *path = make_file("size.bin", records, 2 * RECORD + 1);
    TEST_FAILS(pp__cifar_count(test_engine(), path, &one_label, &count), PP_ERROR_CORRUPT_DATA,
               "size.bin: 6147 bytes, expected a multiple of the record's 3073");
    path = make_file("empty.bin", records, 0);
    TEST_FAILS(pp__cifar_count(test_engine(), path, &two_labels, &count), PP_ERROR_CORRUPT_DATA,
               "empty.bin: 0 bytes, expected a multiple of the record's 3074");
    TEST_FAILS(pp__cifar_count(test_engine(), make_path("no.bin"), &one_label, &count), PP_ERROR_IO,
               "no.bin: cannot open");
}
END_TEST

/* The file may change between counting and reading. */
START_TEST(refuses_other_counts) {
    fill();
    records[0] = records[RECORD] = 1;
    const char *path = make_file("other.bin", records, 2 * RECORD);
    TEST_FAILS(pp__cifar_read(test_engine(), path, &one_label, 1, pixels, labels),
               PP_ERROR_CORRUPT_DATA, "other.bin: bytes follow the 1 expected records");
    path = make_file("other.bin", records, RECORD + 7);
    TEST_FAILS(pp__cifar_read(test_engine(), path, &one_label, 2, pixels, labels),
               PP_ERROR_CORRUPT_DATA, "other.bin: truncated: record 1 has 7 bytes, expected 3073");
}
END_TEST

START_TEST(refuses_labels_out_of_range) {
    fill();
    records[0] = 9;
    records[RECORD] = 10;
    const char *path = make_file("label.bin", records, 2 * RECORD);
    TEST_FAILS(pp__cifar_read(test_engine(), path, &one_label, 2, pixels, labels),
               PP_ERROR_CORRUPT_DATA, "label.bin: record 1: label 10, expected 0 to 9");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cifar");
    TCase *tests = tcase_create("cifar");
    tcase_add_test(tests, reads_and_interleaves);
    tcase_add_test(tests, reads_the_fine_label);
    tcase_add_test(tests, refuses_wrong_sizes);
    tcase_add_test(tests, refuses_other_counts);
    tcase_add_test(tests, refuses_labels_out_of_range);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
