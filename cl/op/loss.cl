/* loss.cl: what every loss does last: metrics[0] += sum of losses, metrics[1] += sum of hits
 * (src/op/loss.c). Losses that are not finite are counted in place of that, and in training the
 * update that would learn from them is left out.
 *
 * One work-item adds in an order that depends on `samples` alone, so the sums are the same on every
 * run. Eight running sums keep its loads independent of each other.
 */
static inline float loss_sum(float8 v) {
    const float4 four = v.lo + v.hi;
    return (four.x + four.y) + (four.z + four.w);
}

__kernel void loss_forward(__global const float *losses, uint losses_offset,
                           __global const float *hits, uint hits_offset, __global float *metrics,
                           uint metrics_offset, __global uint *scalars, uint scalars_offset,
                           uint samples, uint has_hits) {
    if (get_global_id(0) > 0) return;
    TENSOR(losses);
    TENSOR(hits);
    TENSOR(metrics);
    TENSOR(scalars);
    float8 total = 0.0f, hit = 0.0f, others = 0.0f;
    for (uint i = 0; i < samples; i += 8) {
        const float8 loss = load8(losses + i, samples - i);
        const int8 finite = finite8(loss);
        total += select((float8)(0.0f), loss, finite);
        others += select((float8)(1.0f), (float8)(0.0f), finite);
        if (has_hits) hit += load8(hits + i, samples - i);
    }
    metrics[0] += loss_sum(total);
    if (has_hits) metrics[1] += loss_sum(hit);
    const uint not_finite = (uint)loss_sum(others);
    if (!not_finite) return;
    scalars[SCALAR_NOT_FINITE] += not_finite;
    skip_update(scalars);
}
