/* relu.cl: y = max(0, x); dx = dy where y > 0, else 0 (+ dx).
 * A NaN passes forward, so that a diverging network shows in its loss. */

/* A line of octets (common.cl). */
__kernel void relu_forward(__global const float *x, uint x_offset, __global float *y, uint y_offset,
                           uint elems) {
    TENSOR(x);
    TENSOR(y);
    const common_line l = common_line_of(elems);
    for (size_t i = l.begin; i < l.end; i += 8) {
        const float8 v = load8(x + i, l.end - i);
        store8(select(v, (float8)0.0f, v <= 0.0f), y + i, l.end - i);
    }
}

#ifdef CODEC_MASK
/* `dx` may be `dy`. Octets. */
__kernel void relu_backward(__global const uchar *restrict code, uint code_offset,
                            __global const float *dy, uint dy_offset, __global float *dx,
                            uint dx_offset, uint adds, uint pixels, uint channels) {
    TENSOR(code);
    TENSOR(dy);
    TENSOR(dx);
    const common_share s = common_octets(pixels, channels);
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const size_t i = p * channels + c;
            const int8 mask = codec_mask8(code, p, c, channels);
            float8 g = select((float8)0.0f, load8(dy + i, channels - c), mask);
            if (adds) g += load8(dx + i, channels - c);
            store8(g, dx + i, channels - c);
        }
    }
}
#endif
