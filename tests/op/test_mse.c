/* mse on the device against its reference. A sample's sum has at most 6500 terms of size 2 in eight
 * running sums; the gradient is one difference and one product. */
#include <string.h>

#include "op/scalars.h"
#include "ref/mse_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float loss_relative = 1e-5f, gradient_relative = 1e-6f, gradient_absolute = 1e-6f;

static void check(pp__shape shape, uint32_t count, bool adds) {
    op_case c = {.op = &pp__op_mse, .inputs = {shape}, .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    float scale = 0.3f;
    h.scalars[PP__SCALAR_COUNT] = count;
    memcpy(&h.scalars[PP__SCALAR_LOSS_SCALE], &scale, sizeof scale);
    size_t elems = op_harness_elems(shape);
    double *x = op_harness_random(&h, h.b.inputs[0], elems),
           *target = op_harness_random(&h, h.b.labels, elems);
    double *dx = op_harness_room(&h, elems);
    ref_mse_result expected =
        ref_mse(shape.n, count, elems / shape.n, x, target, (double)scale, dx);

    op_harness_write(&h, h.b.metrics, (double[]){100, 7}, 2);
    op_harness_forward(&h);
    op_harness_expect(&h, "metrics", h.b.metrics, (double[]){100 + expected.sum, 7}, 2, 0,
                      loss_relative);

    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], elems) : NULL;
    op_harness_backward(&h);
    op_harness_add(dx, before, elems);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, elems, adds ? gradient_absolute : 0,
                      gradient_relative);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++) {
        pp__shape shape = op_harness_shape(i);
        check(shape, shape.n, false);
        check(shape, shape.n - shape.n / 2, true);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/mse");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
