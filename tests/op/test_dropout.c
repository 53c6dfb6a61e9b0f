/* dropout on the device against its reference: the same draws, and one product that is rounded once
 * more than the reference's (the scale is a float32), at most 2^-23 of the value; an addition
 * rounds again. */
#include "op/params.h"
#include "op/scalars.h"
#include "ref/dropout_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float relative = 1.3e-7f, absolute_of_sums = 1e-6f;

static void check(pp__shape shape, float probability, bool in_place, bool adds) {
    pp__dropout_params params = {probability};
    op_case c = {.op = &pp__op_dropout,
                 .params = &params,
                 .inputs = {shape},
                 .in_place = in_place,
                 .gradient_in_place = in_place && !adds,
                 .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    h.scalars[PP__SCALAR_SEED_LOW] = 0x89ABCDEF;
    h.scalars[PP__SCALAR_SEED_HIGH] = 0x01234567;
    h.scalars[PP__SCALAR_STEP] = 41;
    ref_dropout_key key = {0x0123456789ABCDEF, h.b.node_number, 41, probability};
    size_t count = op_harness_elems(shape);
    double scale = 1 / (1 - (double)probability);
    double *x = op_harness_random(&h, h.b.inputs[0], count), *y = op_harness_room(&h, count);
    ref_dropout_apply(count, x, scale, ref_dropout_keeps, &key, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, count, 0, relative);

    double *dy = op_harness_random(&h, h.b.output_gradient, count),
           *dx = op_harness_room(&h, count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], count) : NULL;
    op_harness_backward(&h);
    ref_dropout_apply(count, dy, scale, ref_dropout_keeps, &key, dx);
    op_harness_add(dx, before, count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, count, adds ? absolute_of_sums : 0,
                      relative);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    static const float probabilities[] = {0, 0.2f, 0.5f, 0.9f};
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof probabilities / sizeof *probabilities; k++) {
            check(op_harness_shape(i), probabilities[k], false, false);
            check(op_harness_shape(i), probabilities[k], true, false);
            check(op_harness_shape(i), probabilities[k], false, true);
        }
}
END_TEST

START_TEST(is_the_identity_in_inference) {
    for (int in_place = 0; in_place < 2; in_place++) {
        pp__dropout_params params = {0.5f};
        op_case c = {.op = &pp__op_dropout,
                     .params = &params,
                     .inputs = {{2, 5, 7, 19}},
                     .inference = true,
                     .in_place = in_place};
        op_harness h;
        op_harness_create(&h, &c);
        size_t count = op_harness_elems(c.inputs[0]);
        double *x = op_harness_random(&h, h.b.inputs[0], count);
        op_harness_forward(&h);
        op_harness_expect(&h, "y", h.b.output, x, count, 0, 0);
        op_harness_destroy(&h);
    }
}
END_TEST

START_TEST(refuses_probabilities) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{2, 1, 1, 8}};
    static const float wrong[] = {-0.1f, 1.0f};
    for (size_t i = 0; i < 2; i++) {
        pp__dropout_params params = {wrong[i]};
        TEST_FAILS(pp__op_dropout.infer(test_engine(), "drop", &params, inputs, &shapes),
                   PP_ERROR_INVALID_ARGUMENT, "is not in [0, 1)");
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/dropout");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, is_the_identity_in_inference);
    tcase_add_test(test, refuses_probabilities);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
