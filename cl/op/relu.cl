/* relu.cl: y = max(0, x); dx = dy where y > 0, else 0 (+ dx). Octets (common.cl).
 * A NaN passes forward, so that a diverging network shows in its loss. */
__kernel void relu_forward(__global const float *x, uint x_offset, __global float *y, uint y_offset,
                           uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        float8 v = load8(x + i, channels - c0);
        store8(select(v, (float8)0.0f, v <= 0.0f), y + i, channels - c0);
    }
}

#ifdef CODEC_MASK
/* `dx` may be `dy`. */
__kernel void relu_backward(__global const uchar *code, uint code_offset, __global const float *dy,
                            uint dy_offset, __global float *dx, uint dx_offset, uint adds,
                            uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(code);
    TENSOR(dy);
    TENSOR(dx);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        int8 mask = codec_mask8(code, p, c0, channels);
        float8 g = select((float8)0.0f, load8(dy + i, channels - c0), mask);
        if (adds) g += load8(dx + i, channels - c0);
        store8(g, dx + i, channels - c0);
    }
}
#endif
