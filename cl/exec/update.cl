/* update.cl: the optimizers' update rules, as PyTorch writes them, and clipping by the global norm.
 *
 *   g  = clip * dw + decay * w                    (AdamW decays w by rate * decay instead)
 *   SGD    m = momentum*m + g,  w -= rate * m      (Nesterov: w -= rate * (g + momentum*m))
 *   Adam   m += (1-beta1)*(g - m), v = beta2*v + (1-beta2)*g*g
 *          w -= rate * m*correction1 / (sqrt(v)*correction2 + epsilon)
 *
 * The moment of SGD starts at 0, so the first step gives m = g, as in PyTorch. Rate, Adam's
 * corrections and the clip factor come from the step's scalars; a parameter's row multiplies the
 * rate.
 *
 * An update of which a loss or the gradients' norm was not finite is left out. Without clipping
 * nobody knows the norm: elements that would not be finite any more keep their value and moments.
 *
 * One launch serves many parameters. A table has a row of words for each: where its tensors lie and
 * how long they are, and how many chunks (of the update) and blocks (of the norm) the rows before
 * it have, so that a work-item finds its row by halving. The table's pointer is at the launch's
 * first row; w, dw and the moments are whole buffers, which all rows of a launch share.
 *
 * With UPDATE_BITS 8, moments of long enough parameters are stored in 8 bits, in blocks of their
 * own scale (Dettmers et al., "8-bit optimizers via block-wise quantization", ICLR 2022):
 *
 *   [ float unit, one per block | octets of codes, the last one filled up with zeros ]
 *   m = q * |q| * unit,  q in -127..127          v = q^4 * unit,  q in 0..255
 *   unit = largest |m| of the block / 127^2      unit = largest v of the block / 255^4
 *
 * A power in the place of their table of dynamic exponents needs no gather. Of normally distributed
 * values it keeps more: an error of 0.7 % of m's root mean square to the nearest code, where the
 * table has 1.1 %, and of squares 0.55 % to 0.62 %. The table is finer for m below a hundredth of
 * the largest; v reaches down to 2e-10 of the largest, the table to 3e-7.
 *
 * Rounding is stochastic and E[code] is the value: v changes by 1 - beta2 = 0.1 % where the steps
 * are 1.6 % and more, so the nearest code would be the old one forever. A positive v takes no
 * code below 1: 0 would divide m by epsilon alone. Weights move along the moments before rounding.
 *
 * A work-item owns whole blocks. It updates a block's weights, holds the new moments, and writes
 * them when it knows the largest. Element i of octet o of a block draws the upper half of word
 * o % 4 of the Philox block (seed, key << 32 | step, 8 * b + i), b counting the parameter's blocks,
 * after o / 4 rounds of x -> x * UPDATE_FACTOR + UPDATE_ADDEND: Philox runs once for a block.
 * Both moments of Adam draw the same. Behind rng.cl.
 */

/* Neighbouring elements that one work-item updates. */
#ifndef UPDATE_CHUNK
#define UPDATE_CHUNK 64
#endif
/* Octets of a moment that share a scale. */
#ifndef UPDATE_MOMENT_OCTETS
#define UPDATE_MOMENT_OCTETS 32
#endif
/* Of a moment's element: 32, or 8 where the row says so. */
#ifndef UPDATE_BITS
#define UPDATE_BITS 32
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
#define ROW_KEY 8   /* what the codes of its moments draw by; 0: they are float32 */
#define ROW_RATE 9  /* float: of the learning rate */
#define ROW_WORDS 10

/* What one work-item does of a row: whole blocks, where there are any. */
#define BLOCK (8 * UPDATE_MOMENT_OCTETS)
#if UPDATE_BITS != 8
#define PART UPDATE_CHUNK
#elif UPDATE_CHUNK > BLOCK
#define PART (UPDATE_CHUNK / BLOCK * BLOCK)
#else
#define PART BLOCK
#endif

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

static inline float8 sgd_moment(float8 m, float8 g) {
    return UPDATE_MOMENTUM * m + g;
}

/* The direction that a weight takes. */
static inline float8 sgd_along(float8 m, float8 g) {
    return UPDATE_NESTEROV ? g + UPDATE_MOMENTUM * m : m;
}

static inline float8 adam_moment1(float8 m, float8 g) {
    return m + (1.0f - UPDATE_BETA1) * (g - m);
}

static inline float8 adam_moment2(float8 v, float8 g) {
    return UPDATE_BETA2 * v + (1.0f - UPDATE_BETA2) * g * g;
}

/* A parameter's part, as the launch's scalars and its row have it. Its pointers are at the
 * parameter's first element, and so are `begin` and `end`. */
typedef struct {
    __global const float *dw;
    __global float *w;
    uint begin, end;
    float rate, clip, decay, correction1, correction2;
    float8 kept; /* how many elements keep what they are */
} update_part;

/* Which elements take their new value; the others are counted. */
static inline int8 takes(update_part *p, float8 a, float8 b) {
    const int8 finite = finite8(a) & finite8(b);
    p->kept += select((float8)(1.0f), (float8)(0.0f), finite);
    return finite;
}

static inline float8 sgd_gradient(const update_part *p, uint i, uint count, float8 w) {
    return p->clip * load8(p->dw + i, count) + p->decay * w;
}

/* Adam's gradient; AdamW decays the weight itself. */
static inline float8 adam_gradient(const update_part *p, uint i, uint count, float8 *w) {
    float8 g = p->clip * load8(p->dw + i, count);
#if UPDATE_DECOUPLED
    *w -= p->rate * p->decay * *w;
#else
    g += p->decay * *w;
#endif
    return g;
}

static inline float8 adam_step(const update_part *p, float8 m, float8 v) {
    return p->rate * (m * p->correction1) / (sqrt(v) * p->correction2 + UPDATE_EPSILON);
}

/* One octet of weights, and its new moment. */
static inline float8 sgd_octet(update_part *p, uint i, uint count, float8 m) {
    const float8 w = load8(p->w + i, count), g = sgd_gradient(p, i, count, w);
    const float8 moment = sgd_moment(m, g), next = w - p->rate * sgd_along(moment, g);
    const int8 good = takes(p, next, moment);
    store8(select(w, next, good), p->w + i, count);
    return select(m, moment, good);
}

/* One octet of weights and its moments, which are replaced. */
static inline void adam_octet(update_part *p, uint i, uint count, float8 *m, float8 *v) {
    const float8 w = load8(p->w + i, count);
    float8 decayed = w;
    const float8 g = adam_gradient(p, i, count, &decayed);
    const float8 moment1 = adam_moment1(*m, g), moment2 = adam_moment2(*v, g);
    const float8 next = decayed - adam_step(p, moment1, moment2);
    const int8 good = takes(p, next, moment2);
    store8(select(w, next, good), p->w + i, count);
    *m = select(*m, moment1, good);
    *v = select(*v, moment2, good);
}

#if UPDATE_BITS == 8
#define UPDATE_FACTOR 747796405u
#define UPDATE_ADDEND 2891336453u
#define TOP1 16129.0f      /* 127^2 */
#define TOP2 4228250625.0f /* 255^4 */

/* The blocks of a parameter's moment. */
typedef struct {
    __global float *units;
    __global uint *codes; /* two words for an octet: vectors of bytes are slow to load on CPUs */
} update_moment;

static inline update_moment moment_of(__global float *m, __global const uint *row) {
    update_moment moment;
    moment.units = m;
    moment.codes = (__global uint *)(m + (row[ROW_ELEMS] + BLOCK - 1) / BLOCK);
    return moment;
}

static inline float8 decode1(__global const uint *codes, uint octet, float unit) {
    const float8 q = convert_float8(as_char8(vload2(octet, codes)));
    return q * fabs(q) * unit;
}

static inline float8 decode2(__global const uint *codes, uint octet, float unit) {
    float8 q = convert_float8(as_uchar8(vload2(octet, codes)));
    q *= q;
    return q * q * unit;
}

static inline float8 larger(float8 a, float8 b) {
    return select(a, b, b > a);
}

/* Blocks so small that 1 / unit might be infinite are zero. */
static inline float unit_of(float8 largest, float top) {
    const float4 four = fmax(largest.lo, largest.hi);
    const float2 two = fmax(four.lo, four.hi);
    const float unit = fmax(two.x, two.y) * (1.0f / top);
    return unit >= 0x1p-120f ? unit : 0.0f;
}

static inline float inverse_of(float unit) {
    return unit > 0.0f ? 1.0f / unit : 0.0f;
}

/* In units, and at most the top. */
static inline float8 in_units(float8 a, float inverse, float top) {
    const float8 t = a * inverse;
    return select((float8)(top), t, t < top);
}

/* Codes are counted in float32: subtracting a comparison, which is -1 where it holds, adds 255 in
 * Oclgrind 21.10. */
static inline uint2 encode1(float8 m, float inverse, float8 random) {
    const float8 t = in_units(fabs(m), inverse, TOP1), c = convert_float8(convert_int8(sqrt(t)));
    const float8 q = select(c, c + 1.0f, random * (c + c + 1.0f) < t - c * c);
    return as_uint2(convert_char8(convert_int8(select(q, -q, m < 0.0f))));
}

static inline uint2 encode2(float8 v, float inverse, float8 random) {
    const float8 t = in_units(v, inverse, TOP2), c = convert_float8(convert_int8(sqrt(sqrt(t))));
    const float8 low = c * c, high = (c + 1.0f) * (c + 1.0f);
    const float8 q = select(c, c + 1.0f, random * (high * high - low * low) < t - low * low);
    const int8 positive = max(convert_int8(q), (int8)(1));
    return as_uint2(convert_uchar8(select(positive, (int8)(0), t == 0.0f)));
}

/* What a block's first four octets draw. */
static inline void draw(__global const uint *scalars, uint key, uint block, uint8 words[4]) {
    rng_blocks8(scalars[SCALAR_SEED_LOW], scalars[SCALAR_SEED_HIGH], scalars[SCALAR_STEP], key,
                (ulong)block * 8, words);
}

/* One octet's, in (0, 1); `word` goes on to what the fourth octet behind it draws. */
static inline float8 draw_next(uint8 *word) {
    const int8 upper = as_int8(*word >> 16);
    *word = *word * UPDATE_FACTOR + UPDATE_ADDEND;
    return (convert_float8(upper) + 0.5f) * 0x1p-16f;
}

/* Elements begin .. end - 1, which are a block. */
static inline void sgd_block(update_part *p, __global const uint *scalars, uint key, uint begin,
                             uint end, update_moment m) {
    const uint block = begin / BLOCK, first = begin / 8;
    const float old = m.units[block];
    float8 held[UPDATE_MOMENT_OCTETS], largest = (float8)(0.0f);
    uint octets = 0;
    for (uint i = begin; i < end; i += 8, octets++) {
        const float8 before = decode1(m.codes, first + octets, old);
        const float8 now =
            i + 8 <= end ? sgd_octet(p, i, 8, before) : sgd_octet(p, i, end - i, before);
        largest = larger(largest, fabs(now));
        held[octets] = now;
    }
    const float unit = unit_of(largest, TOP1), inverse = inverse_of(unit);
    uint8 words[4];
    draw(scalars, key, block, words);
    for (uint o = 0; o < octets; o += 4) {
        _Pragma("unroll") for (uint k = 0; k < 4; k++) {
            if (o + k >= octets) break;
            const float8 random = draw_next(&words[k]);
            vstore2(encode1(held[o + k], inverse, random), first + o + k, m.codes);
        }
    }
    m.units[block] = unit;
}

static inline void adam_block(update_part *p, __global const uint *scalars, uint key, uint begin,
                              uint end, update_moment m, update_moment v) {
    const uint block = begin / BLOCK, first = begin / 8;
    const float old1 = m.units[block], old2 = v.units[block];
    float8 held1[UPDATE_MOMENT_OCTETS], held2[UPDATE_MOMENT_OCTETS];
    float8 largest1 = (float8)(0.0f), largest2 = (float8)(0.0f);
    uint octets = 0;
    for (uint i = begin; i < end; i += 8, octets++) {
        float8 mv = decode1(m.codes, first + octets, old1);
        float8 vv = decode2(v.codes, first + octets, old2);
        if (i + 8 <= end)
            adam_octet(p, i, 8, &mv, &vv);
        else
            adam_octet(p, i, end - i, &mv, &vv);
        largest1 = larger(largest1, fabs(mv));
        largest2 = larger(largest2, vv);
        held1[octets] = mv;
        held2[octets] = vv;
    }
    const float unit1 = unit_of(largest1, TOP1), unit2 = unit_of(largest2, TOP2);
    const float inverse1 = inverse_of(unit1), inverse2 = inverse_of(unit2);
    uint8 words[4];
    draw(scalars, key, block, words);
    for (uint o = 0; o < octets; o += 4) {
        _Pragma("unroll") for (uint k = 0; k < 4; k++) {
            if (o + k >= octets) break;
            const float8 random = draw_next(&words[k]);
            vstore2(encode1(held1[o + k], inverse1, random), first + o + k, m.codes);
            vstore2(encode2(held2[o + k], inverse2, random), first + o + k, v.codes);
        }
    }
    m.units[block] = unit1;
    v.units[block] = unit2;
}
#endif

/* The part of a work-item, and its row. */
static inline update_part part_of(__global const uint *table, uint rows,
                                  __global const uint *scalars, __global const float *dw,
                                  __global float *w, __global const uint **row_out) {
    const uint chunk = (uint)get_global_id(0) + table[ROW_CHUNK];
    __global const uint *row = find_row(table, rows, ROW_CHUNK, chunk);
    update_part p;
    *row_out = row;
    p.begin = (chunk - row[ROW_CHUNK]) * PART;
    p.end = min(row[ROW_ELEMS], p.begin + PART);
    p.dw = dw + row[ROW_GRADIENT];
    p.w = w + row[ROW_VALUE];
    p.rate = as_float(scalars[SCALAR_RATE]) * as_float(row[ROW_RATE]);
    p.clip = as_float(scalars[SCALAR_CLIP]);
    p.decay = as_float(row[ROW_DECAY]);
    p.correction1 = as_float(scalars[SCALAR_CORRECTION1]);
    p.correction2 = as_float(scalars[SCALAR_CORRECTION2]);
    p.kept = (float8)(0.0f);
    return p;
}

static inline float sum8(float8 v) {
    const float4 four = v.lo + v.hi;
    return (four.x + four.y) + (four.z + four.w);
}

/* Whole numbers, whose sum does not depend on who comes first. */
static inline void count_kept(const update_part *p, __global uint *scalars) {
    const uint kept = (uint)sum8(p->kept);
    if (kept) atomic_add(&scalars[SCALAR_KEPT], kept);
}

__kernel void update_sgd(__global const uint *restrict table, uint table_offset,
                         __global const float *restrict dw, uint dw_offset,
                         __global uint *restrict scalars, uint scalars_offset,
                         __global float *restrict w, uint w_offset, __global float *restrict m,
                         uint m_offset, uint rows, uint chunks) {
    TENSOR(scalars);
    if (get_global_id(0) >= chunks || update_is_skipped(scalars)) return;
    TENSOR(table);
    TENSOR(dw);
    TENSOR(w);
    TENSOR(m);
    __global const uint *row;
    update_part p = part_of(table, rows, scalars, dw, w, &row);
    m += row[ROW_MOMENT1];
#if UPDATE_BITS == 8
    if (row[ROW_KEY]) {
        const update_moment moment = moment_of(m, row);
        for (uint i = p.begin; i < p.end; i += BLOCK)
            sgd_block(&p, scalars, row[ROW_KEY], i, min(i + BLOCK, p.end), moment);
        count_kept(&p, scalars);
        return;
    }
#endif
    for (uint i = p.begin; i < p.end; i += 8) {
        const uint count = min(8u, p.end - i);
#if UPDATE_HAS_MOMENT
        store8(sgd_octet(&p, i, count, load8(m + i, count)), m + i, count);
#else
        sgd_octet(&p, i, count, (float8)(0.0f));
#endif
    }
    count_kept(&p, scalars);
}

__kernel void update_adam(__global const uint *restrict table, uint table_offset,
                          __global const float *restrict dw, uint dw_offset,
                          __global uint *restrict scalars, uint scalars_offset,
                          __global float *restrict w, uint w_offset, __global float *restrict m,
                          uint m_offset, __global float *restrict v, uint v_offset, uint rows,
                          uint chunks) {
    TENSOR(scalars);
    if (get_global_id(0) >= chunks || update_is_skipped(scalars)) return;
    TENSOR(table);
    TENSOR(dw);
    TENSOR(w);
    TENSOR(m);
    TENSOR(v);
    __global const uint *row;
    update_part p = part_of(table, rows, scalars, dw, w, &row);
    m += row[ROW_MOMENT1];
    v += row[ROW_MOMENT2];
#if UPDATE_BITS == 8
    if (row[ROW_KEY]) {
        const update_moment first = moment_of(m, row), second = moment_of(v, row);
        for (uint i = p.begin; i < p.end; i += BLOCK)
            adam_block(&p, scalars, row[ROW_KEY], i, min(i + BLOCK, p.end), first, second);
        count_kept(&p, scalars);
        return;
    }
#endif
    for (uint i = p.begin; i < p.end; i += 8) {
        const uint count = min(8u, p.end - i);
        float8 mv = load8(m + i, count), vv = load8(v + i, count);
        adam_octet(&p, i, count, &mv, &vv);
        store8(mv, m + i, count);
        store8(vv, v + i, count);
    }
    count_kept(&p, scalars);
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

/* The clip factor: min(1, bound / (norm + 1e-6)), as PyTorch's clip_grad_norm_. A norm that is not
 * finite has none, and the update is left out. */
__kernel void update_clip(__global const float *restrict squares, uint squares_offset,
                          __global uint *restrict scalars, uint scalars_offset, uint blocks,
                          float bound) {
    if (get_global_id(0) > 0) return;
    TENSOR(squares);
    TENSOR(scalars);
    float8 sum = (float8)(0.0f);
    for (uint i = 0; i < blocks; i += 8) sum += load8(squares + i, blocks - i);
    const float norm = sqrt(sum8(sum));
    if ((as_uint(norm) & 0x7F800000u) == 0x7F800000u)
        skip_update(scalars);
    else
        scalars[SCALAR_CLIP] = as_uint(fmin(1.0f, bound / (norm + 1e-6f)));
}
