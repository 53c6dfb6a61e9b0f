/* common.cl: in front of every program. OpenCL C 1.2 core, nothing else.
 *
 * Activations are float32, NHWC. Elementwise kernels work on *octets*: eight neighbouring channels
 * of one pixel. Work-item (o, j) owns octet o of COMMON_CHUNK consecutive pixels, so that
 * everything that depends on the channel alone is read once. The last octet of a pixel may be
 * short: `count` says how many channels it has. Packed codes follow the same grid: K bits per
 * element are K bytes per octet (cl/codec/README.md).
 *
 * A tensor argument is a pair: pointer and offset in elements. TENSOR adds the two up at a kernel's
 * start.
 */

/* The same rounding on every device: a * b + c is one rounding only where a kernel says fma. */
#pragma OPENCL FP_CONTRACT OFF

/* Pixels of one work-item in elementwise kernels. */
#ifndef COMMON_CHUNK
#define COMMON_CHUNK 16
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
#define SCALAR_CLIP 8        /* float: what gradients are multiplied by; kernels write it */

/* Eight floats, or the first `count` of them and zeros behind. */
static inline float8 load8(__global const float *p, uint count) {
    if (count >= 8) return vload8(0, p);
    float t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint i = 0; i < count; i++) t[i] = p[i];
    return vload8(0, t);
}

static inline void store8(float8 v, __global float *p, uint count) {
    if (count >= 8) {
        vstore8(v, 0, p);
    } else {
        float t[8];
        vstore8(v, 0, t);
        for (uint i = 0; i < count; i++) p[i] = t[i];
    }
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
    return -(((int8)(int)bits >> (int8)(0, 1, 2, 3, 4, 5, 6, 7)) & 1);
}
