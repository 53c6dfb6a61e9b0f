/* conv2d.cl: 2-D convolution, NHWC, weights [r, s, c/groups, k].
 *
 *   y[n,oh,ow,k]  = b[k] + sum_{r,s,c} x[n, oh*stride + r*dilation - pad, ..., c] * w[r,s,c,k]
 *   dw[r,s,c,k]   = sum_{n,oh,ow} x[n, oh*stride + r*dilation - pad, ..., c] * dy[n,oh,ow,k]
 *   dx            = the first line again, from dy with transposed weights, per phase of the stride
 *
 * One implicit GEMM serves forward and data gradient: a work-item owns a block of CONV2D_VECTORS *
 * CONV2D_VECTOR output channels and a run of tiles, CONV2D_TILE neighbouring pixels of a row each,
 * and walks over window and input channels, tile by tile. Row a of a phase meets window rows tap,
 * tap + tap_step, ..., of which the i-th reads input row a*scale + base + i*step, and writes row
 * a*out_scale + phase:
 *
 *                          scale   base                 step       tap, tap_step  out_scale
 *   forward                stride  -pad                 dilation   0, 1           1
 *   data, stride 1         1       pad - dilation*(R-1) dilation   0, 1           1   window turned
 *   data, other strides    1       (phase + pad - tap*dilation) / stride          stride
 *                                    the taps for which stride divides it
 *
 * conv2d_point does the same for 1x1 windows with strides.
 *
 * With `adds`, results are added to what the output holds. With `wants_moments`, forward also
 * writes what a batch-norm behind it needs, while the values are at hand: partial
 * [splits][count, mean, sum of squared deviations][k], a split being the tiles of one work-item.
 *
 * Weights may be packed for it by conv2d_pack_weight, [block][r, s][c][channel of the block]: a
 * work-item then reads them as one stream. The data gradient always reads packed ones, with input
 * and output channels exchanged.
 *
 * The weight gradient's work-item owns CONV2D_BLOCK input channels and CONV2D_VECTOR output
 * channels of one window position, over the images of one split; conv2d_reduce adds the splits in
 * order. cl/op/conv2d_weight.cl has the same for devices with caches and few work-items.
 */

/* Which kernels to build: 0 all, 1 gather, 2 weight gradient, 3 the small ones, 4 point. Drivers
 * optimise whole programs, so a launch asks for its part alone. */
#ifndef CONV2D_PART
#define CONV2D_PART 0
#endif
/* Channels of a vector: 1, 2, 4, 8 or 16. */
#ifndef CONV2D_VECTOR
#define CONV2D_VECTOR 4
#endif
/* Vectors of output channels of a work-item. */
#ifndef CONV2D_VECTORS
#define CONV2D_VECTORS 1
#endif
/* Output pixels of a work-item. */
#ifndef CONV2D_TILE
#define CONV2D_TILE 4
#endif
/* 1: the weights are packed. */
#ifndef CONV2D_PACK
#define CONV2D_PACK 0
#endif
/* 1: a block of output channels meets all pixels before the next block does, which keeps its
 * weights in a cache; 0: neighbouring work-items own neighbouring blocks of one tile. */
#ifndef CONV2D_BLOCKS_LAST
#define CONV2D_BLOCKS_LAST 0
#endif
/* scale_w, known beforehand: dividing by it would cost more than a short window's sums. */
#ifndef CONV2D_SCALE
#define CONV2D_SCALE 1
#endif
/* Bytes of conv2d_point's scratch, a multiple of 64. */
#ifndef CONV2D_SCRATCH_BYTES
#define CONV2D_SCRATCH_BYTES 16384
#endif
/* Input channels of a weight-gradient work-item; divides the channels of a group. */
#ifndef CONV2D_BLOCK
#define CONV2D_BLOCK 1
#endif
/* 1: the output channels of a group, at least a block's, are no multiple of it. */
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
#define BLOCK_K (CONV2D_VECTORS * CONV2D_VECTOR)

/* A group's blocks of `size` channels are all full: the last one begins early enough, and the lanes
 * that it shares with the one before, the first `skip`, are computed twice and stored once. */
static inline int first_channel(int block, int size, int group_k) {
    return min(block * size, group_k - size);
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

#if CONV2D_PART == 0 || CONV2D_PART == 1 || CONV2D_PART == 4
/* Weights of the next input channel in `wv`, for all channels of the block. */
#define LOAD_WEIGHTS(c)                                                \
    _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) wv[v] = \
        LOAD_FULL(wp + (size_t)(c)*w_step + v * CONV2D_VECTOR);

/* One pixel's share of the current input channel. */
#define MULTIPLY(i, value)                                                     \
    {                                                                          \
        const vec xv = (vec)(value);                                           \
        _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) acc[i][v] = \
            fma(xv, wv[v], acc[i][v]);                                         \
    }

/* Adds `count` window elements to the tile's pixels from..to-1, all of which lie in the input. */
#define ACCUMULATE(from, to, count)                                                       \
    for (int c = 0; c < (count); c++) {                                                   \
        vec wv[CONV2D_VECTORS];                                                           \
        LOAD_WEIGHTS(c)                                                                   \
        _Pragma("unroll") for (int i = from; i < to; i++) MULTIPLY(i, xp[(i)*x_step + c]) \
    }

/* Mean and sum of squared deviations of what a work-item has written, per channel. */
typedef struct {
    float count;
    vec mean[CONV2D_VECTORS], squares[CONV2D_VECTORS];
} moments;

/* Takes one tile's pixels in (Chan, Golub & LeVeque 1979). */
static inline void add_moments(moments *m, vec (*acc)[CONV2D_VECTORS], int live) {
    const float more = (float)live, all = m->count + more;
    _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) {
        vec sum = (vec)(0.0f), squares = (vec)(0.0f);
        _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) if (i < live) sum += acc[i][v];
        const vec mean = sum / more;
        _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
            const vec d = acc[i][v] - mean;
            if (i < live) squares = fma(d, d, squares);
        }
        const vec d = mean - m->mean[v];
        m->squares[v] += squares + d * d * (m->count * more / all);
        m->mean[v] += d * (more / all);
    }
    m->count = all;
}

static inline void store_moments(const moments *m, __global float *partial, int k_total, int skip) {
    for (int v = 0; v < CONV2D_VECTORS; v++, partial += CONV2D_VECTOR) {
        const int skip_v = skip - v * CONV2D_VECTOR;
        store_lanes((vec)(m->count), partial, skip_v);
        store_lanes(m->mean[v], partial + k_total, skip_v);
        store_lanes(m->squares[v], partial + 2 * k_total, skip_v);
    }
}

#endif

#if CONV2D_PART == 0 || CONV2D_PART == 1
__kernel void conv2d_gather(
    __global const float *restrict x, uint x_offset, __global const float *restrict w,
    uint w_offset, __global const float *restrict b, uint b_offset, __global float *restrict y,
    uint y_offset, __global float *restrict partial, uint partial_offset, int in_h, int in_w,
    int in_c, int out_h, int out_w, int k_total, int window_r, int window_s, int groups,
    int scale_h, int base_h, int step_h, int tap_h, int tap_step_h, int out_scale_h, int phase_h,
    int base_w, int step_w, int tap_w, int tap_step_w, int out_scale_w, int phase_w, int rows,
    int columns, int batch, int run, int adds, int wants_moments) {
    const int group_k = k_total / groups, group_c = in_c / groups;
    const int blocks = (group_k + BLOCK_K - 1) / BLOCK_K;
    const int tiles = (columns + CONV2D_TILE - 1) / CONV2D_TILE, places = rows * tiles;
#if CONV2D_BLOCKS_LAST
    const int part = (int)get_global_id(0), n = (int)get_global_id(1), kb = (int)get_global_id(2);
#else
    const int kb = (int)get_global_id(0), part = (int)get_global_id(1), n = (int)get_global_id(2);
#endif
    const int first_place = part * run, end_place = min(places, first_place + run);
    if (kb >= groups * blocks || first_place >= places || n >= batch) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    TENSOR(partial);
    const int group = kb / blocks, k_local = first_channel(kb % blocks, BLOCK_K, group_k);
    const int k0 = group * group_k + k_local, skip = (kb % blocks) * BLOCK_K - k_local;
    const int x_step = CONV2D_SCALE * in_c, y_step = out_scale_w * k_total;
#if CONV2D_PACK
    const size_t w_step = BLOCK_K;
    w += (size_t)kb * window_r * window_s * group_c * BLOCK_K;
#else
    const size_t w_step = k_total;
    w += k0;
#endif
    moments m;
    m.count = 0.0f;
    for (int v = 0; v < CONV2D_VECTORS; v++) m.mean[v] = m.squares[v] = (vec)(0.0f);
    for (int place = first_place; place < end_place; place++) {
        const int row = place / tiles, column0 = (place % tiles) * CONV2D_TILE;
        const int live = min(columns - column0, CONV2D_TILE);
        /* Inside the row, a window row's elements (s, c) are neighbours in x as in w: one long
         * loop. */
        const int first_w = column0 * CONV2D_SCALE + base_w;
        const bool whole = step_w == 1 && tap_step_w == 1 && tap_w == 0 && groups == 1 &&
                           first_w >= 0 && live == CONV2D_TILE &&
                           first_w + (CONV2D_TILE - 1) * CONV2D_SCALE + window_s <= in_w;
        const int taps = whole ? 1 : window_s, count = whole ? window_s * group_c : group_c;

        vec acc[CONV2D_TILE][CONV2D_VECTORS];
        _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++)
            _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) acc[i][v] = (vec)(0.0f);
        int ih = row * scale_h + base_h;
        for (int r = tap_h; r < window_r; r += tap_step_h, ih += step_h) {
            if (ih < 0 || ih >= in_h) continue;
            int iw = first_w;
            for (int s = tap_w; s < taps; s += tap_step_w, iw += step_w) {
                /* Pixels from..to-1 of the tile read inside the row. */
                const int from = iw < 0 ? (-iw + CONV2D_SCALE - 1) / CONV2D_SCALE : 0;
                const int to = iw >= in_w ? 0 : min(live, (in_w - 1 - iw) / CONV2D_SCALE + 1);
                if (from >= to) continue;
                __global const float *wp = w + (size_t)(r * window_s + s) * group_c * w_step;
                __global const float *xp =
                    x + ((long)((long)n * in_h + ih) * in_w + iw) * in_c + group * group_c;
                if (from == 0 && to == CONV2D_TILE) {
                    ACCUMULATE(0, CONV2D_TILE, count)
                } else if (from == 1 && to == CONV2D_TILE) {
                    ACCUMULATE(1, CONV2D_TILE, group_c)
                } else if (from == 0 && to == CONV2D_TILE - 1) {
                    ACCUMULATE(0, CONV2D_TILE - 1, group_c)
                } else {
                    for (int c = 0; c < group_c; c++) {
                        vec wv[CONV2D_VECTORS];
                        LOAD_WEIGHTS(c)
                        _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
                            const int j = clamp(i, from, to - 1);
                            MULTIPLY(i, j == i ? xp[j * x_step + c] : 0.0f)
                        }
                    }
                }
            }
        }
#if CONV2D_BIAS
        _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) {
            const vec bias = LOAD_FULL(b + k0 + v * CONV2D_VECTOR);
            _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) acc[i][v] += bias;
        }
#endif
        __global float *yp = y +
                             ((long)((long)n * out_h + row * out_scale_h + phase_h) * out_w +
                              column0 * out_scale_w + phase_w) *
                                 k_total +
                             k0;
        _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
            if (i < live) {
                _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) {
                    __global float *p = yp + (long)i * y_step + v * CONV2D_VECTOR;
                    const int skip_v = skip - v * CONV2D_VECTOR;
                    if (adds) acc[i][v] += load_lanes(p, skip_v);
                    store_lanes(acc[i][v], p, skip_v);
                }
            }
        }
        if (wants_moments) add_moments(&m, acc, live);
    }
    if (!wants_moments) return;
    const size_t split = n * ((places + run - 1) / run) + part;
    store_moments(&m, partial + 3 * split * k_total + k0, k_total, skip);
}
#endif

#if CONV2D_PART == 0 || CONV2D_PART == 4
/* A 1x1 window without padding, one group, weights packed. A work-item owns `band` of the places
 * [batch][rows][columns] in all output channels: it copies their inputs into its scratch, side by
 * side, so that each is fetched once. Place (i, j) reads pixel (i * read_h, j * read_w) and writes
 * pixel (i * write_h, j * write_w); the pixels behind that one, up to the next place's, become
 * zeros unless `adds`. Moments as conv2d_gather's, a split being a band. */
__kernel void conv2d_point(__global const float *restrict x, uint x_offset,
                           __global const float *restrict w, uint w_offset,
                           __global const float *restrict b, uint b_offset,
                           __global float *restrict y, uint y_offset,
                           __global float *restrict partial, uint partial_offset, int in_h,
                           int in_w, int in_c, int out_h, int out_w, int k_total, int read_h,
                           int read_w, int write_h, int write_w, int rows, int columns, int batch,
                           int band, int adds, int wants_moments) {
    float scratch[CONV2D_SCRATCH_BYTES / sizeof(float)] __attribute__((aligned(64)));
    const int part = (int)get_global_id(0), places = batch * rows * columns;
    const int first = part * band, count = min(band, places - first);
    if (count <= 0) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    TENSOR(partial);
    const int tiles = (count + CONV2D_TILE - 1) / CONV2D_TILE;
    for (int i = 0; i < tiles * CONV2D_TILE; i++) {
        const int place = first + i, row = place / columns, n = row / rows;
        const int h = row % rows, column = place % columns;
        float *to = scratch + i * in_c;
        if (i >= count) {
            for (int c = 0; c < in_c; c++) to[c] = 0.0f;
            continue;
        }
        __global const float *from =
            x + (((size_t)n * in_h + h * read_h) * in_w + column * read_w) * in_c;
        for (int c = 0; c < in_c; c++) to[c] = from[c];
        if (adds) continue;
        const int end_h = min(out_h, (h + 1) * write_h), end_w = min(out_w, (column + 1) * write_w);
        for (int oh = h * write_h; oh < end_h; oh++) {
            const int ow = column * write_w + (oh == h * write_h);
            __global float *zero = y + (((size_t)n * out_h + oh) * out_w + ow) * k_total;
            for (int k = 0; k < (end_w - ow) * k_total; k++) zero[k] = 0.0f;
        }
    }
    const int blocks = (k_total + BLOCK_K - 1) / BLOCK_K, x_step = in_c;
    const size_t w_step = BLOCK_K;
    for (int kb = 0; kb < blocks; kb++) {
        const int k0 = first_channel(kb, BLOCK_K, k_total), skip = kb * BLOCK_K - k0;
        __global const float *wp = w + (size_t)kb * in_c * BLOCK_K;
        moments m;
        m.count = 0.0f;
        for (int v = 0; v < CONV2D_VECTORS; v++) m.mean[v] = m.squares[v] = (vec)(0.0f);
        for (int i0 = 0; i0 < count; i0 += CONV2D_TILE) {
            const float *xp = scratch + i0 * in_c;
            const int live = min(CONV2D_TILE, count - i0);
            vec acc[CONV2D_TILE][CONV2D_VECTORS];
            _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++)
                _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) acc[i][v] = (vec)(0.0f);
            ACCUMULATE(0, CONV2D_TILE, in_c)
#if CONV2D_BIAS
            _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) {
                const vec bias = LOAD_FULL(b + k0 + v * CONV2D_VECTOR);
                _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) acc[i][v] += bias;
            }
#endif
            _Pragma("unroll") for (int i = 0; i < CONV2D_TILE; i++) {
                if (i < live) {
                    const int place = first + i0 + i, row = place / columns;
                    const size_t line = (size_t)(row / rows) * out_h + row % rows * write_h;
                    __global float *yp =
                        y + (line * out_w + place % columns * write_w) * k_total + k0;
                    _Pragma("unroll") for (int v = 0; v < CONV2D_VECTORS; v++) {
                        __global float *p = yp + v * CONV2D_VECTOR;
                        const int skip_v = skip - v * CONV2D_VECTOR;
                        if (adds) acc[i][v] += load_lanes(p, skip_v);
                        store_lanes(acc[i][v], p, skip_v);
                    }
                }
            }
            if (wants_moments) add_moments(&m, acc, live);
        }
        if (wants_moments)
            store_moments(&m, partial + (size_t)3 * part * k_total + k0, k_total, skip);
    }
}
#endif

#if CONV2D_PART == 0 || CONV2D_PART == 3
/* t[i][j] = w[j][i] for four by four elements; rows lie t_step and w_step apart. */
static inline void transpose4(__global float *t, size_t t_step, __global const float *w,
                              size_t w_step) {
    const float4 a = vload4(0, w), b = vload4(0, w + w_step), c = vload4(0, w + 2 * w_step),
                 d = vload4(0, w + 3 * w_step);
    vstore4((float4)(a.s0, b.s0, c.s0, d.s0), 0, t);
    vstore4((float4)(a.s1, b.s1, c.s1, d.s1), 0, t + t_step);
    vstore4((float4)(a.s2, b.s2, c.s2, d.s2), 0, t + 2 * t_step);
    vstore4((float4)(a.s3, b.s3, c.s3, d.s3), 0, t + 3 * t_step);
}

/* Packs weights [r, s, c/groups, k] for conv2d_gather: t [block][tap][c][block_k]. With `exchange`,
 * for the data gradient: blocks are of input channels, and t is [block][tap][k][block_k]; with
 * `turn`, taps stand in reverse order. A work-item owns one block's tap, or, without `exchange`, as
 * large a share of a tap's input channels in all blocks of a group. */
__kernel void conv2d_pack_weight(__global const float *restrict w, uint w_offset,
                                 __global float *restrict t, uint t_offset, int window, int in_c,
                                 int k_total, int groups, int exchange, int turn, int block_k) {
    const int group_c = in_c / groups, group_k = k_total / groups;
    const int wide = exchange ? group_c : group_k, deep = exchange ? group_k : group_c;
    const int blocks = (wide + block_k - 1) / block_k;
    const int block = (int)get_global_id(0), tap = (int)get_global_id(1);
    if (block >= groups * blocks || tap >= window) return;
    TENSOR(w);
    TENSOR(t);
    const int group = block / blocks, first = first_channel(block % blocks, block_k, wide);
    w += (size_t)(turn ? window - 1 - tap : tap) * group_c * k_total + group * group_k;
    t += ((size_t)(exchange ? block : group * blocks) * window + tap) * deep * block_k;
    if (exchange) {
        /* Row by row of t would read whole cache lines for one element of each. */
        w += (size_t)first * k_total;
        const int whole = block_k % 4 ? 0 : deep / 4 * 4;
        for (int i0 = 0; i0 < whole; i0 += 16)
            for (int j = 0; j < block_k; j += 4)
                for (int i = i0; i < min(whole, i0 + 16); i += 4)
                    transpose4(t + (size_t)i * block_k + j, block_k, w + (size_t)j * k_total + i,
                               k_total);
        for (int i = whole; i < deep; i++)
            for (int j = 0; j < block_k; j++)
                t[(size_t)i * block_k + j] = w[(size_t)j * k_total + i];
    } else {
        /* Rows of w as a whole: they are read as one stream. */
        const int from = block % blocks * deep / blocks, to = (block % blocks + 1) * deep / blocks;
        for (int i = from; i < to; i++)
            for (int b = 0; b < blocks; b++) {
                __global float *line = t + ((size_t)b * window * deep + i) * block_k;
                __global const float *row =
                    w + (size_t)i * k_total + first_channel(b, block_k, wide);
                for (int j = 0; j < block_k; j++) line[j] = row[j];
            }
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
    const int group = kb / k_blocks, k_local = first_channel(kb % k_blocks, CONV2D_VECTOR, group_k);
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
