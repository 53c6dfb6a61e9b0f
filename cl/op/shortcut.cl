/* shortcut.cl: every stride-th pixel, channels padded with zeros (He et al. 2016, option A). Octets
 * (common.cl).
 *
 *     y[n, i, j, k]  = x[n, i * stride, j * stride, k - front] where that channel exists, else 0
 *     dx[n, i, j, c] = dy[n, i / stride, j / stride, c + front] where stride divides both, else 0
 *
 * x is [n, h, w, in_channels], y [n, out_h, out_w, out_channels]. With `adds`, dx is added to.
 */

/* Channels start..start+7 of one pixel, zeros outside of 0..channels-1. */
static inline float8 shortcut_window8(__global const float *pixel, int start, int channels) {
    if (start >= 0 && start + 8 <= channels) return vload8(0, pixel + start);
    float t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 8; i++)
        if (start + i >= 0 && start + i < channels) t[i] = pixel[start + i];
    return vload8(0, t);
}

/* Work-items cover y. */
__kernel void shortcut_forward(__global const float *x, uint x_offset, __global float *y,
                               uint y_offset, uint h, uint w, uint out_h, uint out_w,
                               uint in_channels, uint stride, uint front, uint pixels,
                               uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint j = q % out_w, i = q / out_w % out_h, n = q / out_w / out_h;
        size_t from = ((size_t)n * h + i * stride) * w + j * stride;
        store8(shortcut_window8(x + from * in_channels, (int)c0 - (int)front, (int)in_channels),
               y + p * channels + c0, channels - c0);
    }
}

/* Work-items cover x. */
__kernel void shortcut_backward(__global const float *dy, uint dy_offset, __global float *dx,
                                uint dx_offset, uint h, uint w, uint out_h, uint out_w,
                                uint out_channels, uint stride, uint front, uint adds, uint pixels,
                                uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(dy);
    TENSOR(dx);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        uint q = (uint)p;
        uint j = q % w, i = q / w % h, n = q / w / h;
        bool taken = i % stride == 0 && j % stride == 0;
        if (!taken && adds) continue;
        float8 g = 0.0f;
        if (taken) {
            size_t from = ((size_t)n * out_h + i / stride) * out_w + j / stride;
            g = load8(dy + from * out_channels + front + c0, channels - c0);
        }
        __global float *to = dx + p * channels + c0;
        if (adds) g += load8(to, channels - c0);
        store8(g, to, channels - c0);
    }
}
