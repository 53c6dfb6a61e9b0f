/* conv2d_weight.cl: the weight gradient on devices with caches and few work-items: CPUs.
 *
 *   dw[r,s,c,k] = sum_{n,oh,ow} x[n, oh*stride + r*dilation - pad, ..., c] * dy[n,oh,ow,k]
 *
 * A work-item, alone in its group, owns a block of block_c input channels and block_k output
 * channels, in all window positions, over one split of the *bands*: image_count images, or
 * band_rows rows and band_columns columns of one. It copies each band's x, with zeros for the
 * padding, and dy into its scratch, side by side, so that the sums read the nearest cache whatever
 * the strides in memory are; x is decoded on the way (cl/codec/stored.cl). The scratch, private
 * memory:
 *
 *   sums [steps][block_k]       step = (window row, or position where POOLED or dilated; q)
 *   x    [images][rows][columns][block_c]
 *   dy   [images][rows][columns][block_k]
 *
 * A window row's elements (s, c) are neighbours in the copied row, so they count as one axis q of
 * window_s * block_c elements, of which a register tile takes ROWS times VECTORS vectors of k.
 *
 * POOLED: x is a map of means over window x window blocks, and dy is copied as sums over boxes of
 * box x box outputs, box = window / stride, because all outputs whose tap lies in a block meet the
 * same mean (METHODS B.3):
 *
 *   dw[r,s,c,k] = sum_{n,by,bx} mean[n,by,bx,c] * boxsum[n, by*box + shift_r, bx*box + shift_s, k]
 *
 * The splits are added in order by conv2d_reduce.
 */

/* Channels of a vector. */
#ifndef CONV2D_WEIGHT_VECTOR
#define CONV2D_WEIGHT_VECTOR 8
#endif
/* Vectors and rows of a register tile. */
#ifndef CONV2D_WEIGHT_VECTORS
#define CONV2D_WEIGHT_VECTORS 1
#endif
#ifndef CONV2D_WEIGHT_ROWS
#define CONV2D_WEIGHT_ROWS 4
#endif
/* Bytes of scratch, a multiple of 64. */
#ifndef CONV2D_WEIGHT_SCRATCH_BYTES
#define CONV2D_WEIGHT_SCRATCH_BYTES 16384
#endif
/* 1: x is a map of block means. */
#ifndef CONV2D_WEIGHT_POOLED
#define CONV2D_WEIGHT_POOLED 0
#endif
/* 1: the output channels of a group, at least a block's, are no multiple of it. */
#ifndef CONV2D_WEIGHT_TAIL
#define CONV2D_WEIGHT_TAIL 1
#endif
/* 1: add to what dw holds. */
#ifndef CONV2D_WEIGHT_ADD
#define CONV2D_WEIGHT_ADD 0
#endif

#define ROWS CONV2D_WEIGHT_ROWS
#define VECTORS CONV2D_WEIGHT_VECTORS
#define VECTOR CONV2D_WEIGHT_VECTOR
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if CONV2D_WEIGHT_VECTOR == 1
typedef float vec;
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
typedef JOIN(float, CONV2D_WEIGHT_VECTOR) vec;
#define LOAD(p) JOIN(vload, CONV2D_WEIGHT_VECTOR)(0, p)
#define STORE(v, p) JOIN(vstore, CONV2D_WEIGHT_VECTOR)(v, 0, p)
#endif

#ifdef STORED_VALUE
/* How bands are cut and copied. With one window position per axis only the rows and columns that
 * are read are copied: copy_h and copy_w are their distance, and the stride in the copy is then
 * 1. */
typedef struct {
    int in_h, in_w, in_c, out_h, out_w, k_total;
    int stride_h, stride_w, copy_h, copy_w, dilation_h, dilation_w, pad_h, pad_w;
    int block_c, block_k;
    int x_rows, x_columns, dy_rows, dy_columns; /* most of a band, copied */
    int box_h, box_w;
} weight_cut;

/* A band's images, rows and columns: first one and how many. */
typedef struct {
    int n, images, h, rows, w, columns;
} weight_band;

static inline void store_line(float *to, float8 v, int lanes) {
    if (lanes == 8) {
        vstore8(v, 0, to);
    } else {
        float t[8];
        vstore8(v, 0, t);
        for (int c = 0; c < lanes; c++) to[c] = t[c];
    }
}

#ifdef STORED_DENSE
/* The same for all channels of x, where a pixel has fewer than an octet and columns are neighbours:
 * a row is then one line of numbers. */
static inline void copy_lines(float *to, const weight_cut *g, const weight_band *band,
                              __global const uchar *code, int top, int left, int rows,
                              int columns) {
    const int begin = max(0, -left) * g->in_c,
              end = max(begin, min(columns, g->in_w - left) * g->in_c);
    for (int i = 0; i < band->images * rows; i++) {
        const int image = i / rows, row = i % rows, ih = top + row;
        float *line = to + (image * g->x_rows + row) * g->x_columns * g->in_c;
        const bool live = ih >= 0 && ih < g->in_h;
        const size_t elem =
            (((size_t)(band->n + image) * g->in_h + (live ? ih : 0)) * g->in_w + left) * g->in_c;
        int j = live ? begin : columns * g->in_c;
        for (int pad = 0; pad < j; pad++) line[pad] = 0.0f;
        if (!live) continue;
        for (; j + 8 <= end; j += 8) vstore8(codec_dense8(code, elem + j), 0, line + j);
        for (; j < end; j++) line[j] = codec_dense1(code, elem + j);
        for (; j < columns * g->in_c; j++) line[j] = 0.0f;
    }
}
#endif

/* Zeros for the block's channels of columns from..to-1. */
static inline void clear_columns(float *line, const weight_cut *g, int from, int to) {
    for (int j = from; j < to; j++)
        for (int o = 0; o < g->block_c; o += 8)
            store_line(line + j * g->block_c + o, (float8)(0.0f), min(8, g->block_c - o));
}

/* Copies rows x columns of x for the block's channels c0.., from row `top` and column `left` on;
 * outside of x lie zeros. */
static inline void copy_x(float *to_x, const weight_cut *g, const weight_band *band,
                          __global const uchar *code, __global const float *statistics,
                          __global const float *gamma, __global const float *beta, int c0, int top,
                          int left, int rows, int columns) {
    /* Columns from..to-1 of the copy lie inside x. */
    const int from = left < 0 ? (-left + g->copy_w - 1) / g->copy_w : 0;
    const int to = left >= g->in_w ? 0 : min(columns, (g->in_w - 1 - left) / g->copy_w + 1);
    for (int i = 0; i < band->images * rows; i++) {
        const int image = i / rows, row = i % rows, ih = top + row * g->copy_h;
        float *line = to_x + (image * g->x_rows + row) * g->x_columns * g->block_c;
        if (ih < 0 || ih >= g->in_h || from >= to) {
            clear_columns(line, g, 0, columns);
            continue;
        }
        clear_columns(line, g, 0, from);
        clear_columns(line, g, to, columns);
        line += from * g->block_c;
        const size_t first =
            ((size_t)(band->n + image) * g->in_h + ih) * g->in_w + left + from * g->copy_w;
#ifdef STORED_DENSE
        /* A pixel's whole octets follow each other. */
        if (g->block_c % 8 == 0 && c0 + g->block_c <= g->in_c) {
            size_t elem = first * g->in_c + c0;
            for (int j = from; j < to; j++, elem += (size_t)g->copy_w * g->in_c)
                for (int o = 0; o < g->block_c; o += 8, line += 8)
                    vstore8(codec_dense8(code, elem + o), 0, line);
            continue;
        }
#endif
        for (int o = 0; o < g->block_c && c0 + o < g->in_c; o += 8) {
            const int lanes = min(8, g->block_c - o);
            const stored_channels k =
                stored_channels8(statistics, gamma, beta, (uint)(c0 + o), (uint)g->in_c);
            float *octet = line + o;
            size_t pixel = first;
            for (int j = from; j < to; j++, octet += g->block_c, pixel += g->copy_w)
                store_line(octet, stored_value8(code, pixel, (uint)(c0 + o), (uint)g->in_c, &k),
                           lanes);
        }
        for (int o = g->in_c - c0; o < g->block_c; o++) /* behind x's last channel */
            for (int j = from; j < to; j++) line[(j - from) * g->block_c + o] = 0.0f;
    }
}

#if CONV2D_WEIGHT_POOLED
/* How far the first output whose tap r lies in block 0 is from output 0. */
static inline int first_output(int pad, int tap, int stride) {
    const int distance = pad - tap; /* rounded up */
    return distance > 0 ? (distance + stride - 1) / stride : -(-distance / stride);
}

/* Copies box sums of dy: one for every offset that a block and a tap of the band meet. */
static inline void copy_dy(float *to, const weight_cut *g, const weight_band *band,
                           __global const float *dy, int k0, int low_h, int low_w) {
    for (int i = 0; i < band->images * g->dy_rows; i++) {
        const int image = i / g->dy_rows, row = i % g->dy_rows;
        const int oh0 = band->h * g->box_h + low_h + row;
        float *line = to + i * g->dy_columns * g->block_k;
        for (int j = 0; j < g->dy_columns; j++, line += g->block_k) {
            const int ow0 = band->w * g->box_w + low_w + j;
            for (int v = 0; v < g->block_k; v += VECTOR) {
                vec sum = (vec)(0.0f);
                for (int a = max(oh0, 0); a < min(oh0 + g->box_h, g->out_h); a++)
                    for (int b = max(ow0, 0); b < min(ow0 + g->box_w, g->out_w); b++)
                        sum += LOAD(dy +
                                    (((size_t)(band->n + image) * g->out_h + a) * g->out_w + b) *
                                        g->k_total +
                                    k0 + v);
                STORE(sum, line + v);
            }
        }
    }
}
#else
static inline void copy_dy(float *to, const weight_cut *g, const weight_band *band,
                           __global const float *dy, int k0) {
    for (int i = 0; i < band->images * band->rows; i++) {
        const int image = i / band->rows, row = i % band->rows;
        __global const float *from =
            dy +
            (((size_t)(band->n + image) * g->out_h + band->h + row) * g->out_w + band->w) *
                g->k_total +
            k0;
        float *line = to + (image * g->dy_rows + row) * g->dy_columns * g->block_k;
        for (int j = 0; j < band->columns; j++, from += g->k_total, line += g->block_k)
            for (int v = 0; v < g->block_k; v += VECTOR) STORE(LOAD(from + v), line + v);
    }
}
#endif

/* sums [ROWS][VECTORS] += x^T dy over the band, for one register tile: `x` and `dy` are where it
 * begins in the scratch. */
static inline void add_band(float *sums, const float *x, const float *dy, const weight_cut *g,
                            const weight_band *band) {
    const int x_step = (CONV2D_WEIGHT_POOLED ? 1 : g->stride_w) * g->block_c,
              dy_step = (CONV2D_WEIGHT_POOLED ? g->box_w : 1) * g->block_k;
    const int x_row = (CONV2D_WEIGHT_POOLED ? 1 : g->stride_h) * g->x_columns * g->block_c,
              dy_row = (CONV2D_WEIGHT_POOLED ? g->box_h : 1) * g->dy_columns * g->block_k;
    vec acc[ROWS][VECTORS];
    _Pragma("unroll") for (int i = 0; i < ROWS; i++)
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++) acc[i][v] =
            LOAD(sums + i * g->block_k + v * VECTOR);
    const int x_image = g->x_rows * g->x_columns * g->block_c,
              dy_image = g->dy_rows * g->dy_columns * g->block_k;
    /* Rows that follow each other in both copies are one long row, and so are images. */
    int images = band->images, rows = band->rows, columns = band->columns;
    if (x_row == columns * x_step && dy_row == columns * dy_step) {
        columns *= rows, rows = 1;
        if (x_image == columns * x_step && dy_image == columns * dy_step)
            columns *= images, images = 1;
    }
    for (int image = 0; image < images; image++) {
        for (int row = 0; row < rows; row++) {
            const float *xp = x + image * x_image + row * x_row;
            const float *gp = dy + image * dy_image + row * dy_row;
            for (int column = 0; column < columns; column++, xp += x_step, gp += dy_step) {
                vec gv[VECTORS];
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++) gv[v] = LOAD(gp + v * VECTOR);
                _Pragma("unroll") for (int i = 0; i < ROWS; i++) {
                    const vec xv = (vec)(xp[i]);
                    _Pragma("unroll") for (int v = 0; v < VECTORS; v++) acc[i][v] =
                        fma(xv, gv[v], acc[i][v]);
                }
            }
        }
    }
    _Pragma("unroll") for (int i = 0; i < ROWS; i++)
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)
            STORE(acc[i][v], sums + i * g->block_k + v * VECTOR);
}

/* Writes one vector of sums; the first `skip` lanes belong to the block before. */
static inline void write_sums(__global float *to, const float *from, int skip) {
#if CONV2D_WEIGHT_TAIL
    if (skip > 0) {
        for (int i = skip; i < VECTOR; i++) to[i] = CONV2D_WEIGHT_ADD ? to[i] + from[i] : from[i];
        return;
    }
#endif
    const vec sum = LOAD(from);
    STORE(CONV2D_WEIGHT_ADD ? LOAD(to) + sum : sum, to);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv2d_weight_backward(
    __global const uchar *restrict code, uint code_offset,
    __global const float *restrict statistics, uint statistics_offset,
    __global const float *restrict gamma, uint gamma_offset, __global const float *restrict beta,
    uint beta_offset, __global const float *restrict dy, uint dy_offset,
    __global float *restrict dw, uint dw_offset, int in_h, int in_w, int in_c, int out_h, int out_w,
    int k_total, int window_r, int window_s, int groups, int stride_h, int stride_w, int copy_h,
    int copy_w, int dilation_h, int dilation_w, int pad_h, int pad_w, int block_c, int block_k,
    int x_rows, int x_columns, int dy_rows, int dy_columns, int box_h, int box_w, int image_count,
    int band_rows, int band_columns, int rows, int columns, int batch, int splits,
    uint split_stride) {
    float scratch[CONV2D_WEIGHT_SCRATCH_BYTES / sizeof(float)] __attribute__((aligned(64)));
    const int group_k = k_total / groups, group_c = in_c / groups;
    const int k_blocks = (group_k + block_k - 1) / block_k,
              c_blocks = (group_c + block_c - 1) / block_c;
    const int kb = (int)get_global_id(0), cb = (int)get_global_id(1), split = (int)get_global_id(2);
    if (kb >= groups * k_blocks || cb >= c_blocks || split >= splits) return;
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(dy);
    TENSOR(dw);
    const weight_cut g = {in_h,     in_w,       in_c,    out_h,   out_w,      k_total,
                          stride_h, stride_w,   copy_h,  copy_w,  dilation_h, dilation_w,
                          pad_h,    pad_w,      block_c, block_k, x_rows,     x_columns,
                          dy_rows,  dy_columns, box_h,   box_w};
    const int group = kb / k_blocks, k_local = min(kb % k_blocks * block_k, group_k - block_k);
    const int k0 = group * group_k + k_local, c0 = group * group_c + cb * block_c;
    /* Of one window row, or of one position where the row is no single axis in the copy. */
    const bool merged = !CONV2D_WEIGHT_POOLED && dilation_w == 1;
    const int taps = merged ? 1 : window_s, q_count = merged ? window_s * block_c : block_c;
    const int sums_elems = window_r * window_s * block_c * block_k;
    float *sums = scratch, *xs = sums + sums_elems,
          *gs = xs + (image_count * x_rows * x_columns * block_c + 15) / 16 * 16;
    for (int i = 0; i < sums_elems; i += VECTOR) STORE((vec)(0.0f), sums + i);

    const int bands_h = (rows + band_rows - 1) / band_rows,
              bands_w = (columns + band_columns - 1) / band_columns;
    const int bands = (batch + image_count - 1) / image_count * bands_h * bands_w;
    const int first = (int)((long)bands * split / splits),
              last = (int)((long)bands * (split + 1) / splits);
    for (int i = first; i < last; i++) {
        const int n = i / (bands_h * bands_w) * image_count, h = i / bands_w % bands_h * band_rows,
                  w = i % bands_w * band_columns;
        const weight_band band = {n, min(image_count, batch - n),   h, min(band_rows, rows - h),
                                  w, min(band_columns, columns - w)};
#if CONV2D_WEIGHT_POOLED
        const int low_h = first_output(pad_h, (window_r - 1) * dilation_h, stride_h),
                  low_w = first_output(pad_w, (window_s - 1) * dilation_w, stride_w);
        copy_x(xs, &g, &band, code, statistics, gamma, beta, c0, h, w, band.rows, band.columns);
        copy_dy(gs, &g, &band, dy, k0, low_h, low_w);
#else
        const int top = h * stride_h * copy_h - pad_h, left = w * stride_w * copy_w - pad_w;
        const int x_height = (band.rows - 1) * stride_h + (window_r - 1) * dilation_h + 1,
                  x_width = (band.columns - 1) * stride_w + (window_s - 1) * dilation_w + 1;
#ifdef STORED_DENSE
        if (in_c < 8 && block_c == in_c && copy_h == 1 && copy_w == 1)
            copy_lines(xs, &g, &band, code, top, left, x_height, x_width);
        else
#endif
            copy_x(xs, &g, &band, code, statistics, gamma, beta, c0, top, left, x_height, x_width);
        copy_dy(gs, &g, &band, dy, k0);
#endif
        for (int r = 0; r < window_r; r++) {
            for (int s = 0; s < taps; s++) {
                float *to = sums + (r * window_s + s) * block_c * block_k;
#if CONV2D_WEIGHT_POOLED
                const float *x = xs;
                const float *from =
                    gs + ((first_output(pad_h, r * dilation_h, stride_h) - low_h) * dy_columns +
                          first_output(pad_w, s * dilation_w, stride_w) - low_w) *
                             block_k;
#else
                const float *x = xs + (r * dilation_h * x_columns + s * dilation_w) * block_c;
                const float *from = gs;
#endif
                for (int k = 0; k < block_k; k += VECTORS * VECTOR)
                    for (int q = 0; q < q_count; q += ROWS)
                        add_band(to + q * block_k + k, x + q, from + k, &g, &band);
            }
        }
    }

    const int skip = kb % k_blocks * block_k - k_local,
              lanes = min(block_c, group_c - cb * block_c);
    dw += (size_t)split * split_stride + (size_t)cb * block_c * k_total + k0;
    for (int tap = 0; tap < window_r * window_s; tap++)
        for (int c = 0; c < lanes; c++)
            for (int k = 0; k < block_k; k += VECTOR)
                write_sums(dw + ((size_t)tap * group_c + c) * k_total + k,
                           sums + (tap * block_c + c) * block_k + k, skip - k);
}
#endif
