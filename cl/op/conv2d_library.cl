/* conv2d_library.cl: what a product of matrices by a library leaves to do.
 *
 *   y[pixel, k] = b[k]
 *
 * in front of a product that is added to it. Octets (common.cl).
 */

__kernel void conv2d_library_bias(__global const float *restrict b, uint b_offset,
                                  __global float *restrict y, uint y_offset, uint pixels,
                                  uint channels) {
    TENSOR(b);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(load8(b + c, channels - c), y + p * channels + c, channels - c);
        }
    }
}
