/* Reference of dropout: y = x / (1 - probability) where the mask keeps the element, 0 elsewhere; dx
 * = dy with the same factor. Forward and backward are one function.
 *
 * The mask is a function of the element's number, counted in NHWC order over the whole batch. The
 * engine's own mask is ref_dropout_keeps.
 */
#ifndef PP_REF_DROPOUT_REF_H
#define PP_REF_DROPOUT_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef bool ref_dropout_mask(const void *key, size_t index);

/* The engine's key: the seed of the session, the number of the node, the step. */
typedef struct ref_dropout_key {
    uint64_t seed;
    uint32_t node_number, step;
    float probability;
} ref_dropout_key;

/* A ref_dropout_mask whose key is a ref_dropout_key. Philox block index / 4 of stream node_number *
 * 2^32 + step holds four elements; the element is kept when its word's top 24 bits, as a number in
 * [0, 1), reach the probability. The comparison is between floats, as on the device. */
bool ref_dropout_keeps(const void *key, size_t index);

/* `scale` is 1 / (1 - probability). result may be values. */
void ref_dropout_apply(size_t count, const double *values, double scale, ref_dropout_mask *mask,
                       const void *key, double *result);

#endif
