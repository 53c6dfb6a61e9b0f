/* global_avgpool.cl: the mean over an image's pixels. x is [n, area, c], y [n, c].
 *
 *     y[n, c] = sum over p of x[n, p, c] / area        dx[n, p, c] = dy[n, c] / area  (+ dx)
 */

/* Work-item (o, n) owns octet o of image n. */
__kernel void global_avgpool_forward(__global const float *x, uint x_offset, __global float *y,
                                     uint y_offset, uint area, uint images, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t n = get_global_id(1);
    if (c0 >= channels || n >= images) return;
    TENSOR(x);
    TENSOR(y);
    __global const float *from = x + n * area * channels + c0;
    float8 sum = 0.0f;
    for (uint p = 0; p < area; p++) sum += load8(from + (size_t)p * channels, channels - c0);
    store8(sum / (float)area, y + n * channels + c0, channels - c0);
}

/* Octets of dx (common.cl). */
__kernel void global_avgpool_backward(__global const float *dy, uint dy_offset, __global float *dx,
                                      uint dx_offset, uint area, uint adds, uint pixels,
                                      uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(dy);
    TENSOR(dx);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t n = (uint)p / area;
        __global float *to = dx + p * channels + c0;
        float8 g = load8(dy + n * channels + c0, channels - c0) / (float)area;
        if (adds) g += load8(to, channels - c0);
        store8(g, to, channels - c0);
    }
}
