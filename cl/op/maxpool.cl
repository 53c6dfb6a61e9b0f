/* maxpool.cl: y = the largest x of each window; dx gathers dy of the windows that chose this pixel.
 * Octets (common.cl).
 *
 *     y[n, i, j, c] = max over r, s of x[n, i * stride_h - pad_h + r, j * stride_w - pad_w + s, c]
 *     tap[n, i, j, c] = r * kernel_w + s of the first maximum, row by row
 *     dx[n, a, b, c] = sum of dy[n, i, j, c] over the windows whose tap lies on (a, b)
 *
 * The taps are packed by codec/argmax.cl. Taps in the padding are left out; padding is smaller than
 * the window, so every window has a tap inside. With `adds`, dx is added to.
 */

/* Octets worked on side by side, in registers. A pixel whose last octet is short takes one at a
 * time: its loads and stores ask, and few such pixels are wide. */
#ifndef MAXPOOL_BLOCK
#if COMMON_WHOLE && COMMON_OCTETS >= 4
#define MAXPOOL_BLOCK 4
#else
#define MAXPOOL_BLOCK 1
#endif
#endif

/* Does what follows for each of a block's first `octets` octets, o. */
#define EACH_OCTET(octets) \
    _Pragma("unroll") for (uint o = 0; o < MAXPOOL_BLOCK; o++) if (o < octets)

typedef struct {
    uint h, w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
} maxpool_shape;

/* The part of a window that lies inside x. */
typedef struct {
    int first_r, end_r, first_s, end_s;
    size_t pixel; /* of x, below the first of these taps */
} maxpool_part;

static inline maxpool_part maxpool_part_of(const maxpool_shape *m, common_place at) {
    const int top = (int)(at.i * m->stride_h) - (int)m->pad_h,
              left = (int)(at.j * m->stride_w) - (int)m->pad_w;
    maxpool_part part;
    part.first_r = max(0, -top);
    part.end_r = min((int)m->kernel_h, (int)m->h - top);
    part.first_s = max(0, -left);
    part.end_s = min((int)m->kernel_w, (int)m->w - left);
    part.pixel = ((size_t)at.n * m->h + top + part.first_r) * m->w + left + part.first_s;
    return part;
}

/* y, and its taps where there is `code`, of a block of one window; `x` and `y` are the block's in
 * the window's first pixel and in its own, of which `count` channels are left. A NaN wins. */
static inline void maxpool_block(__global const float *x, __global float *y, __global uchar *code,
                                 size_t octet, uint count, uint octets, uint channels,
                                 const maxpool_shape *m, const maxpool_part *part) {
    const size_t row = (size_t)m->w * channels;
    float8 best[MAXPOOL_BLOCK];
    int8 tap[MAXPOOL_BLOCK];
    const int8 first = (int8)(part->first_r * (int)m->kernel_w + part->first_s);
    _Pragma("unroll") for (uint o = 0; o < MAXPOOL_BLOCK; o++) {
        best[o] = (float8)(-INFINITY);
        tap[o] = first;
    }
    for (int r = part->first_r; r < part->end_r; r++, x += row) {
        __global const float *from = x;
        for (int s = part->first_s; s < part->end_s; s++, from += channels) {
            const int8 here = (int8)(r * (int)m->kernel_w + s);
            EACH_OCTET(octets) {
                const float8 v = load8(from + 8 * (size_t)o, count - 8 * o);
                const int8 taken = (v > best[o]) | (v != v);
                best[o] = select(best[o], v, taken);
                tap[o] = select(tap[o], here, taken);
            }
        }
    }
    EACH_OCTET(octets) store8(best[o], y + 8 * (size_t)o, count - 8 * o);
#ifdef CODEC_INDEX
    if (code) EACH_OCTET(octets) argmax_store8(code, octet + o, count - 8 * o, tap[o]);
#endif
}

/* A work-item's share of y. */
static inline void maxpool_share(__global const float *x, __global float *y, __global uchar *code,
                                 const maxpool_shape *m, uint pixels, uint channels) {
    const common_share s = common_octets(pixels, channels);
    common_place at = common_place_of(s.p0, m->out_h, m->out_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, m->out_h, m->out_w)) {
        const maxpool_part part = maxpool_part_of(m, at);
        for (uint o = 0; o < s.octets; o += MAXPOOL_BLOCK) {
            const uint c = s.c0 + 8 * o;
            maxpool_block(x + part.pixel * channels + c, y + p * channels + c, code,
                          p * ((channels + 7) / 8) + c / 8, channels - c,
                          min(s.octets - o, (uint)MAXPOOL_BLOCK), channels, m, &part);
        }
    }
}

/* Work-items cover y. */
__kernel void maxpool_forward(__global const float *restrict x, uint x_offset,
                              __global float *restrict y, uint y_offset, uint h, uint w, uint out_h,
                              uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                              uint stride_w, uint pad_h, uint pad_w, uint pixels, uint channels) {
    TENSOR(x);
    TENSOR(y);
    const maxpool_shape m = {h,        w,        out_h,    out_w, kernel_h,
                             kernel_w, stride_h, stride_w, pad_h, pad_w};
    maxpool_share(x, y, 0, &m, pixels, channels);
}

#ifdef CODEC_INDEX
/* As above, and keeps the taps. */
__kernel void maxpool_forward_index(__global const float *restrict x, uint x_offset,
                                    __global float *restrict y, uint y_offset,
                                    __global uchar *restrict code, uint code_offset, uint h, uint w,
                                    uint out_h, uint out_w, uint kernel_h, uint kernel_w,
                                    uint stride_h, uint stride_w, uint pad_h, uint pad_w,
                                    uint pixels, uint channels) {
    TENSOR(x);
    TENSOR(y);
    TENSOR(code);
    const maxpool_shape m = {h,        w,        out_h,    out_w, kernel_h,
                             kernel_w, stride_h, stride_w, pad_h, pad_w};
    maxpool_share(x, y, code, &m, pixels, channels);
}

/* The windows along one axis that hold a position, which counts the padding. */
typedef struct {
    uint first, end;
} maxpool_span;

static inline maxpool_span maxpool_span_of(uint position, uint kernel_extent, uint stride,
                                           uint out) {
    maxpool_span span;
    span.first = position < kernel_extent ? 0 : (position - kernel_extent) / stride + 1;
    span.end = min(position / stride + 1, out);
    return span;
}

/* On to `position`, the next one: at most one window ends and one begins. */
static inline void maxpool_span_step(maxpool_span *span, uint position, uint kernel_extent,
                                     uint stride, uint out) {
    if ((ulong)span->first * stride + kernel_extent <= position) span->first++;
    if (span->end < out && (ulong)span->end * stride <= position) span->end++;
}

/* A block of one pixel's dx. `code` and `dy` are the block's in the first of the windows that hold
 * the pixel, whose tap is `tap`; `count` channels are left. */
static inline void maxpool_gather(__global const uchar *code, __global const float *dy,
                                  __global float *dx, uint count, uint octets, uint channels,
                                  const maxpool_shape *m, uint tap, maxpool_span rows,
                                  maxpool_span columns, uint adds) {
    const size_t bytes = (channels + 7) / 8 * ARGMAX_BITS;
    float8 g[MAXPOOL_BLOCK];
    _Pragma("unroll") for (uint o = 0; o < MAXPOOL_BLOCK; o++) g[o] = (float8)(0.0f);
    if (adds) EACH_OCTET(octets) g[o] = load8(dx + 8 * (size_t)o, count - 8 * o);
    for (uint i = rows.first; i < rows.end; i++) {
        __global const uchar *chosen = code;
        __global const float *from = dy;
        uint here = tap;
        for (uint j = columns.first; j < columns.end; j++) {
            /* Loaded apart: a load that the taps mask would wait for them. */
            float8 more[MAXPOOL_BLOCK];
            EACH_OCTET(octets) more[o] = load8(from + 8 * (size_t)o, count - 8 * o);
            EACH_OCTET(octets) {
                g[o] = select(g[o], g[o] + more[o], argmax_equal8(chosen, o, here));
            }
            here -= m->stride_w;
            chosen += bytes;
            from += channels;
        }
        tap -= m->stride_h * m->kernel_w;
        code += m->out_w * bytes;
        dy += (size_t)m->out_w * channels;
    }
    EACH_OCTET(octets) store8(g[o], dx + 8 * (size_t)o, count - 8 * o);
}

/* Work-items cover x. */
__kernel void maxpool_backward(__global const uchar *restrict code, uint code_offset,
                               __global const float *restrict dy, uint dy_offset,
                               __global float *restrict dx, uint dx_offset, uint h, uint w,
                               uint out_h, uint out_w, uint kernel_h, uint kernel_w, uint stride_h,
                               uint stride_w, uint pad_h, uint pad_w, uint adds, uint pixels,
                               uint channels) {
    TENSOR(code);
    TENSOR(dy);
    TENSOR(dx);
    const maxpool_shape m = {h,        w,        out_h,    out_w, kernel_h,
                             kernel_w, stride_h, stride_w, pad_h, pad_w};
    const common_share s = common_octets(pixels, channels);
    common_place at = common_place_of(s.p0, h, w);
    maxpool_span rows, columns;
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, h, w)) {
        const uint row = at.i + pad_h, column = at.j + pad_w;
        if (p == s.p0 || at.j == 0) {
            rows = maxpool_span_of(row, kernel_h, stride_h, out_h);
            columns = maxpool_span_of(column, kernel_w, stride_w, out_w);
        } else {
            maxpool_span_step(&columns, column, kernel_w, stride_w, out_w);
        }
        const uint tap =
            (row - rows.first * stride_h) * kernel_w + column - columns.first * stride_w;
        const size_t from = ((size_t)at.n * out_h + rows.first) * out_w + columns.first;
        for (uint o = 0; o < s.octets; o += MAXPOOL_BLOCK) {
            const uint c = s.c0 + 8 * o;
            maxpool_gather(code + (from * ((channels + 7) / 8) + c / 8) * ARGMAX_BITS,
                           dy + from * channels + c, dx + p * channels + c, channels - c,
                           min(s.octets - o, (uint)MAXPOOL_BLOCK), channels, &m, tap, rows, columns,
                           adds);
        }
    }
}
#endif
