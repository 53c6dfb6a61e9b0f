#include "ref/blockmean_ref.h"

#include <stdlib.h>
#include <string.h>

ref_shape ref_blockmean_shape(ref_shape value, size_t side) {
    return (ref_shape){value.n, (value.h + side - 1) / side, (value.w + side - 1) / side, value.c};
}

size_t ref_blockmean_bytes(ref_shape value, size_t side) {
    return 4 * ref_elems(ref_blockmean_shape(value, side));
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

void ref_blockmean_encode(ref_shape value, size_t side, const double *x, double *means) {
    ref_shape blocks = ref_blockmean_shape(value, side);
    for (size_t n = 0; n < blocks.n; n++)
        for (size_t by = 0; by < blocks.h; by++)
            for (size_t bx = 0; bx < blocks.w; bx++)
                for (size_t c = 0; c < blocks.c; c++) {
                    size_t count = 0;
                    double sum = 0;
                    for (size_t iy = by * side; iy < smaller(value.h, (by + 1) * side); iy++)
                        for (size_t ix = bx * side; ix < smaller(value.w, (bx + 1) * side);
                             ix++, count++)
                            sum += x[ref_at(value, n, iy, ix, c)];
                    means[ref_at(blocks, n, by, bx, c)] = sum / (double)count;
                }
}

void ref_blockmean_decode(ref_shape value, size_t side, const double *means, double *x) {
    ref_shape blocks = ref_blockmean_shape(value, side);
    for (size_t n = 0; n < value.n; n++)
        for (size_t iy = 0; iy < value.h; iy++)
            for (size_t ix = 0; ix < value.w; ix++)
                for (size_t c = 0; c < value.c; c++)
                    x[ref_at(value, n, iy, ix, c)] =
                        means[ref_at(blocks, n, iy / side, ix / side, c)];
}

/* S_rs for one tap; sums: [n, blocks.h, blocks.w, out_channels]. */
static void block_sums(const ref_conv2d *g, size_t side, size_t r, size_t s, const double *dy,
                       ref_shape sums_shape, double *sums) {
    ref_shape y = ref_conv2d_output(g);
    size_t iy, ix;
    memset(sums, 0, ref_elems(sums_shape) * sizeof *sums);
    for (size_t n = 0; n < y.n; n++)
        for (size_t oy = 0; oy < y.h; oy++)
            for (size_t ox = 0; ox < y.w; ox++)
                if (ref_window_tap(&g->window, g->input, oy, ox, r, s, &iy, &ix))
                    for (size_t k = 0; k < y.c; k++)
                        sums[ref_at(sums_shape, n, iy / side, ix / side, k)] +=
                            dy[ref_at(y, n, oy, ox, k)];
}

void ref_blockmean_backward_weight(const ref_conv2d *g, size_t side, const double *means,
                                   const double *dy, double *dw) {
    ref_shape blocks = ref_blockmean_shape(g->input, side), sums_shape = blocks;
    sums_shape.c = g->out_channels;
    size_t in_group = g->input.c / g->groups, out_group = g->out_channels / g->groups;
    size_t pixels = ref_pixels(blocks);
    double *sums = malloc(ref_elems(sums_shape) * sizeof *sums);
    for (size_t tap = 0; tap < g->window.kernel_h * g->window.kernel_w; tap++) {
        block_sums(g, side, tap / g->window.kernel_w, tap % g->window.kernel_w, dy, sums_shape,
                   sums);
        for (size_t c = 0; c < in_group; c++)
            for (size_t k = 0; k < g->out_channels; k++) {
                double sum = 0;
                for (size_t p = 0; p < pixels; p++)
                    sum += means[p * blocks.c + k / out_group * in_group + c] *
                           sums[p * g->out_channels + k];
                dw[(tap * in_group + c) * g->out_channels + k] = sum;
            }
    }
    free(sums);
}
