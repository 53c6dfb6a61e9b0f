/* From stored pixels to those of a batch, as bytes or normalised: pad, crop, mirror. */
#ifndef PP_DATA_AUGMENT_H
#define PP_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "data/draw.h"

enum { PP__AUGMENT_MAX_CHANNELS = 3 };

typedef struct pp__augment {
    uint32_t height, width, channels;
    uint32_t pad;
    bool flip;
    /* What lies around the picture: the bytes nearest to the means. */
    uint8_t padding[PP__AUGMENT_MAX_CHANNELS];
    /* The normalised value of every byte: one look-up instead of a division per element, and the
     * same rounding everywhere. */
    float value[PP__AUGMENT_MAX_CHANNELS][256];
} pp__augment;

/* value = (byte / pixel_max - mean) / deviation, computed in double and rounded once. */
void pp__augment_set_values(pp__augment *augment, uint32_t pixel_max, const float *mean,
                            const float *deviation);

/* Writes [height, width, channels]. Out of a picture with `pad` pixels of padding on every side, a
 * window of the old size is cut; then it is mirrored. */
void pp__augment_write_bytes(const pp__augment *augment, const pp__draws *draws,
                             const uint8_t *pixels, uint8_t *pixels_out);

/* The same, normalised. */
void pp__augment_write(const pp__augment *augment, const pp__draws *draws, const uint8_t *pixels,
                       float *values_out);

#endif
