#include "ref/dropout_ref.h"

#include "util/rng.h"

bool ref_dropout_keeps(const void *key, size_t index) {
    const ref_dropout_key *k = key;
    uint64_t stream = (uint64_t)k->node_number << 32 | k->step;
    return pp__rng_uniform(pp__rng(k->seed, stream, index / 4).word[index % 4]) >= k->probability;
}

void ref_dropout_apply(size_t count, const double *values, double scale, ref_dropout_mask *mask,
                       const void *key, double *result) {
    for (size_t i = 0; i < count; i++) result[i] = mask(key, i) ? values[i] * scale : 0;
}
