/* global_avgpool.cl: the mean over an image's pixels. x is [n, area, c], y [n, c].
 *
 *     y[n, c] = sum over p of x[n, p, c] / area        dx[n, p, c] = dy[n, c] / area  (+ dx)
 */

/* Octets of y, an image to a work-item. */
__kernel void global_avgpool_forward(__global const float *restrict x, uint x_offset,
                                     __global float *restrict y, uint y_offset, uint area,
                                     uint images, uint channels) {
    TENSOR(x);
    TENSOR(y);
    const common_share s = common_share_of(1, images, channels);
    for (size_t n = s.p0; n < s.p1; n++) {
        float8 sum[COMMON_OCTETS];
        for (uint o = 0; o < s.octets; o++) sum[o] = 0.0f;
        for (uint p = 0; p < area; p++) {
            __global const float *from = x + (n * area + p) * channels;
            for (uint o = 0; o < s.octets; o++) {
                const uint c = s.c0 + 8 * o;
                sum[o] += load8(from + c, channels - c);
            }
        }
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(sum[o] / (float)area, y + n * channels + c, channels - c);
        }
    }
}

/* Octets of dx. */
__kernel void global_avgpool_backward(__global const float *restrict dy, uint dy_offset,
                                      __global float *restrict dx, uint dx_offset, uint area,
                                      uint adds, uint pixels, uint channels) {
    TENSOR(dy);
    TENSOR(dx);
    const common_share s = common_octets(pixels, channels);
    for (size_t p = s.p0; p < s.p1; p++) {
        const size_t n = (uint)p / area;
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            __global float *to = dx + p * channels + c;
            float8 g = load8(dy + n * channels + c, channels - c) / (float)area;
            if (adds) g += load8(to, channels - c);
            store8(g, to, channels - c);
        }
    }
}
