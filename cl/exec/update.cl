/* update.cl: the optimizers' update rules, as PyTorch writes them, and clipping by the global norm.
 *
 *   g  = clip * dw + decay * w                    (AdamW decays w by rate * decay instead)
 *   SGD    m = momentum*m + g,  w -= rate * m      (Nesterov: w -= rate * (g + momentum*m))
 *   Adam   m += (1-beta1)*(g - m), v = beta2*v + (1-beta2)*g*g
 *          w -= rate * m*correction1 / (sqrt(v)*correction2 + epsilon)
 *
 * The moment of SGD starts at 0, so the first step gives m = g, as in PyTorch. Rate, Adam's
 * corrections and the clip factor come from the step's scalars.
 *
 * One launch serves many parameters. A table has a row of words for each: where its tensors lie and
 * how long they are, and how many chunks (of the update) and blocks (of the norm) the rows before
 * it have, so that a work-item finds its row by halving. The table's pointer is at the launch's
 * first row; w, dw and the moments are whole buffers, which all rows of a launch share.
 */

/* Neighbouring elements that one work-item updates. */
#ifndef UPDATE_CHUNK
#define UPDATE_CHUNK 64
#endif
/* Elements of one partial sum of the gradients' norm. */
#ifndef UPDATE_BLOCK
#define UPDATE_BLOCK 4096
#endif
/* float: SGD's momentum; without one there is no moment. */
#ifndef UPDATE_MOMENTUM
#define UPDATE_MOMENTUM 0.0f
#define UPDATE_HAS_MOMENT 0
#define UPDATE_NESTEROV 0
#endif
#ifndef UPDATE_BETA1
#define UPDATE_BETA1 0.9f
#define UPDATE_BETA2 0.999f
#define UPDATE_EPSILON 1e-8f
#define UPDATE_DECOUPLED 0
#endif

/* A row of the table (src/exec/update.c); offsets in elements. */
#define ROW_VALUE 0
#define ROW_GRADIENT 1
#define ROW_MOMENT1 2
#define ROW_MOMENT2 3
#define ROW_ELEMS 4
#define ROW_DECAY 5 /* float: weight decay of this parameter */
#define ROW_CHUNK 6 /* chunks of the rows before it */
#define ROW_BLOCK 7 /* blocks of the rows before it */
#define ROW_WORDS 8

/* The last of `rows` rows whose `word` is at most `index`. No row is empty, so words rise. */
static inline __global const uint *find_row(__global const uint *table, uint rows, uint word,
                                            uint index) {
    uint low = 0, high = rows;
    while (high - low > 1) {
        const uint middle = (low + high) / 2;
        if (table[middle * ROW_WORDS + word] <= index)
            low = middle;
        else
            high = middle;
    }
    return table + low * ROW_WORDS;
}

__kernel void update_sgd(__global const uint *restrict table, uint table_offset,
                         __global const float *restrict dw, uint dw_offset,
                         __global const float *restrict scalars, uint scalars_offset,
                         __global float *restrict w, uint w_offset, __global float *restrict m,
                         uint m_offset, uint rows, uint chunks) {
    if (get_global_id(0) >= chunks) return;
    TENSOR(table);
    TENSOR(dw);
    TENSOR(scalars);
    TENSOR(w);
    TENSOR(m);
    const float rate = scalars[SCALAR_RATE], clip = scalars[SCALAR_CLIP];
    const uint chunk = (uint)get_global_id(0) + table[ROW_CHUNK];
    __global const uint *row = find_row(table, rows, ROW_CHUNK, chunk);
    const uint begin = (chunk - row[ROW_CHUNK]) * UPDATE_CHUNK;
    const uint end = min(row[ROW_ELEMS], begin + UPDATE_CHUNK);
    const float decay = as_float(row[ROW_DECAY]);
    w += row[ROW_VALUE];
    dw += row[ROW_GRADIENT];
    m += row[ROW_MOMENT1];
    for (uint i = begin; i < end; i += 8) {
        const uint count = min(8u, end - i);
        float8 wv = load8(w + i, count), g = clip * load8(dw + i, count) + decay * wv;
#if UPDATE_HAS_MOMENT
        const float8 mv = UPDATE_MOMENTUM * load8(m + i, count) + g;
        store8(mv, m + i, count);
        g = UPDATE_NESTEROV ? g + UPDATE_MOMENTUM * mv : mv;
#endif
        store8(wv - rate * g, w + i, count);
    }
}

__kernel void update_adam(__global const uint *restrict table, uint table_offset,
                          __global const float *restrict dw, uint dw_offset,
                          __global const float *restrict scalars, uint scalars_offset,
                          __global float *restrict w, uint w_offset, __global float *restrict m,
                          uint m_offset, __global float *restrict v, uint v_offset, uint rows,
                          uint chunks) {
    if (get_global_id(0) >= chunks) return;
    TENSOR(table);
    TENSOR(dw);
    TENSOR(scalars);
    TENSOR(w);
    TENSOR(m);
    TENSOR(v);
    const float rate = scalars[SCALAR_RATE], clip = scalars[SCALAR_CLIP];
    const float correction1 = scalars[SCALAR_CORRECTION1],
                correction2 = scalars[SCALAR_CORRECTION2];
    const uint chunk = (uint)get_global_id(0) + table[ROW_CHUNK];
    __global const uint *row = find_row(table, rows, ROW_CHUNK, chunk);
    const uint begin = (chunk - row[ROW_CHUNK]) * UPDATE_CHUNK;
    const uint end = min(row[ROW_ELEMS], begin + UPDATE_CHUNK);
    const float decay = as_float(row[ROW_DECAY]);
    w += row[ROW_VALUE];
    dw += row[ROW_GRADIENT];
    m += row[ROW_MOMENT1];
    v += row[ROW_MOMENT2];
    for (uint i = begin; i < end; i += 8) {
        const uint count = min(8u, end - i);
        float8 wv = load8(w + i, count), g = clip * load8(dw + i, count);
#if UPDATE_DECOUPLED
        wv -= rate * decay * wv;
#else
        g += decay * wv;
#endif
        float8 mv = load8(m + i, count), vv = load8(v + i, count);
        mv += (1.0f - UPDATE_BETA1) * (g - mv);
        vv = UPDATE_BETA2 * vv + (1.0f - UPDATE_BETA2) * g * g;
        store8(mv, m + i, count);
        store8(vv, v + i, count);
        store8(wv - rate * (mv * correction1) / (sqrt(vv) * correction2 + UPDATE_EPSILON), w + i,
               count);
    }
}

static inline float sum8(float8 v) {
    const float4 four = v.lo + v.hi;
    return (four.x + four.y) + (four.z + four.w);
}

/* squares[b] = sum of the squares of block b of all gradients. The blocks, and so the order in
 * which anything is added, depend on the profile alone. */
__kernel void update_squares(__global const uint *restrict table, uint table_offset,
                             __global const float *restrict dw, uint dw_offset,
                             __global float *restrict squares, uint squares_offset, uint rows,
                             uint blocks) {
    if (get_global_id(0) >= blocks) return;
    TENSOR(table);
    TENSOR(dw);
    TENSOR(squares);
    const uint block = (uint)get_global_id(0) + table[ROW_BLOCK];
    __global const uint *row = find_row(table, rows, ROW_BLOCK, block);
    const uint begin = (block - row[ROW_BLOCK]) * UPDATE_BLOCK;
    const uint end = min(row[ROW_ELEMS], begin + UPDATE_BLOCK);
    dw += row[ROW_GRADIENT];
    float8 sum = (float8)(0.0f);
    for (uint i = begin; i < end; i += 8) {
        const float8 g = load8(dw + i, end - i);
        sum = fma(g, g, sum);
    }
    squares[block] = sum8(sum);
}

/* The clip factor: min(1, bound / (norm + 1e-6)), as PyTorch's clip_grad_norm_. */
__kernel void update_clip(__global const float *restrict squares, uint squares_offset,
                          __global float *restrict scalars, uint scalars_offset, uint blocks,
                          float bound) {
    if (get_global_id(0) > 0) return;
    TENSOR(squares);
    TENSOR(scalars);
    float8 sum = (float8)(0.0f);
    for (uint i = 0; i < blocks; i += 8) sum += load8(squares + i, blocks - i);
    scalars[SCALAR_CLIP] = fmin(1.0f, bound / (sqrt(sum8(sum)) + 1e-6f));
}
