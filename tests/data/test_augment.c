#include "data/augment.h"

#include <stdlib.h>
#include <string.h>

#include "support/support.h"

static const float mean[3] = {0.1f, 0.5f, 0.7f}, deviation[3] = {0.2f, 0.25f, 2.0f};

/* Word that makes pp__draw_below(word, bound) give `value`. */
static uint32_t word_for(uint32_t value, uint32_t bound) {
    return (uint32_t)((((uint64_t)value << 32) + bound - 1) / bound);
}

/* Pads into a buffer with the bytes nearest to the means, copies the window, mirrors it: three plain
 * steps. */
static void plain(const pp__augment *augment, uint32_t top, uint32_t left, bool mirrored,
                  const uint8_t *pixels, uint32_t pixel_max, uint8_t *out) {
    uint32_t h = augment->height, w = augment->width, c = augment->channels, pad = augment->pad;
    uint32_t padded_height = h + 2 * pad, padded_width = w + 2 * pad;
    uint8_t *padded = malloc((size_t)padded_height * padded_width * c);
    ck_assert(padded != NULL);
    for (uint32_t i = 0; i < padded_height * padded_width * c; i++)
        padded[i] = (uint8_t)((double)mean[i % c] * pixel_max + 0.5);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t k = 0; k < c; k++)
                padded[((y + pad) * padded_width + x + pad) * c + k] = pixels[(y * w + x) * c + k];
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t k = 0; k < c; k++) {
                uint32_t from = mirrored ? w - 1 - x : x;
                out[(y * w + x) * c + k] = padded[((y + top) * padded_width + from + left) * c + k];
            }
    free(padded);
}

/* Floats are the bytes, normalised. */
static void check_values(const float *values, const uint8_t *bytes, size_t count, uint32_t channels,
                         uint32_t pixel_max) {
    for (size_t i = 0; i < count; i++) {
        size_t k = i % channels;
        float expected =
            (float)((bytes[i] / (double)pixel_max - (double)mean[k]) / (double)deviation[k]);
        ck_assert_msg(values[i] == expected, "element %zu", i);
    }
}

/* A mean outside of what bytes reach pads with the outermost. */
START_TEST(pads_within_the_bytes) {
    static const float beyond[2] = {-0.5f, 1.5f}, one[2] = {1, 1};
    pp__augment augment = {.height = 1, .width = 1, .channels = 2, .pad = 1};
    pp__augment_set_values(&augment, 16, beyond, one);
    ck_assert_uint_eq(augment.padding[0], 0);
    ck_assert_uint_eq(augment.padding[1], 16);
}
END_TEST

static void check(uint32_t height, uint32_t width, uint32_t channels, uint32_t pad,
                  uint32_t pixel_max) {
    pp__augment augment = {.height = height, .width = width, .channels = channels, .pad = pad};
    pp__augment_set_values(&augment, pixel_max, mean, deviation);
    size_t count = (size_t)height * width * channels;
    uint8_t *pixels = malloc(count), *found = malloc(count), *expected = malloc(count);
    float *values = malloc(count * sizeof *values);
    ck_assert(pixels && found && expected && values);
    for (size_t i = 0; i < count; i++) pixels[i] = (uint8_t)test_random_below(pixel_max + 1);
    for (uint32_t top = 0; top <= 2 * pad; top++)
        for (uint32_t left = 0; left <= 2 * pad; left++)
            for (int mirror = 0; mirror < 4; mirror++) {
                augment.flip = mirror & 1;
                pp__draws draws = {.top = word_for(top, 2 * pad + 1),
                                   .left = word_for(left, 2 * pad + 1),
                                   .mirror = mirror & 2 ? UINT32_MAX : 0x7FFFFFFF};
                pp__augment_write_bytes(&augment, &draws, pixels, found);
                plain(&augment, top, left, mirror == 3, pixels, pixel_max, expected);
                ck_assert_mem_eq(found, expected, count);
                pp__augment_write(&augment, &draws, pixels, values);
                check_values(values, expected, count, channels, pixel_max);
            }
    free(values);
    free(expected);
    free(found);
    free(pixels);
}

START_TEST(equals_the_plain_steps) {
    check(5, 7, 3, 0, 255);
    check(5, 7, 3, 2, 255);
    check(8, 8, 1, 4, 16);
    check(3, 3, 2, 3, 255);
    check(1, 1, 1, 1, 255);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("augment");
    TCase *tests = tcase_create("augment");
    tcase_add_test(tests, equals_the_plain_steps);
    tcase_add_test(tests, pads_within_the_bytes);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
