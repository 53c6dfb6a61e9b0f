#include "data/augment.h"
#include "data/batches.h"
#include "io/make_files.h"

#include <math.h>

static pp_dataset *digits, *images;

/* Twenty pictures of several sizes, no two alike. */
static void open_sets(void) {
    TEST_OK(pp_dataset_open(test_engine(), "digits", PP_SPLIT_TEST, NULL, &digits));
    static bool made;
    char name[64], specification[1100];
    for (int i = 0; i < 20 && !made; i++) {
        static uint8_t rgb[40 * 30 * 3];
        if (!i) make_folder("images");
        snprintf(name, sizeof name, "images/%d", i % 2);
        if (i < 2) make_folder(name);
        snprintf(name, sizeof name, "images/%d/%02d.jpg", i % 2, i);
        for (size_t b = 0; b < sizeof rgb; b++) rgb[b] = (uint8_t)test_random_below(256);
        make_jpeg(name, 8 + (uint32_t)i, 28 - (uint32_t)i, JCS_RGB, rgb);
    }
    made = true;
    snprintf(specification, sizeof specification, "images:%s", make_path("images"));
    TEST_OK(pp_dataset_open(test_engine(), specification, PP_SPLIT_TRAIN,
                            &(pp_dataset_options){.height = 12, .width = 10}, &images));
}

static void close_sets(void) {
    pp_dataset_close(digits);
    pp_dataset_close(images);
}

START_TEST(threads_do_not_change_batches) {
    pp_dataset *sets[2] = {digits, images};
    for (int k = 0; k < 2; k++)
        for (uint64_t number = 0; number < 3; number++) {
            pp_loader_options options = {
                .batch = 7, .shuffle = true, .seed = 11, .pad = 2, .flip = true};
            epoch expected = epoch_read_with(sets[k], &options, number);
            static const uint32_t threads[] = {1, 2, 3, 8};
            for (size_t t = 0; t < 4; t++) {
                options.threads = threads[t];
                epoch found = epoch_read_with(sets[k], &options, number);
                ck_assert_msg(epoch_equal(&found, &expected), "set %d, epoch %d, %u threads", k,
                              (int)number, threads[t]);
                epoch_free(&found);
            }
            epoch_free(&expected);
        }
}
END_TEST

/* The same samples in memory of the caller's, in float32 and in bytes; a loader with threads has
 * none to spare. */
START_TEST(makes_batches_where_it_is_told) {
    pp_loader_options options = {
        .batch = 7, .shuffle = true, .seed = 11, .pad = 2, .flip = true, .bytes = _i};
    pp_loader *plain, *other;
    pp_batch expected, found;
    float room[7 * 12 * 10 * 3];
    const size_t sample_bytes = 12 * 10 * 3 * (options.bytes ? 1 : sizeof(float));
    TEST_OK(pp_loader_create(images, &options, &plain));
    TEST_OK(pp_loader_create(images, &options, &other));
    TEST_FAILS(pp_loader_next_into(other, NULL, &found), PP_ERROR_INVALID_ARGUMENT, "no room");
    TEST_OK(pp_loader_start_epoch(plain, 1));
    TEST_OK(pp_loader_start_epoch(other, 1));
    do {
        TEST_OK(pp_loader_next(plain, &expected));
        TEST_OK(pp_loader_next_into(other, room, &found));
        ck_assert_uint_eq(found.count, expected.count);
        if (!found.count) break;
        ck_assert(options.bytes ? (const void *)found.pixels == room && !found.inputs
                                : found.inputs == room && !found.pixels);
        const void *samples =
            options.bytes ? (const void *)expected.pixels : (const void *)expected.inputs;
        ck_assert_mem_eq(room, samples, found.count * sample_bytes);
        ck_assert_mem_eq(found.labels, expected.labels, found.count * sizeof *found.labels);
    } while (found.count);
    pp_loader_destroy(plain);
    pp_loader_destroy(other);
    options.threads = 1;
    TEST_OK(pp_loader_create(images, &options, &other));
    TEST_OK(pp_loader_start_epoch(other, 1));
    TEST_FAILS(pp_loader_next_into(other, room, &found), PP_ERROR_UNSUPPORTED,
               "its 1 threads make batches ahead");
    pp_loader_destroy(other);
}
END_TEST

/* What a sample becomes depends on the epoch and on nothing else, such as the batch that it lands
 * in. */
START_TEST(batch_size_does_not_change_samples) {
    pp_loader_options options = {
        .batch = 7, .shuffle = true, .seed = 4, .pad = 1, .flip = true, .threads = 2};
    epoch a = epoch_read_with(digits, &options, 6);
    options.batch = 100;
    epoch b = epoch_read_with(digits, &options, 6);
    ck_assert(epoch_equal(&a, &b));
    epoch_free(&b);
    b = epoch_read_with(digits, &options, 7);
    ck_assert(!epoch_equal(&a, &b));
    epoch_free(&b);
    options.seed = 5;
    b = epoch_read_with(digits, &options, 6);
    ck_assert(!epoch_equal(&a, &b));
    epoch_free(&a);
    epoch_free(&b);
}
END_TEST

/* The n-th sample of a shuffled epoch is the one that the order names; so each comes once. */
START_TEST(every_sample_comes_once) {
    pp_loader_options options = {.batch = 13};
    epoch plain = epoch_read_with(digits, &options, 0);
    ck_assert_uint_eq(plain.count, 360);
    options.shuffle = true;
    options.seed = 3;
    options.threads = 2;
    epoch shuffled = epoch_read_with(digits, &options, 1);
    ck_assert_uint_eq(shuffled.count, 360);
    uint32_t order[360];
    pp__draw_order(3, 1, order, 360);
    for (size_t i = 0; i < 360; i++) {
        ck_assert_mem_eq(shuffled.inputs + i * 64, plain.inputs + order[i] * 64,
                         64 * sizeof(float));
        ck_assert_int_eq(shuffled.labels[i], plain.labels[order[i]]);
    }
    epoch_free(&plain);
    epoch_free(&shuffled);
}
END_TEST

/* Samples of an augmented epoch are the plain bytes, put through the steps that test_augment.c
 * checks, with the draws of their number in the data set. */
START_TEST(augments_by_sample) {
    pp_loader_options plain = {
        .batch = 50, .mean = batch_plain_mean, .deviation = batch_plain_deviation};
    epoch bytes = epoch_read_with(digits, &plain, 0);
    pp_loader_options options = {.batch = 50, .shuffle = true, .seed = 8, .pad = 3, .flip = true};
    epoch found = epoch_read_with(digits, &options, 2);
    uint32_t order[360];
    pp__draw_order(8, 2, order, 360);
    pp_dataset_info info;
    pp_dataset_describe(digits, &info);
    pp__augment augment = {.height = 8, .width = 8, .channels = 1, .pad = 3, .flip = true};
    pp__augment_set_values(&augment, 16, info.mean, info.deviation);
    for (size_t i = 0; i < 360; i++) {
        uint8_t pixels[64];
        float expected[64];
        for (size_t p = 0; p < 64; p++)
            pixels[p] = (uint8_t)(bytes.inputs[order[i] * 64 + p] * 16.0f);
        pp__draws draws = pp__draw_sample(8, 2, order[i]);
        pp__augment_write(&augment, &draws, pixels, expected);
        ck_assert_mem_eq(found.inputs + i * 64, expected, sizeof expected);
    }
    epoch_free(&bytes);
    epoch_free(&found);
}
END_TEST

/* The loader's bytes and floats are the same pixels: floats are bytes, normalised. */
static void check_bytes(pp_dataset *dataset, uint32_t threads) {
    pp_loader_options options = {
        .batch = 7, .shuffle = true, .seed = 5, .pad = 2, .flip = true, .threads = threads};
    epoch floats = epoch_read_with(dataset, &options, 3);
    pp_dataset_info info;
    pp_loader *loader;
    pp_batch batch;
    options.bytes = true;
    pp_dataset_describe(dataset, &info);
    TEST_OK(pp_loader_create(dataset, &options, &loader));
    TEST_OK(pp_loader_start_epoch(loader, 3));
    size_t done = 0;
    do {
        TEST_OK(pp_loader_next(loader, &batch));
        const float *expected = floats.inputs + done * floats.sample_elems;
        ck_assert(!batch.inputs && !batch.pixels == !batch.count);
        for (size_t i = 0; i < batch.count * floats.sample_elems; i++) {
            const size_t c = i % info.channels;
            const double value = (double)batch.pixels[i] / info.pixel_max - (double)info.mean[c];
            ck_assert_float_eq((float)(value / (double)info.deviation[c]), expected[i]);
        }
        for (size_t i = 0; i < batch.count; i++)
            ck_assert_int_eq(batch.labels[i], floats.labels[done + i]);
        done += batch.count;
    } while (batch.count);
    ck_assert_uint_eq(done, floats.count);
    pp_loader_destroy(loader);
    epoch_free(&floats);
}

START_TEST(delivers_bytes) {
    for (uint32_t threads = 0; threads < 3; threads++) {
        check_bytes(digits, threads);
        check_bytes(images, threads);
    }
}
END_TEST

START_TEST(last_batch_is_short_or_dropped) {
    pp_loader *loader;
    pp_batch batch;
    for (uint32_t threads = 0; threads < 3; threads++)
        for (int drop = 0; drop < 2; drop++) {
            pp_loader_options options = {.batch = 100, .drop_last = drop, .threads = threads};
            TEST_OK(pp_loader_create(digits, &options, &loader));
            ck_assert_uint_eq(pp_loader_batch_count(loader), drop ? 3 : 4);
            TEST_OK(pp_loader_start_epoch(loader, 0));
            for (int i = 0; i < 3; i++) {
                TEST_OK(pp_loader_next(loader, &batch));
                ck_assert_uint_eq(batch.count, 100);
                ck_assert(!batch.targets && !batch.pixels);
            }
            TEST_OK(pp_loader_next(loader, &batch));
            ck_assert_uint_eq(batch.count, drop ? 0 : 60);
            for (int i = 0; i < 3; i++) {
                TEST_OK(pp_loader_next(loader, &batch));
                ck_assert_uint_eq(batch.count, 0);
            }
            pp_loader_destroy(loader);
        }
}
END_TEST

/* Each batch is compared when two more calls have been made, the last of them in another epoch. */
static void *allocate_small(void *user, size_t bytes) {
    size_t *most = user;
    return bytes <= *most ? malloc(bytes) : NULL;
}

static void release_small(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(a_batch_beyond_the_samples_costs_no_memory) {
    size_t most = 1 << 20;
    pp_engine_options options = {.allocator = {allocate_small, release_small, &most}};
    pp_engine *engine;
    pp_dataset *dataset;
    pp_loader *loader;
    pp_batch batch;
    TEST_OK(pp_engine_create(&options, &engine));
    TEST_OK(pp_dataset_open(engine, "digits", PP_SPLIT_TEST, NULL, &dataset));
    pp_status status =
        pp_loader_create(dataset, &(pp_loader_options){.batch = UINT32_MAX}, &loader);
    ck_assert_msg(status == PP_OK, "%s", pp_engine_error(engine));
    ck_assert_uint_eq(pp_loader_batch_count(loader), 1);
    ck_assert(pp_loader_start_epoch(loader, 0) == PP_OK);
    ck_assert(pp_loader_next(loader, &batch) == PP_OK);
    ck_assert_uint_eq(batch.count, 360);
    ck_assert(pp_loader_next(loader, &batch) == PP_OK);
    ck_assert_uint_eq(batch.count, 0);
    pp_loader_destroy(loader);
    pp_dataset_close(dataset);
    pp_engine_destroy(engine);
}
END_TEST

START_TEST(memory_lasts_until_the_third_next_call) {
    enum { BATCH = 9, CALLS = 200, ELEMS = BATCH * 64 };
    static float copies[CALLS][ELEMS];
    static pp_batch batches[CALLS];
    for (uint32_t threads = 0; threads <= 4; threads += 2) {
        pp_loader *loader;
        TEST_OK(pp_loader_create(
            digits, &(pp_loader_options){.batch = BATCH, .shuffle = true, .threads = threads},
            &loader));
        for (size_t call = 0; call < CALLS; call++) {
            if (call % 17 == 0) TEST_OK(pp_loader_start_epoch(loader, call));
            TEST_OK(pp_loader_next(loader, &batches[call]));
            ck_assert_uint_eq(batches[call].count, BATCH);
            memcpy(copies[call], batches[call].inputs, sizeof copies[call]);
            if (call >= 2)
                ck_assert_mem_eq(batches[call - 2].inputs, copies[call - 2], sizeof copies[call]);
        }
        pp_loader_destroy(loader);
    }
}
END_TEST

START_TEST(epochs_can_be_abandoned) {
    for (uint32_t threads = 0; threads <= 3; threads++) {
        pp_loader_options options = {.batch = 3, .shuffle = true, .threads = threads};
        epoch expected = epoch_read_with(images, &options, 9);
        pp_loader *loader;
        pp_batch batch;
        TEST_OK(pp_loader_create(images, &options, &loader));
        for (uint64_t number = 0; number < 40; number++) {
            TEST_OK(pp_loader_start_epoch(loader, number));
            for (uint64_t i = 0; i < number % 5; i++) TEST_OK(pp_loader_next(loader, &batch));
        }
        epoch found = epoch_read(loader, images, 9);
        ck_assert(epoch_equal(&found, &expected));
        epoch_free(&found);
        epoch_free(&expected);
        pp_loader_destroy(loader);
    }
}
END_TEST

START_TEST(can_be_destroyed_at_any_time) {
    pp_loader_destroy(NULL);
    for (uint32_t round = 0; round < 60; round++) {
        pp_loader *loader;
        pp_batch batch;
        pp_loader_options options = {.batch = 2, .threads = round % 4};
        TEST_OK(pp_loader_create(images, &options, &loader));
        if (round % 5) TEST_OK(pp_loader_start_epoch(loader, round));
        for (uint32_t i = 1; i < round % 5; i++) TEST_OK(pp_loader_next(loader, &batch));
        pp_loader_destroy(loader);
    }
}
END_TEST

START_TEST(epochs_allocate_nothing) {
    for (uint32_t threads = 0; threads <= 2; threads++) {
        pp_loader *loader;
        pp_batch batch;
        pp_loader_options options = {.batch = 3, .shuffle = true, .pad = 1, .threads = threads};
        TEST_OK(pp_loader_create(images, &options, &loader));
        size_t before = pp_engine_allocation_count(test_engine());
        for (uint64_t number = 0; number < 3; number++) {
            TEST_OK(pp_loader_start_epoch(loader, number));
            do TEST_OK(pp_loader_next(loader, &batch));
            while (batch.count);
        }
        ck_assert_uint_eq(pp_engine_allocation_count(test_engine()), before);
        pp_loader_destroy(loader);
    }
}
END_TEST

static void check_refused(const pp_loader_options *options, const char *part) {
    pp_loader *loader;
    TEST_FAILS(pp_loader_create(digits, options, &loader), PP_ERROR_INVALID_ARGUMENT, part);
    ck_assert_ptr_null(loader);
}

START_TEST(refuses_wrong_options) {
    static const float zero[1] = {0.0f}, not_a_number[1] = {NAN};
    check_refused(NULL, "the batch is 0");
    check_refused(&(pp_loader_options){.batch = 0}, "the batch is 0, expected at least 1");
    check_refused(
        &(pp_loader_options){.batch = 361, .drop_last = true},
        "a batch of 361 is more than the data set's 360 samples, and drop_last leaves nothing");
    check_refused(&(pp_loader_options){.batch = 1, .threads = 257},
                  "257 threads, expected at most 256");
    check_refused(&(pp_loader_options){.batch = 1, .pad = 9},
                  "a padding of 9 around samples of 8 x 8");
    check_refused(&(pp_loader_options){.batch = 1, .deviation = zero},
                  "channel 0 has mean 0.305215 and "
                  "deviation 0");
    check_refused(&(pp_loader_options){.batch = 1, .mean = not_a_number}, "channel 0 has mean ");
}
END_TEST

START_TEST(wants_an_epoch_first) {
    pp_loader *loader;
    pp_batch batch;
    TEST_OK(pp_loader_create(digits, &(pp_loader_options){.batch = 1, .threads = 1}, &loader));
    TEST_FAILS(pp_loader_next(loader, &batch), PP_ERROR_INVALID_ARGUMENT, "no epoch is running");
    pp_loader_destroy(loader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("loader");
    TCase *tests = tcase_create("loader");
    tcase_add_checked_fixture(tests, open_sets, close_sets);
    tcase_add_test(tests, threads_do_not_change_batches);
    tcase_add_loop_test(tests, makes_batches_where_it_is_told, 0, 2);
    tcase_add_test(tests, batch_size_does_not_change_samples);
    tcase_add_test(tests, every_sample_comes_once);
    tcase_add_test(tests, augments_by_sample);
    tcase_add_test(tests, delivers_bytes);
    tcase_add_test(tests, last_batch_is_short_or_dropped);
    tcase_add_test(tests, a_batch_beyond_the_samples_costs_no_memory);
    tcase_add_test(tests, memory_lasts_until_the_third_next_call);
    tcase_add_test(tests, epochs_can_be_abandoned);
    tcase_add_test(tests, can_be_destroyed_at_any_time);
    tcase_add_test(tests, epochs_allocate_nothing);
    tcase_add_test(tests, refuses_wrong_options);
    tcase_add_test(tests, wants_an_epoch_first);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
