#include "io/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

static pp__resizer resizer;
static pp__image source;

static void release(void) {
    pp__resizer_release(test_engine(), &resizer);
    pp__image_release(test_engine(), &source);
}

static void make_source(uint32_t height, uint32_t width) {
    TEST_OK(pp__image_reserve(test_engine(), "test", height, width, &source));
    for (size_t i = 0; i < (size_t)height * width * 3; i++)
        source.pixels[i] = (uint8_t)test_random_below(256);
}

static uint8_t *resize(uint32_t full_height, uint32_t full_width, pp__window window) {
    uint8_t *pixels = malloc((size_t)window.height * window.width * 3);
    ck_assert(pixels != NULL);
    TEST_OK(pp__resize(test_engine(), &resizer, &source, full_height, full_width, window, pixels));
    return pixels;
}

static uint8_t *resize_all(uint32_t height, uint32_t width) {
    return resize(height, width, (pp__window){0, 0, height, width});
}

/* The triangle's weight for source place j of output place i, before normalisation. */
static double weight(uint32_t i, uint32_t j, uint32_t extent, uint32_t full) {
    double scale = (double)extent / full, reach = scale > 1 ? scale : 1;
    double distance = fabs((j + 0.5) - (i + 0.5) * scale) / reach;
    return distance < 1 ? 1 - distance : 0;
}

static double plain(uint32_t y, uint32_t x, uint32_t c, uint32_t full_height, uint32_t full_width) {
    double sum = 0, weights = 0;
    for (uint32_t j = 0; j < source.height; j++)
        for (uint32_t i = 0; i < source.width; i++) {
            double w =
                weight(y, j, source.height, full_height) * weight(x, i, source.width, full_width);
            sum += w * source.pixels[(j * source.width + i) * 3 + c];
            weights += w;
        }
    return sum / weights;
}

/* Each of the two passes rounds to the nearest byte. */
START_TEST(equals_the_formula) {
    static const uint32_t sizes[][4] = {{7, 5, 3, 9},   {16, 16, 8, 8}, {31, 17, 4, 4},
                                        {5, 6, 11, 13}, {1, 9, 4, 2},   {40, 3, 7, 7},
                                        {13, 13, 1, 1}, {1, 1, 5, 3},   {19, 23, 19, 7}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint32_t height = sizes[k][2], width = sizes[k][3];
        make_source(sizes[k][0], sizes[k][1]);
        uint8_t *pixels = resize_all(height, width);
        for (uint32_t y = 0; y < height; y++)
            for (uint32_t x = 0; x < width; x++)
                for (uint32_t c = 0; c < 3; c++) {
                    double found = pixels[(y * width + x) * 3 + c];
                    double expected = plain(y, x, c, height, width);
                    ck_assert_msg(fabs(found - expected) <= 1.001,
                                  "case %zu: (%u, %u, %u): %g, expected %g", k, y, x, c, found,
                                  expected);
                }
        free(pixels);
    }
}
END_TEST

/* Halving has weights 1/8 3/8 3/8 1/8, and at an edge the three of them that are inside, divided by
 * 7/8. */
START_TEST(halves_exactly) {
    TEST_OK(pp__image_reserve(test_engine(), "test", 1, 8, &source));
    static const uint8_t row[8] = {0, 0, 80, 160, 0, 0, 255, 255};
    for (size_t i = 0; i < 24; i++) source.pixels[i] = row[i / 3];
    uint8_t *pixels = resize_all(1, 4);
    static const uint8_t expected[4] = {11, 90, 52, 219}; /* 11.43, 90, 51.88, 218.57 */
    for (size_t i = 0; i < 12; i++) ck_assert_uint_eq(pixels[i], expected[i / 3]);
    free(pixels);
}
END_TEST

START_TEST(keeps_what_has_the_size) {
    make_source(11, 13);
    uint8_t *pixels = resize_all(11, 13);
    ck_assert_mem_eq(pixels, source.pixels, 11 * 13 * 3);
    free(pixels);
}
END_TEST

START_TEST(keeps_flat_colours) {
    make_source(37, 29);
    memset(source.pixels, 255, 37 * 29 * 3);
    static const uint32_t sizes[] = {1, 5, 28, 30, 100};
    for (size_t k = 0; k < 5; k++) {
        uint32_t side = sizes[k];
        uint8_t *pixels = resize_all(side, side);
        for (size_t i = 0; i < (size_t)side * side * 3; i++) ck_assert_uint_eq(pixels[i], 255);
        free(pixels);
    }
}
END_TEST

START_TEST(cuts_windows) {
    make_source(24, 31);
    static const uint32_t fulls[][2] = {{50, 40}, {9, 12}, {24, 31}};
    for (size_t k = 0; k < 3; k++) {
        uint32_t height = fulls[k][0], width = fulls[k][1];
        pp__window window = {2, 3, height - 5, width - 4};
        uint8_t *full = resize_all(height, width);
        uint8_t *pixels = resize(height, width, window);
        for (uint32_t y = 0; y < window.height; y++)
            ck_assert_mem_eq(pixels + (size_t)y * window.width * 3,
                             full + ((y + 2) * width + 3) * 3, window.width * 3);
        free(pixels);
        free(full);
    }
}
END_TEST

START_TEST(refuses_windows_outside) {
    make_source(4, 4);
    uint8_t pixels[8 * 8 * 3];
    static const pp__window windows[] = {
        {0, 0, 9, 8}, {1, 0, 8, 8}, {0, 1, 8, 8}, {UINT32_MAX, 0, 1, 1}, {0, 0, 0, 8}};
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
        TEST_FAILS(pp__resize(test_engine(), &resizer, &source, 8, 8, windows[k], pixels),
                   PP_ERROR_INVALID_ARGUMENT, "does not lie inside 8 x 8");
}
END_TEST

START_TEST(keeps_its_memory) {
    make_source(24, 31);
    free(resize_all(12, 12));
    free(resize_all(40, 40));
    size_t before = pp_engine_allocation_count(test_engine());
    free(resize_all(12, 12));
    free(resize_all(40, 40));
    ck_assert_uint_eq(pp_engine_allocation_count(test_engine()), before);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("resize");
    TCase *tests = tcase_create("resize");
    tcase_add_checked_fixture(tests, NULL, release);
    tcase_add_test(tests, equals_the_formula);
    tcase_add_test(tests, halves_exactly);
    tcase_add_test(tests, keeps_what_has_the_size);
    tcase_add_test(tests, keeps_flat_colours);
    tcase_add_test(tests, cuts_windows);
    tcase_add_test(tests, refuses_windows_outside);
    tcase_add_test(tests, keeps_its_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
