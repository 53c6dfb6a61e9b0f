/* add.cl: y = a + b; `y` may be either. A line of octets (common.cl). Sums of gradients use the same
 * kernel. */
__kernel void add_forward(__global const float *a, uint a_offset, __global const float *b,
                          uint b_offset, __global float *y, uint y_offset, uint elems) {
    TENSOR(a);
    TENSOR(b);
    TENSOR(y);
    const common_line l = common_line_of(elems);
    for (size_t i = l.begin; i < l.end; i += 8)
        store8(load8(a + i, l.end - i) + load8(b + i, l.end - i), y + i, l.end - i);
}
