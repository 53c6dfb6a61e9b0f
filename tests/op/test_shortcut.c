/* shortcut on the device against its reference: numbers are only moved, so they agree to the bit.
 */
#include "ref/shortcut_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static void check(pp__shape shape, uint32_t stride, uint32_t more_channels, bool adds) {
    pp_shortcut_params params = {.stride = stride, .out_channels = shape.c + more_channels};
    op_case c = {.op = &pp__op_shortcut, .params = &params, .inputs = {shape}, .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    ref_shape x_shape = {shape.n, shape.h, shape.w, shape.c};
    ref_shape y_shape = ref_shortcut_output(x_shape, stride, params.out_channels);
    size_t x_count = ref_elems(x_shape), y_count = ref_elems(y_shape);
    ck_assert_uint_eq(op_harness_elems(h.b.q.output), y_count);
    double *x = op_harness_random(&h, h.b.inputs[0], x_count), *y = op_harness_room(&h, y_count);
    ref_shortcut_forward(x_shape, stride, params.out_channels, x, y);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, y_count, 0, 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, y_count),
           *dx = op_harness_room(&h, x_count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], x_count) : NULL;
    op_harness_backward(&h);
    ref_shortcut_backward(x_shape, stride, params.out_channels, dy, dx);
    op_harness_add(dx, before, x_count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, x_count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    static const uint32_t more_channels[] = {0, 1, 16, 21};
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (uint32_t stride = 1; stride <= 3; stride++)
            for (size_t k = 0; k < sizeof more_channels / sizeof *more_channels; k++)
                check(op_harness_shape(i), stride, more_channels[k], (i + stride + k) % 2);
}
END_TEST

START_TEST(refuses_fewer_channels) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{2, 4, 4, 16}};
    pp_shortcut_params params = {.stride = 2, .out_channels = 8};
    TEST_FAILS(
        pp__op_shortcut.infer(test_engine(), "skip", &params, inputs, &shapes), PP_ERROR_SHAPE,
        "node 'skip' (shortcut): 8 output channels are fewer than those of input [2, 4, 4, 16]");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/shortcut");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, refuses_fewer_channels);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
