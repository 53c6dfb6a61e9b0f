#include "io/image.h"

#include "io/make_files.h"

enum { HEIGHT = 19, WIDTH = 23, BYTES = HEIGHT * WIDTH * 3 };

static uint8_t picture[BYTES];
static pp__image image;

static void release(void) {
    pp__image_release(test_engine(), &image);
}

static void check_size(uint32_t height, uint32_t width) {
    ck_assert_uint_eq(image.height, height);
    ck_assert_uint_eq(image.width, width);
}

START_TEST(reads_png_exactly) {
    for (size_t i = 0; i < BYTES; i++) picture[i] = (uint8_t)test_random_below(256);
    TEST_OK(pp__image_read(test_engine(), make_png("a.png", HEIGHT, WIDTH, PNG_FORMAT_RGB, picture),
                           &image));
    check_size(HEIGHT, WIDTH);
    ck_assert_mem_eq(image.pixels, picture, BYTES);

    /* Grey, and opaque alpha. */
    TEST_OK(
        pp__image_read(test_engine(), make_png("g.png", 5, 7, PNG_FORMAT_GRAY, picture), &image));
    check_size(5, 7);
    for (size_t i = 0; i < 35 * 3; i++) ck_assert_uint_eq(image.pixels[i], picture[i / 3]);
    uint8_t rgba[35 * 4];
    for (size_t i = 0; i < sizeof rgba; i++) rgba[i] = i % 4 == 3 ? 255 : picture[i];
    TEST_OK(pp__image_read(test_engine(), make_png("t.png", 5, 7, PNG_FORMAT_RGBA, rgba), &image));
    for (size_t i = 0; i < 35 * 3; i++)
        ck_assert_uint_eq(image.pixels[i], picture[i / 3 * 4 + i % 3]);
}
END_TEST

/* Quality 100 quantises by 1, but RGB to YCbCr and back, and halved colour planes, cost a few
 * units. */
START_TEST(reads_jpeg_closely) {
    make_gradient(HEIGHT, WIDTH, picture);
    TEST_OK(
        pp__image_read(test_engine(), make_jpeg("a.jpg", HEIGHT, WIDTH, JCS_RGB, picture), &image));
    check_size(HEIGHT, WIDTH);
    for (size_t i = 0; i < BYTES; i++) ck_assert_int_le(abs(image.pixels[i] - picture[i]), 6);
    TEST_OK(pp__image_read(test_engine(),
                           make_jpeg("g.jpg", HEIGHT, WIDTH / 3, JCS_GRAYSCALE, picture), &image));
    check_size(HEIGHT, WIDTH / 3);
    for (size_t i = 0; i < HEIGHT * (WIDTH / 3); i++) {
        ck_assert_uint_eq(image.pixels[3 * i], image.pixels[3 * i + 1]);
        ck_assert_uint_eq(image.pixels[3 * i], image.pixels[3 * i + 2]);
    }
}
END_TEST

START_TEST(converts_adobe_cmyk) {
    uint8_t ink[16 * 16 * 4];
    /* Stored as the complement: 200 means that little cyan, 128 that half of the light passes
     * black. */
    for (size_t i = 0; i < 16 * 16; i++) memcpy(ink + 4 * i, (uint8_t[4]){200, 100, 50, 128}, 4);
    TEST_OK(pp__image_read(test_engine(), make_jpeg("ink.jpg", 16, 16, JCS_CMYK, ink), &image));
    for (size_t i = 0; i < 16 * 16; i++) {
        ck_assert_int_le(abs(image.pixels[3 * i] - 100), 2);
        ck_assert_int_le(abs(image.pixels[3 * i + 1] - 50), 2);
        ck_assert_int_le(abs(image.pixels[3 * i + 2] - 25), 2);
    }
}
END_TEST

static void check_truncations(const char *path, const char *name) {
    size_t count;
    uint8_t *bytes = make_copy(path, &count);
    for (size_t length = 0; length < count; length++) {
        const char *cut = make_file(name, bytes, length);
        TEST_FAILS(pp__image_read(test_engine(), cut, &image), PP_ERROR_CORRUPT_DATA, cut);
    }
    free(bytes);
}

START_TEST(refuses_every_truncation) {
    make_gradient(HEIGHT, WIDTH, picture);
    check_truncations(make_jpeg("whole.jpg", HEIGHT, WIDTH, JCS_RGB, picture), "cut.jpg");
    check_truncations(make_png("whole.png", HEIGHT, WIDTH, PNG_FORMAT_RGB, picture), "cut.png");
}
END_TEST

START_TEST(refuses_damage) {
    size_t count;
    make_gradient(HEIGHT, WIDTH, picture);
    uint8_t *bytes =
        make_copy(make_png("damaged.png", HEIGHT, WIDTH, PNG_FORMAT_RGB, picture), &count);
    bytes[count / 2] ^= 0x10;
    const char *path = make_file("damaged.png", bytes, count);
    TEST_FAILS(pp__image_read(test_engine(), path, &image), PP_ERROR_CORRUPT_DATA,
               "damaged.png: not a whole PNG image: ");
    free(bytes);
    path = make_file("text.jpg", "a sentence", 10);
    TEST_FAILS(
        pp__image_read(test_engine(), path, &image), PP_ERROR_CORRUPT_DATA,
        "text.jpg: the file begins with 61 20 73 65 (8 bytes read), expected the signature of JPEG "
        "(FF D8 FF) or PNG (89 50 4E 47)");
    TEST_FAILS(pp__image_read(test_engine(), make_path("no.jpg"), &image), PP_ERROR_IO,
               "no.jpg: cannot open: No such file");
}
END_TEST

START_TEST(refuses_huge_images) {
    uint32_t width = PP__IMAGE_MAX_SIDE + 1;
    uint8_t *pixels = calloc(width, 3);
    ck_assert(pixels != NULL);
    const char *path = make_png("wide.png", 1, width, PNG_FORMAT_RGB, pixels);
    TEST_FAILS(pp__image_read(test_engine(), path, &image), PP_ERROR_CORRUPT_DATA,
               "wide.png: an image of 16385 x 1 pixels, expected sides from 1 to 16384");
    path = make_jpeg("wide.jpg", 1, width, JCS_GRAYSCALE, pixels);
    TEST_FAILS(pp__image_read(test_engine(), path, &image), PP_ERROR_CORRUPT_DATA,
               "wide.jpg: an image of 16385 x 1 pixels");
    TEST_FAILS(pp__image_reserve(test_engine(), "big", 16384, 8192, &image), PP_ERROR_CORRUPT_DATA,
               "at most 67108864 pixels");
    free(pixels);
}
END_TEST

START_TEST(keeps_its_memory) {
    make_gradient(HEIGHT, WIDTH, picture);
    const char *large = make_png("large.png", HEIGHT, WIDTH, PNG_FORMAT_RGB, picture);
    const char *small = make_png("small.png", 3, 3, PNG_FORMAT_RGB, picture);
    TEST_OK(pp__image_read(test_engine(), large, &image));
    size_t before = pp_engine_allocation_count(test_engine());
    TEST_OK(pp__image_read(test_engine(), small, &image));
    TEST_OK(pp__image_read(test_engine(), large, &image));
    ck_assert_uint_eq(pp_engine_allocation_count(test_engine()), before);
}
END_TEST

START_TEST(knows_names) {
    ck_assert(pp__image_has_name("a.jpg") && pp__image_has_name("a.b.JPEG") &&
              pp__image_has_name("1.Png"));
    ck_assert(!pp__image_has_name("jpg") && !pp__image_has_name(".png") &&
              !pp__image_has_name("a.png.txt") && !pp__image_has_name(""));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("image");
    TCase *tests = tcase_create("image");
    tcase_add_checked_fixture(tests, NULL, release);
    tcase_add_test(tests, reads_png_exactly);
    tcase_add_test(tests, reads_jpeg_closely);
    tcase_add_test(tests, converts_adobe_cmyk);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_test(tests, refuses_damage);
    tcase_add_test(tests, refuses_huge_images);
    tcase_add_test(tests, keeps_its_memory);
    tcase_add_test(tests, knows_names);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
