#include "data/batches.h"

static void check_fails(const char *specification, const pp_dataset_options *options,
                        pp_status status, const char *part) {
    pp_dataset *dataset = (pp_dataset *)&status;
    TEST_FAILS(pp_dataset_open(test_engine(), specification, PP_SPLIT_TRAIN, options, &dataset),
               status, part);
    ck_assert_ptr_null(dataset);
}

START_TEST(refuses_unknown_specifications) {
    check_fails(
        "mnits:/data", NULL, PP_ERROR_INVALID_ARGUMENT,
        "data set \"mnits:/data\": unknown, expected one of digits, mnist:DIR, cifar10:DIR, "
        "cifar100:DIR, images:DIR");
    check_fails("", NULL, PP_ERROR_INVALID_ARGUMENT, "data set \"\": unknown");
    check_fails("cifar", NULL, PP_ERROR_INVALID_ARGUMENT, "data set \"cifar\": unknown");
    check_fails("digit", NULL, PP_ERROR_INVALID_ARGUMENT, "data set \"digit\": unknown");
    check_fails(NULL, NULL, PP_ERROR_INVALID_ARGUMENT, "no specification");
}
END_TEST

START_TEST(refuses_misplaced_folders) {
    check_fails("mnist", NULL, PP_ERROR_INVALID_ARGUMENT,
                "data set \"mnist\": no folder is named, expected mnist:DIR");
    check_fails("images:", NULL, PP_ERROR_INVALID_ARGUMENT,
                "no folder is named, expected images:DIR");
    check_fails("digits:/data", NULL, PP_ERROR_INVALID_ARGUMENT,
                "digits is built in and takes no folder");
}
END_TEST

START_TEST(refuses_wrong_sizes) {
    check_fails("images:/data", &(pp_dataset_options){.height = 16385}, PP_ERROR_INVALID_ARGUMENT,
                "samples of 16385 x 224, expected sides of at most 16384");
    check_fails("images:/data", &(pp_dataset_options){.height = 100, .width = 80, .resize = 99},
                PP_ERROR_INVALID_ARGUMENT,
                "resize is 99, expected 100 to 32768 for samples of 100 x 80");
}
END_TEST

START_TEST(limits_the_samples) {
    pp_dataset *dataset;
    pp_dataset_info info;
    TEST_OK(pp_dataset_open(test_engine(), "digits", PP_SPLIT_TEST,
                            &(pp_dataset_options){.limit = 7}, &dataset));
    pp_dataset_describe(dataset, &info);
    ck_assert_uint_eq(info.count, 7);
    pp_dataset_close(dataset);
    TEST_OK(pp_dataset_open(test_engine(), "digits", PP_SPLIT_TEST,
                            &(pp_dataset_options){.limit = 361}, &dataset));
    pp_dataset_describe(dataset, &info);
    ck_assert_uint_eq(info.count, 360);
    pp_dataset_close(dataset);
    pp_dataset_close(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dataset");
    TCase *tests = tcase_create("dataset");
    tcase_add_test(tests, refuses_unknown_specifications);
    tcase_add_test(tests, refuses_misplaced_folders);
    tcase_add_test(tests, refuses_wrong_sizes);
    tcase_add_test(tests, limits_the_samples);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
