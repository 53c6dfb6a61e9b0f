#include "ref/maxpool_ref.h"

#include <string.h>

void ref_maxpool_forward(const ref_window *window, ref_shape input, const double *x, double *y,
                         uint8_t *index) {
    ref_shape output = ref_window_output(window, input, input.c);
    size_t iy, ix;
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < output.c; c++) {
                    double best = 0;
                    size_t place = SIZE_MAX;
                    for (size_t r = 0; r < window->kernel_h; r++)
                        for (size_t s = 0; s < window->kernel_w; s++) {
                            if (!ref_window_tap(window, input, oy, ox, r, s, &iy, &ix)) continue;
                            double value = x[ref_at(input, n, iy, ix, c)];
                            if (place == SIZE_MAX || value > best)
                                best = value, place = r * window->kernel_w + s;
                        }
                    y[ref_at(output, n, oy, ox, c)] = best;
                    index[ref_at(output, n, oy, ox, c)] = (uint8_t)place;
                }
}

void ref_maxpool_backward(const ref_window *window, ref_shape input, const double *dy,
                          const uint8_t *index, double *dx) {
    ref_shape output = ref_window_output(window, input, input.c);
    size_t iy, ix;
    memset(dx, 0, ref_elems(input) * sizeof *dx);
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < output.c; c++) {
                    size_t at = ref_at(output, n, oy, ox, c);
                    size_t r = index[at] / window->kernel_w, s = index[at] % window->kernel_w;
                    if (ref_window_tap(window, input, oy, ox, r, s, &iy, &ix))
                        dx[ref_at(input, n, iy, ix, c)] += dy[at];
                }
}
