#include <math.h>
#include <stdio.h>
#include <zlib.h>

#include "data/batches.h"

static pp_dataset *split[2];
static epoch samples[2]; /* pixels in [0, 1], in order */

static void open_both(void) {
    for (int s = 0; s < 2; s++) {
        TEST_OK(pp_dataset_open(test_engine(), "digits", s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN, NULL,
                                &split[s]));
        pp_loader_options options = {
            .batch = 100, .mean = batch_plain_mean, .deviation = batch_plain_deviation};
        samples[s] = epoch_read_with(split[s], &options, 0);
    }
}

static void close_both(void) {
    for (int s = 0; s < 2; s++) {
        epoch_free(&samples[s]);
        pp_dataset_close(split[s]);
    }
}

START_TEST(describes_itself) {
    for (int s = 0; s < 2; s++) {
        pp_dataset_info info;
        pp_dataset_describe(split[s], &info);
        ck_assert_uint_eq(info.count, s ? 360 : 1437);
        ck_assert(info.height == 8 && info.width == 8 && info.channels == 1 && info.classes == 10);
        ck_assert_uint_eq(info.pixel_max, 16);
    }
    ck_assert_str_eq(pp_dataset_class_name(split[0], 7), "7");
    ck_assert_str_eq(pp_dataset_class_name(split[0], 10), "");
}
END_TEST

START_TEST(has_the_stated_normalisation) {
    double sum = 0, squares = 0;
    size_t count = samples[0].count * 64;
    for (size_t i = 0; i < count; i++) sum += (double)samples[0].inputs[i];
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) {
        double away = (double)samples[0].inputs[i] - mean;
        squares += away * away;
    }
    pp_dataset_info info;
    pp_dataset_describe(split[0], &info);
    /* Six decimals are written down. */
    ck_assert_double_lt(fabs((double)info.mean[0] - mean), 1e-6);
    ck_assert_double_lt(fabs((double)info.deviation[0] - sqrt(squares / (double)count)), 1e-6);
}
END_TEST

/* The first digit of the set, a zero, as its source prints it. */
START_TEST(begins_with_a_zero) {
    static const int zero[64] = {0, 0, 5,  13, 9,  1,  0, 0, 0, 0, 13, 15, 10, 15, 5, 0,
                                 0, 3, 15, 2,  0,  11, 8, 0, 0, 4, 12, 0,  0,  8,  8, 0,
                                 0, 5, 8,  0,  0,  9,  8, 0, 0, 4, 11, 0,  1,  12, 7, 0,
                                 0, 2, 14, 5,  10, 12, 0, 0, 0, 0, 6,  13, 10, 0,  0, 0};
    for (size_t i = 0; i < 64; i++)
        ck_assert_float_eq(samples[1].inputs[i], (float)zero[i] / 16.0f);
    ck_assert_int_eq(samples[1].labels[0], 0);
    int counts[10] = {0};
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < samples[s].count; i++) counts[samples[s].labels[i]]++;
    /* As published with the set. */
    static const int published[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    for (int label = 0; label < 10; label++) ck_assert_int_eq(counts[label], published[label]);
}
END_TEST

START_TEST(equals_its_source) {
    const char *folder = test_data_folder("digits");
    if (!folder) return;
    char path[1100], line[512];
    snprintf(path, sizeof path, "%s/digits.csv.gz", folder);
    gzFile file = gzopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    for (size_t row = 0; row < 1797; row++) {
        int s = row % 5 == 0;
        size_t i = s ? row / 5 : row - row / 5 - 1;
        ck_assert(gzgets(file, line, sizeof line) != NULL);
        char *at = line;
        for (size_t p = 0; p < 64; p++, at++)
            ck_assert_float_eq(samples[s].inputs[i * 64 + p], (float)strtol(at, &at, 10) / 16.0f);
        ck_assert_int_eq(samples[s].labels[i], (int32_t)strtol(at, &at, 10));
    }
    ck_assert(gzgets(file, line, sizeof line) == NULL);
    gzclose(file);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("digits");
    TCase *tests = tcase_create("digits");
    tcase_add_checked_fixture(tests, open_both, close_both);
    tcase_add_test(tests, describes_itself);
    tcase_add_test(tests, has_the_stated_normalisation);
    tcase_add_test(tests, begins_with_a_zero);
    tcase_add_test(tests, equals_its_source);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
