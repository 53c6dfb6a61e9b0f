/* dense on the device against its reference. Sums are allowed what tests/op/test_conv2d.c allows
 * them. */
#include "ref/dense_ref.h"
#include "ref/half_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

static void check(pp__shape shape, uint32_t out, bool half, bool bias, bool adds) {
    pp_dense_params params = {.out_features = out, .bias = bias};
    op_case c = {.op = &pp__op_dense,
                 .params = &params,
                 .inputs = {shape},
                 .codings = {half ? "half" : "raw"},
                 .adds = adds,
                 .parameters_add = adds};
    op_harness h;
    op_harness_create(&h, &c);
    size_t n = shape.n, in = op_harness_elems(shape) / n;
    double *x = op_harness_random(&h, h.b.inputs[0], n * in),
           *w = op_harness_random(&h, h.b.parameters[0], in * out);
    double *b = bias ? op_harness_random(&h, h.b.parameters[1], out) : NULL,
           *y = op_harness_room(&h, n * out);
    ref_dense_forward(n, in, out, x, w, b, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, n * out, tolerance(in), 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, n * out);
    double *before[3] = {NULL, NULL, NULL};
    if (adds) {
        before[0] = op_harness_random(&h, h.b.input_gradients[0], n * in);
        before[1] = op_harness_random(&h, h.b.parameter_gradients[0], in * out);
        if (bias) before[2] = op_harness_random(&h, h.b.parameter_gradients[1], out);
    }
    op_harness_backward(&h);
    double *dx = op_harness_room(&h, n * in), *dw = op_harness_room(&h, in * out),
           *db = op_harness_room(&h, out);
    ref_dense_backward_input(n, in, out, w, dy, dx);
    op_harness_add(dx, before[0], n * in);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, n * in, tolerance(out), 0);
    for (size_t i = 0; half && i < n * in; i++)
        x[i] = (double)ref_half_to_float(ref_half_from_float((float)x[i]));
    ref_dense_backward_weight(n, in, out, x, dy, dw);
    op_harness_add(dw, before[1], in * out);
    op_harness_expect(&h, "dw", h.b.parameter_gradients[0], dw, in * out, tolerance(n), 0);
    if (bias) {
        ref_dense_backward_bias(n, out, dy, db);
        op_harness_add(db, before[2], out);
        op_harness_expect(&h, "db", h.b.parameter_gradients[1], db, out, tolerance(n), 0);
    }
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    static const uint32_t outs[] = {1, 10, 37};
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof outs / sizeof *outs; k++) {
            check(op_harness_shape(i), outs[k], false, true, false);
            check(op_harness_shape(i), outs[k], true, false, true);
            check(op_harness_shape(i), outs[k], false, true, true);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/dense");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
