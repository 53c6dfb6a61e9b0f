/* add_relu on the device against its reference: one rounded sum on both sides, so they agree to the
 * bit. */
#include "ref/add_relu_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static void check(pp__shape shape, const char *coding, bool in_place) {
    op_case c = {.op = &pp__op_add_relu,
                 .inputs = {shape, shape},
                 .codings = {coding},
                 .in_place = in_place,
                 .gradient_in_place = in_place};
    op_harness h;
    op_harness_create(&h, &c);
    size_t count = op_harness_elems(shape);
    double *a = op_harness_random(&h, h.b.inputs[0], count),
           *b = op_harness_random(&h, h.b.inputs[1], count);
    for (size_t i = 0; i < count; i += 5) b[i] = -a[i]; /* sums of zero */
    op_harness_write(&h, h.b.inputs[1], b, count);
    double *y = op_harness_room(&h, count);
    uint8_t *mask = op_harness_bytes(&h, count);
    ref_add_relu_forward(count, a, b, y, mask);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, count, 0, 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, count),
           *dx = op_harness_room(&h, count);
    op_harness_backward(&h);
    ref_add_relu_backward(count, dy, mask, dx);
    op_harness_expect(&h, "da", h.b.input_gradients[0], dx, count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    static const char *const codings[] = {"signmask", "raw", "half"};
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof codings / sizeof *codings; k++) {
            check(op_harness_shape(i), codings[k], false);
            check(op_harness_shape(i), codings[k], true);
        }
}
END_TEST

START_TEST(refuses_different_shapes) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{2, 3, 5, 7}, {2, 5, 3, 7}};
    TEST_FAILS(pp__op_add_relu.infer(test_engine(), "join", NULL, inputs, &shapes), PP_ERROR_SHAPE,
               "node 'join' (add_relu): inputs [2, 3, 5, 7] and [2, 5, 3, 7] differ");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/add_relu");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, refuses_different_shapes);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
