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
__kernel void avgpool_forward(__global const float *x, uint x_offset, __global float *y,
                              uint y_offset, uint h, uint w, uint out_h, uint out_w, uint kernel_h,
                              uint kernel_w, uint stride_h, uint stride_w, uint pad_h, uint pad_w,
                              uint valid_only, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint j = q % out_w, i = q / out_w % out_h, n = q / out_w / out_h;
        int top = (int)(i * stride_h) - (int)pad_h, left = (int)(j * stride_w) - (int)pad_w;
        int end_a = min(top + (int)kernel_h, (int)h), end_b = min(left + (int)kernel_w, (int)w);
        __global const float *image = x + (size_t)n * h * w * channels + c0;
        float8 sum = 0.0f;
        for (int a = max(top, 0); a < end_a; a++)
            for (int b = max(left, 0); b < end_b; b++)
                sum += load8(image + ((size_t)a * w + b) * channels, channels - c0);
        sum /= avgpool_divisor(top, left, (int)h, (int)w, (int)kernel_h, (int)kernel_w, valid_only);
        store8(sum, y + p * channels + c0, channels - c0);
    }
}

/* Work-items cover x. */
__kernel void avgpool_backward(__global const float *dy, uint dy_offset, __global float *dx,
                               uint dx_offset, uint h, uint w, uint out_h, uint out_w,
                               uint kernel_h, uint kernel_w, uint stride_h, uint stride_w,
                               uint pad_h, uint pad_w, uint valid_only, uint adds, uint pixels,
                               uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(dy);
    TENSOR(dx);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint n = q / w / h, row = q / w % h + pad_h, column = q % w + pad_w;
        uint first_i = row < kernel_h ? 0 : (row - kernel_h) / stride_h + 1;
        uint first_j = column < kernel_w ? 0 : (column - kernel_w) / stride_w + 1;
        uint end_i = min(row / stride_h + 1, out_h), end_j = min(column / stride_w + 1, out_w);
        __global float *to = dx + p * channels + c0;
        float8 g = 0.0f;
        if (adds) g = load8(to, channels - c0);
        for (uint i = first_i; i < end_i; i++) {
            for (uint j = first_j; j < end_j; j++) {
                int top = (int)(i * stride_h) - (int)pad_h, left = (int)(j * stride_w) - (int)pad_w;
                size_t from = ((size_t)n * out_h + i) * out_w + j;
                g += load8(dy + from * channels + c0, channels - c0) /
                     avgpool_divisor(top, left, (int)h, (int)w, (int)kernel_h, (int)kernel_w,
                                     valid_only);
            }
        }
        store8(g, to, channels - c0);
    }
}
