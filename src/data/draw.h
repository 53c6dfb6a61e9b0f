/* The random decisions of a data set: its order in an epoch, and what happens to a sample. Every
 * one is a function of seed, epoch and sample, so threads and batch sizes do not change it. */
#ifndef PP_DATA_DRAW_H
#define PP_DATA_DRAW_H

#include <stdint.h>

/* What one sample's augmentation needs, as raw words; each user spreads them over its own range. */
typedef struct pp__draws {
    uint32_t top, left; /* of the crop after padding */
    uint32_t mirror;    /* the top bit */
    uint32_t cut[2];    /* top and left of the crop out of a larger image */
} pp__draws;

pp__draws pp__draw_sample(uint64_t seed, uint64_t epoch, uint64_t sample);

/* A number below `bound` from a random word. The upper half of the product is even up to bound /
 * 2^32. */
static inline uint32_t pp__draw_below(uint32_t word, uint32_t bound) {
    return (uint32_t)((uint64_t)word * bound >> 32);
}

/* Writes a permutation of 0 .. count - 1 (Fisher and Yates, in Durstenfeld's form). */
void pp__draw_order(uint64_t seed, uint64_t epoch, uint32_t *order_out, uint32_t count);

#endif
