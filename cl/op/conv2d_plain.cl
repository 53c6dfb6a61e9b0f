/* conv2d_plain.cl: the passes of conv2d.cl as plain loops, for any geometry.
 *
 *   y[n,oh,ow,k]  = b[k] + sum_{r,s,c} x[n, oh*stride + r*dilation - pad, ..., c] * w[r,s,c,k]
 *   dx[n,h,w,c]   = sum_{r,s,k} dy[n, (h + pad - r*dilation) / stride, ..., k] * w[r,s,c,k]
 *   dw[r,s,c,k]   = sum_{n,oh,ow} x[n, oh*stride + r*dilation - pad, ..., c] * dy[n,oh,ow,k]
 *
 * A work-item computes one element of the output, one product after another. There are no tunables
 * and no scratch: this is what the fast kernels are compared with at their first use on a device
 * (src/device/self_test.h), and what takes their place where they are wrong.
 */

/* Extents of a convolution; c and k count all groups. */
#define EXTENTS                                                                                  \
    int in_h, int in_w, int in_c, int out_h, int out_w, int k_total, int window_r, int window_s, \
        int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w,        \
        int groups, int batch

__kernel void conv2d_plain_forward(__global const float *restrict x, uint x_offset,
                                   __global const float *restrict w, uint w_offset,
                                   __global const float *restrict b, uint b_offset,
                                   __global float *restrict y, uint y_offset, EXTENTS, int biased) {
    const int k = (int)get_global_id(0), pixel = (int)get_global_id(1), n = (int)get_global_id(2);
    if (k >= k_total || pixel >= out_h * out_w || n >= batch) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    const int group_c = in_c / groups, c0 = k / (k_total / groups) * group_c;
    const int oh = pixel / out_w, ow = pixel % out_w;
    float sum = 0.0f;
    for (int r = 0; r < window_r; r++) {
        const int ih = oh * stride_h + r * dilation_h - pad_h;
        if (ih < 0 || ih >= in_h) continue;
        for (int s = 0; s < window_s; s++) {
            const int iw = ow * stride_w + s * dilation_w - pad_w;
            if (iw < 0 || iw >= in_w) continue;
            __global const float *xp = x + (((long)n * in_h + ih) * in_w + iw) * in_c + c0;
            __global const float *wp = w + (long)(r * window_s + s) * group_c * k_total + k;
            for (int c = 0; c < group_c; c++) sum += xp[c] * wp[(long)c * k_total];
        }
    }
    y[((long)n * out_h * out_w + pixel) * k_total + k] = biased ? sum + b[k] : sum;
}

/* Count, mean and sum of squared deviations of one channel over one split of the pixels. */
__kernel void conv2d_plain_moments(__global const float *restrict y, uint y_offset,
                                   __global float *restrict moments, uint moments_offset,
                                   int pixels, int k_total, int splits) {
    const int k = (int)get_global_id(0), split = (int)get_global_id(1);
    if (k >= k_total || split >= splits) return;
    TENSOR(y);
    TENSOR(moments);
    const int first = (int)((long)pixels * split / splits),
              last = (int)((long)pixels * (split + 1) / splits);
    float sum = 0.0f, squares = 0.0f;
    for (int p = first; p < last; p++) sum += y[(long)p * k_total + k];
    const float mean = last > first ? sum / (last - first) : 0.0f;
    for (int p = first; p < last; p++) {
        const float deviation = y[(long)p * k_total + k] - mean;
        squares += deviation * deviation;
    }
    moments += (long)split * 3 * k_total + k;
    moments[0] = last - first;
    moments[k_total] = mean;
    moments[2 * k_total] = squares;
}

/* Mean and variance [2][k] of all splits. */
__kernel void conv2d_plain_merge(__global const float *restrict moments, uint moments_offset,
                                 __global float *restrict merged, uint merged_offset, int k_total,
                                 int splits) {
    const int k = (int)get_global_id(0);
    if (k >= k_total) return;
    TENSOR(moments);
    TENSOR(merged);
    float count = 0.0f, mean = 0.0f, squares = 0.0f;
    for (int split = 0; split < splits; split++) {
        __global const float *part = moments + (long)split * 3 * k_total + k;
        const float added = part[0], all = count + added, distance = part[k_total] - mean;
        if (added == 0.0f) continue;
        mean += distance * added / all;
        squares += part[2 * k_total] + distance * distance * count * added / all;
        count = all;
    }
    merged[k] = mean;
    merged[k_total + k] = squares / count;
}

__kernel void conv2d_plain_backward_input(__global const float *restrict w, uint w_offset,
                                          __global const float *restrict dy, uint dy_offset,
                                          __global float *restrict dx, uint dx_offset, EXTENTS,
                                          int adds) {
    const int c = (int)get_global_id(0), pixel = (int)get_global_id(1), n = (int)get_global_id(2);
    if (c >= in_c || pixel >= in_h * in_w || n >= batch) return;
    TENSOR(w);
    TENSOR(dy);
    TENSOR(dx);
    const int group_c = in_c / groups, group_k = k_total / groups, k0 = c / group_c * group_k;
    const int ih = pixel / in_w, iw = pixel % in_w;
    float sum = 0.0f;
    for (int r = 0; r < window_r; r++) {
        const int top = ih + pad_h - r * dilation_h, oh = top / stride_h;
        if (top < 0 || top % stride_h || oh >= out_h) continue;
        for (int s = 0; s < window_s; s++) {
            const int left = iw + pad_w - s * dilation_w, ow = left / stride_w;
            if (left < 0 || left % stride_w || ow >= out_w) continue;
            __global const float *gp = dy + (((long)n * out_h + oh) * out_w + ow) * k_total + k0;
            __global const float *wp =
                w + ((long)(r * window_s + s) * group_c + c % group_c) * k_total + k0;
            for (int k = 0; k < group_k; k++) sum += gp[k] * wp[k];
        }
    }
    __global float *to = dx + ((long)n * in_h * in_w + pixel) * in_c + c;
    *to = adds ? *to + sum : sum;
}

/* The element of dw that a work-item sums up, k fastest; c_total counts over all groups. */
#define WEIGHT_PLACE                                                                             \
    const int k = (int)get_global_id(0), c = (int)get_global_id(1), tap = (int)get_global_id(2); \
    const int group_c = in_c / groups;                                                           \
    if (k >= k_total || c >= group_c || tap >= window_r * window_s) return;                      \
    const int c_total = k / (k_total / groups) * group_c + c

/* The sum over all images and outputs; X(n, pixel) is the value of channel c_total. */
#define WEIGHT_SUM(X)                                                               \
    float sum = 0.0f;                                                               \
    for (int n = 0; n < batch; n++) {                                               \
        for (int oh = 0; oh < out_h; oh++) {                                        \
            const int ih = oh * stride_h + tap / window_s * dilation_h - pad_h;     \
            if (ih < 0 || ih >= in_h) continue;                                     \
            for (int ow = 0; ow < out_w; ow++) {                                    \
                const int iw = ow * stride_w + tap % window_s * dilation_w - pad_w; \
                if (iw < 0 || iw >= in_w) continue;                                 \
                sum += X(n, ih * in_w + iw) *                                       \
                       dy[(((long)n * out_h + oh) * out_w + ow) * k_total + k];     \
            }                                                                       \
        }                                                                           \
    }                                                                               \
    __global float *to = dw + ((long)tap * group_c + c) * k_total + k;              \
    *to = adds ? *to + sum : sum

#define X_PLAIN(n, pixel) x[((long)(n)*in_h * in_w + (pixel)) * in_c + c_total]

__kernel void conv2d_plain_backward_weight(__global const float *restrict x, uint x_offset,
                                           __global const float *restrict dy, uint dy_offset,
                                           __global float *restrict dw, uint dw_offset, EXTENTS,
                                           int adds) {
    WEIGHT_PLACE;
    TENSOR(x);
    TENSOR(dy);
    TENSOR(dw);
    WEIGHT_SUM(X_PLAIN);
}

#ifdef STORED_VALUE
/* One channel of x as it was stored: images [h][w][c], as means over side x side blocks where
 * side > 1. A pixel of the convolution may be `pixels` pixels of those, of which `first` holds the
 * channel: a dense layer's only pixel is the whole image. */
typedef struct {
    int h, w, c, side, pixels, first, channel;
} stored_plane;

static inline float stored_elem(__global const uchar *code, const stored_channels *k,
                                const stored_plane *p, int n, int pixel) {
    size_t at = (size_t)n * p->h * p->w + pixel * p->pixels + p->first;
    if (p->side > 1) {
        const int inside = pixel * p->pixels + p->first;
        const int rows = (p->h + p->side - 1) / p->side, columns = (p->w + p->side - 1) / p->side;
        at = ((size_t)n * rows + inside / p->w / p->side) * columns + inside % p->w / p->side;
    }
    float octet[8];
    vstore8(stored_value8(code, at, (uint)p->channel & ~7u, (uint)p->c, k), 0, octet);
    return octet[p->channel & 7];
}

#define X_STORED(n, pixel) stored_elem(code, &channels, &plane, n, pixel)

__kernel void conv2d_plain_backward_weight_stored(
    __global const uchar *restrict code, uint code_offset,
    __global const float *restrict statistics, uint statistics_offset,
    __global const float *restrict gamma, uint gamma_offset, __global const float *restrict beta,
    uint beta_offset, __global const float *restrict dy, uint dy_offset,
    __global float *restrict dw, uint dw_offset, EXTENTS, int adds, int stored_h, int stored_w,
    int stored_c, int stored_side) {
    WEIGHT_PLACE;
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(dy);
    TENSOR(dw);
    const stored_plane plane = {stored_h,        stored_w,           stored_c,          stored_side,
                                in_c / stored_c, c_total / stored_c, c_total % stored_c};
    const stored_channels channels =
        stored_channels8(statistics, gamma, beta, (uint)plane.channel & ~7u, (uint)stored_c);
    WEIGHT_SUM(X_STORED);
}
#endif
