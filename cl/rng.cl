/* rng.cl: Philox4x32-10, the same bits as src/util/rng.c for the same seed, stream and index. */
static inline uint4 rng_block(uint seed_low, uint seed_high, uint stream_low, uint stream_high,
                              uint index_low, uint index_high) {
    uint4 w = (uint4)(index_low, index_high, stream_low, stream_high);
    uint key0 = seed_low, key1 = seed_high;
    for (int round = 0; round < 10; round++) {
        uint high0 = mul_hi(0xD2511F53u, w.x), low0 = 0xD2511F53u * w.x;
        uint high1 = mul_hi(0xCD9E8D57u, w.z), low1 = 0xCD9E8D57u * w.z;
        w = (uint4)(high1 ^ w.y ^ key0, low1, high0 ^ w.w ^ key1, low0);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return w;
}

/* The top 24 bits as a float in [0, 1). */
static inline float rng_uniform(uint word) {
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}
