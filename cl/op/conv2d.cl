/* conv2d.cl: 2-D convolution, NHWC, weights [r, s, c/groups, k].
 *
 *   y[n,oh,ow,k]  = b[k] + sum_{r,s,c} x[n, oh*stride + r*dilation - pad, ..., c] * w[r,s,c,k]
 *   dw[r,s,c,k]   = sum_{n,oh,ow} x[n, oh*stride + r*dilation - pad, ..., c] * dy[n,oh,ow,k]
 *   dx            = the first line again, from dy with transposed weights, per phase of the stride
 *
 * One implicit GEMM serves forward and data gradient: a work-item owns CONV2D_TILE neighbouring
 * pixels of one row and CONV2D_VECTOR output channels, and walks over window and input channels.
 * Row a of a phase reads input row a*a_scale + (base + r*step)/divisor where that division is
 * exact, and writes row a*out_scale + phase:
 *
 *              a_scale  base         step       divisor  out_scale
 *   forward    stride   -pad         dilation   1        1
 *   data       1        phase + pad  -dilation  stride   stride
 *
 * The weight gradient's work-item owns CONV2D_BLOCK input channels and CONV2D_VECTOR output
 * channels of one window position, over the images of one split; conv2d_reduce adds the splits in
 * order.
 */

/* Which kernels to build: 0 all, 1 gather, 2 weight gradient, 3 the small ones. Drivers optimise
 * whole programs, so a launch asks for its part alone. */
#ifndef CONV2D_PART
#define CONV2D_PART 0
#endif
/* Output channels of a work-item: 1, 2, 4, 8 or 16. */
#ifndef CONV2D_VECTOR
#define CONV2D_VECTOR 4
#endif
/* Output pixels of a work-item. */
#ifndef CONV2D_TILE
#define CONV2D_TILE 4
#endif
/* Input channels of a weight-gradient work-item; divides the channels of a group. */
#ifndef CONV2D_BLOCK
#define CONV2D_BLOCK 1
#endif
/* 1: the output channels of a group, at least CONV2D_VECTOR, are no multiple of it. */
#ifndef CONV2D_TAIL
#define CONV2D_TAIL 1
#endif
/* 1: add to what the output holds. */
#ifndef CONV2D_ADD
#define CONV2D_ADD 0
#endif
/* 1: add the bias. */
#ifndef CONV2D_BIAS
#define CONV2D_BIAS 0
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if CONV2D_VECTOR == 1
typedef float vec;
#define LOAD_FULL(p) (*(p))
#define STORE_FULL(v, p) (*(p) = (v))
#else
typedef JOIN(float, CONV2D_VECTOR) vec;
#define LOAD_FULL(p) JOIN(vload, CONV2D_VECTOR)(0, p)
#define STORE_FULL(v, p) JOIN(vstore, CONV2D_VECTOR)(v, 0, p)
#endif

/* A group's blocks of channels are all full: the last one begins early enough, and the lanes that
 * it shares with the one before, the first `skip`, are computed twice and stored once. */
static inline int first_channel(int block, int group_k) {
    return min(block * CONV2D_VECTOR, group_k - CONV2D_VECTOR);
}

static inline void store_lanes(vec v, __global float *p, int skip) {
#if CONV2D_TAIL
    if (skip > 0) {
        float t[CONV2D_VECTOR];
        STORE_FULL(v, t);
        for (int i = skip; i < CONV2D_VECTOR; i++) p[i] = t[i];
        return;
    }
#endif
    STORE_FULL(v, p);
}

/* What the output holds in the lanes that are stored; the others belong to another work-item. */
static inline vec load_lanes(__global const float *p, int skip) {
#if CONV2D_TAIL
    if (skip > 0) {
        float t[CONV2D_VECTOR];
        for (int i = 0; i < CONV2D_VECTOR; i++) t[i] = i < skip ? 0.0f : p[i];
        return LOAD_FULL(t);
    }
#endif
    return LOAD_FULL(p);
}

/* Adds one window position to the tile's pixels from..to-1, all of which lie inside the input. */
#define ACCUMULATE(from, to)                                       \
    for (int c = 0; c < group_c; c++) {                            \
        vec wv = LOAD_FULL(wp + (size_t)c * k_total);              \
        _Pragma("unroll") for (int i = from; i < to; i++) acc[i] = \
            fma((vec)(xp[(i)*x_step + c]), wv, acc[i]);            \
    }

#if CONV2D_PART == 0 || CONV2D_PART == 1
__kernel void conv2d_gather(__global const float *restrict x, uint x_offset,
                            __global const float *restrict w, uint w_offset,
                            __global const float *restrict b, uint b_offset,
                            __global float *restrict y, uint y_offset, int in_h, int in_w, int in_c,
                            int out_h, int out_w, int k_total, int window_r, int window_s,
                            int groups, int a_scale_h, int base_h, int step_h, int divisor_h,
                            int out_scale_h, int phase_h, int a_scale_w, int base_w, int step_w,
                            int divisor_w, int out_scale_w, int phase_w, int rows, int columns,
                            int batch) {
    const int group_k = k_total / groups, group_c = in_c / groups;
    const int blocks = (group_k + CONV2D_VECTOR - 1) / CONV2D_VECTOR;
    const int tiles = (columns + CONV2D_TILE - 1) / CONV2D_TILE;
    const int kb = (int)get_global_id(0), place = (int)get_global_id(1), n = (int)get_global_id(2);
    if (kb >= groups * blocks || place >= rows * tiles || n >= batch) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    const int group = kb / blocks, k_local = first_channel(kb % blocks, group_k);
    const int k0 = group * group_k + k_local, skip = (kb % blocks) * CONV2D_VECTOR - k_local;
    const int row = place / tiles, column0 = (place % tiles) * CONV2D_TILE;
    const int live = min(columns - column0, CONV2D_TILE);
    const int x_step = a_scale_w * in_c;

    vec acc[CONV2D_TILE];
    _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) acc[i] = (vec)(0.0f);
    for (int r = 0; r < window_r; r++) {
        const int numerator_h = base_h + r * step_h;
        if (numerator_h % divisor_h) continue;
        const int ih = row * a_scale_h + numerator_h / divisor_h;
        if (ih < 0 || ih >= in_h) continue;
        for (int s = 0; s < window_s; s++) {
            const int numerator_w = base_w + s * step_w;
            if (numerator_w % divisor_w) continue;
            const int iw = column0 * a_scale_w + numerator_w / divisor_w;
            /* Pixels from..to-1 of the tile read inside the row. */
            const int from = iw < 0 ? (-iw + a_scale_w - 1) / a_scale_w : 0;
            const int to = iw >= in_w ? 0 : min(live, (in_w - 1 - iw) / a_scale_w + 1);
            if (from >= to) continue;
            __global const float *wp = w + (size_t)(r * window_s + s) * group_c * k_total + k0;
            __global const float *xp =
                x + ((long)((long)n * in_h + ih) * in_w + iw) * in_c + group * group_c;
            if (from == 0 && to == CONV2D_TILE) {
                ACCUMULATE(0, CONV2D_TILE)
            } else if (from == 1 && to == CONV2D_TILE) {
                ACCUMULATE(1, CONV2D_TILE)
            } else if (from == 0 && to == CONV2D_TILE - 1) {
                ACCUMULATE(0, CONV2D_TILE - 1)
            } else {
                for (int c = 0; c < group_c; c++) {
                    vec wv = LOAD_FULL(wp + (size_t)c * k_total);
                    _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
                        const int j = clamp(i, from, to - 1);
                        const float xv = j == i ? xp[j * x_step + c] : 0.0f;
                        acc[i] = fma((vec)(xv), wv, acc[i]);
                    }
                }
            }
        }
    }
#if CONV2D_BIAS
    const vec bias = LOAD_FULL(b + k0);
    _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) acc[i] += bias;
#endif
    __global float *yp = y +
                         ((long)((long)n * out_h + row * out_scale_h + phase_h) * out_w +
                          column0 * out_scale_w + phase_w) *
                             k_total +
                         k0;
    const int y_step = out_scale_w * k_total;
    _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
        if (i < live) {
#if CONV2D_ADD
            acc[i] += load_lanes(yp + (long)i * y_step, skip);
#endif
            store_lanes(acc[i], yp + (long)i * y_step, skip);
        }
    }
}
#endif

#if CONV2D_PART == 0 || CONV2D_PART == 3
/* Weights [r, s, c/groups, k] to [r, s, k/groups, c]: what the data gradient reads. A work-item
 * owns eight input channels of one window position. */
__kernel void conv2d_transpose_weight(__global const float *restrict w, uint w_offset,
                                      __global float *restrict t, uint t_offset, int window,
                                      int in_c, int k_total, int groups) {
    const int group_c = in_c / groups, group_k = k_total / groups;
    const int blocks = (group_c + 7) / 8;
    const int block = (int)get_global_id(0), tap = (int)get_global_id(1);
    if (block >= groups * blocks || tap >= window) return;
    TENSOR(w);
    TENSOR(t);
    const int group = block / blocks, c_local = (block % blocks) * 8,
              count = min(8, group_c - c_local);
    __global const float *wp = w + ((size_t)tap * group_c + c_local) * k_total + group * group_k;
    __global float *tp = t + (size_t)tap * group_k * in_c + group * group_c + c_local;
    for (int k = 0; k < group_k; k++) {
        float v[8];
        for (int i = 0; i < 8; i++) v[i] = i < count ? wp[(size_t)i * k_total + k] : 0.0f;
        store8(vload8(0, v), tp + (size_t)k * in_c, (uint)count);
    }
}
#endif

#if CONV2D_PART == 0 || CONV2D_PART == 2
/* One split's share of dw. `dw` is [splits, split_stride]; the window position's block inside a
 * split lies as in the weights. */
__kernel void conv2d_backward_weight(__global const float *restrict x, uint x_offset,
                                     __global const float *restrict dy, uint dy_offset,
                                     __global float *restrict dw, uint dw_offset, int in_h,
                                     int in_w, int in_c, int out_h, int out_w, int k_total,
                                     int window_r, int window_s, int groups, int stride_h,
                                     int stride_w, int pad_h, int pad_w, int dilation_h,
                                     int dilation_w, int batch, int splits, uint split_stride) {
    const int group_k = k_total / groups, group_c = in_c / groups;
    const int k_blocks = (group_k + CONV2D_VECTOR - 1) / CONV2D_VECTOR,
              c_blocks = group_c / CONV2D_BLOCK;
    const int kb = (int)get_global_id(0), cb = (int)get_global_id(1), z = (int)get_global_id(2);
    if (kb >= groups * k_blocks || cb >= c_blocks || z >= window_r * window_s * splits) return;
    TENSOR(x);
    TENSOR(dy);
    TENSOR(dw);
    const int split = z / (window_r * window_s), tap = z % (window_r * window_s);
    const int r = tap / window_s, s = tap % window_s;
    const int group = kb / k_blocks, k_local = first_channel(kb % k_blocks, group_k);
    const int k0 = group * group_k + k_local, skip = (kb % k_blocks) * CONV2D_VECTOR - k_local;
    const int c0 = group * group_c + cb * CONV2D_BLOCK;
    const int shift_h = r * dilation_h - pad_h, shift_w = s * dilation_w - pad_w;
    /* Output columns whose tap lies inside the row. */
    const int w0 = shift_w < 0 ? (-shift_w + stride_w - 1) / stride_w : 0;
    const int w1 = shift_w >= in_w ? 0 : min(out_w, (in_w - 1 - shift_w) / stride_w + 1);
    const int n0 = (int)((long)batch * split / splits),
              n1 = (int)((long)batch * (split + 1) / splits);
    const int x_step = stride_w * in_c;

    vec acc[CONV2D_BLOCK];
    _Pragma("unroll") for (int c = 0; c < CONV2D_BLOCK; c++) acc[c] = (vec)(0.0f);
    for (int n = n0; n < n1; n++) {
        for (int oh = 0; oh < out_h; oh++) {
            const int ih = oh * stride_h + shift_h;
            if (ih < 0 || ih >= in_h) continue;
            __global const float *xp =
                x + ((long)((long)n * in_h + ih) * in_w + w0 * stride_w + shift_w) * in_c + c0;
            __global const float *gp =
                dy + ((long)((long)n * out_h + oh) * out_w + w0) * k_total + k0;
            for (int ow = w0; ow < w1; ow++, xp += x_step, gp += k_total) {
                const vec g = LOAD_FULL(gp);
                _Pragma("unroll") for (int c = 0; c < CONV2D_BLOCK; c++) acc[c] =
                    fma((vec)(xp[c]), g, acc[c]);
            }
        }
    }
    __global float *dwp = dw + (size_t)split * split_stride +
                          ((size_t)tap * group_c + cb * CONV2D_BLOCK) * k_total + k0;
    _Pragma("unroll") for (int c = 0; c < CONV2D_BLOCK; c++) {
#if CONV2D_ADD
        acc[c] += load_lanes(dwp + (size_t)c * k_total, skip);
#endif
        store_lanes(acc[c], dwp + (size_t)c * k_total, skip);
    }
}
#endif

#if CONV2D_PART == 0 || CONV2D_PART == 3
/* dw[i] (+)= sum of the splits' partial sums, first split first. A work-item owns 64 elements. */
__kernel void conv2d_reduce(__global const float *restrict partial, uint partial_offset,
                            __global float *restrict dw, uint dw_offset, uint elems, uint splits,
                            uint split_stride) {
    const uint begin = (uint)get_global_id(0) * 64;
    if (begin >= elems) return;
    TENSOR(partial);
    TENSOR(dw);
    const uint end = min(elems, begin + 64);
    for (uint i = begin; i < end; i += 8) {
        const uint count = min(8u, end - i);
        float8 sum = load8(partial + i, count);
        for (uint split = 1; split < splits; split++)
            sum += load8(partial + (size_t)split * split_stride + i, count);
#if CONV2D_ADD
        sum += load8(dw + i, count);
#endif
        store8(sum, dw + i, count);
    }
}

/* db[k] (+)= sum of dy over all pixels. A work-item owns eight channels; sums of 256 pixels are
 * added up, so that the error does not grow with the batch. */
__kernel void conv2d_backward_bias(__global const float *restrict dy, uint dy_offset,
                                   __global float *restrict db, uint db_offset, uint pixels,
                                   uint k_total) {
    const uint k0 = (uint)get_global_id(0) * 8;
    if (k0 >= k_total) return;
    TENSOR(dy);
    TENSOR(db);
    const uint count = min(8u, k_total - k0);
    float8 total = (float8)(0.0f);
    for (uint p = 0; p < pixels; p += 256) {
        float8 sum = (float8)(0.0f);
        const uint end = min(pixels, p + 256);
        for (uint i = p; i < end; i++) sum += load8(dy + (size_t)i * k_total + k0, count);
        total += sum;
    }
#if CONV2D_ADD
    total += load8(db + k0, count);
#endif
    store8(total, db + k0, count);
}
#endif
