/* add.cl: y = a + b; `y` may be either. Octets (common.cl). Sums of gradients use the same
 * kernel. */
__kernel void add_forward(__global const float *a, uint a_offset, __global const float *b,
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
        store8(load8(a + i, channels - c0) + load8(b + i, channels - c0), y + i, channels - c0);
    }
}
