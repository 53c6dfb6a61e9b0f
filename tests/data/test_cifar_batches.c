#include "data/batches.h"
#include "io/cifar.h"
#include "io/make_files.h"

static char log_text[512];

static void keep_log(void *user, pp_log_level level, const char *line) {
    (void)user;
    (void)level;
    snprintf(log_text, sizeof log_text, "%s", line);
}

static const char *specify(const char *format, const char *folder) {
    static char specification[1100];
    snprintf(specification, sizeof specification, "%s:%s", format, folder);
    return specification;
}

/* `count` records, all of one byte value, with the labels first, first + 1, ... */
static void make_batch(const char *name, uint32_t label_count, uint8_t first, uint8_t value,
                       size_t count) {
    size_t record = label_count + PP__CIFAR_IMAGE_BYTES;
    uint8_t *bytes = malloc(record * count);
    ck_assert(bytes != NULL);
    memset(bytes, value, record * count);
    for (size_t i = 0; i < count; i++) {
        bytes[i * record] = 0;
        bytes[i * record + label_count - 1] = (uint8_t)(first + i);
    }
    make_file(name, bytes, record * count);
    free(bytes);
}

START_TEST(uses_the_batches_that_are_there) {
    const char *folder = make_folder("some");
    make_batch("some/data_batch_2.bin", 1, 3, 51, 2);
    make_batch("some/data_batch_5.bin", 1, 7, 255, 3);
    pp_engine *engine;
    ck_assert(pp_engine_create(&(pp_engine_options){.log = keep_log}, &engine) == PP_OK);
    pp_dataset *dataset;
    ck_assert(pp_dataset_open(engine, specify("cifar10", folder), PP_SPLIT_TRAIN, NULL, &dataset) ==
              PP_OK);
    char expected[1200];
    snprintf(expected, sizeof expected,
             "cifar10: 2 of 5 training batches present in %s: data_batch_2.bin, data_batch_5.bin",
             folder);
    ck_assert_str_eq(log_text, expected);
    pp_dataset_info info;
    pp_dataset_describe(dataset, &info);
    ck_assert(info.count == 5 && info.height == 32 && info.width == 32 && info.channels == 3 &&
              info.classes == 10);
    ck_assert_str_eq(pp_dataset_class_name(dataset, 0), "airplane");
    ck_assert_str_eq(pp_dataset_class_name(dataset, 9), "truck");
    pp_loader_options options = {
        .batch = 4, .mean = batch_plain_mean, .deviation = batch_plain_deviation};
    epoch e = epoch_read_with(dataset, &options, 0);
    static const int32_t labels[5] = {3, 4, 7, 8, 9};
    ck_assert_mem_eq(e.labels, labels, sizeof labels);
    for (size_t i = 0; i < 5 * e.sample_elems; i++)
        ck_assert_float_eq(e.inputs[i], i < 2 * e.sample_elems ? 0.2f : 1.0f);
    epoch_free(&e);
    pp_dataset_close(dataset);
    pp_engine_destroy(engine);
}
END_TEST

START_TEST(refuses_none) {
    const char *folder = make_folder("none");
    pp_dataset *dataset;
    TEST_FAILS(
        pp_dataset_open(test_engine(), specify("cifar10", folder), PP_SPLIT_TRAIN, NULL, &dataset),
        PP_ERROR_IO, "none: none of data_batch_1.bin to data_batch_5.bin is there");
    TEST_FAILS(
        pp_dataset_open(test_engine(), specify("cifar10", folder), PP_SPLIT_TEST, NULL, &dataset),
        PP_ERROR_IO, "none: no test_batch.bin is there");
    TEST_FAILS(
        pp_dataset_open(test_engine(), specify("cifar100", folder), PP_SPLIT_TRAIN, NULL, &dataset),
        PP_ERROR_IO, "none: no train.bin is there");
}
END_TEST

START_TEST(reads_fine_labels) {
    const char *folder = make_folder("hundred");
    make_batch("hundred/test.bin", 2, 97, 0, 3);
    pp_dataset *dataset;
    TEST_OK(
        pp_dataset_open(test_engine(), specify("cifar100", folder), PP_SPLIT_TEST, NULL, &dataset));
    pp_dataset_info info;
    pp_dataset_describe(dataset, &info);
    ck_assert_uint_eq(info.classes, 100);
    ck_assert_str_eq(pp_dataset_class_name(dataset, 0), "");
    epoch e = epoch_read_with(dataset, &(pp_loader_options){.batch = 1}, 0);
    static const int32_t labels[3] = {97, 98, 99};
    ck_assert_mem_eq(e.labels, labels, sizeof labels);
    epoch_free(&e);
    pp_dataset_close(dataset);
}
END_TEST

START_TEST(refuses_broken_batches) {
    const char *folder = make_folder("broken");
    pp_dataset *dataset;
    make_batch("broken/data_batch_1.bin", 1, 0, 0, 3);
    make_batch("broken/data_batch_3.bin", 1, 8, 0, 3);
    TEST_FAILS(
        pp_dataset_open(test_engine(), specify("cifar10", folder), PP_SPLIT_TRAIN, NULL, &dataset),
        PP_ERROR_CORRUPT_DATA, "data_batch_3.bin: record 2: label 10, expected 0 to 9");
    make_file("broken/data_batch_3.bin", "x", 1);
    TEST_FAILS(
        pp_dataset_open(test_engine(), specify("cifar10", folder), PP_SPLIT_TRAIN, NULL, &dataset),
        PP_ERROR_CORRUPT_DATA, "data_batch_3.bin: 1 bytes, expected a multiple of");
}
END_TEST

START_TEST(reads_the_real_files) {
    const char *folder = test_data_folder("cifar10");
    if (!folder) return;
    for (int s = 0; s < 2; s++) {
        pp_dataset *dataset;
        TEST_OK(pp_dataset_open(test_engine(), specify("cifar10", folder),
                                s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN, NULL, &dataset));
        pp_dataset_info info;
        pp_dataset_describe(dataset, &info);
        ck_assert(info.count >= 10000 && info.count % 10000 == 0);
        epoch e = epoch_read_with(dataset, &(pp_loader_options){.batch = 500, .threads = 1}, 0);
        double sums[3] = {0}, squares[3] = {0}, count = (double)(e.count * 1024);
        for (size_t i = 0; i < e.count * e.sample_elems; i++) {
            sums[i % 3] += (double)e.inputs[i];
            squares[i % 3] += (double)e.inputs[i] * (double)e.inputs[i];
        }
        for (int c = 0; c < 3; c++) {
            ck_assert_double_eq_tol(sums[c] / count, 0.0, 0.05);
            ck_assert_double_eq_tol(squares[c] / count, 1.0, 0.05);
        }
        epoch_free(&e);
        pp_dataset_close(dataset);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cifar_batches");
    TCase *tests = tcase_create("cifar_batches");
    tcase_add_test(tests, uses_the_batches_that_are_there);
    tcase_add_test(tests, refuses_none);
    tcase_add_test(tests, reads_fine_labels);
    tcase_add_test(tests, refuses_broken_batches);
    tcase_add_test(tests, reads_the_real_files);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
