/* peak.cl: how fast a device multiplies and adds, and how fast it copies.
 *
 *   fma:  PEAK_SUMS independent sums of vectors, s[i] = s[i] * a + b, `rounds` times UNROLL; only
 *         registers are touched. One sum waits for itself; enough of them fill the pipeline.
 *   copy: y = x over whole vectors. A work-item owns PEAK_CHUNK neighbouring vectors: one where
 *         neighbouring work-items run in step (GPUs), many where each is a loop of its own (CPUs).
 */

/* Floats of a vector: 1, 2, 4, 8 or 16. */
#ifndef PEAK_VECTOR
#define PEAK_VECTOR 4
#endif
/* Independent sums of one work-item. */
#ifndef PEAK_SUMS
#define PEAK_SUMS 8
#endif
/* Vectors that one work-item copies. */
#ifndef PEAK_CHUNK
#define PEAK_CHUNK 1
#endif

/* Multiply-adds of each sum in one round; src/exec/peak.c counts on it. */
#define UNROLL 16

#define CONCAT(a, b) a##b
#define VECTOR_OF(type, width) CONCAT(type, width)
#if PEAK_VECTOR == 1
typedef float vec;
#else
typedef VECTOR_OF(float, PEAK_VECTOR) vec;
#endif

/* y[item] gets the total, so that no sum can be left out. The sums tend to b / (1 - a) and stay
 * ordinary numbers. */
__kernel void peak_fma(__global float *restrict y, uint y_offset, uint items, uint rounds, float a,
                       float b) {
    const uint item = get_global_id(0);
    if (item >= items) return;
    TENSOR(y);
    vec s[PEAK_SUMS];
    _Pragma("unroll") for (int i = 0; i < PEAK_SUMS; i++) s[i] = (vec)(b * i);
    for (uint round = 0; round < rounds; round++)
        _Pragma("unroll") for (int u = 0; u < UNROLL; u++)
            _Pragma("unroll") for (int i = 0; i < PEAK_SUMS; i++) s[i] =
                fma(s[i], (vec)(a), (vec)(b));
    vec total = s[0];
    _Pragma("unroll") for (int i = 1; i < PEAK_SUMS; i++) total += s[i];
    ((__global vec *)y)[item] = total;
}

__kernel void peak_copy(__global const float *restrict x, uint x_offset, __global float *restrict y,
                        uint y_offset, uint vectors) {
    const uint begin = (uint)get_global_id(0) * PEAK_CHUNK;
    if (begin >= vectors) return;
    TENSOR(x);
    TENSOR(y);
    const uint end = min(begin + PEAK_CHUNK, vectors);
    __global const vec *from = (__global const vec *)x;
    __global vec *to = (__global vec *)y;
    for (uint i = begin; i < end; i++) to[i] = from[i];
}
