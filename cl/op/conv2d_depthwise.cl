/* conv2d_depthwise.cl: 2-D convolution in which each channel is a group, NHWC, weights [r, s, c].
 *
 *   y[n,oh,ow,c] = b[c] + sum_{r,s} x[n, oh*stride + r*dilation - pad, ..., c] * w[r,s,c]
 *   dx[n,h,w,c]  = sum of dy[n,oh,ow,c] * w[r,s,c] over the r, s, oh, ow of the line above that
 *                  read x[n,h,w,c]
 *   dw[r,s,c]    = sum_{n,oh,ow} x[n, oh*stride + r*dilation - pad, ..., c] * dy[n,oh,ow,c]
 *
 * Vectors of channels do all the work, and memory, not arithmetic, sets its pace. Window, stride,
 * dilation and padding are known when the kernels are built, so that the taps of a window row are
 * unrolled and columns that several of them read are loaded once.
 *
 * Forward and data gradient are one kernel: a work-item owns CONV2D_DEPTHWISE_BLOCKS vectors of
 * channels of CONV2D_DEPTHWISE_ROWS rows of what it writes, and goes through them in tiles of
 * CONV2D_DEPTHWISE_TILE pixels that are PHASES columns apart, or pixel by pixel where a tile would
 * read outside. In the data gradient, pixels a stride apart meet the same taps: column
 * i*stride + phase reads dy at column
 *
 *     i + (phase + pad - s*dilation) / stride    for each s for which stride divides that.
 *
 * The weight gradient's work-item owns some vectors of channels and the rows of one split;
 * conv2d_reduce adds the splits in order.
 */

/* Which kernels to build: 0 all, 1 gather, 2 weight gradient. */
#ifndef CONV2D_DEPTHWISE_PART
#define CONV2D_DEPTHWISE_PART 0
#endif
/* Channels of a vector: 1, 2, 4, 8 or 16. */
#ifndef CONV2D_DEPTHWISE_VECTOR
#define CONV2D_DEPTHWISE_VECTOR 4
#endif
/* Pixels that a work-item holds in registers. */
#ifndef CONV2D_DEPTHWISE_TILE
#define CONV2D_DEPTHWISE_TILE 4
#endif
/* Rows of what is written, of one work-item. */
#ifndef CONV2D_DEPTHWISE_ROWS
#define CONV2D_DEPTHWISE_ROWS 1
#endif
/* Vectors of channels of one work-item. */
#ifndef CONV2D_DEPTHWISE_BLOCKS
#define CONV2D_DEPTHWISE_BLOCKS 1
#endif
/* The geometry. */
#ifndef CONV2D_DEPTHWISE_R
#define CONV2D_DEPTHWISE_R 3
#define CONV2D_DEPTHWISE_S 3
#define CONV2D_DEPTHWISE_STRIDE_H 1
#define CONV2D_DEPTHWISE_STRIDE_W 1
#define CONV2D_DEPTHWISE_PAD_H 1
#define CONV2D_DEPTHWISE_PAD_W 1
#define CONV2D_DEPTHWISE_DILATION_H 1
#define CONV2D_DEPTHWISE_DILATION_W 1
#endif
/* 1: the data gradient. */
#ifndef CONV2D_DEPTHWISE_BACKWARD
#define CONV2D_DEPTHWISE_BACKWARD 0
#endif
/* 1: the channels, at least a vector, are no multiple of it. */
#ifndef CONV2D_DEPTHWISE_TAIL
#define CONV2D_DEPTHWISE_TAIL 1
#endif
/* 1: add to what the output holds. */
#ifndef CONV2D_DEPTHWISE_ADD
#define CONV2D_DEPTHWISE_ADD 0
#endif
/* 1: add the bias. */
#ifndef CONV2D_DEPTHWISE_BIAS
#define CONV2D_DEPTHWISE_BIAS 0
#endif

#define VECTOR CONV2D_DEPTHWISE_VECTOR
#define TILE CONV2D_DEPTHWISE_TILE
#define WINDOW_R CONV2D_DEPTHWISE_R
#define WINDOW_S CONV2D_DEPTHWISE_S
#define STRIDE_H CONV2D_DEPTHWISE_STRIDE_H
#define STRIDE_W CONV2D_DEPTHWISE_STRIDE_W
#define PAD_H CONV2D_DEPTHWISE_PAD_H
#define PAD_W CONV2D_DEPTHWISE_PAD_W
#define DILATION_H CONV2D_DEPTHWISE_DILATION_H
#define DILATION_W CONV2D_DEPTHWISE_DILATION_W

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if CONV2D_DEPTHWISE_VECTOR == 1
typedef float vec;
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
typedef JOIN(float, VECTOR) vec;
#define LOAD(p) JOIN(vload, VECTOR)(0, p)
#define STORE(v, p) JOIN(vstore, VECTOR)(v, 0, p)
#endif

/* All vectors are full: the last one begins early enough, and the lanes that it shares with the one
 * before, the first `skip`, are computed twice and stored once. */
static inline int first_channel(int block, int channels) {
    return min(block * VECTOR, channels - VECTOR);
}

/* to (+)= v in all lanes but the first `skip`. */
static inline void write_lanes(vec v, __global float *to, int skip, int adds) {
#if CONV2D_DEPTHWISE_TAIL
    if (skip > 0) {
        float t[VECTOR];
        STORE(v, t);
        for (int i = skip; i < VECTOR; i++) to[i] = adds ? to[i] + t[i] : t[i];
        return;
    }
#endif
    STORE(adds ? LOAD(to) + v : v, to);
}

#if CONV2D_DEPTHWISE_PART == 0 || CONV2D_DEPTHWISE_PART == 1
/* How the tile's pixel i lies to what it reads: column i*SCALE + first. */
#if CONV2D_DEPTHWISE_BACKWARD
#define SCALE 1
#define PHASES STRIDE_W
/* Whether tap s meets a phase's columns, and where the first of them reads. */
#define MEETS(s, phase) (((phase) + PAD_W - (s)*DILATION_W) % STRIDE_W == 0)
#define FIRST(s, phase) (((phase) + PAD_W - (s)*DILATION_W) / STRIDE_W)
#else
#define SCALE STRIDE_W
#define PHASES 1
#define MEETS(s, phase) true
#define FIRST(s, phase) ((s)*DILATION_W - PAD_W)
#endif

/* The row of x (or dy) that tap r of a row reads; negative: none. */
static inline int row_of(int row, int r, int in_h) {
#if CONV2D_DEPTHWISE_BACKWARD
    const int ahead = row + PAD_H - r * DILATION_H;
    const int ih = ahead % STRIDE_H == 0 ? ahead / STRIDE_H : -1;
#else
    const int ih = row * STRIDE_H + r * DILATION_H - PAD_H;
#endif
    return ih < in_h ? ih : -1;
}

/* Writes a tile all of whose pixels and their taps lie inside the rows. `x` points to the image,
 * `w` to the weights, `b` to the bias and `y` to the tile, all at the vector's first channel. */
static inline void write_tile(__global const float *x, __global const float *w,
                              __global const float *b, __global float *y, int row, int column,
                              int phase, int in_h, int in_w, int channels, int skip) {
    vec acc[TILE];
    _Pragma("unroll") for (int i = 0; i < TILE; i++) acc[i] =
        CONV2D_DEPTHWISE_BIAS ? LOAD(b) : (vec)(0.0f);
    for (int r = 0; r < WINDOW_R; r++) {
        const int ih = row_of(row, r, in_h);
        if (ih < 0) continue;
        __global const float *xp = x + ((size_t)ih * in_w + column) * channels;
        _Pragma("unroll") for (int s = 0; s < WINDOW_S; s++) {
            if (!MEETS(s, phase)) continue;
            const vec wv = LOAD(w + (r * WINDOW_S + s) * channels);
            _Pragma("unroll") for (int i = 0; i < TILE; i++) acc[i] =
                fma(LOAD(xp + (i * SCALE + FIRST(s, phase)) * channels), wv, acc[i]);
        }
    }
    _Pragma("unroll") for (int i = 0; i < TILE; i++)
        write_lanes(acc[i], y + i * PHASES * channels, skip, CONV2D_DEPTHWISE_ADD);
}

/* The same for a single pixel, some of whose taps may lie outside. */
static inline void write_pixel(__global const float *x, __global const float *w,
                               __global const float *b, __global float *y, int row, int column,
                               int phase, int in_h, int in_w, int channels, int skip) {
    vec acc = CONV2D_DEPTHWISE_BIAS ? LOAD(b) : (vec)(0.0f);
    for (int r = 0; r < WINDOW_R; r++) {
        const int ih = row_of(row, r, in_h);
        if (ih < 0) continue;
        for (int s = 0; s < WINDOW_S; s++) {
            const int iw = column + FIRST(s, phase);
            if (MEETS(s, phase) && iw >= 0 && iw < in_w)
                acc = fma(LOAD(x + ((size_t)ih * in_w + iw) * channels),
                          LOAD(w + (r * WINDOW_S + s) * channels), acc);
        }
    }
    write_lanes(acc, y, skip, CONV2D_DEPTHWISE_ADD);
}

/* One phase of rows first_row..end_row-1 of image y from image x. Rows follow each other innermost,
 * because neighbouring ones read the same. */
static inline void write_rows(__global const float *x, __global const float *w,
                              __global const float *b, __global float *y, int first_row,
                              int end_row, int phase, int in_h, int in_w, int out_w, int channels,
                              int first_block, int end_block) {
    const int columns = (out_w - phase + PHASES - 1) / PHASES;
    /* The columns, beside a tile's own, that its first and its last tap read. */
    int low = 0, high = 0;
    for (int s = 0; s < WINDOW_S; s++)
        if (MEETS(s, phase)) {
            low = min(low, FIRST(s, phase));
            high = max(high, FIRST(s, phase));
        }
    high += (TILE - 1) * SCALE;
    for (int i = 0; i < columns;) {
        const int column = i * SCALE;
        const bool whole = i + TILE <= columns && column + low >= 0 && column + high < in_w;
        for (int block = first_block; block < end_block; block++) {
            const int c = first_channel(block, channels), skip = block * VECTOR - c;
            for (int row = first_row; row < end_row; row++) {
                __global float *to = y + ((size_t)row * out_w + i * PHASES + phase) * channels + c;
                if (whole)
                    write_tile(x + c, w + c, b + c, to, row, column, phase, in_h, in_w, channels,
                               skip);
                else
                    write_pixel(x + c, w + c, b + c, to, row, column, phase, in_h, in_w, channels,
                                skip);
            }
        }
        i += whole ? TILE : 1;
    }
}

__kernel void conv2d_depthwise_gather(__global const float *restrict x, uint x_offset,
                                      __global const float *restrict w, uint w_offset,
                                      __global const float *restrict b, uint b_offset,
                                      __global float *restrict y, uint y_offset, int in_h, int in_w,
                                      int out_h, int out_w, int channels, int batch) {
    const int blocks = (channels + VECTOR - 1) / VECTOR;
    const int chunks = blocks / CONV2D_DEPTHWISE_BLOCKS + (blocks % CONV2D_DEPTHWISE_BLOCKS != 0);
    const int chunk = (int)get_global_id(0), part = (int)get_global_id(1),
              n = (int)get_global_id(2);
    const int first_row = part * CONV2D_DEPTHWISE_ROWS;
    if (chunk >= chunks || first_row >= out_h || n >= batch) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    x += (size_t)n * in_h * in_w * channels;
    y += (size_t)n * out_h * out_w * channels;
    const int first_block = chunk * CONV2D_DEPTHWISE_BLOCKS,
              end_block = first_block + min(CONV2D_DEPTHWISE_BLOCKS, blocks - first_block);
    const int end_row = min(out_h, first_row + CONV2D_DEPTHWISE_ROWS);
    _Pragma("unroll") for (int phase = 0; phase < PHASES; phase++) if (phase < out_w) write_rows(
        x, w, b, y, first_row, end_row, phase, in_h, in_w, out_w, channels, first_block, end_block);
}
#endif

#if CONV2D_DEPTHWISE_PART == 0 || CONV2D_DEPTHWISE_PART == 2
/* Where tap s of dy's first column reads. */
#define SHIFT(s) ((s)*DILATION_W - PAD_W)

/* Of the columns of dy those all of whose taps lie inside: from..end-1; none where from >= end. */
typedef struct span {
    int from, end;
} span;

static inline span inner_span(int in_w, int out_w) {
    const int behind = in_w - SHIFT(WINDOW_S - 1); /* as many columns as the last tap has */
    return (span){(PAD_W + STRIDE_W - 1) / STRIDE_W,
                  min(out_w, (behind + STRIDE_W - 1) / STRIDE_W)};
}

/* sums[s] += the products of one row of dy with one of x at columns from..end-1, some of whose taps
 * may lie outside. */
static inline void add_edge(vec *sums, __global const float *x, __global const float *dy, int from,
                            int end, int in_w, int channels) {
    for (int ow = from; ow < end; ow++) {
        const vec g = LOAD(dy + ow * channels);
        for (int s = 0; s < WINDOW_S; s++) {
            const int iw = ow * STRIDE_W + SHIFT(s);
            if (iw >= 0 && iw < in_w) sums[s] = fma(LOAD(x + iw * channels), g, sums[s]);
        }
    }
}

/* sums[r][s] += the products of one row of dy with the rows of x under the window, of which `x`
 * points to the first, ih. Sums of all rows at once hide the latency of an addition. */
static inline void add_rows(vec (*sums)[WINDOW_S], __global const float *x,
                            __global const float *dy, span inner, int ih, int in_h, int in_w,
                            int out_w, int channels) {
    const long pitch = (long)DILATION_H * in_w * channels;
    const bool whole = ih >= 0 && ih + (WINDOW_R - 1) * DILATION_H < in_h;
    for (int r = 0; r < WINDOW_R; r++) {
        const int row = ih + r * DILATION_H;
        if (row < 0 || row >= in_h) continue;
        add_edge(sums[r], x + r * pitch, dy, 0, min(inner.from, out_w), in_w, channels);
        add_edge(sums[r], x + r * pitch, dy, max(inner.from, inner.end), out_w, in_w, channels);
        if (whole) continue;
        for (int ow = inner.from; ow < inner.end; ow++) {
            const vec g = LOAD(dy + ow * channels);
            _Pragma("unroll") for (int s = 0; s < WINDOW_S; s++) sums[r][s] =
                fma(LOAD(x + r * pitch + (ow * STRIDE_W + SHIFT(s)) * channels), g, sums[r][s]);
        }
    }
    if (!whole) return;
    for (int ow = inner.from; ow < inner.end; ow++) {
        const vec g = LOAD(dy + ow * channels);
        _Pragma("unroll") for (int r = 0; r < WINDOW_R; r++)
            _Pragma("unroll") for (int s = 0; s < WINDOW_S; s++) sums[r][s] =
                fma(LOAD(x + r * pitch + (ow * STRIDE_W + SHIFT(s)) * channels), g, sums[r][s]);
    }
}

/* One split's share of dw, [splits][r, s, channels]: rows first..last-1 of all images' rows of
 * dy. */
__kernel void conv2d_depthwise_backward_weight(__global const float *restrict x, uint x_offset,
                                               __global const float *restrict dy, uint dy_offset,
                                               __global float *restrict dw, uint dw_offset,
                                               int in_h, int in_w, int out_h, int out_w,
                                               int channels, int batch, int splits) {
    const int blocks = (channels + VECTOR - 1) / VECTOR;
    const int chunks = blocks / CONV2D_DEPTHWISE_BLOCKS + (blocks % CONV2D_DEPTHWISE_BLOCKS != 0);
    const int chunk = (int)get_global_id(0), split = (int)get_global_id(1);
    if (chunk >= chunks || split >= splits) return;
    TENSOR(x);
    TENSOR(dy);
    TENSOR(dw);
    dw += (size_t)split * WINDOW_R * WINDOW_S * channels;
    const int first_block = chunk * CONV2D_DEPTHWISE_BLOCKS,
              end_block = first_block + min(CONV2D_DEPTHWISE_BLOCKS, blocks - first_block);
    const int rows = batch * out_h;
    const int first = (int)((long)rows * split / splits),
              last = (int)((long)rows * (split + 1) / splits);
    const span inner = inner_span(in_w, out_w);
    for (int block = first_block; block < end_block; block++) {
        const int c = first_channel(block, channels), skip = block * VECTOR - c;
        vec sums[WINDOW_R][WINDOW_S];
        for (int r = 0; r < WINDOW_R; r++)
            for (int s = 0; s < WINDOW_S; s++) sums[r][s] = (vec)(0.0f);
        for (int row = first; row < last; row++) {
            const int n = row / out_h, ih = row % out_h * STRIDE_H - PAD_H;
            add_rows(sums, x + (long)(n * in_h + ih) * in_w * channels + c,
                     dy + (size_t)row * out_w * channels + c, inner, ih, in_h, in_w, out_w,
                     channels);
        }
        for (int r = 0; r < WINDOW_R; r++)
            for (int s = 0; s < WINDOW_S; s++)
                write_lanes(sums[r][s], dw + (r * WINDOW_S + s) * channels + c, skip,
                            CONV2D_DEPTHWISE_ADD);
    }
}
#endif
