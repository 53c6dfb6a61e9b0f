/* Resizing and cropping of 8-bit RGB in one go.
 *
 * Separable and linear, as Pillow's Image.resize(BILINEAR) does it: an output pixel is the mean of
 * the source pixels under a triangle around its centre. The triangle reaches one source pixel to
 * each side when enlarging, and one output pixel's worth of them when shrinking, so that no source
 * pixel is passed over. Weights are integers of 22 bits and rows are rounded to 8 bits between the
 * passes, so sums do not depend on their order. The result is within one step of 255 of Pillow's.
 */
#ifndef PP_IO_RESIZE_H
#define PP_IO_RESIZE_H

#include "io/image.h"

/* The weights along one axis of one resize. */
typedef struct pp__resize_axis {
    uint32_t *first;  /* [window] the first source place of each output place */
    uint32_t *count;  /* [window] how many */
    int32_t *weights; /* [window, taps] */
    size_t taps;
    size_t place_capacity, weight_capacity;
} pp__resize_axis;

/* Scratch memory, kept from one call to the next. Zeroed is empty. */
typedef struct pp__resizer {
    pp__resize_axis rows, columns;
    uint8_t *between; /* source rows of the window, already resized along the row */
    size_t between_capacity;
} pp__resizer;

typedef struct pp__window {
    uint32_t top, left, height, width;
} pp__window;

/* Scales `source` to full_height x full_width and writes the window of it to `pixels_out`, [height,
 * width, 3] of the window. Only what the window needs is computed. The window must lie inside the
 * full image. */
pp_status pp__resize(pp_engine *engine, pp__resizer *resizer, const pp__image *source,
                     uint32_t full_height, uint32_t full_width, pp__window window,
                     uint8_t *pixels_out);

void pp__resizer_release(pp_engine *engine, pp__resizer *resizer); /* accepts an empty one */

#endif
