/* POCKETPROP_LIMITS: make a large device behave like a small one. */
#ifndef PP_PROFILE_LIMITS_H
#define PP_PROFILE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "util/engine.h"

/* No device asks for more than a few KiB, and a sum of aligned sizes must not wrap. */
#define PP__MAX_ALIGNMENT_BYTES ((size_t)1 << 20)

/* Zero and false: no limit. */
typedef struct pp__limits {
    size_t work_group_size;
    size_t local_memory_bytes;
    size_t max_allocation_bytes;
    size_t memory_bytes;    /* of all buffers together */
    size_t alignment_bytes; /* at least so much; a power of two up to the one above */
    bool no_half, no_images;
    bool distrust; /* every self-test of a fast path fails (device/self_test.h) */
} pp__limits;

/* Reads "work_group=32,local_memory=8K,max_allocation=16M,memory=64M,alignment=4096,no_half,
 * no_images,distrust"; `text` may be NULL. PP_ERROR_INVALID_ARGUMENT: the entry that makes no sense, and what is known. */
pp_status pp__limits_read(pp_engine *engine, const char *text, pp__limits *limits_out);

#endif
