/* The plain convolution kernels against the reference; the weight gradient also from codes, against
 * the reference fed with what the codes decode to. Sums are allowed what tests/op/test_conv2d.c
 * allows them. */
#include <stdlib.h>

#include "device/buffer.h"
#include "op/conv2d.h"
#include "ref/conv2d_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

static ref_conv2d reference(const pp__conv2d_geometry *g) {
    return (ref_conv2d){.input = {g->n, g->h, g->w, g->c},
                        .out_channels = g->k,
                        .groups = g->groups,
                        .window = {g->r, g->s, g->stride_h, g->stride_w, g->pad_h, g->pad_w,
                                   g->dilation_h, g->dilation_w}};
}

static const pp__conv2d_geometry cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {2, 5, 7, 3, 5, 7, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 9, 9, 13, 5, 5, 17, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {3, 7, 9, 8, 4, 3, 5, 1, 1, 2, 3, 0, 0, 1, 1, 1},
    {2, 11, 6, 4, 11, 3, 7, 5, 2, 1, 2, 2, 0, 1, 1, 1},
    {1, 12, 12, 6, 12, 12, 6, 3, 3, 1, 1, 2, 3, 2, 3, 1},
    {2, 6, 6, 12, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 3},
    {2, 7, 7, 10, 4, 7, 10, 3, 3, 2, 1, 1, 1, 1, 1, 10},
    {5, 2, 2, 65, 1, 1, 33, 2, 2, 1, 1, 0, 0, 1, 1, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

/* A tensor of N(0,1) values; *values_out is the host's copy. */
static pp__ref filled(op_harness *h, size_t count, double **values_out) {
    pp__ref tensor = op_harness_tensor(h, count * sizeof(float));
    *values_out = op_harness_random(h, tensor, count);
    return tensor;
}

static void check_outputs(const pp__conv2d_geometry *g, bool biased) {
    op_harness h;
    op_harness_open(&h, NULL);
    ref_conv2d ref = reference(g);
    size_t y_count = ref_elems(ref_conv2d_output(&ref)), window = (size_t)g->r * g->s;
    ck_assert_uint_eq(y_count, (size_t)g->n * g->oh * g->ow * g->k);
    double *x, *w, *b = NULL, *y = op_harness_room(&h, y_count);
    pp__ref x_ref = filled(&h, ref_elems(ref.input), &x),
            w_ref = filled(&h, ref_conv2d_weight_elems(&ref), &w);
    pp__ref b_ref = biased ? filled(&h, g->k, &b) : (pp__ref){0};
    pp__ref y_ref = op_harness_tensor(&h, y_count * sizeof(float));
    op_harness_begin(&h);
    TEST_OK(pp__conv2d_plain_forward(h.b.stream, g, x_ref, w_ref, b_ref, y_ref));
    op_harness_run(&h);
    ref_conv2d_forward(&ref, x, w, b, y);
    op_harness_expect(&h, "y", y_ref, y, y_count, tolerance(window * g->c / g->groups), 0);

    double *dy, *before, *dx = op_harness_room(&h, ref_elems(ref.input));
    pp__ref dy_ref = filled(&h, y_count, &dy), dx_ref = filled(&h, ref_elems(ref.input), &before);
    op_harness_begin(&h);
    TEST_OK(pp__conv2d_plain_backward_input(h.b.stream, g, w_ref, dy_ref, dx_ref, biased));
    op_harness_run(&h);
    ref_conv2d_backward_input(&ref, w, dy, dx);
    if (biased) op_harness_add(dx, before, ref_elems(ref.input));
    op_harness_expect(&h, "dx", dx_ref, dx, ref_elems(ref.input),
                      tolerance(window * g->k / g->groups), 0);
    op_harness_destroy(&h);
}

START_TEST(outputs_agree_with_reference) {
    for (size_t i = 0; i < CASES; i++)
        for (int biased = 0; biased < 2; biased++) check_outputs(&cases[i], biased);
}
END_TEST

/* Encodes N(0,1) values, or, where an operator's kernel writes the code, takes any bytes for it. */
static void make_code(op_harness *h, pp__stored *stored) {
    size_t bytes = pp__coding_bytes(&stored->coding, stored->shape);
    stored->code = op_harness_tensor(h, bytes);
    stored->scalars = op_harness_tensor(h, sizeof h->scalars); /* any seed */
    if (!stored->coding.codec->encode) {
        unsigned char *code = op_harness_bytes(h, bytes);
        for (size_t i = 0; i < bytes; i++) code[i] = (unsigned char)test_random_below(256);
        TEST_OK(pp__write_now(test_device(), stored->code, code, bytes));
        return;
    }
    double *values;
    pp__ref value = filled(h, op_harness_elems(stored->shape), &values);
    op_harness_begin(h);
    TEST_OK(stored->coding.codec->encode(stored, value, h->b.stream));
    op_harness_run(h);
}

/* What the device decodes. */
static double *decode(op_harness *h, const pp__stored *stored) {
    size_t count = op_harness_elems(stored->shape);
    pp__ref value = op_harness_tensor(h, count * sizeof(float));
    op_harness_begin(h);
    TEST_OK(pp__stored_decode(stored, 0, stored->shape.n, value, h->b.stream));
    op_harness_run(h);
    float *values = op_harness_bytes(h, count * sizeof *values);
    op_harness_read(h, value, values, count * sizeof *values);
    double *seen = op_harness_room(h, count);
    for (size_t i = 0; i < count; i++) seen[i] = (double)values[i];
    return seen;
}

/* `shape`: how x was stored. */
static void check_weight(const pp__conv2d_geometry *g, pp__shape shape, const char *coding,
                         bool adds) {
    op_harness h;
    op_harness_open(&h, NULL);
    ref_conv2d ref = reference(g);
    pp__stored stored = {.shape = shape, .relu = true};
    TEST_OK(pp__coding_read(test_engine(), coding, &stored.coding));
    double *x, *unused;
    if (pp__stored_is_plain(&stored)) {
        stored.code = filled(&h, ref_elems(ref.input), &x);
    } else {
        if (!stored.coding.codec->views[PP__SUBJECT_ACTIVATION])
            stored.subject = PP__SUBJECT_NORMALISED;
        stored.statistics = filled(&h, 2 * shape.c, &unused);
        stored.gamma = filled(&h, shape.c, &unused);
        stored.beta = filled(&h, shape.c, &unused);
        make_code(&h, &stored);
        x = decode(&h, &stored);
    }
    size_t y_count = ref_elems(ref_conv2d_output(&ref)), w_count = ref_conv2d_weight_elems(&ref);
    double *dy, *before, *dw = op_harness_room(&h, w_count);
    pp__ref dy_ref = filled(&h, y_count, &dy), dw_ref = filled(&h, w_count, &before);
    op_harness_begin(&h);
    TEST_OK(pp__conv2d_plain_backward_weight(h.b.stream, g, &stored, dy_ref, dw_ref, adds));
    op_harness_run(&h);
    ref_conv2d_backward_weight(&ref, x, dy, dw);
    if (adds) op_harness_add(dw, before, w_count);
    /* A code's values are larger than N(0,1) draws: up to about four times. */
    op_harness_expect(&h, "dw", dw_ref, dw, w_count,
                      tolerance(ref_pixels(ref_conv2d_output(&ref))) *
                          (stored.subject == PP__SUBJECT_NORMALISED ? 4 : 1),
                      0);
    op_harness_destroy(&h);
}

static const char *const codings[] = {"raw",
                                      "half",
                                      "norm:1",
                                      "norm:2",
                                      "norm:3",
                                      "norm:3,lloyd",
                                      "norm:4",
                                      "norm:6",
                                      "norm:8",
                                      "avgpool:2",
                                      "avgpool:3",
                                      "group:3",
                                      "group:4,size=24",
                                      "avgpool:2+group:4",
                                      "bitmap",
                                      "bitmap,density=0.1",
                                      "pool:2+residual:3",
                                      "pool:8+residual:2"};

START_TEST(weight_gradient_agrees_with_reference) {
    const char *coding = codings[_i];
    for (size_t i = 0; i < CASES; i++) {
        const pp__conv2d_geometry *g = &cases[i];
        check_weight(g, (pp__shape){g->n, g->h, g->w, g->c}, coding, i % 2);
    }
    /* A dense layer's images are pixels of what was stored as an image. */
    const pp__conv2d_geometry dense = {3, 1, 1, 60, 1, 1, 9, 1, 1, 1, 1, 0, 0, 1, 1, 1};
    check_weight(&dense, (pp__shape){3, 3, 2, 10}, coding, true);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/conv2d_plain");
    TCase *test = tcase_create("device");
    tcase_add_test(test, outputs_agree_with_reference);
    tcase_add_loop_test(test, weight_gradient_agrees_with_reference, 0,
                        sizeof codings / sizeof *codings);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
