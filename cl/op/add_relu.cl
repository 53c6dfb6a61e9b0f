/* add_relu.cl: y = max(0, a + b). A line of octets (common.cl). `y` may be a or b. A NaN passes
 * forward, as in relu.cl, whose backward kernel serves here too. */
__kernel void add_relu_forward(__global const float *a, uint a_offset, __global const float *b,
                               uint b_offset, __global float *y, uint y_offset, uint elems) {
    TENSOR(a);
    TENSOR(b);
    TENSOR(y);
    const common_line l = common_line_of(elems);
    for (size_t i = l.begin; i < l.end; i += 8) {
        const float8 v = load8(a + i, l.end - i) + load8(b + i, l.end - i);
        store8(select(v, (float8)0.0f, v <= 0.0f), y + i, l.end - i);
    }
}
