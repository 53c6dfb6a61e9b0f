/* winograd.cl: 3x3 convolution of stride 1 with fewer multiplications, NHWC, weights [r, s, c, k].
 *
 * Outputs are cut into tiles of m x m (WINOGRAD_OUTPUT), each of which reads m+2 x m+2 inputs d.
 * With the matrices of Toom and Cook (Lavin & Gray 2015, "Fast algorithms for convolutional neural
 * networks"), for g a 3x3 window and dy a tile of the output gradient:
 *
 *   y  = A^T [ (G g G^T)   * (B^T d B)  summed over c       ] A      forward
 *   dx = the same from dy with the window turned and transposed      data gradient
 *   dw = G^T [ (A dy A^T)  * (B^T d B)  summed over tiles   ] G      weight gradient
 *
 * where * is elementwise: (m+2)^2 products for each m*m*9 of the plain sum, a quarter of them for
 * m = 4. Each of the (m+2)^2 elements, a *plane*, is a matrix product M (+)= A B of its own:
 *
 *              rows of A and M   depth    columns of B and M
 *   forward    tiles             c        k
 *   data       tiles             k        c
 *   weight     c                 tiles    k
 *
 * A work-item owns a block of M's rows and columns in all planes. Step by step through the depth it
 * transforms a piece of both inputs into scratch and multiplies; at the end it transforms M back. A,
 * B and M of the block are to lie in a core's second-level cache, a plane's share in the first.
 *
 *   planes_a   [plane][tile][c]    forward: rows, depth; weight gradient: depth, rows
 *   planes_b   [plane][depth][column]
 *   planes_m   [plane][row][column]
 *
 * With `adds`, results are added to what the output holds.
 *
 * Planes are a vector further apart than their size, so that they do not meet in one cache set.
 * Rows behind the last tile hold anything; they are multiplied and never read. Inputs and outputs
 * outside the tensors are zero and skipped, so any extent is exact. Channel counts are multiples of
 * WINOGRAD_VECTOR, and tensors begin at such multiples: all vectors are aligned, because PoCL takes
 * vstore16 apart.
 *
 * With `wants_moments`, forward also writes what a batch-norm behind it needs: partial
 * [splits][count, mean, sum of squared deviations][k], a split being the tiles of one work-item.
 *
 * The points 0, +-P, +-Q and infinity are those of the smallest rounding error among short binary
 * fractions: products carry noise into y 4.8 times as strong as in the plain sum, at most 8.2 times
 * in a tile's last output (tests/op/test_winograd.c has the formula). The usual 0, +-1, +-2 give
 * 10.8 and 31; m = 2 gives 1.7 everywhere. An infinity or NaN spreads over its whole tile.
 */

/* Which kernel to build: 0 all, 1 forward and data gradient, 2 weight gradient. */
#ifndef WINOGRAD_PART
#define WINOGRAD_PART 0
#endif
/* Outputs of a tile along an axis: 2 or 4. */
#ifndef WINOGRAD_OUTPUT
#define WINOGRAD_OUTPUT 2
#endif
/* Channels of a vector: 2, 4, 8 or 16. */
#ifndef WINOGRAD_VECTOR
#define WINOGRAD_VECTOR 4
#endif
/* The register tile: vectors across, rows down. */
#ifndef WINOGRAD_VECTORS
#define WINOGRAD_VECTORS 1
#endif
#ifndef WINOGRAD_ROWS
#define WINOGRAD_ROWS 4
#endif
/* The work-item's block: rows (a multiple of WINOGRAD_ROWS), columns (of a register tile's), and the
 * depth of one step (of a vector). The weight gradient's rows are also a multiple of a vector. */
#ifndef WINOGRAD_BLOCK_ROWS
#define WINOGRAD_BLOCK_ROWS WINOGRAD_ROWS
#endif
#ifndef WINOGRAD_BLOCK_COLUMNS
#define WINOGRAD_BLOCK_COLUMNS (WINOGRAD_VECTORS * WINOGRAD_VECTOR)
#endif
#ifndef WINOGRAD_BLOCK_DEPTH
#define WINOGRAD_BLOCK_DEPTH WINOGRAD_VECTOR
#endif
/* 1: add the bias. */
#ifndef WINOGRAD_BIAS
#define WINOGRAD_BIAS 0
#endif
#define SIDE (WINOGRAD_OUTPUT + 2)
#define PLANES (SIDE * SIDE)
#define A_PLANE (WINOGRAD_BLOCK_ROWS * WINOGRAD_BLOCK_DEPTH + WINOGRAD_VECTOR)
#define B_PLANE (WINOGRAD_BLOCK_DEPTH * WINOGRAD_BLOCK_COLUMNS + WINOGRAD_VECTOR)
#define M_PLANE (WINOGRAD_BLOCK_ROWS * WINOGRAD_BLOCK_COLUMNS + WINOGRAD_VECTOR)

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef JOIN(float, WINOGRAD_VECTOR) vec;
#define GLOBAL_VEC(p) (*(__global vec *)(p))
#define GLOBAL_CONST_VEC(p) (*(__global const vec *)(p))
#define PRIVATE_VEC(p) (*(vec *)(p))
#define PRIVATE_CONST_VEC(p) (*(const vec *)(p))
#define UNROLL _Pragma("unroll")

/* The scratch of a work-item, private memory. */
#define SCRATCH(name, plane) float name[PLANES * (plane)] __attribute__((aligned(64)))

/* One axis of the transforms: input is B^T, window G, output A, and the inverses their transposes.
 * Points of opposite sign share their even and odd halves. */
#if WINOGRAD_OUTPUT == 4
#define P (5.0f / 8)
#define Q (3.0f / 2)
/* One over the product of a point's distances to the others. */
#define SCALE_0 (1 / (P * P * Q * Q))
#define SCALE_P (1 / (2 * P * P * (P * P - Q * Q)))
#define SCALE_Q (1 / (2 * Q * Q * (Q * Q - P * P)))

static inline void transform_input(vec d[6]) {
    const vec even_p = fma((vec)(-Q * Q), d[2], d[4]), odd_p = fma((vec)(-Q * Q), d[1], d[3]);
    const vec even_q = fma((vec)(-P * P), d[2], d[4]), odd_q = fma((vec)(-P * P), d[1], d[3]);
    d[0] = fma((vec)(P * P * Q * Q), d[0], fma((vec)(-(P * P + Q * Q)), d[2], d[4]));
    d[5] = fma((vec)(P * P * Q * Q), d[1], fma((vec)(-(P * P + Q * Q)), d[3], d[5]));
    d[1] = fma((vec)(P), odd_p, even_p);
    d[2] = fma((vec)(-P), odd_p, even_p);
    d[3] = fma((vec)(Q), odd_q, even_q);
    d[4] = fma((vec)(-Q), odd_q, even_q);
}

static inline void transform_window(const vec g[3], vec u[6]) {
    const vec even_p = fma((vec)(SCALE_P * P * P), g[2], SCALE_P * g[0]);
    const vec even_q = fma((vec)(SCALE_Q * Q * Q), g[2], SCALE_Q * g[0]);
    u[0] = SCALE_0 * g[0];
    u[1] = fma((vec)(SCALE_P * P), g[1], even_p);
    u[2] = fma((vec)(-SCALE_P * P), g[1], even_p);
    u[3] = fma((vec)(SCALE_Q * Q), g[1], even_q);
    u[4] = fma((vec)(-SCALE_Q * Q), g[1], even_q);
    u[5] = g[2];
}

static inline void inverse_window(const vec u[6], vec g[3]) {
    const vec sum_p = u[1] + u[2], difference_p = u[1] - u[2];
    const vec sum_q = u[3] + u[4], difference_q = u[3] - u[4];
    g[0] = fma((vec)(SCALE_0), u[0], fma((vec)(SCALE_P), sum_p, SCALE_Q * sum_q));
    g[1] = fma((vec)(SCALE_P * P), difference_p, SCALE_Q * Q * difference_q);
    g[2] = fma((vec)(SCALE_P * P * P), sum_p, fma((vec)(SCALE_Q * Q * Q), sum_q, u[5]));
}

static inline void transform_output(const vec y[4], vec d[6]) {
    const vec even_p = fma((vec)(P * P), y[2], y[0]), odd_p = fma((vec)(P * P), y[3], y[1]);
    const vec even_q = fma((vec)(Q * Q), y[2], y[0]), odd_q = fma((vec)(Q * Q), y[3], y[1]);
    d[0] = y[0];
    d[1] = fma((vec)(P), odd_p, even_p);
    d[2] = fma((vec)(-P), odd_p, even_p);
    d[3] = fma((vec)(Q), odd_q, even_q);
    d[4] = fma((vec)(-Q), odd_q, even_q);
    d[5] = y[3];
}

static inline void inverse_output(const vec m[6], vec y[4]) {
    const vec sum_p = m[1] + m[2], difference_p = m[1] - m[2];
    const vec sum_q = m[3] + m[4], difference_q = m[3] - m[4];
    y[0] = m[0] + (sum_p + sum_q);
    y[1] = fma((vec)(P), difference_p, Q * difference_q);
    y[2] = fma((vec)(P * P), sum_p, Q * Q * sum_q);
    y[3] = fma((vec)(P * P * P), difference_p, fma((vec)(Q * Q * Q), difference_q, m[5]));
}
#else
static inline void transform_input(vec d[4]) {
    const vec second = d[1];
    d[0] -= d[2];
    d[1] += d[2];
    d[2] -= second;
    d[3] = second - d[3];
}

static inline void transform_window(const vec g[3], vec u[4]) {
    const vec even = 0.5f * (g[0] + g[2]);
    u[0] = g[0];
    u[1] = fma((vec)(0.5f), g[1], even);
    u[2] = fma((vec)(-0.5f), g[1], even);
    u[3] = g[2];
}

static inline void inverse_window(const vec u[4], vec g[3]) {
    const vec half_sum = 0.5f * (u[1] + u[2]);
    g[0] = u[0] + half_sum;
    g[1] = 0.5f * (u[1] - u[2]);
    g[2] = half_sum + u[3];
}

static inline void transform_output(const vec y[2], vec d[4]) {
    d[0] = y[0];
    d[1] = y[0] + y[1];
    d[2] = y[0] - y[1];
    d[3] = -y[1];
}

static inline void inverse_output(const vec m[4], vec y[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
}
#endif

/* Where a tile lies in the output. */
typedef struct tile_place {
    int n, top, left;
} tile_place;

static inline tile_place place_of(int tile, int tiles_h, int tiles_w) {
    const int line = tile / tiles_w;
    return (tile_place){line / tiles_h, line % tiles_h * WINOGRAD_OUTPUT,
                        tile % tiles_w * WINOGRAD_OUTPUT};
}

/* The element of `t` at the place, which may lie outside of the extents. */
static inline long element_of(int n, int h, int w, int extent_h, int extent_w, int channels) {
    return (((long)n * extent_h + h) * extent_w + w) * channels;
}

/* (B^T d) B into the planes, from B^T d. */
static inline void store_input(vec t[SIDE][SIDE], float *planes) {
    UNROLL for (int i = 0; i < SIDE; i++) {
        transform_input(t[i]);
        UNROLL for (int j = 0; j < SIDE; j++) {
            PRIVATE_VEC(planes + (i * SIDE + j) * A_PLANE) = t[i][j];
        }
    }
}

/* B^T d B of one tile and vector of channels; `x` is the tile's first element, which lies at `top`
 * and `left`. `inside` is a constant wherever it is called: the whole tile lies inside. */
static inline void transform_tile(__global const float *x, int top, int left, int in_h, int in_w,
                                  int channels, float *planes, bool inside) {
    vec t[SIDE][SIDE];
    UNROLL for (int j = 0; j < SIDE; j++) {
        vec d[SIDE];
        UNROLL for (int i = 0; i < SIDE; i++) {
            d[i] = (vec)(0.0f);
            if (inside || ((uint)(top + i) < (uint)in_h && (uint)(left + j) < (uint)in_w))
                d[i] = GLOBAL_CONST_VEC(x + (i * in_w + j) * channels);
        }
        transform_input(d);
        UNROLL for (int i = 0; i < SIDE; i++) t[i][j] = d[i];
    }
    store_input(t, planes);
}

static inline void load_input(__global const float *x, int top, int left, int in_h, int in_w,
                              int channels, float *planes) {
    const bool inside = top >= 0 && left >= 0 && top + SIDE <= in_h && left + SIDE <= in_w;
    transform_tile(x, top, left, in_h, in_w, channels, planes, inside);
}

/* M (+)= A B for one register tile. */
static inline void multiply(const float *a, int a_row, int a_step, const float *b, float *m,
                            int depth, bool first) {
    vec sum[WINOGRAD_ROWS][WINOGRAD_VECTORS];
    UNROLL for (int i = 0; i < WINOGRAD_ROWS; i++) {
        UNROLL for (int v = 0; v < WINOGRAD_VECTORS; v++) {
            sum[i][v] = (vec)(0.0f);
            if (!first)
                sum[i][v] = PRIVATE_CONST_VEC(m + i * WINOGRAD_BLOCK_COLUMNS + v * WINOGRAD_VECTOR);
        }
    }
    for (int d = 0; d < depth; d++) {
        vec bv[WINOGRAD_VECTORS];
        UNROLL for (int v = 0; v < WINOGRAD_VECTORS; v++) {
            bv[v] = PRIVATE_CONST_VEC(b + d * WINOGRAD_BLOCK_COLUMNS + v * WINOGRAD_VECTOR);
        }
        UNROLL for (int i = 0; i < WINOGRAD_ROWS; i++) {
            const vec av = (vec)(a[i * a_row + d * a_step]);
            UNROLL for (int v = 0; v < WINOGRAD_VECTORS; v++) sum[i][v] = fma(av, bv[v], sum[i][v]);
        }
    }
    UNROLL for (int i = 0; i < WINOGRAD_ROWS; i++) {
        UNROLL for (int v = 0; v < WINOGRAD_VECTORS; v++) {
            PRIVATE_VEC(m + i * WINOGRAD_BLOCK_COLUMNS + v * WINOGRAD_VECTOR) = sum[i][v];
        }
    }
}

/* The same for the first `rows` rows of all planes; rows of A lie `a_row` apart, its depth
 * `a_step`. */
static inline void multiply_planes(const float *a, int a_row, int a_step, const float *b, float *m,
                                   int rows, int depth, bool first) {
    for (int plane = 0; plane < PLANES; plane++)
        for (int column = 0; column < WINOGRAD_BLOCK_COLUMNS;
             column += WINOGRAD_VECTORS * WINOGRAD_VECTOR)
            for (int row = 0; row < rows; row += WINOGRAD_ROWS)
                multiply(a + plane * A_PLANE + row * a_row, a_row, a_step,
                         b + plane * B_PLANE + column,
                         m + plane * M_PLANE + row * WINOGRAD_BLOCK_COLUMNS + column, depth, first);
}

#if WINOGRAD_PART == 0 || WINOGRAD_PART == 1
/* G g G^T of one window and vector of columns. */
static inline void store_window(const vec g[9], float *planes) {
    vec t[3][SIDE];
    UNROLL for (int s = 0; s < 3; s++) {
        const vec column[3] = {g[s], g[3 + s], g[6 + s]};
        transform_window(column, t[s]);
    }
    UNROLL for (int i = 0; i < SIDE; i++) {
        const vec line[3] = {t[0][i], t[1][i], t[2][i]};
        vec u[SIDE];
        transform_window(line, u);
        UNROLL for (int j = 0; j < SIDE; j++) PRIVATE_VEC(planes + (i * SIDE + j) * B_PLANE) = u[j];
    }
}

/* Rows become columns: each round deals the two halves of the deck out in turn. */
static inline void transpose(vec v[WINOGRAD_VECTOR]) {
    UNROLL for (int round = 1; round < WINOGRAD_VECTOR; round *= 2) {
        vec t[WINOGRAD_VECTOR];
        UNROLL for (int i = 0; i < WINOGRAD_VECTOR / 2; i++) {
            const vec a = v[i], b = v[i + WINOGRAD_VECTOR / 2];
            t[2 * i].even = a.lo;
            t[2 * i].odd = b.lo;
            t[2 * i + 1].even = a.hi;
            t[2 * i + 1].odd = b.hi;
        }
        UNROLL for (int i = 0; i < WINOGRAD_VECTOR; i++) v[i] = t[i];
    }
}

/* The windows of depth d0.. and columns k0... */
static inline void load_weights(__global const float *w, int d0, int k0, int depth, int d_total,
                                int k_total, float *planes) {
    for (int d = 0; d < depth; d++)
        for (int k = 0; k < WINOGRAD_BLOCK_COLUMNS; k += WINOGRAD_VECTOR) {
            vec g[9];
            UNROLL for (int tap = 0; tap < 9; tap++) {
                g[tap] =
                    k0 + k < k_total
                        ? GLOBAL_CONST_VEC(w + ((size_t)tap * d_total + d0 + d) * k_total + k0 + k)
                        : (vec)(0.0f);
            }
            store_window(g, planes + d * WINOGRAD_BLOCK_COLUMNS + k);
        }
}

/* The same for the data gradient: weights [r, s, column, depth], turned. A square of channels at a
 * time, because their vectors run along the depth. */
static inline void load_turned_weights(__global const float *w, int d0, int k0, int depth,
                                       int d_total, int k_total, float *planes) {
    for (int k = 0; k < WINOGRAD_BLOCK_COLUMNS; k += WINOGRAD_VECTOR)
        for (int d = 0; d < depth; d += WINOGRAD_VECTOR) {
            vec taps[9][WINOGRAD_VECTOR];
            for (int tap = 0; tap < 9; tap++) {
                __global const float *wp =
                    w + ((size_t)(8 - tap) * k_total + k0 + k) * d_total + d0 + d;
                vec v[WINOGRAD_VECTOR];
                UNROLL for (int i = 0; i < WINOGRAD_VECTOR; i++) {
                    v[i] =
                        k0 + k < k_total ? GLOBAL_CONST_VEC(wp + (size_t)i * d_total) : (vec)(0.0f);
                }
                transpose(v);
                UNROLL for (int i = 0; i < WINOGRAD_VECTOR; i++) taps[tap][i] = v[i];
            }
            for (int i = 0; i < WINOGRAD_VECTOR; i++) {
                vec g[9];
                UNROLL for (int tap = 0; tap < 9; tap++) g[tap] = taps[tap][i];
                store_window(g, planes + (d + i) * WINOGRAD_BLOCK_COLUMNS + k);
            }
        }
}

/* Mean and sum of squared deviations of the outputs so far, per channel. */
typedef struct {
    float count;
    vec mean, squares;
} moments;

/* Takes in the first h x w outputs of a tile (Chan, Golub & LeVeque 1979). */
static inline void add_moments(moments *m, vec out[WINOGRAD_OUTPUT][WINOGRAD_OUTPUT], int h,
                               int w) {
    const float more = (float)(min(h, WINOGRAD_OUTPUT) * min(w, WINOGRAD_OUTPUT));
    const float all = m->count + more;
    vec sum = (vec)(0.0f), squares = (vec)(0.0f);
    UNROLL for (int i = 0; i < WINOGRAD_OUTPUT; i++) {
        UNROLL for (int j = 0; j < WINOGRAD_OUTPUT; j++) if (i < h && j < w) sum += out[i][j];
    }
    const vec mean = sum / more;
    UNROLL for (int i = 0; i < WINOGRAD_OUTPUT; i++) {
        UNROLL for (int j = 0; j < WINOGRAD_OUTPUT; j++) {
            const vec d = out[i][j] - mean;
            if (i < h && j < w) squares = fma(d, d, squares);
        }
    }
    const vec d = mean - m->mean;
    m->squares += squares + d * d * (m->count * more / all);
    m->mean += d * (more / all);
    m->count = all;
}

/* A^T M A of one tile and vector of columns. */
static inline void inverse_tile(const float *planes, vec out[WINOGRAD_OUTPUT][WINOGRAD_OUTPUT]) {
    vec t[SIDE][WINOGRAD_OUTPUT];
    UNROLL for (int j = 0; j < SIDE; j++) {
        vec column[SIDE];
        UNROLL for (int i = 0; i < SIDE; i++) {
            column[i] = PRIVATE_CONST_VEC(planes + (i * SIDE + j) * M_PLANE);
        }
        inverse_output(column, t[j]);
    }
    UNROLL for (int i = 0; i < WINOGRAD_OUTPUT; i++) {
        vec line[SIDE];
        UNROLL for (int j = 0; j < SIDE; j++) line[j] = t[j][i];
        inverse_output(line, out[i]);
    }
}

/* The block's outputs from `planes_m`: one vector of columns at a time, so that its moments stay in
 * registers. `y` and what `b` and `partial` point to begin at the vector. */
static inline void store_outputs(const float *planes, int t0, int live, int tiles_h, int tiles_w,
                                 int out_h, int out_w, int channels, int adds, int wants_moments,
                                 __global const float *b, __global float *y,
                                 __global float *partial) {
    moments m = {0.0f, (vec)(0.0f), (vec)(0.0f)};
    for (int t = 0; t < live; t++) {
        const tile_place place = place_of(t0 + t, tiles_h, tiles_w);
        __global float *yp = y + element_of(place.n, place.top, place.left, out_h, out_w, channels);
        vec out[WINOGRAD_OUTPUT][WINOGRAD_OUTPUT];
        inverse_tile(planes + t * WINOGRAD_BLOCK_COLUMNS, out);
        UNROLL for (int i = 0; i < WINOGRAD_OUTPUT; i++) {
            UNROLL for (int j = 0; j < WINOGRAD_OUTPUT; j++) {
                if (place.top + i >= out_h || place.left + j >= out_w) continue;
                __global float *p = yp + (i * out_w + j) * channels;
#if WINOGRAD_BIAS
                out[i][j] += GLOBAL_CONST_VEC(b);
#endif
                if (adds) out[i][j] += GLOBAL_CONST_VEC(p);
                GLOBAL_VEC(p) = out[i][j];
            }
        }
        if (wants_moments) add_moments(&m, out, out_h - place.top, out_w - place.left);
    }
    if (!wants_moments) return;
    GLOBAL_VEC(partial) = (vec)(m.count);
    GLOBAL_VEC(partial + channels) = m.mean;
    GLOBAL_VEC(partial + 2 * channels) = m.squares;
}

/* Forward, or the data gradient with x for dy, c_total for k and y for dx. A work-item owns
 * `block_tiles` tiles and a block of columns. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void winograd_gather(
    __global const float *restrict x, uint x_offset, __global const float *restrict w,
    uint w_offset, __global const float *restrict b, uint b_offset, __global float *restrict y,
    uint y_offset, __global float *restrict partial, uint partial_offset, int in_h, int in_w,
    int c_total, int out_h, int out_w, int k_total, int pad_h, int pad_w, int tiles_h, int tiles_w,
    int tiles, int block_tiles, int turned, int adds, int wants_moments) {
    const int k0 = (int)get_global_id(0) * WINOGRAD_BLOCK_COLUMNS;
    const int t0 = (int)get_global_id(1) * block_tiles;
    SCRATCH(planes_a, A_PLANE);
    SCRATCH(planes_b, B_PLANE);
    SCRATCH(planes_m, M_PLANE);
    if (k0 >= k_total || t0 >= tiles) return;
    TENSOR(x);
    TENSOR(w);
    TENSOR(b);
    TENSOR(y);
    TENSOR(partial);
    const int live = min(block_tiles, tiles - t0);
    for (int c0 = 0; c0 < c_total; c0 += WINOGRAD_BLOCK_DEPTH) {
        const int depth = min(WINOGRAD_BLOCK_DEPTH, c_total - c0);
        for (int t = 0; t < live; t++) {
            const tile_place place = place_of(t0 + t, tiles_h, tiles_w);
            const int top = place.top - pad_h, left = place.left - pad_w;
            __global const float *xp = x + element_of(place.n, top, left, in_h, in_w, c_total) + c0;
            for (int c = 0; c < depth; c += WINOGRAD_VECTOR)
                load_input(xp + c, top, left, in_h, in_w, c_total,
                           planes_a + t * WINOGRAD_BLOCK_DEPTH + c);
        }
        if (turned)
            load_turned_weights(w, c0, k0, depth, c_total, k_total, planes_b);
        else
            load_weights(w, c0, k0, depth, c_total, k_total, planes_b);
        multiply_planes(planes_a, WINOGRAD_BLOCK_DEPTH, 1, planes_b, planes_m, live, depth,
                        c0 == 0);
    }
    partial += (size_t)3 * get_global_id(1) * k_total;
    for (int k = k0; k < k0 + WINOGRAD_BLOCK_COLUMNS && k < k_total; k += WINOGRAD_VECTOR)
        store_outputs(planes_m + k - k0, t0, live, tiles_h, tiles_w, out_h, out_w, k_total, adds,
                      wants_moments, b + k, y + k, partial + k);
}
#endif

#if WINOGRAD_PART == 0 || WINOGRAD_PART == 2
/* A dy A^T of one tile and vector of channels; `dy` is the tile's first element. */
static inline void load_gradient(__global const float *dy, tile_place place, int out_h, int out_w,
                                 int channels, bool live, float *planes) {
    vec t[WINOGRAD_OUTPUT][SIDE];
    UNROLL for (int j = 0; j < WINOGRAD_OUTPUT; j++) {
        vec column[WINOGRAD_OUTPUT];
        UNROLL for (int i = 0; i < WINOGRAD_OUTPUT; i++) {
            column[i] = (vec)(0.0f);
            if (live && place.top + i < out_h && place.left + j < out_w)
                column[i] = GLOBAL_CONST_VEC(dy + (i * out_w + j) * channels);
        }
        transform_output(column, t[j]);
    }
    UNROLL for (int i = 0; i < SIDE; i++) {
        vec line[WINOGRAD_OUTPUT], d[SIDE];
        UNROLL for (int j = 0; j < WINOGRAD_OUTPUT; j++) line[j] = t[j][i];
        transform_output(line, d);
        UNROLL for (int j = 0; j < SIDE; j++) PRIVATE_VEC(planes + (i * SIDE + j) * B_PLANE) = d[j];
    }
}

/* G^T M G of one input channel and vector of output channels; taps of dw lie `tap_stride` apart. */
static inline void store_gradient(const float *planes, size_t tap_stride, int adds,
                                  __global float *dw) {
    vec t[SIDE][3];
    UNROLL for (int j = 0; j < SIDE; j++) {
        vec column[SIDE];
        UNROLL for (int i = 0; i < SIDE; i++) {
            column[i] = PRIVATE_CONST_VEC(planes + (i * SIDE + j) * M_PLANE);
        }
        inverse_window(column, t[j]);
    }
    UNROLL for (int r = 0; r < 3; r++) {
        vec line[SIDE], out[3];
        UNROLL for (int j = 0; j < SIDE; j++) line[j] = t[j][r];
        inverse_window(line, out);
        UNROLL for (int s = 0; s < 3; s++) {
            __global float *dwp = dw + (r * 3 + s) * tap_stride;
            if (adds) out[s] += GLOBAL_CONST_VEC(dwp);
            GLOBAL_VEC(dwp) = out[s];
        }
    }
}

#ifdef STORED_VALUE
#if WINOGRAD_VECTOR == 16
#define DECODE(pixel)                                             \
    (vec)(stored_value8(code, pixel, (uint)c, (uint)channels, k), \
          stored_value8(code, pixel, (uint)(c + 8), (uint)channels, k + 1))
#else
#define DECODE(pixel) stored_value8(code, pixel, (uint)c, (uint)channels, k)
#endif
/* B^T d B of one tile and vector of channels from the stored form of x (cl/codec/stored.cl). The
 * tile is decoded in a loop of its own: unrolled, it would take compilers seconds. */
static inline void decode_tile(__global const uchar *code, const stored_channels *k, tile_place at,
                               int in_h, int in_w, int c, int channels, float *planes) {
    vec patch[SIDE][SIDE], t[SIDE][SIDE];
    _Pragma("unroll 1") for (int i = 0; i < SIDE; i++) {
        const size_t line = ((size_t)at.n * in_h + at.top + i) * in_w + at.left;
        _Pragma("unroll 1") for (int j = 0; j < SIDE; j++) {
            patch[i][j] = (vec)(0.0f);
            if ((uint)(at.top + i) < (uint)in_h && (uint)(at.left + j) < (uint)in_w)
                patch[i][j] = DECODE(line + j);
        }
    }
    UNROLL for (int j = 0; j < SIDE; j++) {
        vec d[SIDE];
        UNROLL for (int i = 0; i < SIDE; i++) d[i] = patch[i][j];
        transform_input(d);
        UNROLL for (int i = 0; i < SIDE; i++) t[i][j] = d[i];
    }
    store_input(t, planes);
}
#endif

/* One split's share of dw, [splits, split_stride], from x in float32 (`plain`) or as it is stored.
 * A work-item owns blocks of input and output channels over the tiles of one split. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void winograd_backward_weight(
    __global const uchar *restrict code, uint code_offset,
    __global const float *restrict statistics, uint statistics_offset,
    __global const float *restrict gamma, uint gamma_offset, __global const float *restrict beta,
    uint beta_offset, __global const float *restrict dy, uint dy_offset,
    __global float *restrict dw, uint dw_offset, int in_h, int in_w, int c_total, int out_h,
    int out_w, int k_total, int pad_h, int pad_w, int tiles_h, int tiles_w, int tiles, int splits,
    uint split_stride, int adds, int plain) {
    const int k0 = (int)get_global_id(0) * WINOGRAD_BLOCK_COLUMNS;
    const int c0 = (int)get_global_id(1) * WINOGRAD_BLOCK_ROWS, split = (int)get_global_id(2);
    SCRATCH(planes_a, A_PLANE);
    SCRATCH(planes_b, B_PLANE);
    SCRATCH(planes_m, M_PLANE);
    if (k0 >= k_total || c0 >= c_total || split >= splits) return;
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    TENSOR(dy);
    TENSOR(dw);
    const int begin = (int)((long)tiles * split / splits);
    const int end = (int)((long)tiles * (split + 1) / splits);
    const int rows = min(WINOGRAD_BLOCK_ROWS, c_total - c0);
    for (int t0 = begin; t0 < end; t0 += WINOGRAD_BLOCK_DEPTH) {
        const int depth = min(WINOGRAD_BLOCK_DEPTH, end - t0);
#ifdef STORED_VALUE
        for (int c = 0; c < rows && !plain; c += WINOGRAD_VECTOR) {
            stored_channels k[WINOGRAD_VECTOR / 8];
            for (int o = 0; o < WINOGRAD_VECTOR / 8; o++)
                k[o] = stored_channels8(statistics, gamma, beta, (uint)(c0 + c + 8 * o),
                                        (uint)c_total);
            for (int t = 0; t < depth; t++) {
                tile_place place = place_of(t0 + t, tiles_h, tiles_w);
                place.top -= pad_h;
                place.left -= pad_w;
                decode_tile(code, k, place, in_h, in_w, c0 + c, c_total,
                            planes_a + t * WINOGRAD_BLOCK_ROWS + c);
            }
        }
#endif
        for (int t = 0; t < depth; t++) {
            const tile_place place = place_of(t0 + t, tiles_h, tiles_w);
            const int top = place.top - pad_h, left = place.left - pad_w;
            __global const float *xp = (__global const float *)code +
                                       element_of(place.n, top, left, in_h, in_w, c_total) + c0;
            for (int c = 0; c < rows && plain; c += WINOGRAD_VECTOR)
                load_input(xp + c, top, left, in_h, in_w, c_total,
                           planes_a + t * WINOGRAD_BLOCK_ROWS + c);
            __global const float *gp =
                dy + element_of(place.n, place.top, place.left, out_h, out_w, k_total) + k0;
            for (int k = 0; k < WINOGRAD_BLOCK_COLUMNS; k += WINOGRAD_VECTOR)
                load_gradient(gp + k, place, out_h, out_w, k_total, k0 + k < k_total,
                              planes_b + t * WINOGRAD_BLOCK_COLUMNS + k);
        }
        multiply_planes(planes_a, 1, WINOGRAD_BLOCK_ROWS, planes_b, planes_m, rows, depth,
                        t0 == begin);
    }
    __global float *dwp = dw + (size_t)split * split_stride + (size_t)c0 * k_total + k0;
    for (int c = 0; c < rows; c++)
        for (int k = 0; k < WINOGRAD_BLOCK_COLUMNS && k0 + k < k_total; k += WINOGRAD_VECTOR)
            store_gradient(planes_m + c * WINOGRAD_BLOCK_COLUMNS + k, (size_t)c_total * k_total,
                           adds, dwp + (size_t)c * k_total + k);
}
#endif
