#include "data/batches.h"
#include "io/make_files.h"

/* Refuses allocation number `fail_at`, counted from 1, and every later one. Threads do not call it,
 * so it needs no lock. */
typedef struct faulty {
    size_t calls, fail_at, live;
} faulty;

static void *allocate(void *user, size_t bytes) {
    faulty *f = user;
    if (++f->calls >= f->fail_at) return NULL;
    f->live++;
    return malloc(bytes);
}

static void release(void *user, void *memory) {
    faulty *f = user;
    ck_assert_ptr_nonnull(memory);
    f->live--;
    free(memory);
}

/* Opens, loads two epochs, closes. */
static pp_status attempt(pp_engine *engine, const char *specification, uint32_t threads) {
    pp_dataset *dataset = NULL;
    pp_loader *loader = NULL;
    pp_dataset_options dataset_options = {.height = 8, .width = 8};
    pp_status status =
        pp_dataset_open(engine, specification, PP_SPLIT_TEST, &dataset_options, &dataset);
    if (status == PP_OK)
        status = pp_loader_create(
            dataset, &(pp_loader_options){.batch = 2, .shuffle = true, .threads = threads},
            &loader);
    for (uint64_t number = 0; number < 2 && status == PP_OK; number++) {
        status = pp_loader_start_epoch(loader, number);
        pp_batch batch = {.count = 1};
        while (status == PP_OK && batch.count) status = pp_loader_next(loader, &batch);
    }
    if (status != PP_OK) ck_assert(!dataset || !loader);
    pp_loader_destroy(loader);
    pp_dataset_close(dataset);
    return status;
}

static void check(const char *specification, uint32_t threads) {
    for (size_t fail_at = 1;; fail_at++) {
        faulty f = {.fail_at = fail_at};
        pp_engine_options options = {.allocator = {allocate, release, &f}};
        pp_engine *engine;
        pp_status status = pp_engine_create(&options, &engine);
        if (fail_at == 1) {
            ck_assert_int_eq(status, PP_ERROR_OUT_OF_MEMORY);
            continue;
        }
        ck_assert_int_eq(status, PP_OK);
        status = attempt(engine, specification, threads);
        if (status != PP_OK) {
            ck_assert_msg(status == PP_ERROR_OUT_OF_MEMORY, "%s, allocation %zu: %s", specification,
                          fail_at, pp_status_name(status));
            ck_assert(test_contains(pp_engine_error(engine), "host memory: "));
        }
        pp_engine_destroy(engine);
        ck_assert_msg(f.live == 0, "%s, allocation %zu: %zu are lost", specification, fail_at,
                      f.live);
        if (status == PP_OK) {
            ck_assert_uint_gt(fail_at, 10);
            return;
        }
    }
}

START_TEST(digits) {
    check("digits", (uint32_t)_i);
}
END_TEST

START_TEST(mnist) {
    char specification[1100];
    uint8_t bytes[4 * 64] = {0};
    size_t count;
    if (!_i) {
        make_folder("mnist");
        uint8_t *file = make_idx(3, (uint32_t[3]){4, 8, 8}, bytes, sizeof bytes, &count);
        make_gzip("mnist/t10k-images-idx3-ubyte.gz", file, count);
        free(file);
        file = make_idx(1, (uint32_t[1]){4}, bytes, 4, &count);
        make_file("mnist/t10k-labels-idx1-ubyte", file, count);
        free(file);
    }
    snprintf(specification, sizeof specification, "mnist:%s", make_path("mnist"));
    check(specification, (uint32_t)_i);
}
END_TEST

START_TEST(cifar10) {
    char specification[1100];
    static uint8_t bytes[5 * 3073];
    if (!_i) {
        make_folder("cifar10");
        make_file("cifar10/test_batch.bin", bytes, sizeof bytes);
    }
    snprintf(specification, sizeof specification, "cifar10:%s", make_path("cifar10"));
    check(specification, (uint32_t)_i);
}
END_TEST

START_TEST(images) {
    char specification[1100];
    static uint8_t rgb[20 * 10 * 3];
    if (!_i) {
        make_folder("images");
        make_folder("images/train");
        make_folder("images/train/a");
        make_folder("images/train/b");
        make_folder("images/test");
        make_folder("images/test/a");
        make_folder("images/test/b");
        make_jpeg("images/test/a/1.jpg", 20, 10, JCS_RGB, rgb);
        make_png("images/test/a/2.png", 8, 8, PNG_FORMAT_RGB, rgb);
        make_png("images/test/b/1.png", 7, 3, PNG_FORMAT_RGB, rgb);
    }
    snprintf(specification, sizeof specification, "images:%s", make_path("images"));
    check(specification, (uint32_t)_i);
}
END_TEST

/* Runs an epoch; the failure of its first batch that fails. */
static pp_status run_epoch(pp_loader *loader) {
    TEST_OK(pp_loader_start_epoch(loader, 0));
    pp_batch batch = {.count = 1};
    pp_status status = PP_OK;
    while (status == PP_OK && batch.count) status = pp_loader_next(loader, &batch);
    return status;
}

/* Files that go, or are cut, between opening the data set and reading them: their paths are named,
 * in every epoch, and the loader goes on once they are back. */
START_TEST(files_vanish) {
    static const char names[3][32] = {"vanish0", "vanish1", "vanish2"};
    const char *name = names[_i];
    char specification[1100], paths[4][64];
    uint8_t rgb[8 * 8 * 3];
    make_gradient(8, 8, rgb);
    const char *const parts[] = {"",      "/train",  "/train/a", "/train/b",
                                 "/test", "/test/a", "/test/b"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "%s%s", name, parts[i]);
        make_folder(folder);
    }
    for (size_t i = 0; i < 4; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/test/%s/%zu.png", name, i < 2 ? "a" : "b", i);
        make_png(paths[i], 8, 8, PNG_FORMAT_RGB, rgb);
    }
    snprintf(specification, sizeof specification, "images:%s", make_path(name));
    pp_dataset *dataset;
    pp_loader *loader;
    TEST_OK(pp_dataset_open(test_engine(), specification, PP_SPLIT_TEST,
                            &(pp_dataset_options){.height = 8, .width = 8}, &dataset));
    TEST_OK(pp_loader_create(dataset, &(pp_loader_options){.batch = 1, .threads = (uint32_t)_i},
                             &loader));
    TEST_OK(run_epoch(loader));
    const char *path = make_path(paths[2]);
    size_t bytes;
    uint8_t *content = make_copy(path, &bytes);
    ck_assert_int_eq(remove(path), 0);
    for (size_t epoch = 0; epoch < 2; epoch++) TEST_FAILS(run_epoch(loader), PP_ERROR_IO, paths[2]);
    make_file(paths[2], content, bytes / 2);
    TEST_FAILS(run_epoch(loader), PP_ERROR_CORRUPT_DATA, paths[2]);
    make_file(paths[2], content, bytes);
    TEST_OK(run_epoch(loader));
    free(content);
    pp_loader_destroy(loader);
    pp_dataset_close(dataset);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("loader_fault");
    TCase *tests = tcase_create("loader_fault");
    /* The loop's variable is the number of background threads. */
    tcase_add_loop_test(tests, digits, 0, 3);
    tcase_add_loop_test(tests, mnist, 0, 3);
    tcase_add_loop_test(tests, cifar10, 0, 3);
    tcase_add_loop_test(tests, images, 0, 3);
    tcase_add_loop_test(tests, files_vanish, 0, 3);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
