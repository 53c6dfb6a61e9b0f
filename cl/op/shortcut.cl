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
    if (start <= -8 || start >= channels) return (float8)0.0f;
    if (start >= 0 && start + 8 <= channels) return vload8(0, pixel + start);
    float t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = max(0, -start); i < min(8, channels - start); i++) t[i] = pixel[start + i];
    return vload8(0, t);
}

/* Work-items cover y. */
__kernel void shortcut_forward(__global const float *restrict x, uint x_offset,
                               __global float *restrict y, uint y_offset, uint h, uint w,
                               uint out_h, uint out_w, uint in_channels, uint stride, uint front,
                               uint pixels, uint channels) {
    TENSOR(x);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    common_place at = common_place_of(s.p0, out_h, out_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, out_h, out_w)) {
        const size_t from = ((size_t)at.n * h + at.i * stride) * w + at.j * stride;
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(shortcut_window8(x + from * in_channels, (int)c - (int)front, (int)in_channels),
                   y + p * channels + c, channels - c);
        }
    }
}

/* Work-items cover x. */
__kernel void shortcut_backward(__global const float *restrict dy, uint dy_offset,
                                __global float *restrict dx, uint dx_offset, uint h, uint w,
                                uint out_h, uint out_w, uint out_channels, uint stride, uint front,
                                uint adds, uint pixels, uint channels) {
    TENSOR(dy);
    TENSOR(dx);
    const common_share s = common_octets(pixels, channels);
    common_place at = common_place_of(s.p0, h, w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, h, w)) {
        const uint i = at.i / stride, j = at.j / stride;
        const bool taken = i * stride == at.i && j * stride == at.j;
        if (!taken && adds) continue;
        const size_t from = ((size_t)at.n * out_h + i) * out_w + j;
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            __global float *to = dx + p * channels + c;
            float8 g = 0.0f;
            if (taken) g = load8(dy + from * out_channels + front + c, channels - c);
            if (adds) g += load8(to, channels - c);
            store8(g, to, channels - c);
        }
    }
}
