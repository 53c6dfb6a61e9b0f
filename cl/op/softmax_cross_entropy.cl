/* softmax_cross_entropy.cl: one work-item per sample; x is [n, c], labels int32 [n] below c. With
 * e the label smoothing, m = max x and z = sum exp(x - m):
 *
 *     t    = (1 - e) * onehot(label) + e / c
 *     loss = -sum t * log softmax(x) = log z - (1 - e) * (x[label] - m) - e / c * sum(x - m)
 *     dx   = (exp(x - m) / z - t) * loss scale
 *
 * Samples from SCALAR_COUNT on are padding: loss, hit and gradient are 0. A label that is no class
 * has no loss (NaN), no hit and no gradient; the host refuses one before it gets here, but not in
 * batches that are handed over on the device. A loss that is not finite has no hit.
 */

/* A hit is 1 where the first largest logit is the label's. */
__kernel void softmax_cross_entropy_forward(__global const float *x, uint x_offset,
                                            __global const int *labels, uint labels_offset,
                                            __global const uint *scalars, uint scalars_offset,
                                            __global float *losses, uint losses_offset,
                                            __global float *hits, uint hits_offset, uint samples,
                                            uint classes, float smoothing) {
    size_t n = get_global_id(0);
    if (n >= samples) return;
    TENSOR(x);
    TENSOR(labels);
    TENSOR(scalars);
    TENSOR(losses);
    TENSOR(hits);
    if (n >= scalars[SCALAR_COUNT]) {
        losses[n] = 0.0f;
        hits[n] = 0.0f;
        return;
    }
    int label = labels[n];
    if ((uint)label >= classes) {
        losses[n] = NAN;
        hits[n] = 0.0f;
        return;
    }
    __global const float *row = x + n * classes;
    float largest = row[0];
    int winner = 0;
    for (uint k = 1; k < classes; k++) {
        if (row[k] > largest) {
            largest = row[k];
            winner = (int)k;
        }
    }
    float sum = 0.0f, distance = 0.0f;
    for (uint k = 0; k < classes; k++) {
        float d = row[k] - largest;
        sum += exp(d);
        distance += d;
    }
    const float loss = log(sum) - (1.0f - smoothing) * (row[label] - largest) -
                       smoothing / (float)classes * distance;
    const bool finite = (as_uint(loss) & 0x7F800000u) != 0x7F800000u;
    losses[n] = loss;
    hits[n] = finite && winner == label ? 1.0f : 0.0f;
}

__kernel void softmax_cross_entropy_backward(__global const float *x, uint x_offset,
                                             __global const int *labels, uint labels_offset,
                                             __global const uint *scalars, uint scalars_offset,
                                             __global float *dx, uint dx_offset, uint samples,
                                             uint classes, float smoothing, uint adds) {
    size_t n = get_global_id(0);
    if (n >= samples) return;
    TENSOR(x);
    TENSOR(labels);
    TENSOR(scalars);
    TENSOR(dx);
    __global const float *row = x + n * classes;
    __global float *to = dx + n * classes;
    uint label = n < scalars[SCALAR_COUNT] ? (uint)labels[n] : classes;
    bool real = label < classes;
    float largest = row[0], sum = 0.0f;
    for (uint k = 1; k < classes; k++) largest = max(largest, row[k]);
    for (uint k = 0; k < classes; k++) sum += exp(row[k] - largest);
    float scale = as_float(scalars[SCALAR_LOSS_SCALE]);
    float everywhere = smoothing / (float)classes;
    for (uint k = 0; k < classes; k++) {
        float target = everywhere + (k == label ? 1.0f - smoothing : 0.0f);
        float g = real ? (exp(row[k] - largest) / sum - target) * scale : 0.0f;
        to[k] = adds ? to[k] + g : g;
    }
}
