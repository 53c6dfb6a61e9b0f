/* A convolution's input as a batch-norm's code, for the weight gradients that decode as they
 * load. */
#ifndef PP_TEST_OP_CODED_INPUT_H
#define PP_TEST_OP_CODED_INPUT_H

#include "codec/codec.h"
#include "device/buffer.h"
#include "op/conv2d.h"
#include "support/op_harness.h"
#include "support/support.h"

static const char *const input_codings[] = {"norm:1", "norm:2", "norm:3", "norm:3,lloyd",
                                            "norm:4", "norm:6", "norm:8", "btc:4"};
enum { INPUT_CODINGS = sizeof input_codings / sizeof *input_codings };

/* A code of any bytes behind which a ReLU follows, and on the host what it decodes to: values up to
 * four times as large as N(0,1) draws. */
static double *coded_input(op_harness *h, const pp__conv2d_geometry *g, const char *coding,
                           pp__stored *stored) {
    *stored = (pp__stored){
        .subject = PP__SUBJECT_NORMALISED, .shape = {g->n, g->h, g->w, g->c}, .relu = true};
    TEST_OK(pp__coding_read(test_engine(), coding, &stored->coding));
    size_t count = op_harness_elems(stored->shape);
    size_t bytes = pp__coding_bytes(&stored->coding, stored->shape);
    unsigned char *code = op_harness_bytes(h, bytes);
    for (size_t i = 0; i < bytes; i++) code[i] = (unsigned char)test_random_below(256);
    stored->code = op_harness_tensor(h, bytes);
    TEST_OK(pp__write_now(test_device(), stored->code, code, bytes));
    stored->statistics = op_harness_tensor(h, 2 * (size_t)g->c * sizeof(float));
    stored->gamma = op_harness_tensor(h, (size_t)g->c * sizeof(float));
    stored->beta = op_harness_tensor(h, (size_t)g->c * sizeof(float));
    op_harness_random(h, stored->statistics, 2 * (size_t)g->c);
    op_harness_random(h, stored->gamma, g->c);
    op_harness_random(h, stored->beta, g->c);
    pp__ref value = op_harness_tensor(h, count * sizeof(float));
    op_harness_begin(h);
    TEST_OK(pp__stored_decode(stored, 0, g->n, value, h->b.stream));
    op_harness_run(h);
    float *narrow = op_harness_bytes(h, count * sizeof *narrow);
    op_harness_read(h, value, narrow, count * sizeof *narrow);
    double *values = op_harness_room(h, count);
    for (size_t i = 0; i < count; i++) values[i] = (double)narrow[i];
    return values;
}

#endif
