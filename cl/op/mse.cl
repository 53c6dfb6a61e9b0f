/* mse.cl: the mean of squared differences. x and target are [n, elems].
 *
 *     loss[n] = sum over i of (x[n, i] - target[n, i])^2 / elems
 *     dx      = 2 * (x - target) / elems * loss scale
 *
 * Samples from SCALAR_COUNT on are padding: loss and gradient are 0.
 */

/* One work-item per sample. */
__kernel void mse_forward(__global const float *x, uint x_offset, __global const float *target,
                          uint target_offset, __global const uint *scalars, uint scalars_offset,
                          __global float *losses, uint losses_offset, uint samples, uint elems) {
    size_t n = get_global_id(0);
    if (n >= samples) return;
    TENSOR(x);
    TENSOR(target);
    TENSOR(scalars);
    TENSOR(losses);
    float8 sum = 0.0f;
    if (n < scalars[SCALAR_COUNT]) {
        for (uint i = 0; i < elems; i += 8) {
            size_t at = n * elems + i;
            float8 d = load8(x + at, elems - i) - load8(target + at, elems - i);
            sum += d * d;
        }
    }
    float4 four = sum.lo + sum.hi;
    losses[n] = (four.x + four.y + four.z + four.w) / (float)elems;
}

/* Octets of dx (common.cl); `area` is the number of pixels of a sample. */
__kernel void mse_backward(__global const float *x, uint x_offset, __global const float *target,
                           uint target_offset, __global const uint *scalars, uint scalars_offset,
                           __global float *dx, uint dx_offset, uint area, uint adds, uint pixels,
                           uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(x);
    TENSOR(target);
    TENSOR(scalars);
    TENSOR(dx);
    float factor = 2.0f * as_float(scalars[SCALAR_LOSS_SCALE]) / ((float)area * (float)channels);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++) {
        size_t i = p * channels + c0;
        float8 g = 0.0f;
        if ((uint)p / area < scalars[SCALAR_COUNT])
            g = factor * (load8(x + i, channels - c0) - load8(target + i, channels - c0));
        if (adds) g += load8(dx + i, channels - c0);
        store8(g, dx + i, channels - c0);
    }
}
