/* add on the device against its reference: one rounded sum on both sides, so they agree to the bit.
 * There is no backward: plans share the gradient (tests/plan/test_backward.c). */
#include "ref/add_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static void check(pp__shape shape, bool in_place) {
    op_case c = {.op = &pp__op_add, .inputs = {shape, shape}, .in_place = in_place};
    op_harness h;
    op_harness_create(&h, &c);
    size_t count = op_harness_elems(shape);
    double *a = op_harness_random(&h, h.b.inputs[0], count),
           *b = op_harness_random(&h, h.b.inputs[1], count);
    double *y = op_harness_room(&h, count);
    ref_add_forward(count, a, b, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++) {
        check(op_harness_shape(i), false);
        check(op_harness_shape(i), true);
    }
}
END_TEST

START_TEST(refuses_different_shapes) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{2, 3, 5, 7}, {2, 3, 5, 8}};
    TEST_FAILS(pp__op_add.infer(test_engine(), "sum", NULL, inputs, &shapes), PP_ERROR_SHAPE,
               "node 'sum' (add): inputs [2, 3, 5, 7] and [2, 3, 5, 8] differ");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/add");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, refuses_different_shapes);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
