/* relu on the device against its reference. Both sides only compare, select and add two numbers, so
 * they agree to the bit. */
#include "ref/relu_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const char *const codings[] = {"signmask", "raw", "half"};

static void check(pp__shape shape, const char *coding, bool in_place, bool adds) {
    op_case c = {.op = &pp__op_relu,
                 .inputs = {shape},
                 .codings = {coding},
                 .in_place = in_place,
                 .gradient_in_place = in_place && !adds,
                 .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    size_t count = op_harness_elems(shape);
    double *x = op_harness_random(&h, h.b.inputs[0], count), *y = op_harness_room(&h, count);
    /* Zeros of both signs, and a value that float16 would round to zero. */
    for (size_t i = 0; i < count; i += 5) x[i] = i % 3 == 0 ? 0.0 : i % 3 == 1 ? -0.0 : 1e-12;
    op_harness_write(&h, h.b.inputs[0], x, count);
    uint8_t *mask = op_harness_bytes(&h, count);
    ref_relu_forward(count, x, y, mask);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, count, 0, 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, count),
           *dx = op_harness_room(&h, count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], count) : NULL;
    op_harness_backward(&h);
    ref_relu_backward(count, dy, mask, dx);
    op_harness_add(dx, before, count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof codings / sizeof *codings; k++) {
            check(op_harness_shape(i), codings[k], false, false);
            check(op_harness_shape(i), codings[k], true, false);
            check(op_harness_shape(i), codings[k], true, true);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/relu");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
