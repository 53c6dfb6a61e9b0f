/* add_relu.cl: y = max(0, a + b). Octets (common.cl). `y` may be a or b. A NaN passes forward, as
 * in relu.cl, whose backward kernel serves here too. */
__kernel void add_relu_forward(__global const float *a, uint a_offset, __global const float *b,
                               uint b_offset, __global float *y, uint y_offset, uint pixels,
                               uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(a);
    TENSOR(b);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        float8 v = load8(a + i, channels - c0) + load8(b + i, channels - c0);
        store8(select(v, (float8)0.0f, v <= 0.0f), y + i, channels - c0);
    }
}
