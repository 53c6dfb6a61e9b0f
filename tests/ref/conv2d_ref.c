#include "ref/conv2d_ref.h"

#include <string.h>

ref_shape ref_conv2d_output(const ref_conv2d *g) {
    return ref_window_output(&g->window, g->input, g->out_channels);
}

size_t ref_conv2d_weight_elems(const ref_conv2d *g) {
    return g->window.kernel_h * g->window.kernel_w * (g->input.c / g->groups) * g->out_channels;
}

/* Forward and both gradients are sums of products over the same triples (x, w, y): each pass
 * multiplies two of the three and adds to the third. */
typedef enum place { PLACE_X, PLACE_W, PLACE_Y, PLACE_COUNT } place;

static void sum_products(const ref_conv2d *g, place a_place, const double *a, place b_place,
                         const double *b, place sum_place, double *sum) {
    ref_shape y = ref_conv2d_output(g);
    size_t in_group = g->input.c / g->groups, out_group = g->out_channels / g->groups, iy, ix;
    for (size_t n = 0; n < y.n; n++)
        for (size_t oy = 0; oy < y.h; oy++)
            for (size_t ox = 0; ox < y.w; ox++)
                for (size_t r = 0; r < g->window.kernel_h; r++)
                    for (size_t s = 0; s < g->window.kernel_w; s++) {
                        if (!ref_window_tap(&g->window, g->input, oy, ox, r, s, &iy, &ix)) continue;
                        for (size_t c = 0; c < in_group; c++)
                            for (size_t k = 0; k < g->out_channels; k++) {
                                size_t tap = (r * g->window.kernel_w + s) * in_group + c;
                                size_t at[PLACE_COUNT] = {
                                    ref_at(g->input, n, iy, ix, k / out_group * in_group + c),
                                    tap * g->out_channels + k, ref_at(y, n, oy, ox, k)};
                                sum[at[sum_place]] += a[at[a_place]] * b[at[b_place]];
                            }
                    }
}

void ref_conv2d_forward(const ref_conv2d *g, const double *x, const double *w, const double *b,
                        double *y) {
    size_t count = ref_elems(ref_conv2d_output(g));
    for (size_t i = 0; i < count; i++) y[i] = b ? b[i % g->out_channels] : 0;
    sum_products(g, PLACE_X, x, PLACE_W, w, PLACE_Y, y);
}

void ref_conv2d_backward_input(const ref_conv2d *g, const double *w, const double *dy, double *dx) {
    memset(dx, 0, ref_elems(g->input) * sizeof *dx);
    sum_products(g, PLACE_W, w, PLACE_Y, dy, PLACE_X, dx);
}

void ref_conv2d_backward_weight(const ref_conv2d *g, const double *x, const double *dy,
                                double *dw) {
    memset(dw, 0, ref_conv2d_weight_elems(g) * sizeof *dw);
    sum_products(g, PLACE_X, x, PLACE_Y, dy, PLACE_W, dw);
}

void ref_conv2d_backward_bias(const ref_conv2d *g, const double *dy, double *db) {
    size_t count = ref_elems(ref_conv2d_output(g));
    memset(db, 0, g->out_channels * sizeof *db);
    for (size_t i = 0; i < count; i++) db[i % g->out_channels] += dy[i];
}
