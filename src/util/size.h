/* Size arithmetic, written once: products and sums that must not wrap. */
#ifndef PP_UTIL_SIZE_H
#define PP_UTIL_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool pp__size_multiply(size_t a, size_t b, size_t *product_out) {
    if (a && b > SIZE_MAX / a) return false;
    *product_out = a * b;
    return true;
}

static inline bool pp__size_add(size_t a, size_t b, size_t *sum_out) {
    if (b > SIZE_MAX - a) return false;
    *sum_out = a + b;
    return true;
}

/* `alignment` is not zero and need not be a power of two. */
static inline size_t pp__round_up(size_t value, size_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

static inline uint32_t pp__divide_up(uint32_t value, uint32_t divisor) {
    return value / divisor + (value % divisor != 0);
}

#endif
