/* Reads golden files (tests/golden/README.md): named tensors of doubles that PyTorch computed.
 *
 *     golden *g = golden_read("conv2d/stride2");
 *     const golden_tensor *x = golden_find(g, "x");              // NULL where the case has none
 *     golden_close("dx", found, golden_values(g, "dx", count), count, 1e-12);
 *     golden_free(g);
 *
 * Every function fails the running test where the file or a tensor is not what the caller expects.
 */
#ifndef PP_TEST_GOLDEN_H
#define PP_TEST_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

enum { GOLDEN_RANK = 4, GOLDEN_TENSORS = 40, GOLDEN_NAME = 32, GOLDEN_ROOMS = 32 };

typedef struct golden_tensor {
    char name[GOLDEN_NAME];
    size_t rank, extents[GOLDEN_RANK];
    size_t count;
    double *values;
} golden_tensor;

typedef struct golden {
    char name[64]; /* of the case */
    size_t tensor_count;
    golden_tensor tensors[GOLDEN_TENSORS];
    size_t room_count;
    void *rooms[GOLDEN_ROOMS];
} golden;

/* The case tests/golden/<name>.golden. The caller frees it. */
golden *golden_read(const char *name);
void golden_free(golden *g);

/* The tensor of that name, or NULL. Borrowed. */
const golden_tensor *golden_find(const golden *g, const char *name);

/* Its values. Fails where there is no such tensor or it does not have `count` elements. Borrowed.
 */
const double *golden_values(const golden *g, const char *name, size_t count);

/* The value of a tensor with one element. */
double golden_scalar(const golden *g, const char *name);

/* The values as float32. Lives as long as g. */
float *golden_floats(golden *g, const char *name, size_t count);

/* Room for `count` doubles, all NaN, so that what a reference leaves out is seen. Lives as long as
 * g. */
double *golden_room(golden *g, size_t count);

/* Fails with the worst place unless |found - expected| <= tolerance * (1 + |expected|) everywhere.
 */
void golden_close(const char *what, const double *found, const double *expected, size_t count,
                  double tolerance);

#endif
