/* loss.cl: what every loss does last: metrics[0] += sum of losses, metrics[1] += sum of hits
 * (src/op/loss.c).
 *
 * One work-item adds in an order that depends on `samples` alone, so the sums are the same on every
 * run. Eight running sums keep its loads independent of each other.
 */
static inline float loss_total(__global const float *values, uint count) {
    float8 sum = 0.0f;
    for (uint i = 0; i < count; i += 8) sum += load8(values + i, count - i);
    float4 four = sum.lo + sum.hi;
    return (four.x + four.y) + (four.z + four.w);
}

__kernel void loss_forward(__global const float *losses, uint losses_offset,
                           __global const float *hits, uint hits_offset, __global float *metrics,
                           uint metrics_offset, uint samples, uint has_hits) {
    if (get_global_id(0) > 0) return;
    TENSOR(losses);
    TENSOR(hits);
    TENSOR(metrics);
    metrics[0] += loss_total(losses, samples);
    if (has_hits) metrics[1] += loss_total(hits, samples);
}
