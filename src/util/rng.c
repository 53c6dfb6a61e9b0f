#include "util/rng.h"

#include <math.h>

pp__rng_block pp__rng(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    pp__rng_block block = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)}};
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * block.word[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57u * block.word[2];
        pp__rng_block next = {{(uint32_t)(p1 >> 32) ^ block.word[1] ^ key0, (uint32_t)p1,
                               (uint32_t)(p0 >> 32) ^ block.word[3] ^ key1, (uint32_t)p0}};
        block = next;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return block;
}

void pp__rng_normal(uint32_t a, uint32_t b, float normal_out[2]) {
    /* The half offset keeps the logarithm's argument above zero. */
    double radius = sqrt(-2.0 * log(((double)a + 0.5) / 4294967296.0));
    double angle = 6.283185307179586 * (double)b / 4294967296.0;
    normal_out[0] = (float)(radius * cos(angle));
    normal_out[1] = (float)(radius * sin(angle));
}
