#include "data/batches.h"
#include "io/make_files.h"

enum { COUNT = 5, HEIGHT = 4, WIDTH = 3, PIXELS = HEIGHT * WIDTH };

static uint8_t pixels[COUNT * PIXELS], labels[COUNT];

/* Writes both files of a split into a fresh folder and returns the specification. */
static const char *make_mnist(const char *name, const char *prefix, bool zipped,
                              uint32_t label_count) {
    static char specification[1100];
    const char *folder = make_folder(name);
    snprintf(specification, sizeof specification, "mnist:%s", folder);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)test_random_below(256);
    const char *(*write)(const char *, const void *, size_t) = zipped ? make_gzip : make_file;
    const char *suffix = zipped ? ".gz" : "";
    char file[128];
    size_t count;
    uint8_t *bytes =
        make_idx(3, (uint32_t[3]){COUNT, HEIGHT, WIDTH}, pixels, sizeof pixels, &count);
    snprintf(file, sizeof file, "%s/%s-images-idx3-ubyte%s", name, prefix, suffix);
    write(file, bytes, count);
    free(bytes);
    bytes = make_idx(1, &label_count, labels, label_count, &count);
    snprintf(file, sizeof file, "%s/%s-labels-idx1-ubyte%s", name, prefix, suffix);
    write(file, bytes, count);
    free(bytes);
    return specification;
}

static void check_content(pp_dataset *dataset, size_t count) {
    pp_dataset_info info;
    pp_dataset_describe(dataset, &info);
    ck_assert_uint_eq(info.count, count);
    ck_assert(info.height == HEIGHT && info.width == WIDTH && info.channels == 1 &&
              info.classes == 10);
    pp_loader_options options = {.batch = 2};
    epoch e = epoch_read_with(dataset, &options, 0);
    ck_assert_uint_eq(e.count, count);
    for (size_t i = 0; i < count * PIXELS; i++) {
        float expected = ((float)pixels[i] / 255.0f - 0.1307f) / 0.3081f;
        ck_assert_float_eq_tol(e.inputs[i], expected, 2e-6f);
    }
    for (size_t i = 0; i < count; i++) ck_assert_int_eq(e.labels[i], labels[i]);
    epoch_free(&e);
}

START_TEST(reads_plain_and_gzip) {
    memcpy(labels, (uint8_t[COUNT]){9, 0, 3, 3, 7}, COUNT);
    pp_dataset *dataset;
    const char *specification = make_mnist("plain", "train", false, COUNT);
    TEST_OK(pp_dataset_open(test_engine(), specification, PP_SPLIT_TRAIN, NULL, &dataset));
    check_content(dataset, COUNT);
    pp_dataset_close(dataset);
    TEST_FAILS(pp_dataset_open(test_engine(), specification, PP_SPLIT_TEST, NULL, &dataset),
               PP_ERROR_IO,
               "neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz is there");
    specification = make_mnist("zipped", "t10k", true, COUNT);
    TEST_OK(pp_dataset_open(test_engine(), specification, PP_SPLIT_TEST,
                            &(pp_dataset_options){.limit = 3}, &dataset));
    check_content(dataset, 3);
    pp_dataset_close(dataset);
}
END_TEST

START_TEST(refuses_unequal_counts) {
    pp_dataset *dataset;
    const char *specification = make_mnist("unequal", "train", false, COUNT - 1);
    TEST_FAILS(pp_dataset_open(test_engine(), specification, PP_SPLIT_TRAIN, NULL, &dataset),
               PP_ERROR_CORRUPT_DATA,
               "train-labels-idx1-ubyte: 4 labels, expected 5 as there are images in ");
    ck_assert_ptr_null(dataset);
}
END_TEST

START_TEST(refuses_labels_out_of_range) {
    pp_dataset *dataset;
    labels[3] = 10;
    const char *specification = make_mnist("label", "train", false, COUNT);
    TEST_FAILS(pp_dataset_open(test_engine(), specification, PP_SPLIT_TRAIN, NULL, &dataset),
               PP_ERROR_CORRUPT_DATA, "train-labels-idx1-ubyte: label 3 is 10, expected 0 to 9");
}
END_TEST

START_TEST(refuses_a_missing_folder) {
    pp_dataset *dataset;
    TEST_FAILS(
        pp_dataset_open(test_engine(), "mnist:/no/such/folder", PP_SPLIT_TRAIN, NULL, &dataset),
        PP_ERROR_IO, "/no/such/folder: neither train-images-idx3-ubyte nor");
}
END_TEST

START_TEST(reads_the_real_files) {
    const char *folder = test_data_folder("mnist");
    if (!folder) return;
    char specification[1100];
    snprintf(specification, sizeof specification, "mnist:%s", folder);
    for (int s = 0; s < 2; s++) {
        pp_dataset *dataset;
        TEST_OK(pp_dataset_open(test_engine(), specification, s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN,
                                NULL, &dataset));
        pp_dataset_info info;
        pp_dataset_describe(dataset, &info);
        ck_assert_uint_eq(info.count, s ? 10000 : 60000);
        ck_assert(info.height == 28 && info.width == 28);
        pp_loader_options options = {.batch = 1000, .threads = 1};
        epoch e = epoch_read_with(dataset, &options, 0);
        double sum = 0, squares = 0, count = (double)(e.count * e.sample_elems);
        for (size_t i = 0; i < e.count * e.sample_elems; i++) {
            sum += (double)e.inputs[i];
            squares += (double)e.inputs[i] * (double)e.inputs[i];
        }
        /* The usual normalisation is the training split's, to four decimals. */
        ck_assert_double_lt(sum / count * (sum / count), 1e-3);
        ck_assert_double_eq_tol(squares / count, 1.0, s ? 0.02 : 1e-3);
        epoch_free(&e);
        pp_dataset_close(dataset);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mnist");
    TCase *tests = tcase_create("mnist");
    tcase_add_test(tests, reads_plain_and_gzip);
    tcase_add_test(tests, refuses_unequal_counts);
    tcase_add_test(tests, refuses_labels_out_of_range);
    tcase_add_test(tests, refuses_a_missing_folder);
    tcase_add_test(tests, reads_the_real_files);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
