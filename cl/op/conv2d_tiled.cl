/* conv2d_tiled.cl: the three passes of conv2d.cl for devices with local memory and many work-items.
 *
 * Each pass is a product of matrices, C[i][j] = sum_t A[i][t] B[t][j], that nobody stores:
 *
 *                    i                 t                  j   A               B
 *   forward          output pixel      window, channel c  k   x, 0 outside    w
 *   data gradient    input pixel       window, channel k  c   dy, 0 outside   w, turned about
 *   weight gradient  window, channel c output pixel       k   x, 0 outside    dy
 *
 * A work-group owns CONV2D_TILED_ROWS x CONV2D_TILED_COLUMNS elements of C, a work-item
 * CONV2D_TILED_ITEM_ROWS x CONV2D_TILED_ITEM_COLUMNS of them in registers. In steps of
 * CONV2D_TILED_DEPTH the group copies its part of A and B to local memory, t by t,
 *
 *   a [depth][rows + pad]     b [depth][columns + pad]
 *
 * and multiplies from there, while the loads of the next step are under way. Vectors run along the
 * channels, which is the axis that is contiguous in memory; where that is t, they are turned about
 * as they are stored.
 *
 * The pixels of a gather are those of one phase of the stride and meet every tap_step-th tap, as
 * conv2d.cl says. A *segment* is what is contiguous in memory: the channels under a tap, or under a
 * whole window row; steps do not cross segments.
 *
 * Where there are few tiles, t is split: split i writes sums of its own, split_stride elements
 * behind those of the split before, and conv2d_reduce adds them in order.
 *
 * Local memory, which the host computes as well (src/op/conv2d_tiled.c): a, b, and three integers
 * for each row, and for each t of a weight gradient.
 */

/* Which kernels to build: 0 all, 1 gather, 2 weight gradient. */
#ifndef CONV2D_TILED_PART
#define CONV2D_TILED_PART 0
#endif
/* Rows and columns of a work-group's tile: multiples of those of a work-item. A profile's 0 says
 * that the kernels are not used. */
#if !defined CONV2D_TILED_ROWS || CONV2D_TILED_ROWS == 0
#undef CONV2D_TILED_ROWS
#define CONV2D_TILED_ROWS 32
#endif
#ifndef CONV2D_TILED_COLUMNS
#define CONV2D_TILED_COLUMNS 32
#endif
/* Depth of a step. */
#ifndef CONV2D_TILED_DEPTH
#define CONV2D_TILED_DEPTH 8
#endif
/* Rows and columns of a work-item's tile. */
#ifndef CONV2D_TILED_ITEM_ROWS
#define CONV2D_TILED_ITEM_ROWS 4
#endif
#ifndef CONV2D_TILED_ITEM_COLUMNS
#define CONV2D_TILED_ITEM_COLUMNS 4
#endif
/* Floats of a vector: 1, 2, 4 or 8; divides rows, columns and depth of a tile. */
#ifndef CONV2D_TILED_VECTOR
#define CONV2D_TILED_VECTOR 4
#endif
/* 1: all vectors of A, B, C are whole, and aligned as their size. */
#ifndef CONV2D_TILED_WHOLE_A
#define CONV2D_TILED_WHOLE_A 0
#endif
#ifndef CONV2D_TILED_WHOLE_B
#define CONV2D_TILED_WHOLE_B 0
#endif
#ifndef CONV2D_TILED_WHOLE_C
#define CONV2D_TILED_WHOLE_C 0
#endif
/* 1: a tap's weights are [j][t], as the data gradient reads them; 0: [t][j]. */
#ifndef CONV2D_TILED_TURNED
#define CONV2D_TILED_TURNED 0
#endif
/* 1: add to what the output holds. */
#ifndef CONV2D_TILED_ADD
#define CONV2D_TILED_ADD 0
#endif
/* 1: add the bias, in the first split. */
#ifndef CONV2D_TILED_BIAS
#define CONV2D_TILED_BIAS 0
#endif

#define ROWS CONV2D_TILED_ROWS
#define COLUMNS CONV2D_TILED_COLUMNS
#define DEPTH CONV2D_TILED_DEPTH
#define ITEM_ROWS CONV2D_TILED_ITEM_ROWS
#define ITEM_COLUMNS CONV2D_TILED_ITEM_COLUMNS
#define VECTOR CONV2D_TILED_VECTOR

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if CONV2D_TILED_ITEM_COLUMNS < CONV2D_TILED_VECTOR
#define COLUMN_VECTOR CONV2D_TILED_ITEM_COLUMNS
#else
#define COLUMN_VECTOR VECTOR
#endif
/* Of staging, and of a work-item's columns; from and to arrays of floats. */
#if CONV2D_TILED_VECTOR == 1
typedef float vec;
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
typedef JOIN(float, VECTOR) vec;
#define LOAD(p) JOIN(vload, VECTOR)(0, p)
#define STORE(v, p) JOIN(vstore, VECTOR)(v, 0, p)
#endif
#if CONV2D_TILED_ITEM_COLUMNS == 1 || CONV2D_TILED_VECTOR == 1
typedef float column_vec;
#define LOAD_COLUMNS(p) (*(p))
#define STORE_COLUMNS(v, p) (*(p) = (v))
#else
typedef JOIN(float, COLUMN_VECTOR) column_vec;
#define LOAD_COLUMNS(p) JOIN(vload, COLUMN_VECTOR)(0, p)
#define STORE_COLUMNS(v, p) JOIN(vstore, COLUMN_VECTOR)(v, 0, p)
#endif
#define COLUMN_VECTORS (ITEM_COLUMNS / COLUMN_VECTOR)

#define ITEMS_ACROSS (COLUMNS / ITEM_COLUMNS)
#define ITEMS (ITEMS_ACROSS * (ROWS / ITEM_ROWS))
/* A vector more than the tile, so that lanes which store neighbouring t meet different banks. */
#define A_PITCH (ROWS + VECTOR)
#define B_PITCH (COLUMNS + VECTOR)
/* Vectors of a step, and the most that one work-item copies. */
#define A_VECTORS (ROWS * DEPTH / VECTOR)
#define B_VECTORS (COLUMNS * DEPTH / VECTOR)
#define A_SLOTS ((A_VECTORS + ITEMS - 1) / ITEMS)
#define B_SLOTS ((B_VECTORS + ITEMS - 1) / ITEMS)
/* A row above every image, whatever is added to it. */
#define NOWHERE (-(1 << 30))

/* Elements at, at + 1, ... of p, and zeros where these are negative or not less than `end`. */
static inline vec load_part(__global const float *p, int at, int end) {
    float v[VECTOR];
    _Pragma("unroll") for (int l = 0; l < VECTOR; l++) v[l] =
        at + l >= 0 && at + l < end ? p[at + l] : 0.0f;
    return LOAD(v);
}
/* The same where all of them or none lie inside. */
static inline vec load_whole(__global const float *p, int at, int end) {
    return at >= 0 && at < end ? *(__global const vec *)(p + at) : (vec)(0.0f);
}
#if CONV2D_TILED_WHOLE_A
#define LOAD_A load_whole
#else
#define LOAD_A load_part
#endif
#if CONV2D_TILED_WHOLE_B
#define LOAD_B load_whole
#else
#define LOAD_B load_part
#endif

/* A vector along t of one row (or column) becomes VECTOR scalars of it. */
static inline void stage_turned(vec v, __local float *tile, int pitch) {
    float lanes[VECTOR];
    STORE(v, lanes);
    _Pragma("unroll") for (int l = 0; l < VECTOR; l++) tile[l * pitch] = lanes[l];
}

/* Vector `index` of a tile `wide` across: straight ones run along the tile, turned ones along t. */
#define STRAIGHT_T(index, wide) ((index) / ((wide) / VECTOR))
#define STRAIGHT_AT(index, wide) ((index) % ((wide) / VECTOR) * VECTOR)
#define TURNED_T(index) ((index) % (DEPTH / VECTOR) * VECTOR)
#define TURNED_AT(index) ((index) / (DEPTH / VECTOR))

/* Does what follows for each vector of A or B that a work-item copies: its number `slot`, and its
 * `index` in the tile. */
#define EACH_SLOT(slots, vectors)                                                    \
    _Pragma("unroll") for (int slot = 0, index = (int)get_local_id(0); slot < slots; \
                           slot++, index += ITEMS) if (vectors % ITEMS == 0 || index < vectors)

static inline void multiply(__local const float *a, __local const float *b,
                            column_vec (*acc)[COLUMN_VECTORS]) {
    const int item = (int)get_local_id(0);
    a += item / ITEMS_ACROSS * ITEM_ROWS;
    b += item % ITEMS_ACROSS * COLUMN_VECTOR;
    _Pragma("unroll") for (int t = 0; t < DEPTH; t++) {
        column_vec bv[COLUMN_VECTORS];
        _Pragma("unroll") for (int v = 0; v < COLUMN_VECTORS; v++) bv[v] =
            *(__local const column_vec *)(b + t * B_PITCH + v * ITEMS_ACROSS * COLUMN_VECTOR);
        _Pragma("unroll") for (int i = 0; i < ITEM_ROWS; i++) {
            const column_vec av = (column_vec)(a[t * A_PITCH + i]);
            _Pragma("unroll") for (int v = 0; v < COLUMN_VECTORS; v++) acc[i][v] =
                fma(av, bv[v], acc[i][v]);
        }
    }
}

/* The first row and the first column of an item in its group's tile; vectors of columns lie
 * ITEMS_ACROSS vectors apart. */
static inline int item_row(void) {
    return (int)get_local_id(0) / ITEMS_ACROSS * ITEM_ROWS;
}
static inline int item_column(int v) {
    return ((int)get_local_id(0) % ITEMS_ACROSS + v * ITEMS_ACROSS) * COLUMN_VECTOR;
}

static inline void clear(column_vec (*acc)[COLUMN_VECTORS]) {
    for (int i = 0; i < ITEM_ROWS; i++)
        for (int v = 0; v < COLUMN_VECTORS; v++) acc[i][v] = (column_vec)(0.0f);
}

/* Writes what lies in front of `end`. */
static inline void write_columns(column_vec value, __global float *row, int at, int end) {
#if CONV2D_TILED_WHOLE_C
    if (at >= end) return;
    __global column_vec *to = (__global column_vec *)(row + at);
    *to = CONV2D_TILED_ADD ? *to + value : value;
#else
    float lanes[COLUMN_VECTOR];
    STORE_COLUMNS(value, lanes);
    for (int l = 0; l < COLUMN_VECTOR && at + l < end; l++)
        row[at + l] = CONV2D_TILED_ADD ? row[at + l] + lanes[l] : lanes[l];
#endif
}

#if CONV2D_TILED_PART == 0 || CONV2D_TILED_PART == 1
/* Where a step begins: in which of the phase's taps, and how far in the segment. */
typedef struct place {
    int r, s, at;
} place;

static inline place place_of(int step, int taps_w, int length) {
    const int steps = (length + DEPTH - 1) / DEPTH, tap = step / steps;
    return (place){tap / taps_w, tap % taps_w, step % steps * DEPTH};
}

static inline place next_place(place p, int taps_w, int length) {
    p.at += DEPTH;
    if (p.at >= length) {
        p.at = 0;
        p.s++;
    }
    if (p.s == taps_w) {
        p.s = 0;
        p.r++;
    }
    return p;
}

/* `length` elements of a segment; `step_w` elements between those of neighbouring taps; tap_elems
 * weights of a tap. `pixels` is rows * columns * batch. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void conv2d_tiled_gather(
    __global const float *restrict x, uint x_offset, __global const float *restrict w,
    uint w_offset, __global const float *restrict b, uint b_offset, __global float *restrict y,
    uint y_offset, int in_h, int in_w, int in_c, int out_h, int out_w, int out_c, int window_s,
    int tap_elems, int length, int scale_h, int base_h, int step_h, int tap_h, int tap_step_h,
    int taps_h, int out_scale_h, int phase_h, int scale_w, int base_w, int step_w, int tap_w,
    int tap_step_w, int taps_w, int out_scale_w, int phase_w, int rows, int columns, int pixels,
    int splits, uint split_stride) {
    __local float tile_a[DEPTH * A_PITCH] __attribute__((aligned(64)));
    __local float tile_b[DEPTH * B_PITCH] __attribute__((aligned(64)));
    /* Of a row: its image's first element, and where its window begins; the column in elements. */
    __local int image[ROWS], top[ROWS], left[ROWS];
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    const int tiles_across = (out_c + COLUMNS - 1) / COLUMNS;
    const int tile = (int)get_group_id(0), split = (int)get_group_id(1);
    const int first_i = tile / tiles_across * ROWS, first_j = tile % tiles_across * COLUMNS;
    const int row_elems = in_w * in_c;
    for (int row = (int)get_local_id(0); row < ROWS; row += ITEMS) {
        const int i = first_i + row;
        image[row] = i / (rows * columns) * in_h * row_elems;
        top[row] = i < pixels ? i / columns % rows * scale_h + base_h : NOWHERE;
        left[row] = (i % columns * scale_w + base_w) * in_c;
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    const int steps = taps_h * taps_w * ((length + DEPTH - 1) / DEPTH);
    const int first = (int)((long)steps * split / splits),
              last = (int)((long)steps * (split + 1) / splits);
    place p = place_of(first, taps_w, length);
    vec next_a[A_SLOTS], next_b[B_SLOTS];
    column_vec acc[ITEM_ROWS][COLUMN_VECTORS];
    clear(acc);
    for (int step = first; step <= last; step++) {
        if (step > first) {
            EACH_SLOT(A_SLOTS, A_VECTORS)
            stage_turned(next_a[slot], tile_a + TURNED_T(index) * A_PITCH + TURNED_AT(index),
                         A_PITCH);
            EACH_SLOT(B_SLOTS, B_VECTORS) {
#if CONV2D_TILED_TURNED
                stage_turned(next_b[slot], tile_b + TURNED_T(index) * B_PITCH + TURNED_AT(index),
                             B_PITCH);
#else
                *(__local vec *)(tile_b + STRAIGHT_T(index, COLUMNS) * B_PITCH +
                                 STRAIGHT_AT(index, COLUMNS)) = next_b[slot];
#endif
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (step < last) {
            EACH_SLOT(A_SLOTS, A_VECTORS) {
                const int row = TURNED_AT(index), at = p.at + TURNED_T(index);
                const int ih = top[row] + p.r * step_h, iw = left[row] + p.s * step_w;
                const bool inside = ih >= 0 && ih < in_h;
                next_a[slot] = LOAD_A(x + image[row] + (inside ? ih : 0) * row_elems, iw + at,
                                      inside ? min(row_elems, iw + length) : 0);
            }
            __global const float *tap =
                w + ((tap_h + p.r * tap_step_h) * window_s + tap_w + p.s * tap_step_w) * tap_elems;
            EACH_SLOT(B_SLOTS, B_VECTORS) {
#if CONV2D_TILED_TURNED
                const int j = first_j + TURNED_AT(index);
                next_b[slot] = LOAD_B(tap + (j < out_c ? j : 0) * length, p.at + TURNED_T(index),
                                      j < out_c ? length : 0);
#else
                const int t = p.at + STRAIGHT_T(index, COLUMNS);
                next_b[slot] = LOAD_B(tap + t * out_c, first_j + STRAIGHT_AT(index, COLUMNS),
                                      t < length ? out_c : 0);
#endif
            }
            p = next_place(p, taps_w, length);
        }
        if (step > first) multiply(tile_a, tile_b, acc);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    y += (size_t)split * split_stride;
    _Pragma("unroll") for (int i = 0; i < ITEM_ROWS; i++) {
        const int pixel = first_i + item_row() + i;
        if (pixel < pixels) {
            const int n = pixel / (rows * columns), row = pixel / columns % rows,
                      column = pixel % columns;
            __global float *to = y + ((n * out_h + row * out_scale_h + phase_h) * out_w +
                                      column * out_scale_w + phase_w) *
                                         out_c;
            _Pragma("unroll") for (int v = 0; v < COLUMN_VECTORS; v++) {
                const int j = first_j + item_column(v);
#if CONV2D_TILED_BIAS
                float bias[COLUMN_VECTOR];
                for (int l = 0; l < COLUMN_VECTOR; l++)
                    bias[l] = split == 0 && j + l < out_c ? b[j + l] : 0.0f;
                acc[i][v] += LOAD_COLUMNS(bias);
#endif
                write_columns(acc[i][v], to, j, out_c);
            }
        }
    }
}
#endif

#if CONV2D_TILED_PART == 0 || CONV2D_TILED_PART == 2
/* `weights` is window_r * window_s * in_c, `pixels` out_h * out_w * batch. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void conv2d_tiled_backward_weight(
    __global const float *restrict x, uint x_offset, __global const float *restrict dy,
    uint dy_offset, __global float *restrict dw, uint dw_offset, int in_h, int in_w, int in_c,
    int out_h, int out_w, int k_total, int window_s, int stride_h, int stride_w, int pad_h,
    int pad_w, int dilation_h, int dilation_w, int weights, int pixels, int splits,
    uint split_stride) {
    __local float tile_a[DEPTH * A_PITCH] __attribute__((aligned(64)));
    __local float tile_b[DEPTH * B_PITCH] __attribute__((aligned(64)));
    /* Of a row, how far behind the window's first element it reads: rows, columns, elements. Of a
     * t, its pixel's window: row, column, first element. */
    __local int down[ROWS], right[ROWS], ahead[ROWS], top[DEPTH], left[DEPTH], corner[DEPTH];
    TENSOR(x);
    TENSOR(dy);
    TENSOR(dw);
    const int tiles_across = (k_total + COLUMNS - 1) / COLUMNS;
    const int tile = (int)get_group_id(0), split = (int)get_group_id(1);
    const int first_i = tile / tiles_across * ROWS, first_j = tile % tiles_across * COLUMNS;
    for (int row = (int)get_local_id(0); row < ROWS; row += ITEMS) {
        const int i = first_i + row, tap = i / in_c;
        down[row] = i < weights ? tap / window_s * dilation_h : NOWHERE;
        right[row] = tap % window_s * dilation_w;
        ahead[row] = i < weights ? (down[row] * in_w + right[row]) * in_c + i % in_c : 0;
    }
    const int steps = (pixels + DEPTH - 1) / DEPTH;
    const int first = (int)((long)steps * split / splits),
              last = (int)((long)steps * (split + 1) / splits);
    vec next_a[A_SLOTS], next_b[B_SLOTS];
    column_vec acc[ITEM_ROWS][COLUMN_VECTORS];
    clear(acc);
    for (int step = first; step <= last; step++) {
        for (int t = (int)get_local_id(0); t < DEPTH; t += ITEMS) {
            const int pixel = step * DEPTH + t, n = pixel / (out_h * out_w);
            const int h = pixel / out_w % out_h * stride_h - pad_h,
                      w = pixel % out_w * stride_w - pad_w;
            top[t] = pixel < pixels ? h : NOWHERE;
            left[t] = w;
            corner[t] = ((n * in_h + h) * in_w + w) * in_c;
        }
        if (step > first) {
            EACH_SLOT(A_SLOTS, A_VECTORS)
            *(__local vec *)(tile_a + STRAIGHT_T(index, ROWS) * A_PITCH +
                             STRAIGHT_AT(index, ROWS)) = next_a[slot];
            EACH_SLOT(B_SLOTS, B_VECTORS)
            *(__local vec *)(tile_b + STRAIGHT_T(index, COLUMNS) * B_PITCH +
                             STRAIGHT_AT(index, COLUMNS)) = next_b[slot];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (step < last) {
            EACH_SLOT(A_SLOTS, A_VECTORS) {
                const int t = STRAIGHT_T(index, ROWS), row = STRAIGHT_AT(index, ROWS);
#if CONV2D_TILED_WHOLE_A
                const int ih = top[t] + down[row], iw = left[t] + right[row];
                const bool inside = ih >= 0 && ih < in_h && iw >= 0 && iw < in_w;
                __global const float *from = x + (inside ? corner[t] + ahead[row] : 0);
                next_a[slot] = inside ? *(__global const vec *)from : (vec)(0.0f);
#else
                float lanes[VECTOR];
                _Pragma("unroll") for (int l = 0; l < VECTOR; l++) {
                    const int ih = top[t] + down[row + l], iw = left[t] + right[row + l];
                    const bool inside = ih >= 0 && ih < in_h && iw >= 0 && iw < in_w;
                    lanes[l] = inside ? x[corner[t] + ahead[row + l]] : 0.0f;
                }
                next_a[slot] = LOAD(lanes);
#endif
            }
            EACH_SLOT(B_SLOTS, B_VECTORS) {
                const int pixel = step * DEPTH + STRAIGHT_T(index, COLUMNS);
                next_b[slot] =
                    LOAD_B(dy + (pixel < pixels ? pixel : 0) * k_total,
                           first_j + STRAIGHT_AT(index, COLUMNS), pixel < pixels ? k_total : 0);
            }
        }
        if (step > first) multiply(tile_a, tile_b, acc);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    dw += (size_t)split * split_stride;
    _Pragma("unroll") for (int i = 0; i < ITEM_ROWS; i++) {
        const int row = first_i + item_row() + i;
        if (row < weights) {
            _Pragma("unroll") for (int v = 0; v < COLUMN_VECTORS; v++)
                write_columns(acc[i][v], dw + row * k_total, first_j + item_column(v), k_total);
        }
    }
}
#endif
