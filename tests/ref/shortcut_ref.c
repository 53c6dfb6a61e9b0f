#include "ref/shortcut_ref.h"

#include <string.h>

ref_shape ref_shortcut_output(ref_shape input, size_t stride, size_t out_channels) {
    return (ref_shape){input.n, (input.h + stride - 1) / stride, (input.w + stride - 1) / stride,
                       out_channels};
}

void ref_shortcut_forward(ref_shape input, size_t stride, size_t out_channels, const double *x,
                          double *y) {
    ref_shape output = ref_shortcut_output(input, stride, out_channels);
    size_t front = (out_channels - input.c) / 2;
    memset(y, 0, ref_elems(output) * sizeof *y);
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < input.c; c++)
                    y[ref_at(output, n, oy, ox, front + c)] =
                        x[ref_at(input, n, oy * stride, ox * stride, c)];
}

void ref_shortcut_backward(ref_shape input, size_t stride, size_t out_channels, const double *dy,
                           double *dx) {
    ref_shape output = ref_shortcut_output(input, stride, out_channels);
    size_t front = (out_channels - input.c) / 2;
    memset(dx, 0, ref_elems(input) * sizeof *dx);
    for (size_t n = 0; n < output.n; n++)
        for (size_t oy = 0; oy < output.h; oy++)
            for (size_t ox = 0; ox < output.w; ox++)
                for (size_t c = 0; c < input.c; c++)
                    dx[ref_at(input, n, oy * stride, ox * stride, c)] =
                        dy[ref_at(output, n, oy, ox, front + c)];
}
