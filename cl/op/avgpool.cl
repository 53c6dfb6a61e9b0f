/* avgpool.cl: the mean of each window; dx gathers its share of dy from every window it lies in.
 * Octets (common.cl).
 *
 *     y[n, i, j, c]  = sum over r, s of x[n, i * stride_h - pad_h + r, j * stride_w - pad_w + s, c]
 *                      / d(i, j)
 *     dx[n, a, b, c] = sum over the windows (i, j) that hold (a, b) of dy[n, i, j, c] / d(i, j)
 *
 * d is the window's area, or with valid_only the number of its pixels inside x. Padding is smaller
 * than the window, so that number is not 0. With `adds`, dx is added to.
 */

/* How many of `window` positions from `start` on lie in 0..extent-1. */
static inline int avgpool_inside(int start, int window, int extent) {
    return min(start + window, extent) - max(start, 0);
}

static inline float avgpool_divisor(int top, int left, int h, int w, int kernel_h, int kernel_w,
                                    uint valid_only) {
    if (!valid_only) return (float)kernel_h * (float)kernel_w;
    return (float)avgpool_inside(top, kernel_h, h) * (float)avgpool_inside(left, kernel_w, w);
}

/* Work-items cover y. */
__kernel void avgpool_forward(__global const float *restrict x, uint x_offset,
                              __global float *restrict y, uint y_offset, uint h, uint w, uint out_h,
                              uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                              uint stride_w, uint pad_h, uint pad_w, uint valid_only, uint pixels,
                              uint channels) {
    TENSOR(x);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    float8 sum[COMMON_OCTETS];
    common_place at = common_place_of(s.p0, out_h, out_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, out_h, out_w)) {
        const int top = (int)(at.i * stride_h) - (int)pad_h,
                  left = (int)(at.j * stride_w) - (int)pad_w;
        const int end_a = min(top + (int)kernel_h, (int)h),
                  end_b = min(left + (int)kernel_w, (int)w);
        for (uint o = 0; o < s.octets; o++) sum[o] = 0.0f;
        for (int a = max(top, 0); a < end_a; a++) {
            for (int b = max(left, 0); b < end_b; b++) {
                __global const float *from = x + (((size_t)at.n * h + a) * w + b) * channels;
                for (uint o = 0; o < s.octets; o++) {
                    const uint c = s.c0 + 8 * o;
                    sum[o] += load8(from + c, channels - c);
                }
            }
        }
        const float area =
            avgpool_divisor(top, left, (int)h, (int)w, (int)kernel_h, (int)kernel_w, valid_only);
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(sum[o] / area, y + p * channels + c, channels - c);
        }
    }
}

/* Work-items cover x. */
__kernel void avgpool_backward(__global const float *restrict dy, uint dy_offset,
                               __global float *restrict dx, uint dx_offset, uint h, uint w,
                               uint out_h, uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                               uint stride_w, uint pad_h, uint pad_w, uint valid_only, uint adds,
                               uint pixels, uint channels) {
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
                const int top = (int)(i * stride_h) - (int)pad_h,
                          left = (int)(j * stride_w) - (int)pad_w;
                const float area = avgpool_divisor(top, left, (int)h, (int)w, (int)kernel_h,
                                                   (int)kernel_w, valid_only);
                __global const float *from =
                    dy + (((size_t)at.n * out_h + i) * out_w + j) * channels;
                for (uint o = 0; o < s.octets; o++) {
                    const uint c = s.c0 + 8 * o;
                    g[o] += load8(from + c, channels - c) / area;
                }
            }
        }
        for (uint o = 0; o < s.octets; o++) store8(g[o], to + 8 * o, channels - s.c0 - 8 * o);
    }
}
