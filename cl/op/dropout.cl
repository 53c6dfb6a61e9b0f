/* dropout.cl: y = x * scale where the element's draw is at least `probability`, else 0; dx the same
 * of dy (+ dx). Behind rng.cl.
 *
 * Element i of the tensor draws word i % 4 of Philox block (seed, node << 32 | step, i / 4), so
 * backward draws the same again and no mask is stored. A work-item goes through a line of
 * COMMON_CHUNK groups of 32 elements: eight blocks are drawn at once.
 */

/* Where elements first..first+31 are kept, octet by octet. */
static inline void dropout_kept(__global const uint *scalars, uint node, ulong first,
                                float probability, int8 kept[4]) {
    uint8 w[4];
    rng_blocks8(scalars[SCALAR_SEED_LOW], scalars[SCALAR_SEED_HIGH], scalars[SCALAR_STEP], node,
                first >> 2, w);
    int8 k[4];
    for (uint j = 0; j < 4; j++) k[j] = rng_uniform8(w[j]) >= probability;
    kept[0] = (int8)(k[0].s0, k[1].s0, k[2].s0, k[3].s0, k[0].s1, k[1].s1, k[2].s1, k[3].s1);
    kept[1] = (int8)(k[0].s2, k[1].s2, k[2].s2, k[3].s2, k[0].s3, k[1].s3, k[2].s3, k[3].s3);
    kept[2] = (int8)(k[0].s4, k[1].s4, k[2].s4, k[3].s4, k[0].s5, k[1].s5, k[2].s5, k[3].s5);
    kept[3] = (int8)(k[0].s6, k[1].s6, k[2].s6, k[3].s6, k[0].s7, k[1].s7, k[2].s7, k[3].s7);
}

/* `y` may be `x`. */
__kernel void dropout_forward(__global const float *x, uint x_offset, __global const uint *scalars,
                              uint scalars_offset, __global float *y, uint y_offset, uint node,
                              float probability, float scale, uint elems) {
    TENSOR(x);
    TENSOR(scalars);
    TENSOR(y);
    const size_t begin = get_global_id(0) * (32 * COMMON_CHUNK);
    const size_t end = min(begin + 32 * COMMON_CHUNK, (size_t)elems);
    for (size_t first = begin; first < end; first += 32) {
        int8 kept[4];
        dropout_kept(scalars, node, first, probability, kept);
        for (uint j = 0; j < 4; j++) {
            const size_t i = first + 8 * j;
            if (i >= end) break;
            store8(select((float8)0.0f, load8(x + i, end - i) * scale, kept[j]), y + i, end - i);
        }
    }
}

/* `dx` may be `dy`. */
__kernel void dropout_backward(__global const float *dy, uint dy_offset,
                               __global const uint *scalars, uint scalars_offset,
                               __global float *dx, uint dx_offset, uint node, float probability,
                               float scale, uint adds, uint elems) {
    TENSOR(dy);
    TENSOR(scalars);
    TENSOR(dx);
    const size_t begin = get_global_id(0) * (32 * COMMON_CHUNK);
    const size_t end = min(begin + 32 * COMMON_CHUNK, (size_t)elems);
    for (size_t first = begin; first < end; first += 32) {
        int8 kept[4];
        dropout_kept(scalars, node, first, probability, kept);
        for (uint j = 0; j < 4; j++) {
            const size_t i = first + 8 * j;
            if (i >= end) break;
            float8 g = select((float8)0.0f, load8(dy + i, end - i) * scale, kept[j]);
            if (adds) g += load8(dx + i, end - i);
            store8(g, dx + i, end - i);
        }
    }
}
