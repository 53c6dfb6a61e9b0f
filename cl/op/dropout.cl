/* dropout.cl: y = x * scale where the element's draw is at least `probability`, else 0; dx the same
 * of dy (+ dx). Octets (common.cl), behind rng.cl.
 *
 * Element i of the tensor draws word i % 4 of Philox block (seed, node << 32 | step, i / 4), so
 * backward draws the same again and no mask is stored. An octet begins at any i: its eight words
 * lie in two or three blocks.
 */
static inline int8 dropout_kept8(__global const uint *scalars, uint node, ulong first,
                                 float probability) {
    uint words[12];
    uint skipped = (uint)(first & 3);
    for (uint i = 0; i < (skipped ? 3u : 2u); i++) {
        ulong block = (first >> 2) + i;
        vstore4(rng_block(scalars[SCALAR_SEED_LOW], scalars[SCALAR_SEED_HIGH], scalars[SCALAR_STEP],
                          node, (uint)block, (uint)(block >> 32)),
                i, words);
    }
    float t[8];
    for (uint i = 0; i < 8; i++) t[i] = rng_uniform(words[skipped + i]);
    return vload8(0, t) >= probability;
}

/* `y` may be `x`. */
__kernel void dropout_forward(__global const float *x, uint x_offset, __global const uint *scalars,
                              uint scalars_offset, __global float *y, uint y_offset, uint node,
                              float probability, float scale, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(scalars);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        int8 kept = dropout_kept8(scalars, node, i, probability);
        store8(select((float8)0.0f, load8(x + i, channels - c0) * scale, kept), y + i,
               channels - c0);
    }
}

/* `dx` may be `dy`. */
__kernel void dropout_backward(__global const float *dy, uint dy_offset,
                               __global const uint *scalars, uint scalars_offset,
                               __global float *dx, uint dx_offset, uint node, float probability,
                               float scale, uint adds, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(dy);
    TENSOR(scalars);
    TENSOR(dx);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        int8 kept = dropout_kept8(scalars, node, i, probability);
        float8 g = select((float8)0.0f, load8(dy + i, channels - c0) * scale, kept);
        if (adds) g += load8(dx + i, channels - c0);
        store8(g, dx + i, channels - c0);
    }
}
