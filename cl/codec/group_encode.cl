/* group_encode.cl: writes the code that group.cl draws, which stands in front with rng.cl.
 *
 * The grid of a group, from its smallest and its largest element (behind a ReLU: of those above 0),
 * with top the last level's distance from the first in steps:
 *
 *   lo    smallest, rounded down to bfloat16
 *   step  (largest - lo) / top, rounded up to bfloat16, so that lo + top * step >= largest
 *   t     min((value - lo) / step, top), in units of 2^-16, cut to a whole number
 *   q     (t + r) / 2^16, r one of 2^16 whole numbers at random     (+ 1 behind a ReLU)
 *
 * A level's own value stays, and E[q] is exact to 2^-16. Lanes behind the last channel have no part
 * in a grid, and their levels are 0.
 *
 * Element i of octet o of a group draws half o % 2 (0: the low one) of word o / 2 % 4 of the Philox
 * block (seed, number << 32 | 2^63 | step, index), index = (g * ceil(GROUP_OCTETS / 8) + o / 8) * 8
 * + i, where g counts the groups of the whole value. The bit 2^63 keeps the stream apart from
 * dropout's.
 *
 * A work-item owns groups one behind the other, COMMON_CHUNK octets where those are more than one.
 */

/* The side of the blocks whose means are stored; 0: the value itself is. Behind blockmean.cl. */
#ifndef GROUP_WINDOW
#define GROUP_WINDOW 0
#endif

/* 1: what is left of the value without those means, as residual.cl has stored them, is stored. */
#ifndef GROUP_RESIDUAL
#define GROUP_RESIDUAL 0
#endif

#ifdef GROUP_LEVELS
/* A mean takes the place of the grid. */
#define GROUP_ONE_LEVEL (GROUP_RELU && GROUP_BITS == 1)
#if GROUP_ONE_LEVEL
#define GROUP_TOP 1
#else
#define GROUP_TOP (GROUP_LEVELS - 1 - GROUP_RELU)
#endif
#define GROUP_INFINITY 0x7F800000u
#define GROUP_NAN 0x7FC0u
/* 2^-110: with less, 2^16 / step would be no float32. */
#define GROUP_LEAST_STEP 0x0880u

/* What is known of a group's elements, lane by lane. */
typedef struct {
#if GROUP_RELU
    uint8 smallest; /* the bits of the smallest positive one, less 1 */
#else
    float8 smallest;
#endif
    float8 largest;
#if GROUP_ONE_LEVEL
    float8 sum;
    int8 count; /* of positive ones, negated */
#endif
    int8 broken; /* -1 where there is a NaN */
} group_extent;

static inline group_extent group_nothing(void) {
    group_extent e;
#if GROUP_RELU
    e.smallest = (uint8)(0xFFFFFFFFu);
    e.largest = (float8)(0.0f);
#else
    e.smallest = (float8)(INFINITY);
    e.largest = (float8)(-INFINITY);
#endif
#if GROUP_ONE_LEVEL
    e.sum = (float8)(0.0f);
    e.count = (int8)(0);
#endif
    e.broken = (int8)(0);
    return e;
}

/* Positive floats, as whole numbers, stand in their own order; zeros of both signs and negative
 * numbers, less 1, lie behind all of them. Comparisons let NaN pass by. */
static inline void group_extend(group_extent *e, float8 v) {
#if GROUP_RELU
    e->smallest = min(e->smallest, as_uint8(v) - (uint8)(1));
#else
    e->smallest = select(e->smallest, v, v < e->smallest);
#endif
    e->largest = select(e->largest, v, v > e->largest);
#if GROUP_ONE_LEVEL
    const int8 positive = v > 0.0f;
    e->sum += select((float8)(0.0f), v, positive);
    e->count += positive;
#endif
    e->broken |= v != v;
}

typedef struct {
    uint header;
    float lo, scale; /* t = (value - lo) * scale */
} group_grid;

/* The grid over smallest..largest; `largest` below `smallest`: there is nothing to store. */
static inline group_grid group_grid_of(float smallest, float largest, int broken) {
    uint low = as_uint(smallest);
    /* A negative number rounds down by growing. Zeros of both signs are +0. */
    low = smallest == 0.0f ? 0 : (low + (smallest < 0.0f ? 0xFFFFu : 0)) >> 16;
    const float lo = as_float(low << 16);
    uint step = 0;
    if (largest > lo) {
        step = (as_uint((largest - lo) * (1.0f / GROUP_TOP)) + 0xFFFFu) >> 16;
        step = max(step, GROUP_LEAST_STEP);
        /* The quotient itself may have been rounded down. */
        if (fma((float)GROUP_TOP, as_float(step << 16), lo) < largest) step++;
    }
    const float end = fma((float)GROUP_TOP, as_float(step << 16), lo);
    group_grid g;
    if (broken || !(fabs(end) <= FLT_MAX)) {
        g.header = GROUP_NAN;
        g.lo = g.scale = 0.0f;
    } else {
        g.header = low | step << 16;
        g.lo = lo;
        g.scale = step ? 65536.0f / as_float(step << 16) : 0.0f;
    }
    return g;
}

static inline group_grid group_close(const group_extent *e) {
    const int4 broken4 = e->broken.lo | e->broken.hi;
    const int2 broken2 = broken4.lo | broken4.hi;
    const int broken = broken2.x | broken2.y;
#if GROUP_ONE_LEVEL
    const float4 sum4 = e->sum.lo + e->sum.hi;
    const float2 sum2 = sum4.lo + sum4.hi;
    const int4 count4 = e->count.lo + e->count.hi;
    const int2 count2 = count4.lo + count4.hi;
    const float sum = sum2.x + sum2.y;
    const int count = -(count2.x + count2.y);
    group_grid g = {0, 0.0f, 0.0f};
    if (broken || !(sum <= FLT_MAX))
        g.header = GROUP_NAN << 16;
    else if (count)
        g.header = as_uint(sum / (float)count);
    return g;
#else
    const float4 largest4 = fmax(e->largest.lo, e->largest.hi);
    const float2 largest2 = fmax(largest4.lo, largest4.hi);
    const float largest = fmax(largest2.x, largest2.y);
#if GROUP_RELU
    const uint4 smallest4 = min(e->smallest.lo, e->smallest.hi);
    const uint2 smallest2 = min(smallest4.lo, smallest4.hi);
    const uint smallest = min(smallest2.x, smallest2.y);
    return group_grid_of(largest > 0.0f ? as_float(smallest + 1) : 0.0f, largest, broken);
#else
    const float4 smallest4 = fmin(e->smallest.lo, e->smallest.hi);
    const float2 smallest2 = fmin(smallest4.lo, smallest4.hi);
    return group_grid_of(fmin(smallest2.x, smallest2.y), largest, broken);
#endif
#endif
}

/* The levels of an octet; `random` below 2^16. A NaN, which only a broken group has, takes the last
 * level. */
static inline int8 group_levels(float8 v, const group_grid *g, uint8 random) {
#if GROUP_ONE_LEVEL
    return select((int8)(0), (int8)(1), v > 0.0f);
#else
#if GROUP_RELU
    const int8 positive = v > 0.0f;
    v = select((float8)(g->lo), v, positive);
#endif
    const float8 top = (float8)(65536.0f * GROUP_TOP), t = (v - g->lo) * g->scale;
    const int8 q = (convert_int8(select(top, t, t < top)) + as_int8(random)) >> 16;
#if GROUP_RELU
    return (q + 1) & positive;
#else
    return q;
#endif
#endif
}

static inline void group_store_levels(__global uchar *p, int8 q) {
#if GROUP_BITS == 8
    vstore8(convert_uchar8(q), 0, p);
#else
    const uint8 shifted = convert_uint8(q) << GROUP_SHIFTS;
    const uint4 four = shifted.lo | shifted.hi;
    const uint2 two = four.lo | four.hi;
    const uint word = two.x | two.y;
    p[0] = (uchar)word;
#if GROUP_BITS > 1
    p[1] = (uchar)(word >> 8);
#endif
#if GROUP_BITS > 2
    p[2] = (uchar)(word >> 16);
#endif
#if GROUP_BITS > 3
    p[3] = (uchar)(word >> 24);
#endif
#endif
}

/* -1 in the lanes of channels that there are. */
static inline int8 group_lanes(uint count) {
    return (int8)(0, 1, 2, 3, 4, 5, 6, 7) < (int8)((int)min(count, 8u));
}

/* Images of image_octets each -> code; with GROUP_WINDOW `value` is [n, in_h, in_w, channels], and
 * its means, blocks_w side by side, are what is stored. `first` groups of the value lie before
 * these. */
__kernel void group_encode(__global const float *restrict value, uint value_offset,
                           __global const uint *restrict scalars, uint scalars_offset,
                           __global uchar *restrict code, uint code_offset, uint number, uint first,
                           uint in_h, uint in_w, uint blocks_w, uint image_octets, uint images,
                           uint channels) {
    TENSOR(value);
    TENSOR(scalars);
    TENSOR(code);
    const uint image_groups = (image_octets + GROUP_OCTETS - 1) / GROUP_OCTETS;
    const uint image_bytes =
        GROUP_LEAD + image_groups * GROUP_HEADER_BYTES + image_octets * GROUP_BITS;
    const uint octets = (channels + 7) / 8, height = max(COMMON_CHUNK / GROUP_OCTETS, 1);
    const size_t begin = get_global_id(0) * height;
    const size_t end = min(begin + height, (size_t)images * image_groups);
    for (size_t g = begin; g < end; g++) {
        const uint image = (uint)g / image_groups, group = (uint)g % image_groups;
        const uint o0 = group * GROUP_OCTETS, count = min(image_octets - o0, (uint)GROUP_OCTETS);
        float8 held[GROUP_OCTETS];
        group_extent extent = group_nothing();
#if GROUP_RESIDUAL
        uint c = o0 % octets * 8, place = o0 / octets;
#endif
        for (uint o = 0; o < count; o++) {
#if GROUP_RESIDUAL
            if (c >= channels) c = 0, place++;
            const size_t pixel = (size_t)image * (image_octets / octets) + place;
            float8 v = load8(value + pixel * channels + c, channels - c) -
                       residual_mean8(code + (size_t)image * image_bytes, place, c, channels);
#elif GROUP_WINDOW
            const uint c = (o0 + o) % octets * 8, block = (o0 + o) / octets;
            const common_place at = {image, block / blocks_w, block % blocks_w};
            float8 v = blockmean_mean8(value, at, in_h, in_w, c, channels);
#elif COMMON_WHOLE
            float8 v = vload8((size_t)image * image_octets + o0 + o, value);
#else
            const uint c = (o0 + o) % octets * 8;
            const size_t pixel = (size_t)image * (image_octets / octets) + (o0 + o) / octets;
            float8 v = load8(value + pixel * channels + c, channels - c);
#endif
#if !COMMON_WHOLE && !GROUP_RELU
            v = select((float8)(v.s0), v, group_lanes(channels - c)); /* a ReLU's 0 is no part */
#endif
            group_extend(&extent, v);
            held[o] = v;
#if GROUP_RESIDUAL
            c += 8;
#endif
        }
        const group_grid grid = group_close(&extent);
        __global uchar *to = code + (size_t)image * image_bytes + GROUP_LEAD +
                             group * (GROUP_HEADER_BYTES + GROUP_OCTETS * GROUP_BITS);
        vstore4(convert_uchar4((uint4)(grid.header) >> (uint4)(0, 8, 16, 24) & (uint4)(255)), 0,
                to);
        to += GROUP_HEADER_BYTES;
        const ulong index = (ulong)(first + g) * ((GROUP_OCTETS + 7) / 8) * 8;
        for (uint run = 0; run < count; run += 8) {
            uint8 words[4] = {(uint8)(0), (uint8)(0), (uint8)(0), (uint8)(0)};
#if !GROUP_ONE_LEVEL
            rng_blocks8(scalars[SCALAR_SEED_LOW], scalars[SCALAR_SEED_HIGH], scalars[SCALAR_STEP],
                        number | 0x80000000u, index + run, words);
#endif
            _Pragma("unroll") for (uint o = 0; o < 8; o++) {
                if (run + o >= count) break;
                const uint8 word = words[o / 2];
                int8 q = group_levels(held[run + o], &grid, o % 2 ? word >> 16 : word & 0xFFFFu);
#if !COMMON_WHOLE && !GROUP_RELU
                q &= group_lanes(channels - (o0 + run + o) % octets * 8);
#endif
                group_store_levels(to + (run + o) * GROUP_BITS, q);
            }
        }
    }
}
#endif
