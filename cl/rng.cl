/* rng.cl: Philox4x32-10, the same bits as src/util/rng.c for the same seed, stream and index. Eight
 * blocks at once, because a vector of counters costs no more than one. */

/* Eight blocks from an index on that is a multiple of 8: lane l of words[k] is word k of block
 * index + l. */
static inline void rng_blocks8(uint seed_low, uint seed_high, uint stream_low, uint stream_high,
                               ulong index, uint8 words[4]) {
    /* Words lie in the low halves of ulongs, where their products are; what is above is ignored. */
    const ulong8 low = (ulong8)(0xFFFFFFFFu);
    ulong8 w0 = (ulong8)((uint)index) + (ulong8)(0, 1, 2, 3, 4, 5, 6, 7),
           w1 = (ulong8)(index >> 32);
    ulong8 w2 = (ulong8)(stream_low), w3 = (ulong8)(stream_high);
    uint key0 = seed_low, key1 = seed_high;
    for (int round = 0; round < 10; round++) {
        const ulong8 p0 = (w0 & low) * (ulong8)(0xD2511F53u),
                     p1 = (w2 & low) * (ulong8)(0xCD9E8D57u);
        w0 = p1 >> (ulong8)(32) ^ w1 ^ (ulong8)(key0);
        w1 = p1;
        w2 = p0 >> (ulong8)(32) ^ w3 ^ (ulong8)(key1);
        w3 = p0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = convert_uint8(w0), words[1] = convert_uint8(w1);
    words[2] = convert_uint8(w2), words[3] = convert_uint8(w3);
}

/* The top 24 bits as a float in [0, 1). */
static inline float8 rng_uniform8(uint8 words) {
    return convert_float8(words >> 8) * (1.0f / 16777216.0f);
}
