/* add_relu.cl: y = max(0, a + b); da = db = dy where y > 0, else 0 (each + what is there). Octets
 * (common.cl). `y` may be a or b. A NaN passes forward, as in relu.cl. */
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

#ifdef CODEC_MASK
/* `da` may be `dy`; `db` is another tensor than both, or has_db is 0. */
__kernel void add_relu_backward(__global const uchar *code, uint code_offset,
                                __global const float *dy, uint dy_offset, __global float *da,
                                uint da_offset, __global float *db, uint db_offset, uint adds_a,
                                uint has_db, uint adds_b, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(code);
    TENSOR(dy);
    TENSOR(da);
    TENSOR(db);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        int8 mask = codec_mask8(code, p, c0, channels);
        float8 g = select((float8)0.0f, load8(dy + i, channels - c0), mask);
        store8(adds_a ? g + load8(da + i, channels - c0) : g, da + i, channels - c0);
        if (has_db) store8(adds_b ? g + load8(db + i, channels - c0) : g, db + i, channels - c0);
    }
}
#endif
