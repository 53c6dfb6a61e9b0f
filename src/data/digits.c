#include <string.h>

#include "data/dataset.h"
#include "util/engine.h"

/* The test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI
 * Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0. Real
 * digits of 13 writers, scanned at 32 x 32; a pixel counts the black ones of its 4 x 4 block.
 *
 * One row per digit: 64 characters for the pixels, row by row ('0' to '9' and 'A' to 'G' stand for
 * 0 to 16), then the label. */
enum { SIDE = 8, PIXELS = SIDE * SIDE, TOTAL = 1797 };

/* Every fifth row, the first included, is a test sample: the rows are ordered by writer, so that
 * both splits hold every writer. */
enum { TEST_EVERY = 5, TEST = (TOTAL + TEST_EVERY - 1) / TEST_EVERY };

static const char digits[TOTAL][PIXELS + 2] = {
#include "data/digits.inc"
};

static uint8_t pixel_value(char code) {
    return (uint8_t)(code <= '9' ? code - '0' : code - 'A' + 10);
}

static pp_status open_digits(pp_dataset *dataset, const char *folder) {
    (void)folder;
    bool test = dataset->split == PP_SPLIT_TEST;
    size_t count = test ? TEST : TOTAL - TEST;
    dataset->info.count = count;
    dataset->info.height = dataset->info.width = SIDE;
    dataset->info.channels = 1;
    dataset->info.classes = 10;
    PP_TRY(pp__dataset_reserve(dataset, count));
    for (size_t row = 0, i = 0; row < TOTAL; row++) {
        if ((row % TEST_EVERY == 0) != test) continue;
        for (size_t p = 0; p < PIXELS; p++)
            dataset->pixels[i * PIXELS + p] = pixel_value(digits[row][p]);
        dataset->labels[i++] = pixel_value(digits[row][PIXELS]);
    }
    return PP_OK;
}

/* Mean and deviation are those of the training split; test_digits.c computes them again. */
const pp__source pp__source_digits = {
    .name = "digits",
    .takes_folder = false,
    .pixel_max = 16,
    .mean = {0.305215f},
    .deviation = {0.376322f},
    .class_names = pp__digit_names,
    .open = open_digits,
    .read = pp__dataset_read_memory,
};
