#include "data/augment.h"

#include <string.h>

void pp__augment_set_values(pp__augment *augment, uint32_t pixel_max, const float *mean,
                            const float *deviation) {
    for (uint32_t c = 0; c < augment->channels; c++)
        for (uint32_t byte = 0; byte < 256; byte++)
            augment->value[c][byte] =
                (float)(((double)byte / pixel_max - (double)mean[c]) / (double)deviation[c]);
}

void pp__augment_write(const pp__augment *augment, const pp__draws *draws, const uint8_t *pixels,
                       float *values_out) {
    uint32_t height = augment->height, width = augment->width, channels = augment->channels;
    uint32_t pad = augment->pad;
    uint32_t top = pp__draw_below(draws->top, 2 * pad + 1),
             left = pp__draw_below(draws->left, 2 * pad + 1);
    bool mirrored = augment->flip && draws->mirror >> 31;
    for (uint32_t y = 0; y < height; y++) {
        /* Places in the padded picture; its content begins at `pad`, so what lies before wraps to a
         * large number and fails the same comparison as what lies behind. */
        uint32_t in_y = y + top - pad;
        float *row = values_out + (size_t)y * width * channels;
        if (in_y >= height) {
            memset(row, 0, (size_t)width * channels * sizeof *row);
            continue;
        }
        const uint8_t *in_row = pixels + (size_t)in_y * width * channels;
        for (uint32_t x = 0; x < width; x++) {
            uint32_t in_x = (mirrored ? width - 1 - x : x) + left - pad;
            for (uint32_t c = 0; c < channels; c++)
                row[x * channels + c] =
                    in_x < width ? augment->value[c][in_row[(size_t)in_x * channels + c]] : 0.0f;
        }
    }
}
