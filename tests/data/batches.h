/* Whole epochs in memory, for comparison. */
#ifndef PP_TEST_DATA_BATCHES_H
#define PP_TEST_DATA_BATCHES_H

#include <pocketprop/data.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

typedef struct epoch {
    float *inputs;
    int32_t *labels;
    size_t count, batch_count, sample_elems;
} epoch;

/* Runs epoch `number` to its end. Free with epoch_free. */
static inline epoch epoch_read(pp_loader *loader, const pp_dataset *dataset, uint64_t number) {
    pp_dataset_info info;
    pp_dataset_describe(dataset, &info);
    epoch e = {.sample_elems = (size_t)info.height * info.width * info.channels};
    e.inputs = calloc(info.count * e.sample_elems, sizeof *e.inputs);
    e.labels = calloc(info.count, sizeof *e.labels);
    ck_assert(e.inputs && e.labels);
    TEST_OK(pp_loader_start_epoch(loader, number));
    for (;;) {
        pp_batch batch;
        TEST_OK(pp_loader_next(loader, &batch));
        if (!batch.count) break;
        ck_assert_uint_le(e.count + batch.count, info.count);
        memcpy(e.inputs + e.count * e.sample_elems, batch.inputs,
               batch.count * e.sample_elems * sizeof *e.inputs);
        memcpy(e.labels + e.count, batch.labels, batch.count * sizeof *e.labels);
        e.count += batch.count;
        e.batch_count++;
    }
    ck_assert_uint_eq(e.batch_count, pp_loader_batch_count(loader));
    return e;
}

static inline epoch epoch_read_with(pp_dataset *dataset, const pp_loader_options *options,
                                    uint64_t number) {
    pp_loader *loader;
    TEST_OK(pp_loader_create(dataset, options, &loader));
    epoch e = epoch_read(loader, dataset, number);
    pp_loader_destroy(loader);
    return e;
}

static inline void epoch_free(epoch *e) {
    free(e->inputs);
    free(e->labels);
    memset(e, 0, sizeof *e);
}

static inline bool epoch_equal(const epoch *a, const epoch *b) {
    return a->count == b->count &&
           !memcmp(a->inputs, b->inputs, a->count * a->sample_elems * sizeof *a->inputs) &&
           !memcmp(a->labels, b->labels, a->count * sizeof *a->labels);
}

/* Mean 0 and deviation 1 leave pixels in [0, 1]. */
static const float batch_plain_mean[3], batch_plain_deviation[3] = {1.0f, 1.0f, 1.0f};

#endif
