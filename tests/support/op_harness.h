/* Binds one operator to device memory as a session does, so that a test can compare it with its
 * reference.
 *
 *     op_case c = {.op = &pp__op_relu, .inputs = {{2, 5, 7, 19}}, .codings = {"signmask"}};
 *     op_harness h;
 *     op_harness_create(&h, &c);
 *     double *x = op_harness_random(&h, h.b.inputs[0], count);   // the host's copy
 *     op_harness_forward(&h);
 *     op_harness_expect(&h, "y", h.b.output, y, count, 0, 1e-6);
 *     double *dy = op_harness_random(&h, h.b.output_gradient, count);
 *     op_harness_backward(&h);
 *     op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, count, 0, 1e-6);
 *     op_harness_destroy(&h);
 *
 * All memory begins as NaN, and every tensor lies at an offset between guard bytes that
 * op_harness_destroy checks. Before backward, inputs and output are NaN again unless a codec keeps
 * them, so an operator that reads what it did not declare is found out. Functions fail the running
 * test by themselves.
 */
#ifndef PP_TEST_OP_HARNESS_H
#define PP_TEST_OP_HARNESS_H

#include "op/op.h"

typedef struct op_case {
    const pp__op *op;
    const void *params;
    pp__shape inputs[PP__OP_INPUTS];
    const char *codings[PP__OP_SAVES]; /* NULL: raw, signmask for a mask, argmax for an index */
    const char *profile;               /* NULL: the device's */
    bool inference;
    bool frozen[PP__OP_PARAMETERS]; /* ... have no gradient tensor */
    bool in_place;                  /* the output overwrites input 0 */
    bool gradient_in_place;         /* input gradient 0 overwrites the output gradient */
    bool adds;                      /* input gradients are added to */
    bool parameters_add;            /* parameter gradients are added to */
} op_case;

enum { OP_HARNESS_MEMORIES = 32, OP_HARNESS_ROOMS = 128 };

typedef struct op_harness {
    pp__op_binding b; /* every ref is set from op_harness_create on */
    pp__op_shapes shapes;
    pp__save saves[PP__OP_SAVES];
    size_t save_count;
    pp__stored stored[PP__OP_SAVES];
    uint32_t scalars[16]; /* op_harness_forward writes them; the count begins as the whole batch,
                             the loss scale as 1 / batch */
    op_case c;
    pp_profile *profile;
    size_t memory_count, room_count;
    struct {
        pp__memory *memory;
        size_t bytes; /* between the guards */
    } memories[OP_HARNESS_MEMORIES];
    void *rooms[OP_HARNESS_ROOMS];
} op_harness;

void op_harness_create(op_harness *h, const op_case *c);
/* Memory and streams alone, for tests of codecs; op_harness_destroy as usual. */
void op_harness_open(op_harness *h, const char *profile);
void op_harness_destroy(op_harness *h);

/* Encodes inputs, runs forward, encodes outputs. */
void op_harness_forward(op_harness *h);
/* Runs backward_parameters and backward. */
void op_harness_backward(op_harness *h);

/* A new tensor of device memory, NaN, between guards. */
pp__ref op_harness_tensor(op_harness *h, size_t bytes);
/* Launches recorded in h->b.stream between the two are run by the second, which waits for them. */
void op_harness_begin(op_harness *h);
void op_harness_run(op_harness *h);

/* Bytes of the host; live as long as the harness. */
void *op_harness_bytes(op_harness *h, size_t bytes);

/* `count` doubles of the host, all NaN; live as long as the harness. */
double *op_harness_room(op_harness *h, size_t count);

/* Writes as float32. */
void op_harness_write(op_harness *h, pp__ref to, const double *values, size_t count);
/* N(0,1) values, each a float32, written to `to`. Lives as long as the harness. */
double *op_harness_random(op_harness *h, pp__ref to, size_t count);
void op_harness_read(op_harness *h, pp__ref from, void *to, size_t bytes);

/* test_close of the device's tensor. */
void op_harness_expect(op_harness *h, const char *what, pp__ref found, const double *expected,
                       size_t count, float absolute, float relative);

/* into[i] += values[i]; NULL adds nothing. */
void op_harness_add(double *into, const double *values, size_t count);

size_t op_harness_elems(pp__shape shape);

/* Shapes that show off-by-ones: one element, octets that are full, short and several, more pixels
 * than a work-item's chunk. */
enum { OP_SHAPES = 6 };
pp__shape op_harness_shape(size_t index);

#endif
