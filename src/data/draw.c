#include "data/draw.h"

#include "util/rng.h"

/* A stream is a use in the upper bits and the epoch below, so that uses and epochs share no
 * numbers. The uses lie far from those of the training step, which count from 0. */
#define STREAM_ORDER ((uint64_t)0xDA7A01 << 40)
#define STREAM_AUGMENT ((uint64_t)0xDA7A02 << 40)
#define STREAM_CUT ((uint64_t)0xDA7A03 << 40)

pp__draws pp__draw_sample(uint64_t seed, uint64_t epoch, uint64_t sample) {
    pp__rng_block augment = pp__rng(seed, STREAM_AUGMENT ^ epoch, sample);
    pp__rng_block cut = pp__rng(seed, STREAM_CUT ^ epoch, sample);
    return (pp__draws){
        augment.word[0], augment.word[1], augment.word[2], {cut.word[0], cut.word[1]}};
}

void pp__draw_order(uint64_t seed, uint64_t epoch, uint32_t *order_out, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) order_out[i] = i;
    for (uint32_t left = count; left > 1; left--) {
        uint32_t chosen = pp__draw_below(pp__rng(seed, STREAM_ORDER ^ epoch, left).word[0], left);
        uint32_t swapped = order_out[chosen];
        order_out[chosen] = order_out[left - 1];
        order_out[left - 1] = swapped;
    }
}
