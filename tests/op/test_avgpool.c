/* avgpool on the device against its reference. At most 25 values of |x| < 6 are added in float32,
 * one rounding of 2^-24 of the partial sum each; the division brings the sum's error back to the
 * values' size. */
#include "ref/avgpool_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float tolerance = 4e-6f;

static const pp_pool_params windows[] = {
    {2, 2, 2, 2, 0, 0, false}, {3, 3, 2, 2, 1, 1, false}, {3, 3, 2, 2, 1, 1, true},
    {1, 1, 1, 1, 0, 0, false}, {4, 3, 1, 2, 3, 1, true},  {5, 5, 2, 3, 2, 4, false},
    {1, 2, 3, 3, 0, 1, true},
};

static void check(pp__shape shape, const pp_pool_params *p, bool adds) {
    op_case c = {.op = &pp__op_avgpool, .params = p, .inputs = {shape}, .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    ref_window window = {p->kernel_h, p->kernel_w, p->stride_h, p->stride_w,
                         p->pad_h,    p->pad_w,    1,           1};
    ref_shape x_shape = {shape.n, shape.h, shape.w, shape.c};
    size_t x_count = ref_elems(x_shape),
           y_count = ref_elems(ref_window_output(&window, x_shape, shape.c));
    ck_assert_uint_eq(op_harness_elems(h.b.q.output), y_count);
    double *x = op_harness_random(&h, h.b.inputs[0], x_count), *y = op_harness_room(&h, y_count);
    ref_avgpool_forward(&window, p->count_valid_only, x_shape, x, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, y_count, tolerance, 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, y_count),
           *dx = op_harness_room(&h, x_count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], x_count) : NULL;
    op_harness_backward(&h);
    ref_avgpool_backward(&window, p->count_valid_only, x_shape, dy, dx);
    op_harness_add(dx, before, x_count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, x_count, tolerance, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    size_t checked = 0;
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
            pp__shape shape = op_harness_shape(i);
            const pp_pool_params *p = &windows[k];
            if (shape.h + 2 * p->pad_h < p->kernel_h || shape.w + 2 * p->pad_w < p->kernel_w)
                continue;
            check(shape, p, (i + k) % 2);
            checked++;
        }
    ck_assert_uint_gt(checked, 20);
}
END_TEST

START_TEST(refuses_windows) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{64, 2, 5, 16}};
    pp_pool_params params = {3, 3, 1, 1, 0, 1, false};
    TEST_FAILS(
        pp__op_avgpool.infer(test_engine(), "pool1", &params, inputs, &shapes), PP_ERROR_SHAPE,
        "node 'pool1' (avgpool): window 3x3 with padding 0x1 does not fit input [64, 2, 5, 16]");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/avgpool");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, refuses_windows);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
