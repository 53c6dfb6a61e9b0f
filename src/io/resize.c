#include "io/resize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "util/engine.h"

/* 8 bits of pixel and 22 of weight leave the sign and one bit of headroom in 32. */
enum { WEIGHT_BITS = 22, CHANNELS = 3 };

/* Room for `count` items; unlike pp__grow, the old content is not worth a copy. */
static pp_status reserve(pp_engine *engine, void *array_pointer, size_t *capacity, size_t count,
                         size_t item_bytes) {
    if (count <= *capacity) return PP_OK;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    pp__release(engine, old);
    *capacity = 0;
    PP_TRY(pp__allocate(engine, count, item_bytes, array_pointer));
    *capacity = count;
    return PP_OK;
}

static pp_status reserve_axis(pp_engine *engine, pp__resize_axis *axis, uint32_t places) {
    if (places > axis->place_capacity) {
        /* Two arrays share one capacity, which is set only when both are there. */
        size_t first_capacity = 0, count_capacity = 0;
        axis->place_capacity = 0;
        PP_TRY(reserve(engine, &axis->first, &first_capacity, places, sizeof *axis->first));
        PP_TRY(reserve(engine, &axis->count, &count_capacity, places, sizeof *axis->count));
        axis->place_capacity = places;
    }
    if (places && axis->taps > SIZE_MAX / places)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY,
                        "resize: %" PRIu32 " x %zu weights overflow", places, axis->taps);
    return reserve(engine, &axis->weights, &axis->weight_capacity, axis->taps * places,
                   sizeof *axis->weights);
}

static double triangle(double distance) {
    double away = fabs(distance);
    return away < 1.0 ? 1.0 - away : 0.0;
}

/* The weights of output places offset .. offset + places - 1 of `full`, over `extent` source
 * places. */
static pp_status weigh(pp_engine *engine, pp__resize_axis *axis, uint32_t extent, uint32_t full,
                       uint32_t offset, uint32_t places) {
    double scale = (double)extent / full;
    double reach = scale > 1.0 ? scale : 1.0;
    axis->taps = 2 * (size_t)ceil(reach) + 1;
    PP_TRY(reserve_axis(engine, axis, places));
    for (uint32_t i = 0; i < places; i++) {
        double centre = ((double)offset + i + 0.5) * scale;
        double low = centre - reach + 0.5, high = centre + reach + 0.5;
        uint32_t first = low > 0.0 ? (uint32_t)low : 0;
        uint32_t end = high < extent ? (uint32_t)high : extent;
        double sum = 0.0;
        for (uint32_t j = first; j < end; j++) sum += triangle((j + 0.5 - centre) / reach);
        int32_t *weights = axis->weights + i * axis->taps;
        for (uint32_t j = first; j < end; j++)
            weights[j - first] =
                (int32_t)(triangle((j + 0.5 - centre) / reach) / sum * (1 << WEIGHT_BITS) + 0.5);
        axis->first[i] = first;
        axis->count[i] = end - first;
    }
    return PP_OK;
}

/* The weighted sum of `count` pixels that lie `stride` bytes apart. Rounded weights may add up to a
 * little more than one. */
static void blend(const uint8_t *pixels, size_t stride, const int32_t *weights, uint32_t count,
                  uint8_t *pixel_out) {
    int32_t sums[CHANNELS] = {1 << (WEIGHT_BITS - 1), 1 << (WEIGHT_BITS - 1),
                              1 << (WEIGHT_BITS - 1)};
    for (uint32_t j = 0; j < count; j++, pixels += stride)
        for (int c = 0; c < CHANNELS; c++) sums[c] += pixels[c] * weights[j];
    for (int c = 0; c < CHANNELS; c++) {
        int32_t value = sums[c] >> WEIGHT_BITS;
        pixel_out[c] = (uint8_t)(value > 255 ? 255 : value);
    }
}

pp_status pp__resize(pp_engine *engine, pp__resizer *resizer, const pp__image *source,
                     uint32_t full_height, uint32_t full_width, pp__window window,
                     uint8_t *pixels_out) {
    if (!source->height || !source->width || !window.height || !window.width ||
        window.top > full_height || window.left > full_width ||
        window.height > full_height - window.top || window.width > full_width - window.left)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "resize: a window of %" PRIu32 " x %" PRIu32 " at %" PRIu32 ", %" PRIu32
                        " does not lie inside %" PRIu32 " x %" PRIu32,
                        window.height, window.width, window.top, window.left, full_height,
                        full_width);
    pp__resize_axis *rows = &resizer->rows, *columns = &resizer->columns;
    PP_TRY(weigh(engine, rows, source->height, full_height, window.top, window.height));
    PP_TRY(weigh(engine, columns, source->width, full_width, window.left, window.width));

    uint32_t first_row = rows->first[0];
    uint32_t end_row = rows->first[window.height - 1] + rows->count[window.height - 1];
    size_t row_bytes = (size_t)window.width * CHANNELS;
    PP_TRY(reserve(engine, &resizer->between, &resizer->between_capacity,
                   (end_row - first_row) * row_bytes, 1));
    for (uint32_t y = first_row; y < end_row; y++) {
        const uint8_t *in = source->pixels + (size_t)y * source->width * CHANNELS;
        uint8_t *out = resizer->between + (y - first_row) * row_bytes;
        for (uint32_t x = 0; x < window.width; x++)
            blend(in + (size_t)columns->first[x] * CHANNELS, CHANNELS,
                  columns->weights + x * columns->taps, columns->count[x], out + x * CHANNELS);
    }
    for (uint32_t y = 0; y < window.height; y++) {
        const uint8_t *in = resizer->between + (rows->first[y] - first_row) * row_bytes;
        for (uint32_t x = 0; x < window.width; x++)
            blend(in + x * CHANNELS, row_bytes, rows->weights + y * rows->taps, rows->count[y],
                  pixels_out + y * row_bytes + x * CHANNELS);
    }
    return PP_OK;
}

void pp__resizer_release(pp_engine *engine, pp__resizer *resizer) {
    pp__resize_axis *axes[] = {&resizer->rows, &resizer->columns};
    for (size_t i = 0; i < 2; i++) {
        pp__release(engine, axes[i]->first);
        pp__release(engine, axes[i]->count);
        pp__release(engine, axes[i]->weights);
    }
    pp__release(engine, resizer->between);
    memset(resizer, 0, sizeof *resizer);
}
