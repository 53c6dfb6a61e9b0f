/* A counter-based random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011). The same key and counter give the same bits on the host, in the tests'
 * references and in kernels (cl/rng.cl); there is no state to keep, so any element can be drawn in
 * any order. */
#ifndef PP_UTIL_RNG_H
#define PP_UTIL_RNG_H

#include <stdint.h>

typedef struct pp__rng_block {
    uint32_t word[4];
} pp__rng_block;

/* `stream` separates uses (a parameter, a dropout node, an epoch's shuffle); `index` counts within
 * one. */
pp__rng_block pp__rng(uint64_t seed, uint64_t stream, uint64_t index);

/* The top 24 bits as a float in [0, 1). */
static inline float pp__rng_uniform(uint32_t word) {
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}

/* Two independent N(0,1) values from two words (Box-Muller). */
void pp__rng_normal(uint32_t a, uint32_t b, float normal_out[2]);

#endif
