/* common.cl: in front of every program. OpenCL C 1.2 core, nothing else.
 *
 * Activations are float32, NHWC. Kernels that treat all elements alike go through a tensor as one
 * line. Those that ask for the channel, or for a code, work on *octets*: eight neighbouring
 * channels of one pixel. The last octet of a pixel may be short: `count` says how many channels it
 * has. Packed codes follow the same grid: K bits per element are K bytes per octet
 * (cl/codec/README.md).
 *
 * A work-item owns COMMON_CHUNK octets: up to COMMON_OCTETS side by side, of as many pixels as that
 * leaves. On a CPU it owns whole pixels and walks through memory in order; on a GPU neighbouring
 * work-items own neighbouring octets. What depends on the channel alone is read once, into private
 * arrays of COMMON_OCTETS.
 *
 * A tensor argument is a pair: pointer and offset in elements. TENSOR adds the two up at a kernel's
 * start.
 */

/* The same rounding on every device: a * b + c is one rounding only where a kernel says fma. */
#pragma OPENCL FP_CONTRACT OFF

/* Octets side by side that one work-item owns. */
#ifndef COMMON_OCTETS
#define COMMON_OCTETS 1
#endif
/* Octets that one work-item owns altogether. */
#ifndef COMMON_CHUNK
#define COMMON_CHUNK 16
#endif

/* 1: every octet of this launch is full, so that loads and stores need not ask. */
#ifndef COMMON_WHOLE
#define COMMON_WHOLE 0
#endif

#define TENSOR(name) name += name##_offset

/* The words of the step's scalars (src/op/scalars.h). */
#define SCALAR_SEED_LOW 0
#define SCALAR_SEED_HIGH 1
#define SCALAR_STEP 2        /* counts forward passes in training; part of the dropout key */
#define SCALAR_COUNT 3       /* samples of this batch that are real */
#define SCALAR_LOSS_SCALE 4  /* float: the loss gradient's factor, 1 / (batch * micro-steps) */
#define SCALAR_RATE 5        /* float: learning rate */
#define SCALAR_CORRECTION1 6 /* float: Adam, 1 / (1 - beta1^t) */
#define SCALAR_CORRECTION2 7 /* float: Adam, 1 / sqrt(1 - beta2^t) */
#define SCALAR_FIRST_STEP 8  /* what the running update began with, or SCALAR_NOT_TRAINING */
#define SCALAR_CLIP 9        /* float: what gradients are multiplied by; kernels write it */
#define SCALAR_FAULT_STEP 10 /* 1 + the last step whose loss or gradient norm was not finite */
#define SCALAR_NOT_FINITE 11 /* samples without a finite loss */
#define SCALAR_SKIPPED 12    /* updates that were left out */
#define SCALAR_KEPT 13       /* elements whose new value would not have been finite */

#define SCALAR_NOT_TRAINING 0xFFFFFFFFu

/* Eight floats, or the first `count` of them and zeros behind. */
static inline float8 load8(__global const float *p, uint count) {
    if (COMMON_WHOLE || count >= 8) return vload8(0, p);
    float8 v = (float8)(0.0f);
    if (count & 4) {
        v.lo = vload4(0, p);
        if (count & 2) v.s45 = vload2(0, p + 4);
        if (count == 5) v.s4 = p[4];
        if (count == 7) v.s6 = p[6];
    } else {
        if (count & 2) v.s01 = vload2(0, p);
        if (count == 1) v.s0 = p[0];
        if (count == 3) v.s2 = p[2];
    }
    return v;
}

static inline void store8(float8 v, __global float *p, uint count) {
    if (COMMON_WHOLE || count >= 8) {
        vstore8(v, 0, p);
    } else if (count & 4) {
        vstore4(v.lo, 0, p);
        if (count & 2) vstore2(v.s45, 0, p + 4);
        if (count == 5) p[4] = v.s4;
        if (count == 7) p[6] = v.s6;
    } else {
        if (count & 2) vstore2(v.s01, 0, p);
        if (count == 1) p[0] = v.s0;
        if (count == 3) p[2] = v.s2;
    }
}

/* Neither NaN nor infinite, by the bits: compilers may assume that isfinite always is. */
static inline int8 finite8(float8 v) {
    return (as_int8(v) & 0x7F800000) != 0x7F800000;
}

/* One work-item saw that the running update would learn from what is not finite. */
static inline void skip_update(__global uint *scalars) {
    if (scalars[SCALAR_FIRST_STEP] == SCALAR_NOT_TRAINING) return;
    if (scalars[SCALAR_FAULT_STEP] <= scalars[SCALAR_FIRST_STEP]) scalars[SCALAR_SKIPPED]++;
    scalars[SCALAR_FAULT_STEP] = scalars[SCALAR_STEP] + 1;
}

static inline bool update_is_skipped(__global const uint *scalars) {
    return scalars[SCALAR_FAULT_STEP] > scalars[SCALAR_FIRST_STEP];
}

/* A work-item's part of a line of elements; empty behind its end. What pp__launch_cover_elems
 * covers. */
typedef struct {
    size_t begin, end;
} common_line;

static inline common_line common_line_of(uint elems) {
    common_line l;
    l.begin = get_global_id(0) * (8 * COMMON_CHUNK);
    l.end = min(l.begin + 8 * COMMON_CHUNK, (size_t)elems);
    return l;
}

/* A work-item's share of pixels and channels: `octets` octets from channel c0 on, of pixels
 * p0..p1-1; empty outside of the extents. */
typedef struct {
    size_t p0, p1;
    uint c0, octets;
} common_share;

/* The share of work-item (i, j) where each has `height` pixels. */
static inline common_share common_share_of(uint height, uint pixels, uint channels) {
    common_share s;
    s.c0 = (uint)get_global_id(0) * 8 * COMMON_OCTETS;
    s.octets = s.c0 < channels ? min((channels - s.c0 + 7) / 8, (uint)COMMON_OCTETS) : 0;
    s.p0 = get_global_id(1) * height;
    s.p1 = min(s.p0 + height, (size_t)pixels);
    return s;
}

/* The same for COMMON_CHUNK octets each. What pp__launch_cover_octets covers. */
static inline common_share common_octets(uint pixels, uint channels) {
    const uint across = min((channels + 7) / 8, (uint)COMMON_OCTETS);
    return common_share_of(max((uint)COMMON_CHUNK / across, 1u), pixels, channels);
}

/* Where pixel p lies in images of h x w: image n, row i, column j. */
typedef struct {
    uint n, i, j;
} common_place;

static inline common_place common_place_of(size_t p, uint h, uint w) {
    const uint q = (uint)p;
    common_place at = {q / w / h, q / w % h, q % w};
    return at;
}

/* On to the next pixel. */
static inline void common_step(common_place *at, uint h, uint w) {
    if (++at->j < w) return;
    at->j = 0;
    if (++at->i < h) return;
    at->i = 0;
    at->n++;
}

/* Eight truth values (true is any negative number, as OpenCL's vector comparisons give) as eight
 * bits. */
static inline uchar pack_mask8(int8 truth) {
    int8 bits = -truth & 1;
    bits <<= (int8)(0, 1, 2, 3, 4, 5, 6, 7);
    int4 four = bits.lo | bits.hi;
    int2 two = four.lo | four.hi;
    return (uchar)(two.x | two.y);
}

/* Eight bits as eight truth values, -1 or 0. */
static inline int8 unpack_mask8(uchar bits) {
    return ((int8)(int)bits & (int8)(1, 2, 4, 8, 16, 32, 64, 128)) != 0;
}
