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
 * Frozen statistics are the running ones, in both passes, and dx = gamma * inverse * g.
 *
 * A codec's file stands in front of this one: it encodes x-hat in the forward pass and gives x-hat~
 * and the mask back (cl/codec/README.md). `statistics` is [2, c]: mean, inverse. Sums over pixels
 * are taken in splits and combined in order, so that results do not depend on the device's
 * scheduling.
 *
 * Where a pixel's channels are few, rows of several pixels are worked on as if they were pixels of
 * `width` channels, a multiple of `channels` (src/op/batchnorm.c): what depends on a channel repeats
 * along the row, and codes lie the same way, because whole octets follow each other.
 */

/* 1: each work-item of the backward pass combines the splits by itself, which saves a launch; 0: a
 * kernel of its own does. For devices with few work-items that own much. */
#ifndef BATCHNORM_COMBINE
#define BATCHNORM_COMBINE 0
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
/* 1: no code of x-hat is stored, because nothing reads x-hat: the statistics and gamma are frozen. A
 * ReLU's mask is then a bit plane of its own. */
#ifndef BATCHNORM_AFFINE
#define BATCHNORM_AFFINE 0
#endif
/* 1: the statistics are frozen, constants that dx does not reach x through. */
#ifndef BATCHNORM_FROZEN
#define BATCHNORM_FROZEN 0
#endif
/* 0: the parameter is frozen and has no gradient. */
#ifndef BATCHNORM_TRAINS_GAMMA
#define BATCHNORM_TRAINS_GAMMA 1
#endif
#ifndef BATCHNORM_TRAINS_BETA
#define BATCHNORM_TRAINS_BETA 1
#endif
/* 1: the parameters' gradients are added to what is there. */
#ifndef BATCHNORM_ADD_PARAMETERS
#define BATCHNORM_ADD_PARAMETERS 0
#endif
/* 1: the input's gradient is added to what is there. */
#ifndef BATCHNORM_ADD
#define BATCHNORM_ADD 0
#endif

/* Rows from which the moments' shift is taken. */
#define BATCHNORM_SHIFT_ROWS 8

/* What depends on the channel alone, for one octet. */
typedef struct {
    float8 mean, inverse, gamma, beta;
} channels8;

static inline channels8 load_channels(__global const float *statistics, __global const float *gamma,
                                      __global const float *beta, uint c, uint channels) {
    const uint count = channels - c;
    channels8 k;
    k.mean = load8(statistics + c, count);
    k.inverse = load8(statistics + channels + c, count);
    k.gamma = load8(gamma + c, count);
    k.beta = load8(beta + c, count);
    return k;
}

/* A NaN passes, as in relu.cl. */
static inline float8 activate(float8 xhat, const channels8 *k) {
    const float8 y = fma(k->gamma, xhat, k->beta);
    return STORED_RELU ? select(y, (float8)(0.0f), y <= 0.0f) : y;
}

/* Sums the pixels of a row: `period` octets are left of `octets`. */
static inline void fold_row(float8 *sums, uint octets, uint period) {
    for (uint o = period; o < octets; o++) sums[o % period] += sums[o];
}

/* Octets of a pixel in work-item (i, j)'s share: all of it where a row holds several pixels. */
static inline uint period_of(common_share s, uint channels) {
    return min(s.octets, (channels + 7) / 8);
}

/* partial [splits, 3, c]: count, mean and sum of squared deviations of one split, from sums over
 * x - shift; who made x may have written them already (src/op/op.h, input_moments). The shift, a mean of a few pixels, keeps the difference of squares from cancelling. */
__kernel void batchnorm_moments(__global const float *restrict x, uint x_offset,
                                __global float *restrict partial, uint partial_offset,
                                uint split_rows, uint channels, uint rows, uint width) {
    TENSOR(x);
    TENSOR(partial);
    const common_share s = common_share_of(split_rows, rows, width);
    if (s.octets == 0 || s.p0 >= s.p1) return;
    const uint period = period_of(s, channels), pixels_of_row = width / channels;
    const size_t few = min(s.p0 + BATCHNORM_SHIFT_ROWS, s.p1);
    float8 shift[COMMON_OCTETS], sum[COMMON_OCTETS], squares[COMMON_OCTETS];
    for (uint o = 0; o < s.octets; o++) shift[o] = sum[o] = squares[o] = 0.0f;
    for (size_t p = s.p0; p < few; p++)
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            shift[o] += load8(x + p * width + c, width - c);
        }
    fold_row(shift, s.octets, period);
    for (uint o = 0; o < s.octets; o++)
        shift[o] =
            o < period ? shift[o] / (float)((few - s.p0) * pixels_of_row) : shift[o % period];
    for (size_t p = s.p0; p < s.p1; p++)
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const float8 d = load8(x + p * width + c, width - c) - shift[o];
            sum[o] += d;
            squares[o] = fma(d, d, squares[o]);
        }
    fold_row(sum, s.octets, period);
    fold_row(squares, s.octets, period);
    partial += 3 * get_global_id(1) * channels;
    for (uint o = 0; o < period; o++) {
        const uint c = s.c0 + 8 * o;
        const float8 pixels = (float8)((float)((s.p1 - s.p0) * pixels_of_row));
        const float8 mean = sum[o] / pixels;
        const float8 deviations = squares[o] - mean * sum[o];
        store8(pixels, partial + c, channels - c);
        store8(shift[o] + mean, partial + channels + c, channels - c);
        store8(select(deviations, (float8)(0.0f), deviations < 0.0f), partial + 2 * channels + c,
               channels - c);
    }
}

/* How x is split, and what a normalisation makes of its moments. */
typedef struct {
    uint splits, pixels, channels;
    float epsilon, momentum;
} statistics_of;

/* Combines the splits for one octet, in order: mean and 1/deviation. The first work-item of an octet
 * `keeps` them, and moves the running statistics, unless a channel's would not be finite. */
static inline void combine_moments(__global const float *partial, const statistics_of *of, uint c,
                                   bool keeps, __global float *statistics,
                                   __global float *running_mean, __global float *running_variance,
                                   channels8 *k) {
    const uint count = of->channels - c;
    const float8 first = load8(partial + of->channels + c, count);
    float8 sum = (float8)(0.0f), squares = (float8)(0.0f);
    for (uint i = 0; i < of->splits; i++) {
        __global const float *moments = partial + (size_t)(3 * i) * of->channels + c;
        sum += (load8(moments + of->channels, count) - first) * load8(moments, count);
    }
    k->mean = first + sum / (float)of->pixels;
    for (uint i = 0; i < of->splits; i++) {
        __global const float *moments = partial + (size_t)(3 * i) * of->channels + c;
        const float8 d = load8(moments + of->channels, count) - k->mean;
        squares += fma(d * load8(moments, count), d, load8(moments + 2 * of->channels, count));
    }
    k->inverse = 1.0f / sqrt(squares / (float)of->pixels + of->epsilon);
    if (!keeps) return;
    store8(k->mean, statistics + c, count);
    store8(k->inverse, statistics + of->channels + c, count);
    const float8 old_mean = load8(running_mean + c, count),
                 old_variance = load8(running_variance + c, count);
    const float8 unbiased = squares / (float)max(of->pixels - 1, 1u);
    const float8 mean = old_mean + of->momentum * (k->mean - old_mean),
                 variance = old_variance + of->momentum * (unbiased - old_variance);
    const int8 good = finite8(mean) & finite8(variance);
    store8(select(old_mean, mean, good), running_mean + c, count);
    store8(select(old_variance, variance, good), running_variance + c, count);
}

/* The splits combined by a launch of its own. */
__kernel void batchnorm_statistics(__global const float *restrict partial, uint partial_offset,
                                   __global float *restrict statistics, uint statistics_offset,
                                   __global float *restrict running_mean, uint running_mean_offset,
                                   __global float *restrict running_variance,
                                   uint running_variance_offset, uint splits, uint pixels,
                                   uint channels, float epsilon, float momentum) {
    const uint c = (uint)get_global_id(0) * 8;
    if (c >= channels) return;
    TENSOR(partial);
    TENSOR(statistics);
    TENSOR(running_mean);
    TENSOR(running_variance);
    const statistics_of of = {splits, pixels, channels, epsilon, momentum};
    channels8 k;
    combine_moments(partial, &of, c, true, statistics, running_mean, running_variance, &k);
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

/* y from x, which may be the same memory; and the code of x-hat. The statistics are made here from
 * the moments of `splits`; where that is 0 they are read. */
__kernel void batchnorm_forward(
    __global const float *x, uint x_offset, __global const float *restrict partial,
    uint partial_offset, __global const float *restrict gamma, uint gamma_offset,
    __global const float *restrict beta, uint beta_offset, __global float *restrict statistics,
    uint statistics_offset, __global float *restrict running_mean, uint running_mean_offset,
    __global float *restrict running_variance, uint running_variance_offset, __global float *y,
    uint y_offset, __global uchar *restrict code, uint code_offset, uint splits, float epsilon,
    float momentum, uint channels, uint rows, uint width) {
    TENSOR(x);
    TENSOR(partial);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(statistics);
    TENSOR(running_mean);
    TENSOR(running_variance);
    TENSOR(y);
    TENSOR(code);
    const common_share s = common_octets(rows, width);
    channels8 k[COMMON_OCTETS];
#if BATCHNORM_ENCODE
    codec_channels ck[COMMON_OCTETS];
#endif
    const uint period = period_of(s, channels);
    for (uint o = 0; o < s.octets; o++) {
        const uint c = s.c0 + 8 * o;
        if (o >= period) {
            k[o] = k[o - period];
#if BATCHNORM_ENCODE
            ck[o] = ck[o - period];
#endif
            continue;
        }
        if (splits) {
            const statistics_of of = {splits, rows * (width / channels), channels, epsilon,
                                      momentum};
            k[o].gamma = load8(gamma + c, channels - c);
            k[o].beta = load8(beta + c, channels - c);
            combine_moments(partial, &of, c, s.p0 == 0, statistics, running_mean, running_variance,
                            &k[o]);
        } else {
            k[o] = load_channels(statistics, gamma, beta, c, channels);
        }
#if BATCHNORM_ENCODE
        ck[o] = codec_channel8(k[o].mean, k[o].inverse, k[o].gamma, k[o].beta);
#endif
    }
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const size_t i = p * width + c;
            const float8 xhat = (load8(x + i, width - c) - k[o].mean) * k[o].inverse;
            store8(activate(xhat, &k[o]), y + i, width - c);
#if BATCHNORM_ENCODE
            codec_xhat_store8(code, p, c, width, xhat, &ck[o]);
#endif
        }
    }
}

/* Sums of g and of g * x-hat~ for one octet, from the splits in order. The first work-item of an
 * octet `keeps` them: they are dbeta and dgamma. */
typedef struct {
    float8 g, product;
} sums8;

static inline sums8 combine_sums(__global const float *partial, uint splits, uint c, uint channels,
                                 bool keeps, __global float *dgamma, __global float *dbeta) {
    const uint count = channels - c;
    sums8 sums = {(float8)(0.0f), (float8)(0.0f)};
    for (uint i = 0; i < splits; i++) {
        sums.g += load8(partial + (size_t)(2 * i) * channels + c, count);
        sums.product += load8(partial + (size_t)(2 * i + 1) * channels + c, count);
    }
    if (keeps && BATCHNORM_TRAINS_BETA)
        store8((BATCHNORM_ADD_PARAMETERS ? load8(dbeta + c, count) : (float8)(0.0f)) + sums.g,
               dbeta + c, count);
    if (keeps && BATCHNORM_TRAINS_GAMMA)
        store8(
            (BATCHNORM_ADD_PARAMETERS ? load8(dgamma + c, count) : (float8)(0.0f)) + sums.product,
            dgamma + c, count);
    return sums;
}

/* The splits combined by a launch of its own: dbeta, dgamma, and `sums` [2, c] for the last
 * pass. */
__kernel void batchnorm_backward_parameters(__global const float *restrict partial,
                                            uint partial_offset, __global float *restrict dgamma,
                                            uint dgamma_offset, __global float *restrict dbeta,
                                            uint dbeta_offset, __global float *restrict sums,
                                            uint sums_offset, uint splits, uint channels) {
    const uint c = (uint)get_global_id(0) * 8;
    if (c >= channels) return;
    TENSOR(partial);
    TENSOR(dgamma);
    TENSOR(dbeta);
    TENSOR(sums);
    const sums8 total = combine_sums(partial, splits, c, channels, true, dgamma, dbeta);
    store8(total.g, sums + c, channels - c);
    store8(total.product, sums + channels + c, channels - c);
}

#if BATCHNORM_AFFINE
/* What a codec's file would define; x-hat multiplies nothing that is kept. */
#define CODEC_XHAT
typedef uint codec_channels;
static inline codec_channels codec_channel8(float8 mean, float8 inverse, float8 gamma,
                                            float8 beta) {
    return 0;
}
static inline float8 codec_xhat8(__global const uchar *code, size_t p, uint c, uint width,
                                 const codec_channels *ck) {
    return (float8)(0.0f);
}
#endif

#ifdef CODEC_XHAT /* A codec of x-hat stands in front: the passes that read its code. */

/* g = mask * dy; the mask is codec_xhat_mask8's, or the separate bit plane's when one is stored. */
static inline float8 masked_gradient(float8 dy, __global const uchar *code,
                                     __global const uchar *mask, size_t p, uint c, uint width,
                                     const codec_channels *ck) {
#if !STORED_RELU
    return dy;
#elif BATCHNORM_SEPARATE_MASK
    const int8 pass = unpack_mask8(mask[p * ((width + 7) / 8) + c / 8]);
    return select((float8)(0.0f), dy, pass);
#else
    return select((float8)(0.0f), dy, codec_xhat_mask8(code, p, c, width, ck));
#endif
}

/* 1: dy is loaded one octet ahead: a load in the mask's reach would become a masked one, which waits
 * for the code. */
#define LOADS_AHEAD (STORED_RELU && COMMON_OCTETS > 1)

/* dy of octet c of a row, which is in `next` where it was loaded ahead; `last` is the row's last
 * octet. */
static inline float8 load_gradient(__global const float *row, uint c, uint last, uint width,
                                   float8 *next) {
#if LOADS_AHEAD
    const float8 g = *next;
    const uint ahead = min(c + 8, last);
    *next = load8(row + ahead, width - ahead);
    return g;
#else
    return load8(row + c, width - c);
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
                                      uint partial_offset, uint split_rows, uint channels,
                                      uint rows, uint width) {
    TENSOR(dy);
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(mask);
    TENSOR(partial);
    const common_share s = common_share_of(split_rows, rows, width);
    if (s.octets == 0 || s.p0 >= s.p1) return;
    const uint period = period_of(s, channels);
    codec_channels ck[COMMON_OCTETS];
    float8 sum[COMMON_OCTETS], product[COMMON_OCTETS];
    for (uint o = 0; o < s.octets; o++) {
        sum[o] = product[o] = 0.0f;
        if (o >= period) {
            ck[o] = ck[o - period];
            continue;
        }
        const channels8 k = load_channels(statistics, gamma, beta, s.c0 + 8 * o, channels);
        ck[o] = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
    }
    const uint last = s.c0 + 8 * (s.octets - 1);
    for (size_t p = s.p0; p < s.p1; p++) {
        __global const float *row = dy + p * width;
        float8 next = LOADS_AHEAD ? load8(row + s.c0, width - s.c0) : (float8)(0.0f);
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const float8 dy8 = load_gradient(row, c, last, width, &next);
            const float8 g = masked_gradient(dy8, code, mask, p, c, width, &ck[o]);
            sum[o] += g;
            product[o] = fma(g, codec_xhat8(code, p, c, width, &ck[o]), product[o]);
        }
    }
    fold_row(sum, s.octets, period);
    fold_row(product, s.octets, period);
    partial += 2 * get_global_id(1) * channels;
    for (uint o = 0; o < period; o++) {
        const uint c = s.c0 + 8 * o;
        store8(sum[o], partial + c, channels - c);
        store8(product[o], partial + channels + c, channels - c);
    }
}

/* dx from dy, which may be the same memory; the means are over `pixels`, of which these may be only
 * some. With BATCHNORM_COMBINE `sums` are the splits' and
 * dgamma and dbeta are written here; otherwise batchnorm_backward_parameters made one of them. */
__kernel void batchnorm_backward(
    __global const float *dy, uint dy_offset, __global const uchar *restrict code, uint code_offset,
    __global const float *restrict statistics, uint statistics_offset,
    __global const float *restrict gamma, uint gamma_offset, __global const float *restrict beta,
    uint beta_offset, __global const uchar *restrict mask, uint mask_offset,
    __global const float *restrict sums, uint sums_offset, __global float *dx, uint dx_offset,
    __global float *restrict dgamma, uint dgamma_offset, __global float *restrict dbeta,
    uint dbeta_offset, uint splits, uint pixels, uint channels, uint rows, uint width) {
    TENSOR(dy);
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(mask);
    TENSOR(sums);
    TENSOR(dx);
    TENSOR(dgamma);
    TENSOR(dbeta);
    const common_share s = common_octets(rows, width);
    if (s.octets == 0) return;
    const uint period = period_of(s, channels);
    codec_channels ck[COMMON_OCTETS];
    float8 scale[COMMON_OCTETS], mean_g[COMMON_OCTETS], mean_product[COMMON_OCTETS];
    for (uint o = 0; o < s.octets; o++) {
        if (o >= period) {
            ck[o] = ck[o - period];
            scale[o] = scale[o - period];
            mean_g[o] = mean_g[o - period];
            mean_product[o] = mean_product[o - period];
            continue;
        }
        const uint c = s.c0 + 8 * o;
        const channels8 k = load_channels(statistics, gamma, beta, c, channels);
        ck[o] = codec_channel8(k.mean, k.inverse, k.gamma, k.beta);
        scale[o] = k.gamma * k.inverse;
#if BATCHNORM_FROZEN
        const sums8 total = {(float8)(0.0f), (float8)(0.0f)};
#elif BATCHNORM_COMBINE
        const sums8 total = combine_sums(sums, splits, c, channels, s.p0 == 0, dgamma, dbeta);
#else
        const sums8 total = {load8(sums + c, channels - c),
                             load8(sums + channels + c, channels - c)};
#endif
        mean_g[o] = total.g / (float)pixels;
        mean_product[o] = total.product / (float)pixels;
    }
    const uint last = s.c0 + 8 * (s.octets - 1);
    for (size_t p = s.p0; p < s.p1; p++) {
        __global const float *row = dy + p * width;
        float8 next = LOADS_AHEAD ? load8(row + s.c0, width - s.c0) : (float8)(0.0f);
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const float8 dy8 = load_gradient(row, c, last, width, &next);
            const float8 g = masked_gradient(dy8, code, mask, p, c, width, &ck[o]);
            const float8 xhat = codec_xhat8(code, p, c, width, &ck[o]);
            float8 d = scale[o] * fma(-xhat, mean_product[o], g - mean_g[o]);
            const size_t i = p * width + c;
#if BATCHNORM_ADD
            d += load8(dx + i, width - c);
#endif
            store8(d, dx + i, width - c);
        }
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
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    channels8 k[COMMON_OCTETS];
    codec_channels ck[COMMON_OCTETS];
    for (uint o = 0; o < s.octets; o++) {
        k[o] = load_channels(statistics, gamma, beta, s.c0 + 8 * o, channels);
        ck[o] = codec_channel8(k[o].mean, k[o].inverse, k[o].gamma, k[o].beta);
    }
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const size_t pixel = first + p;
            const float8 xhat = codec_xhat8(code, pixel, c, channels, &ck[o]);
#if STORED_RELU && !BATCHNORM_SEPARATE_MASK
            const int8 pass = codec_xhat_mask8(code, pixel, c, channels, &ck[o]);
            const float8 v = select((float8)(0.0f), fma(k[o].gamma, xhat, k[o].beta), pass);
#else
            const float8 v = activate(xhat, &k[o]);
#endif
            store8(v, y + p * channels + c, channels - c);
        }
    }
}

#endif
