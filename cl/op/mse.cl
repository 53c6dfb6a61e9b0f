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

/* A line of octets (common.cl). Elements from `real` on belong to padding. */
__kernel void mse_backward(__global const float *restrict x, uint x_offset,
                           __global const float *restrict target, uint target_offset,
                           __global const uint *restrict scalars, uint scalars_offset,
                           __global float *dx, uint dx_offset, uint sample_elems, uint adds,
                           uint elems) {
    TENSOR(x);
    TENSOR(target);
    TENSOR(scalars);
    TENSOR(dx);
    const float factor = 2.0f * as_float(scalars[SCALAR_LOSS_SCALE]) / (float)sample_elems;
    const common_line l = common_line_of(elems);
    const size_t real = min((size_t)scalars[SCALAR_COUNT] * sample_elems, l.end);
    for (size_t i = l.begin; i < l.end; i += 8) {
        float8 g = 0.0f;
        if (i < real) g = factor * (load8(x + i, real - i) - load8(target + i, real - i));
        if (adds) g += load8(dx + i, l.end - i);
        store8(g, dx + i, l.end - i);
    }
}
