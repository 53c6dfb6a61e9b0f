/* batchnorm.cl: batch normalisation per channel over n, h, w; with a ReLU behind it when
 * STORED_RELU is 1.
 *
 *   mean_c = mean(x), inverse_c = 1 / sqrt(var(x) + epsilon)      biased variance
 *   x-hat  = (x - mean) * inverse
 *   y      = gamma * x-hat + beta, one rounding (fma); then max(0, y)
 *
 * Backward, with g = mask * dy (METHODS A.4; x-hat~ is what the stored code gives back, everything
 * else exact):
 *
 *   dbeta  = sum g            dgamma = sum g * x-hat~
 *   dx     = gamma * inverse * (g - dbeta/m - x-hat~ * dgamma/m)      m = n*h*w
 *
 * A codec's file stands in front of this one: it encodes x-hat in the forward pass and gives x-hat~
 * and the mask back (cl/codec/README.md). `statistics` is [2, c]: mean, inverse. Sums over pixels
 * are taken in splits of BATCHNORM_SPLIT_PIXELS and combined in order, so that results do not
 * depend on the device's scheduling.
 */

/* Pixels of one split. */
#ifndef BATCHNORM_SPLIT_PIXELS
#define BATCHNORM_SPLIT_PIXELS 512
#endif
/* 1: a ReLU follows. */
#ifndef STORED_RELU
#define STORED_RELU 0
#endif
/* 1: the forward pass writes the code of x-hat. */
#ifndef BATCHNORM_ENCODE
#define BATCHNORM_ENCODE 0
#endif
/* 1: the code of x-hat does not give the exact mask, which is stored as a bit plane of its own. */
#ifndef BATCHNORM_SEPARATE_MASK
#define BATCHNORM_SEPARATE_MASK 0
#endif
/* 1: the parameters' gradients are added to what is there. */
#ifndef BATCHNORM_ADD_PARAMETERS
#define BATCHNORM_ADD_PARAMETERS 0
#endif
/* 1: the input's gradient is added to what is there. */
#ifndef BATCHNORM_ADD
#define BATCHNORM_ADD 0
#endif

/* What depends on the channel alone, for one octet. */
typedef struct {
    float8 mean, inverse, gamma, beta;
} channels8;

static inline channels8 load_channels(__global const float *statistics, __global const float *gamma,
                                      __global const float *beta, uint c0, uint channels) {
    const uint count = channels - c0;
    channels8 k;
    k.mean = load8(statistics + c0, count);
    k.inverse = load8(statistics + channels + c0, count);
    k.gamma = load8(gamma + c0, count);
    k.beta = load8(beta + c0, count);
    return k;
}

/* A NaN passes, as in relu.cl. */
static inline float8 activate(float8 xhat, const channels8 *k) {
    const float8 y = fma(k->gamma, xhat, k->beta);
    return STORED_RELU ? select(y, (float8)(0.0f), y <= 0.0f) : y;
}

/* partial [splits, 2, c]: mean and sum of squared deviations of one split, in two passes. */
__kernel void batchnorm_moments(__global const float *restrict x, uint x_offset,
                                __global float *restrict partial, uint partial_offset, uint pixels,
                                uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, split = (uint)get_global_id(1);
    const uint begin = split * BATCHNORM_SPLIT_PIXELS;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(x);
    TENSOR(partial);
    const uint count = channels - c0, end = min(pixels, begin + BATCHNORM_SPLIT_PIXELS);
    float8 sum = (float8)(0.0f), squares = (float8)(0.0f);
    for (uint p = begin; p < end; p++) sum += load8(x + (size_t)p * channels + c0, count);
    const float8 mean = sum / (float)(end - begin);
    for (uint p = begin; p < end; p++) {
        const float8 d = load8(x + (size_t)p * channels + c0, count) - mean;
        squares = fma(d, d, squares);
    }
    store8(mean, partial + (size_t)(2 * split) * channels + c0, count);
    store8(squares, partial + (size_t)(2 * split + 1) * channels + c0, count);
}

/* Combines the splits (Chan, Golub & LeVeque 1979) and moves the running statistics. */
__kernel void batchnorm_statistics(__global const float *restrict partial, uint partial_offset,
                                   __global float *restrict statistics, uint statistics_offset,
                                   __global float *restrict running_mean, uint running_mean_offset,
                                   __global float *restrict running_variance,
                                   uint running_variance_offset, uint pixels, uint channels,
                                   float epsilon, float momentum) {
    const uint c0 = (uint)get_global_id(0) * 8;
    if (c0 >= channels) return;
    TENSOR(partial);
    TENSOR(statistics);
    TENSOR(running_mean);
    TENSOR(running_variance);
    const uint count = channels - c0;
    float8 mean = (float8)(0.0f), squares = (float8)(0.0f);
    float seen = 0.0f;
    for (uint begin = 0, split = 0; begin < pixels; begin += BATCHNORM_SPLIT_PIXELS, split++) {
        const float more = (float)min(pixels - begin, (uint)BATCHNORM_SPLIT_PIXELS),
                    all = seen + more;
        const float8 m = load8(partial + (size_t)(2 * split) * channels + c0, count);
        const float8 d = m - mean;
        squares += load8(partial + (size_t)(2 * split + 1) * channels + c0, count) +
                   d * d * (seen * more / all);
        mean += d * (more / all);
        seen = all;
    }
    const float8 variance = squares / (float)pixels;
    store8(mean, statistics + c0, count);
    store8(1.0f / sqrt(variance + epsilon), statistics + channels + c0, count);
    const float8 old_mean = load8(running_mean + c0, count),
                 old_variance = load8(running_variance + c0, count);
    const float8 unbiased = squares / (float)max(pixels - 1, 1u);
    store8(old_mean + momentum * (mean - old_mean), running_mean + c0, count);
    store8(old_variance + momentum * (unbiased - old_variance), running_variance + c0, count);
}

/* Inference: statistics from the running ones. */
__kernel void batchnorm_running(__global const float *restrict running_mean,
                                uint running_mean_offset,
                                __global const float *restrict running_variance,
                                uint running_variance_offset, __global float *restrict statistics,
                                uint statistics_offset, uint channels, float epsilon) {
    const uint c0 = (uint)get_global_id(0) * 8;
    if (c0 >= channels) return;
    TENSOR(running_mean);
    TENSOR(running_variance);
    TENSOR(statistics);
    const uint count = channels - c0;
    store8(load8(running_mean + c0, count), statistics + c0, count);
    store8(1.0f / sqrt(load8(running_variance + c0, count) + epsilon), statistics + channels + c0,
           count);
}

/* y from x, which may be the same memory; and the code of x-hat. */
__kernel void batchnorm_forward(__global const float *x, uint x_offset,
                                __global const float *restrict statistics, uint statistics_offset,
                                __global const float *restrict gamma, uint gamma_offset,
                                __global const float *restrict beta, uint beta_offset,
                                __global float *y, uint y_offset, __global uchar *restrict code,
                                uint code_offset, uint pixels, uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, begin = (uint)get_global_id(1) * COMMON_CHUNK;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(x);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(y);
    TENSOR(code);
    const uint count = channels - c0, end = min(pixels, begin + COMMON_CHUNK);
    const channels8 k = load_channels(statistics, gamma, beta, c0, channels);
#if BATCHNORM_ENCODE
    const codec_channels ck = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
#endif
    for (uint p = begin; p < end; p++) {
        const size_t i = (size_t)p * channels + c0;
        const float8 xhat = (load8(x + i, count) - k.mean) * k.inverse;
        store8(activate(xhat, &k), y + i, count);
#if BATCHNORM_ENCODE
        codec_xhat_store8(code, p, c0, channels, xhat, &ck);
#endif
    }
}

/* dbeta, dgamma, and [2, c] means for the last pass. */
__kernel void batchnorm_backward_parameters(__global const float *restrict partial,
                                            uint partial_offset, __global float *restrict dgamma,
                                            uint dgamma_offset, __global float *restrict dbeta,
                                            uint dbeta_offset, __global float *restrict means,
                                            uint means_offset, uint pixels, uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8;
    if (c0 >= channels) return;
    TENSOR(partial);
    TENSOR(dgamma);
    TENSOR(dbeta);
    TENSOR(means);
    const uint count = channels - c0;
    float8 sum = (float8)(0.0f), product = (float8)(0.0f);
    for (uint begin = 0, split = 0; begin < pixels; begin += BATCHNORM_SPLIT_PIXELS, split++) {
        sum += load8(partial + (size_t)(2 * split) * channels + c0, count);
        product += load8(partial + (size_t)(2 * split + 1) * channels + c0, count);
    }
    store8(sum / (float)pixels, means + c0, count);
    store8(product / (float)pixels, means + channels + c0, count);
#if BATCHNORM_ADD_PARAMETERS
    sum += load8(dbeta + c0, count);
    product += load8(dgamma + c0, count);
#endif
    store8(sum, dbeta + c0, count);
    store8(product, dgamma + c0, count);
}

#ifdef CODEC_XHAT /* A codec of x-hat stands in front: the passes that read its code. */

/* g = mask * dy; the mask is codec_xhat_mask8's, or the separate bit plane's when one is stored. */
static inline float8 masked_gradient(__global const float *dy, __global const uchar *code,
                                     __global const uchar *mask, size_t p, uint c0, uint channels,
                                     const codec_channels *ck) {
    const float8 g = load8(dy + p * channels + c0, channels - c0);
#if !STORED_RELU
    return g;
#elif BATCHNORM_SEPARATE_MASK
    const int8 pass = unpack_mask8(mask[p * ((channels + 7) / 8) + c0 / 8]);
    return select((float8)(0.0f), g, pass);
#else
    return select((float8)(0.0f), g, codec_xhat_mask8(code, p, c0, channels, ck));
#endif
}

/* partial [splits, 2, c]: sums of g and of g * x-hat~ over one split. */
__kernel void batchnorm_backward_sums(__global const float *restrict dy, uint dy_offset,
                                      __global const uchar *restrict code, uint code_offset,
                                      __global const float *restrict statistics,
                                      uint statistics_offset, __global const float *restrict gamma,
                                      uint gamma_offset, __global const float *restrict beta,
                                      uint beta_offset, __global const uchar *restrict mask,
                                      uint mask_offset, __global float *restrict partial,
                                      uint partial_offset, uint pixels, uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, split = (uint)get_global_id(1);
    const uint begin = split * BATCHNORM_SPLIT_PIXELS;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(dy);
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(mask);
    TENSOR(partial);
    const uint count = channels - c0, end = min(pixels, begin + BATCHNORM_SPLIT_PIXELS);
    const channels8 k = load_channels(statistics, gamma, beta, c0, channels);
    const codec_channels ck = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
    float8 sum = (float8)(0.0f), product = (float8)(0.0f);
    for (uint p = begin; p < end; p++) {
        const float8 g = masked_gradient(dy, code, mask, p, c0, channels, &ck);
        sum += g;
        product = fma(g, codec_xhat8(code, p, c0, channels, &ck), product);
    }
    store8(sum, partial + (size_t)(2 * split) * channels + c0, count);
    store8(product, partial + (size_t)(2 * split + 1) * channels + c0, count);
}

/* dx from dy, which may be the same memory. */
__kernel void batchnorm_backward(__global const float *dy, uint dy_offset,
                                 __global const uchar *restrict code, uint code_offset,
                                 __global const float *restrict statistics, uint statistics_offset,
                                 __global const float *restrict gamma, uint gamma_offset,
                                 __global const float *restrict beta, uint beta_offset,
                                 __global const uchar *restrict mask, uint mask_offset,
                                 __global const float *restrict means, uint means_offset,
                                 __global float *dx, uint dx_offset, uint pixels, uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, begin = (uint)get_global_id(1) * COMMON_CHUNK;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(dy);
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(mask);
    TENSOR(means);
    TENSOR(dx);
    const uint count = channels - c0, end = min(pixels, begin + COMMON_CHUNK);
    const channels8 k = load_channels(statistics, gamma, beta, c0, channels);
    const codec_channels ck = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
    const float8 mean_g = load8(means + c0, count), mean_gx = load8(means + channels + c0, count);
    const float8 scale = k.gamma * k.inverse;
    for (uint p = begin; p < end; p++) {
        const float8 g = masked_gradient(dy, code, mask, p, c0, channels, &ck);
        const float8 xhat = codec_xhat8(code, p, c0, channels, &ck);
        float8 d = scale * (g - mean_g - xhat * mean_gx);
        const size_t i = (size_t)p * channels + c0;
#if BATCHNORM_ADD
        d += load8(dx + i, count);
#endif
        store8(d, dx + i, count);
    }
}

/* The activation from the stored x-hat: what layers with weights read. `first` pixels are
 * skipped. */
__kernel void batchnorm_decode(__global const uchar *restrict code, uint code_offset,
                               __global const float *restrict statistics, uint statistics_offset,
                               __global const float *restrict gamma, uint gamma_offset,
                               __global const float *restrict beta, uint beta_offset,
                               __global float *restrict y, uint y_offset, uint first, uint pixels,
                               uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, begin = (uint)get_global_id(1) * COMMON_CHUNK;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(y);
    const uint count = channels - c0, end = min(pixels, begin + COMMON_CHUNK);
    const channels8 k = load_channels(statistics, gamma, beta, c0, channels);
    const codec_channels ck = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
    for (uint p = begin; p < end; p++) {
        const size_t pixel = (size_t)first + p;
        const float8 xhat = codec_xhat8(code, pixel, c0, channels, &ck);
#if STORED_RELU && !BATCHNORM_SEPARATE_MASK
        const int8 pass = codec_xhat_mask8(code, pixel, c0, channels, &ck);
        const float8 v = select((float8)(0.0f), fma(k.gamma, xhat, k.beta), pass);
#else
        const float8 v = activate(xhat, &k);
#endif
        store8(v, y + (size_t)p * channels + c0, count);
    }
}

#endif
