#include "data/augment.h"

#include <math.h>
#include <string.h>

static uint8_t nearest_byte(double value, uint32_t pixel_max) {
    return (uint8_t)nearbyint(fmin(fmax(value * pixel_max, 0), pixel_max));
}

void pp__augment_set_values(pp__augment *augment, uint32_t pixel_max, const float *mean,
                            const float *deviation) {
    for (uint32_t c = 0; c < augment->channels; c++) {
        augment->padding[c] = nearest_byte((double)mean[c], pixel_max);
        for (uint32_t byte = 0; byte < 256; byte++)
            augment->value[c][byte] =
                (float)(((double)byte / pixel_max - (double)mean[c]) / (double)deviation[c]);
    }
}

/* What one sample's draws make of its picture. */
typedef struct cut {
    uint32_t top, left;
    bool mirrored;
} cut;

static cut cut_of(const pp__augment *augment, const pp__draws *draws) {
    uint32_t places = 2 * augment->pad + 1;
    return (cut){pp__draw_below(draws->top, places), pp__draw_below(draws->left, places),
                 augment->flip && draws->mirror >> 31};
}

/* The pixel that comes to (x, y), or the padding. Places are those in the padded picture, whose
 * content begins at `pad`, so what lies before it wraps to a large number and fails the same
 * comparison as what lies behind. */
static const uint8_t *pixel_at(const pp__augment *augment, const cut *cut, const uint8_t *pixels,
                               uint32_t x, uint32_t y) {
    uint32_t in_y = y + cut->top - augment->pad;
    uint32_t in_x = (cut->mirrored ? augment->width - 1 - x : x) + cut->left - augment->pad;
    if (in_y >= augment->height || in_x >= augment->width) return augment->padding;
    return pixels + ((size_t)in_y * augment->width + in_x) * augment->channels;
}

void pp__augment_write_bytes(const pp__augment *augment, const pp__draws *draws,
                             const uint8_t *pixels, uint8_t *pixels_out) {
    const cut cut = cut_of(augment, draws);
    uint8_t *to = pixels_out;
    for (uint32_t y = 0; y < augment->height; y++)
        for (uint32_t x = 0; x < augment->width; x++, to += augment->channels)
            memcpy(to, pixel_at(augment, &cut, pixels, x, y), augment->channels);
}

void pp__augment_write(const pp__augment *augment, const pp__draws *draws, const uint8_t *pixels,
                       float *values_out) {
    const cut cut = cut_of(augment, draws);
    float *to = values_out;
    for (uint32_t y = 0; y < augment->height; y++)
        for (uint32_t x = 0; x < augment->width; x++, to += augment->channels) {
            const uint8_t *pixel = pixel_at(augment, &cut, pixels, x, y);
            for (uint32_t c = 0; c < augment->channels; c++) to[c] = augment->value[c][pixel[c]];
        }
}
