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

/* The maximum of the window whose corner is (top, left); `x` is channel c0 of the image's first
 * pixel. */
static inline float8 maxpool_window8(__global const float *x, uint count, uint channels, int top,
                                     int left, int h, int w, int kernel_h, int kernel_w,
                                     int8 *tap) {
    int first_r = max(0, -top), end_r = min(kernel_h, h - top);
    int first_s = max(0, -left), end_s = min(kernel_w, w - left);
    float8 best = load8(x + ((size_t)(top + first_r) * w + left + first_s) * channels, count);
    *tap = (int8)(first_r * kernel_w + first_s);
    for (int r = first_r; r < end_r; r++) {
        for (int s = first_s; s < end_s; s++) {
            float8 v = load8(x + ((size_t)(top + r) * w + left + s) * channels, count);
            int8 taken = (v > best) | isnan(v);
            best = select(best, v, taken);
            *tap = select(*tap, (int8)(r * kernel_w + s), taken);
        }
    }
    return best;
}

/* Work-items cover y. */
__kernel void maxpool_forward(__global const float *x, uint x_offset, __global float *y,
                              uint y_offset, uint h, uint w, uint out_h, uint out_w, uint kernel_h,
                              uint kernel_w, uint stride_h, uint stride_w, uint pad_h, uint pad_w,
                              uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint j = q % out_w, i = q / out_w % out_h, n = q / out_w / out_h;
        int8 tap;
        float8 best =
            maxpool_window8(x + (size_t)n * h * w * channels + c0, channels - c0, channels,
                            (int)(i * stride_h) - (int)pad_h, (int)(j * stride_w) - (int)pad_w,
                            (int)h, (int)w, (int)kernel_h, (int)kernel_w, &tap);
        store8(best, y + p * channels + c0, channels - c0);
    }
}

#ifdef CODEC_INDEX
/* As above, and keeps the taps. */
__kernel void maxpool_forward_index(__global const float *x, uint x_offset, __global float *y,
                                    uint y_offset, __global uchar *code, uint code_offset, uint h,
                                    uint w, uint out_h, uint out_w, uint kernel_h, uint kernel_w,
                                    uint stride_h, uint stride_w, uint pad_h, uint pad_w,
                                    uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(y);
    TENSOR(code);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint j = q % out_w, i = q / out_w % out_h, n = q / out_w / out_h;
        int8 tap;
        float8 best =
            maxpool_window8(x + (size_t)n * h * w * channels + c0, channels - c0, channels,
                            (int)(i * stride_h) - (int)pad_h, (int)(j * stride_w) - (int)pad_w,
                            (int)h, (int)w, (int)kernel_h, (int)kernel_w, &tap);
        store8(best, y + p * channels + c0, channels - c0);
        argmax_store8(code, p, c0, channels, tap);
    }
}

/* Work-items cover x. */
__kernel void maxpool_backward(__global const uchar *code, uint code_offset,
                               __global const float *dy, uint dy_offset, __global float *dx,
                               uint dx_offset, uint h, uint w, uint out_h, uint out_w,
                               uint kernel_h, uint kernel_w, uint stride_h, uint stride_w,
                               uint pad_h, uint pad_w, uint adds, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(code);
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
                int tap = (int)((row - i * stride_h) * kernel_w + column - j * stride_w);
                size_t from = ((size_t)n * out_h + i) * out_w + j;
                int8 chosen = argmax_load8(code, from, c0, channels) == (int8)tap;
                g += select((float8)0.0f, load8(dy + from * channels + c0, channels - c0), chosen);
            }
        }
        store8(g, to, channels - c0);
    }
}
#endif
