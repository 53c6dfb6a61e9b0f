#include "ref/avgpool_ref.h"

#include <string.h>

static double tap_count(const ref_window *window, bool count_valid_only, ref_shape input, size_t oy,
                        size_t ox) {
    size_t count = 0, iy, ix;
    for (size_t r = 0; r < window->kernel_h; r++)
        for (size_t s = 0; s < window->kernel_w; s++)
            if (!count_valid_only || ref_window_tap(window, input, oy, ox, r, s, &iy, &ix)) count++;
    return (double)count;
}

void ref_avgpool_forward(const ref_window *window, bool count_valid_only, ref_shape input,
                         const double *x, double *y) {
    ref_shape output = ref_window_output(window, input, input.c);
    size_t iy, ix;
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < output.c; c++) {
                    double sum = 0;
                    for (size_t r = 0; r < window->kernel_h; r++)
                        for (size_t s = 0; s < window->kernel_w; s++)
                            if (ref_window_tap(window, input, oy, ox, r, s, &iy, &ix))
                                sum += x[ref_at(input, n, iy, ix, c)];
                    y[ref_at(output, n, oy, ox, c)] =
                        sum / tap_count(window, count_valid_only, input, oy, ox);
                }
}

void ref_avgpool_backward(const ref_window *window, bool count_valid_only, ref_shape input,
                          const double *dy, double *dx) {
    ref_shape output = ref_window_output(window, input, input.c);
    size_t iy, ix;
    memset(dx, 0, ref_elems(input) * sizeof *dx);
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < output.c; c++) {
                    double share = dy[ref_at(output, n, oy, ox, c)] /
                                   tap_count(window, count_valid_only, input, oy, ox);
                    for (size_t r = 0; r < window->kernel_h; r++)
                        for (size_t s = 0; s < window->kernel_w; s++)
                            if (ref_window_tap(window, input, oy, ox, r, s, &iy, &ix))
                                dx[ref_at(input, n, iy, ix, c)] += share;
                }
}
