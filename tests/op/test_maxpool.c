/* maxpool on the device against its reference. Forward only compares, so y and the packed taps
 * agree to the bit; backward adds at most a window's number of gradients, |dy| < 6. */
#include <math.h>
#include <string.h>

#include "ref/argmax_ref.h"
#include "ref/maxpool_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float backward_tolerance = 1e-5f;

static const pp_pool_params windows[] = {
    {2, 1, 2, 1, 0, 0, false}, {2, 2, 2, 2, 0, 0, false}, {3, 3, 2, 2, 1, 1, false},
    {3, 3, 1, 1, 1, 1, false}, {1, 1, 1, 1, 0, 0, false}, {4, 3, 1, 2, 3, 1, false},
    {5, 5, 2, 3, 2, 4, false}, {1, 2, 3, 3, 0, 1, false},
};

static ref_window window_of(const pp_pool_params *p) {
    return (ref_window){p->kernel_h, p->kernel_w, p->stride_h, p->stride_w,
                        p->pad_h,    p->pad_w,    1,           1};
}

static bool fits(pp__shape shape, const pp_pool_params *p) {
    return shape.h + 2 * p->pad_h >= p->kernel_h && shape.w + 2 * p->pad_w >= p->kernel_w;
}

static void check(pp__shape shape, const pp_pool_params *p, bool adds) {
    op_case c = {.op = &pp__op_maxpool, .params = p, .inputs = {shape}, .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    ref_window window = window_of(p);
    ref_shape x_shape = {shape.n, shape.h, shape.w, shape.c};
    ref_shape y_shape = ref_window_output(&window, x_shape, shape.c);
    size_t x_count = ref_elems(x_shape), y_count = ref_elems(y_shape);
    ck_assert_uint_eq(op_harness_elems(h.b.q.output), y_count);
    double *x = op_harness_random(&h, h.b.inputs[0], x_count), *y = op_harness_room(&h, y_count);
    for (size_t i = 0; i < x_count; i += 2)
        x[i] = (double)((int)test_random_below(3) - 1); /* ties */
    op_harness_write(&h, h.b.inputs[0], x, x_count);
    uint8_t *index = op_harness_bytes(&h, y_count);
    ref_maxpool_forward(&window, x_shape, x, y, index);
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, y_count, 0, 0);

    unsigned bits = ref_argmax_bits(p->kernel_h, p->kernel_w);
    ck_assert_uint_eq(h.saves[0].bits, bits);
    size_t bytes = ref_argmax_bytes(bits, ref_pixels(y_shape), y_shape.c);
    ck_assert_uint_eq(pp__coding_bytes(&h.stored[0].coding, h.stored[0].shape), bytes);
    uint8_t *code = op_harness_bytes(&h, bytes), *found = op_harness_bytes(&h, bytes);
    ref_argmax_encode(bits, ref_pixels(y_shape), y_shape.c, index, code);
    op_harness_read(&h, h.stored[0].code, found, bytes);
    ck_assert_mem_eq(found, code, bytes);

    double *dy = op_harness_random(&h, h.b.output_gradient, y_count),
           *dx = op_harness_room(&h, x_count);
    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], x_count) : NULL;
    op_harness_backward(&h);
    ref_maxpool_backward(&window, x_shape, dy, index, dx);
    op_harness_add(dx, before, x_count);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, x_count, backward_tolerance, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    size_t checked = 0;
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
            pp__shape shape = op_harness_shape(i);
            if (!fits(shape, &windows[k])) continue;
            check(shape, &windows[k], (i + k) % 2);
            checked++;
        }
    ck_assert_uint_gt(checked, 25);
}
END_TEST

/* Whole octets, worked on in blocks: one and a rest, two, more than a work-item has side by side. */
START_TEST(agrees_where_channels_are_many) {
    static const uint32_t channels[] = {40, 64, 552};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
            check((pp__shape){2, 5, 7, channels[i]}, &windows[k], (i + k) % 2);
}
END_TEST

/* A NaN is the maximum of its windows wherever it stands in them, and takes their gradient. */
START_TEST(lets_nan_through) {
    pp__shape shape = {1, 6, 6, 32};
    op_case c = {.op = &pp__op_maxpool, .params = &windows[2], .inputs = {shape}};
    op_harness h;
    op_harness_create(&h, &c);
    size_t x_count = 6 * 6 * 32, y_count = 3 * 3 * 32, chosen = (1 * 6 + 1) * 32 + 5;
    double *x = op_harness_random(&h, h.b.inputs[0], x_count);
    x[chosen] = NAN; /* in the last or first row and column of its four windows */
    op_harness_write(&h, h.b.inputs[0], x, x_count);
    op_harness_forward(&h);
    float y[3 * 3 * 32], dx[6 * 6 * 32];
    op_harness_read(&h, h.b.output, y, sizeof y);
    for (size_t i = 0; i < y_count; i++) {
        bool holds = i % 32 == 5 && i / 32 % 3 < 2 && i / 32 / 3 < 2;
        ck_assert_msg((isnan(y[i]) != 0) == holds, "y[%zu] is %g", i, (double)y[i]);
    }
    double *dy = op_harness_random(&h, h.b.output_gradient, y_count);
    op_harness_backward(&h);
    op_harness_read(&h, h.b.input_gradients[0], dx, sizeof dx);
    double sum = dy[5] + dy[32 + 5] + dy[3 * 32 + 5] + dy[4 * 32 + 5];
    ck_assert_double_eq_tol(dx[chosen], sum, backward_tolerance);
    op_harness_destroy(&h);
}
END_TEST

START_TEST(inference_keeps_nothing) {
    pp__shape shape = {2, 5, 7, 19};
    op_case c = {
        .op = &pp__op_maxpool, .params = &windows[2], .inputs = {shape}, .inference = true};
    op_harness h;
    op_harness_create(&h, &c);
    ref_window window = window_of(&windows[2]);
    ref_shape x_shape = {shape.n, shape.h, shape.w, shape.c};
    size_t y_count = ref_elems(ref_window_output(&window, x_shape, shape.c));
    double *x = op_harness_random(&h, h.b.inputs[0], ref_elems(x_shape)),
           *y = op_harness_room(&h, y_count);
    ref_maxpool_forward(&window, x_shape, x, y, op_harness_bytes(&h, y_count));
    op_harness_forward(&h);
    op_harness_expect(&h, "y", h.b.output, y, y_count, 0, 0);
    op_harness_destroy(&h);
}
END_TEST

START_TEST(refuses_windows) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{64, 2, 2, 16}};
    pp_pool_params params = {3, 3, 1, 1, 0, 0, false};
    TEST_FAILS(
        pp__op_maxpool.infer(test_engine(), "pool1", &params, inputs, &shapes), PP_ERROR_SHAPE,
        "node 'pool1' (maxpool): window 3x3 with padding 0 does not fit input [64, 2, 2, 16]");
    params = (pp_pool_params){2, 2, 1, 1, 2, 0, false};
    TEST_FAILS(pp__op_maxpool.infer(test_engine(), "pool1", &params, inputs, &shapes),
               PP_ERROR_SHAPE, "padding 2x0 is not smaller than the window 2x2");
    params = (pp_pool_params){0, 2, 1, 1, 0, 0, false};
    TEST_FAILS(pp__op_maxpool.infer(test_engine(), "pool1", &params, inputs, &shapes),
               PP_ERROR_SHAPE, "window 0x2 with stride 1x1 has a zero extent");
    pp__shape large[] = {{1, 40, 40, 1}};
    params = (pp_pool_params){17, 16, 1, 1, 0, 0, false};
    TEST_FAILS(pp__op_maxpool.infer(test_engine(), "pool1", &params, large, &shapes),
               PP_ERROR_SHAPE, "window 17x16 has more than 256 taps");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/maxpool");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, agrees_where_channels_are_many);
    tcase_add_test(test, lets_nan_through);
    tcase_add_test(test, inference_keeps_nothing);
    tcase_add_test(test, refuses_windows);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
