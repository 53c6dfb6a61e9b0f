#include "data/batches.h"
#include "io/make_files.h"

enum { SIDE = 6, PIXELS = SIDE * SIDE };

static uint8_t picture[64 * 64 * 3];

static void make_flat(const char *name, uint32_t height, uint32_t width, uint8_t value) {
    memset(picture, value, sizeof picture);
    make_png(name, height, width, PNG_FORMAT_RGB, picture);
}

static const char *specify(const char *folder) {
    static char specification[1100];
    snprintf(specification, sizeof specification, "images:%s", folder);
    return specification;
}

static const pp_dataset_options small = {.height = SIDE, .width = SIDE};

static epoch read_all(pp_dataset *dataset, uint64_t number) {
    pp_loader_options options = {
        .batch = 3, .mean = batch_plain_mean, .deviation = batch_plain_deviation};
    return epoch_read_with(dataset, &options, number);
}

static void check_refused(const char *folder, pp_split split, pp_status status, const char *part) {
    pp_dataset *dataset;
    TEST_FAILS(pp_dataset_open(test_engine(), specify(folder), split, &small, &dataset), status,
               part);
    ck_assert_ptr_null(dataset);
}

START_TEST(orders_classes_and_files) {
    const char *folder = make_folder("order");
    make_folder("order/dog");
    make_folder("order/cat");
    make_folder("order/.hidden");
    make_file("order/readme.txt", "x", 1);
    make_file("order/cat/notes.txt", "x", 1);
    make_flat("order/dog/b.png", SIDE, SIDE, 102);
    make_flat("order/dog/a.PNG", SIDE, SIDE, 51);
    make_flat("order/cat/10.png", SIDE, SIDE, 153);
    make_flat("order/cat/9.png", SIDE, SIDE, 204);
    make_flat("order/dog/c.png", SIDE, SIDE, 255);
    pp_dataset *dataset;
    TEST_OK(pp_dataset_open(test_engine(), specify(folder), PP_SPLIT_TRAIN, &small, &dataset));
    pp_dataset_info info;
    pp_dataset_describe(dataset, &info);
    ck_assert(info.count == 5 && info.height == SIDE && info.width == SIDE && info.channels == 3 &&
              info.classes == 2);
    ck_assert_str_eq(pp_dataset_class_name(dataset, 0), "cat");
    ck_assert_str_eq(pp_dataset_class_name(dataset, 1), "dog");
    ck_assert_str_eq(pp_dataset_class_name(dataset, 2), "");
    epoch e = read_all(dataset, 0);
    static const int32_t labels[5] = {0, 1, 0, 1, 1};
    static const float values[5] = {0.6f, 0.2f, 0.8f, 0.4f, 1.0f};
    ck_assert_mem_eq(e.labels, labels, sizeof labels);
    for (size_t i = 0; i < 5 * e.sample_elems; i++)
        ck_assert_float_eq(e.inputs[i], values[i / e.sample_elems]);
    epoch_free(&e);
    pp_dataset_close(dataset);
}
END_TEST

START_TEST(uses_train_and_test) {
    const char *folder = make_folder("split");
    make_folder("split/train");
    make_folder("split/train/a");
    make_flat("split/train/a/1.png", SIDE, SIDE, 0);
    make_flat("split/train/a/2.png", SIDE, SIDE, 0);
    check_refused(folder, PP_SPLIT_TEST, PP_ERROR_IO, "split/test: not a folder, although ");
    make_folder("split/test");
    make_folder("split/test/a");
    make_flat("split/test/a/1.png", SIDE, SIDE, 0);
    pp_dataset *dataset;
    for (int s = 0; s < 2; s++) {
        TEST_OK(pp_dataset_open(test_engine(), specify(folder), s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN,
                                &small, &dataset));
        pp_dataset_info info;
        pp_dataset_describe(dataset, &info);
        ck_assert_uint_eq(info.count, s ? 1 : 2);
        ck_assert_uint_eq(info.classes, 1);
        pp_dataset_close(dataset);
    }
    make_folder("split/test/b");
    make_flat("split/test/b/1.png", SIDE, SIDE, 0);
    check_refused(folder, PP_SPLIT_TEST, PP_ERROR_CORRUPT_DATA,
                  "split/test: 2 class folders, expected 1 as");
    make_folder("split/train/c");
    make_flat("split/train/c/1.png", SIDE, SIDE, 0);
    check_refused(folder, PP_SPLIT_TEST, PP_ERROR_CORRUPT_DATA,
                  "split/test: class folder 1 is \"b\", expected \"c\" as in ");
}
END_TEST

START_TEST(refuses_empty_folders) {
    const char *folder = make_folder("empty");
    check_refused(folder, PP_SPLIT_TRAIN, PP_ERROR_CORRUPT_DATA,
                  "empty: no folder inside, expected one per class");
    make_folder("empty/a");
    make_folder("empty/b");
    make_flat("empty/a/1.png", SIDE, SIDE, 0);
    make_file("empty/b/1.gif", "x", 1);
    check_refused(
        folder, PP_SPLIT_TRAIN, PP_ERROR_CORRUPT_DATA,
        "empty/b: the class folder is empty, expected files named *.jpg, *.jpeg or *.png");
    check_refused("/no/such/folder", PP_SPLIT_TRAIN, PP_ERROR_IO,
                  "/no/such/folder: not there, or not a folder");
}
END_TEST

/* Resized without a change of scale, the sample is a plain window of the file. */
START_TEST(cuts_the_middle_and_anywhere) {
    enum { HEIGHT = 11, WIDTH = 9 };
    const char *folder = make_folder("cut");
    make_folder("cut/a");
    for (size_t i = 0; i < HEIGHT * WIDTH * 3; i++) picture[i] = (uint8_t)i;
    make_png("cut/a/1.png", HEIGHT, WIDTH, PNG_FORMAT_RGB, picture);
    for (size_t i = 0; i < HEIGHT * WIDTH * 3; i++) picture[i] = (uint8_t)i;
    pp_dataset_options options = {.height = SIDE, .width = SIDE, .resize = WIDTH};
    bool seen[HEIGHT][WIDTH] = {{false}};
    size_t seen_count = 0;
    for (int s = 0; s < 2; s++) {
        pp_dataset *dataset;
        TEST_OK(pp_dataset_open(test_engine(), specify(folder), s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN,
                                &options, &dataset));
        for (uint64_t number = 0; number < 200; number++) {
            epoch e = read_all(dataset, number);
            /* No two windows are alike, because the bytes of the image count upwards. */
            uint32_t top = 0, left = 0;
            bool found = false;
            for (uint32_t t = 0; t + SIDE <= HEIGHT && !found; t++)
                for (uint32_t l = 0; l + SIDE <= WIDTH && !found; l++) {
                    found = true;
                    for (uint32_t i = 0; i < PIXELS * 3 && found; i++) {
                        size_t from = ((t + i / (SIDE * 3)) * WIDTH + l) * 3 + i % (SIDE * 3);
                        found = e.inputs[i] == (float)(picture[from] / 255.0);
                    }
                    top = t;
                    left = l;
                }
            ck_assert_msg(found, "split %d, epoch %d: the sample is no window of the image", s,
                          (int)number);
            if (s) ck_assert(top == (HEIGHT - SIDE) / 2 && left == (WIDTH - SIDE) / 2);
            if (!s && !seen[top][left]) {
                seen[top][left] = true;
                seen_count++;
            }
            epoch_free(&e);
        }
        pp_dataset_close(dataset);
    }
    /* 24 places, 200 epochs: the chance to miss one of them is 0.5 %, and the draws are fixed. */
    ck_assert_uint_eq(seen_count, (HEIGHT - SIDE + 1) * (WIDTH - SIDE + 1));
}
END_TEST

START_TEST(resizes_what_has_another_size) {
    const char *folder = make_folder("sizes");
    make_folder("sizes/a");
    make_flat("sizes/a/1.png", SIDE, SIDE, 10);
    make_flat("sizes/a/2.png", 3, 2, 20);
    make_flat("sizes/a/3.png", 61, 40, 30);
    make_flat("sizes/a/4.png", 1, 64, 40);
    memset(picture, 50, sizeof picture);
    make_jpeg("sizes/a/5.jpg", 33, 34, JCS_RGB, picture);
    for (int s = 0; s < 2; s++) {
        pp_dataset *dataset;
        TEST_OK(pp_dataset_open(test_engine(), specify(folder), s ? PP_SPLIT_TEST : PP_SPLIT_TRAIN,
                                &small, &dataset));
        epoch e = read_all(dataset, 0);
        for (size_t i = 0; i < 5 * e.sample_elems; i++)
            ck_assert_float_eq(e.inputs[i],
                               (float)((double)(10 + i / e.sample_elems * 10) / 255.0));
        epoch_free(&e);
        pp_dataset_close(dataset);
    }
}
END_TEST

START_TEST(reports_a_broken_file_in_its_batch) {
    const char *folder = make_folder("broken");
    make_folder("broken/a");
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "broken/a/%d.png", i);
        make_flat(name, SIDE, SIDE, 0);
    }
    make_file("broken/a/5.png", "\x89PNG\r\n\x1A\n", 8);
    pp_dataset *dataset;
    TEST_OK(pp_dataset_open(test_engine(), specify(folder), PP_SPLIT_TRAIN, &small, &dataset));
    for (uint32_t threads = 0; threads <= 3; threads++) {
        pp_loader *loader;
        pp_batch batch;
        TEST_OK(pp_loader_create(dataset, &(pp_loader_options){.batch = 2, .threads = threads},
                                 &loader));
        for (uint64_t number = 0; number < 2; number++) {
            TEST_OK(pp_loader_start_epoch(loader, number));
            TEST_OK(pp_loader_next(loader, &batch));
            TEST_OK(pp_loader_next(loader, &batch));
            ck_assert_uint_eq(batch.count, 2);
            for (int again = 0; again < 2; again++) {
                TEST_FAILS(pp_loader_next(loader, &batch), PP_ERROR_CORRUPT_DATA,
                           "broken/a/5.png: not a whole PNG image: ");
                ck_assert_uint_eq(batch.count, 0);
            }
        }
        pp_loader_destroy(loader);
    }
    pp_dataset_close(dataset);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("folder");
    TCase *tests = tcase_create("folder");
    tcase_add_test(tests, orders_classes_and_files);
    tcase_add_test(tests, uses_train_and_test);
    tcase_add_test(tests, refuses_empty_folders);
    tcase_add_test(tests, cuts_the_middle_and_anywhere);
    tcase_add_test(tests, resizes_what_has_another_size);
    tcase_add_test(tests, reports_a_broken_file_in_its_batch);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
