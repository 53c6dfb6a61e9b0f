/* global_avgpool on the device against its reference. At most 169 values of mean size 0.8 are added
 * in float32. */
#include "ref/global_avgpool_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float tolerance = 4e-6f;

static void check(pp__shape shape, bool adds) {
    op_case c = {.op = &pp__op_global_avgpool, .inputs = {shape}, .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    ref_shape x_shape = {shape.n, shape.h, shape.w, shape.c};
    size_t x_count = ref_elems(x_shape), y_count = (size_t)shape.n * shape.c;
    ck_assert(pp__shape_equal(h.b.q.output, (pp__shape){shape.n, 1, 1, shape.c}));
    double *x = op_harness_random(&h, h.b.inputs[0], x_count), *y = op_harness_room(&h, y_count);
    ref_global_avgpool_forward(x_shape, x, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, y_count, tolerance, 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, y_count),
           *dx = op_harness_room(&h, x_count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], x_count) : NULL;
    op_harness_backward(&h);
    ref_global_avgpool_backward(x_shape, dy, dx);
    op_harness_add(dx, before, x_count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, x_count, tolerance, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++) {
        check(op_harness_shape(i), false);
        check(op_harness_shape(i), true);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/global_avgpool");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
