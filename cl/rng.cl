/* rng.cl: Philox4x32-10, the same bits as src/util/rng.c for the same seed, stream and index. Eight
 * blocks at once, because a vector of counters costs no more than one. */

/* Eight blocks from an index on that is a multiple of 8: lane l of words[k] is word k of block
 * index + l. */
static inline void rng_blocks8(uint seed_low, uint seed_high, uint stream_low, uint stream_high,
                               ulong index, uint8 words[4]) {
    uint8 w0 = (uint8)(uint)index + (uint8)(0, 1, 2, 3, 4, 5, 6, 7),
          w1 = (uint8)(uint)(index >> 32);
    uint8 w2 = (uint8)stream_low, w3 = (uint8)stream_high;
    uint key0 = seed_low, key1 = seed_high;
    for (int round = 0; round < 10; round++) {
        const ulong8 p0 = convert_ulong8(w0) * 0xD2511F53u, p1 = convert_ulong8(w2) * 0xCD9E8D57u;
        w0 = convert_uint8(p1 >> 32) ^ w1 ^ (uint8)key0;
        w1 = convert_uint8(p1);
        w2 = convert_uint8(p0 >> 32) ^ w3 ^ (uint8)key1;
        w3 = convert_uint8(p0);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = w0, words[1] = w1, words[2] = w2, words[3] = w3;
}

/* The top 24 bits as a float in [0, 1). */
static inline float8 rng_uniform8(uint8 words) {
    return convert_float8(words >> 8) * (1.0f / 16777216.0f);
}
