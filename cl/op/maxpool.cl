/* maxpool.cl: y = the largest x of each window; dx gathers dy of the windows that chose this pixel.
 * Octets (common.cl).
 *
 *     y[n, i, j, c] = max over r, s of x[n, i * stride_h - pad_h + r, j * stride_w - pad_w + s, c]
 *     tap[n, i, j, c] = r * kernel_w + s of the first maximum, row by row
 *     dx[n, a, b, c] = sum of dy[n, i, j, c] over the windows whose tap lies on (a, b)
 *
 * The taps are packed by codec/argmax.cl. Taps in the padding are left out; padding is smaller than
 * the window, so every window has a tap inside. With `adds`, dx is added to.
 */

/* Maxima and taps of the octets of one window whose corner is (top, left); `x` is channel c0 of the
 * image's first pixel. A NaN wins. */
static inline void maxpool_window(__global const float *x, uint count, uint octets, uint channels,
                                  int top, int left, int h, int w, int kernel_h, int kernel_w,
                                  float8 *best, int8 *tap) {
    const int first_r = max(0, -top), end_r = min(kernel_h, h - top);
    const int first_s = max(0, -left), end_s = min(kernel_w, w - left);
    for (uint o = 0; o < octets; o++) {
        best[o] = (float8)(-INFINITY);
        tap[o] = (int8)(first_r * kernel_w + first_s);
    }
    for (int r = first_r; r < end_r; r++) {
        for (int s = first_s; s < end_s; s++) {
            __global const float *from = x + ((size_t)(top + r) * w + left + s) * channels;
            for (uint o = 0; o < octets; o++) {
                const float8 v = load8(from + 8 * o, count - 8 * o);
                const int8 taken = (v > best[o]) | isnan(v);
                best[o] = select(best[o], v, taken);
                tap[o] = select(tap[o], (int8)(r * kernel_w + s), taken);
            }
        }
    }
}

/* Work-items cover y. */
__kernel void maxpool_forward(__global const float *restrict x, uint x_offset,
                              __global float *restrict y, uint y_offset, uint h, uint w, uint out_h,
                              uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                              uint stride_w, uint pad_h, uint pad_w, uint pixels, uint channels) {
    TENSOR(x);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    float8 best[COMMON_OCTETS];
    int8 tap[COMMON_OCTETS];
    common_place at = common_place_of(s.p0, out_h, out_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, out_h, out_w)) {
        maxpool_window(x + (size_t)at.n * h * w * channels + s.c0, channels - s.c0, s.octets,
                       channels, (int)(at.i * stride_h) - (int)pad_h,
                       (int)(at.j * stride_w) - (int)pad_w, (int)h, (int)w, (int)kernel_h,
                       (int)kernel_w, best, tap);
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(best[o], y + p * channels + c, channels - c);
        }
    }
}

#ifdef CODEC_INDEX
/* As above, and keeps the taps. */
__kernel void maxpool_forward_index(__global const float *restrict x, uint x_offset,
                                    __global float *restrict y, uint y_offset,
                                    __global uchar *restrict code, uint code_offset, uint h, uint w,
                                    uint out_h, uint out_w, uint kernel_h, uint kernel_w,
                                    uint stride_h, uint stride_w, uint pad_h, uint pad_w,
                                    uint pixels, uint channels) {
    TENSOR(x);
    TENSOR(y);
    TENSOR(code);
    const common_share s = common_octets(pixels, channels);
    float8 best[COMMON_OCTETS];
    int8 tap[COMMON_OCTETS];
    common_place at = common_place_of(s.p0, out_h, out_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, out_h, out_w)) {
        maxpool_window(x + (size_t)at.n * h * w * channels + s.c0, channels - s.c0, s.octets,
                       channels, (int)(at.i * stride_h) - (int)pad_h,
                       (int)(at.j * stride_w) - (int)pad_w, (int)h, (int)w, (int)kernel_h,
                       (int)kernel_w, best, tap);
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(best[o], y + p * channels + c, channels - c);
            argmax_store8(code, p, c, channels, tap[o]);
        }
    }
}

/* Work-items cover x. */
__kernel void maxpool_backward(__global const uchar *restrict code, uint code_offset,
                               __global const float *restrict dy, uint dy_offset,
                               __global float *restrict dx, uint dx_offset, uint h, uint w,
                               uint out_h, uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                               uint stride_w, uint pad_h, uint pad_w, uint adds, uint pixels,
                               uint channels) {
    TENSOR(code);
    TENSOR(dy);
    TENSOR(dx);
    const common_share s = common_octets(pixels, channels);
    float8 g[COMMON_OCTETS];
    common_place at = common_place_of(s.p0, h, w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, h, w)) {
        const uint row = at.i + pad_h, column = at.j + pad_w;
        const uint first_i = row < kernel_h ? 0 : (row - kernel_h) / stride_h + 1;
        const uint first_j = column < kernel_w ? 0 : (column - kernel_w) / stride_w + 1;
        const uint end_i = min(row / stride_h + 1, out_h),
                   end_j = min(column / stride_w + 1, out_w);
        __global float *to = dx + p * channels + s.c0;
        for (uint o = 0; o < s.octets; o++)
            g[o] = adds ? load8(to + 8 * o, channels - s.c0 - 8 * o) : (float8)0.0f;
        for (uint i = first_i; i < end_i; i++) {
            for (uint j = first_j; j < end_j; j++) {
                const int tap = (int)((row - i * stride_h) * kernel_w + column - j * stride_w);
                const size_t from = ((size_t)at.n * out_h + i) * out_w + j;
                for (uint o = 0; o < s.octets; o++) {
                    const uint c = s.c0 + 8 * o;
                    const int8 chosen = argmax_load8(code, from, c, channels) == (int8)tap;
                    g[o] +=
                        select((float8)0.0f, load8(dy + from * channels + c, channels - c), chosen);
                }
            }
        }
        for (uint o = 0; o < s.octets; o++) store8(g[o], to + 8 * o, channels - s.c0 - 8 * o);
    }
}
#endif
