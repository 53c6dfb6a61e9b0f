/* argmax: sizes against the reference, and every tap of every number of bits through a max-pool and
 * back. tests/op/test_maxpool.c compares codes of random inputs. */
#include "ref/argmax_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

START_TEST(sizes) {
    pp__coding coding;
    TEST_OK(pp__coding_read(test_engine(), "argmax", &coding));
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (uint32_t bits = 1; bits <= 8; bits *= 2) {
            pp__shape shape = op_harness_shape(i);
            coding.bits = bits;
            ck_assert_uint_eq(pp__coding_bytes(&coding, shape),
                              ref_argmax_bytes(bits, pp__shape_pixels(shape), shape.c));
        }
}
END_TEST

/* One window per image; in image n, channel c the maximum lies on tap (n + 3 * c) mod taps. The
 * code must hold it, and backward must send dy there and nowhere else. */
static void check(uint32_t kernel_h, uint32_t kernel_w, uint32_t channels) {
    uint32_t taps = kernel_h * kernel_w;
    pp_pool_params params = {kernel_h, kernel_w, 1, 1, 0, 0, false};
    op_case c = {
        .op = &pp__op_maxpool, .params = &params, .inputs = {{taps, kernel_h, kernel_w, channels}}};
    op_harness h;
    op_harness_create(&h, &c);
    size_t count = op_harness_elems(c.inputs[0]), y_count = (size_t)taps * channels;
    double *x = op_harness_room(&h, count), *dx = op_harness_room(&h, count);
    uint8_t *index = op_harness_bytes(&h, y_count);
    double *dy = op_harness_random(&h, h.b.output_gradient, y_count);
    for (size_t i = 0; i < count; i++) x[i] = dx[i] = 0;
    for (size_t n = 0; n < taps; n++)
        for (size_t k = 0; k < channels; k++) {
            size_t tap = (n + 3 * k) % taps, at = (n * taps + tap) * channels + k;
            index[n * channels + k] = (uint8_t)tap;
            x[at] = 1;
            dx[at] = dy[n * channels + k];
        }
    op_harness_write(&h, h.b.inputs[0], x, count);
    op_harness_forward(&h);
    unsigned bits = ref_argmax_bits(kernel_h, kernel_w);
    size_t bytes = ref_argmax_bytes(bits, taps, channels);
    uint8_t *expected = op_harness_bytes(&h, bytes), *found = op_harness_bytes(&h, bytes);
    ref_argmax_encode(bits, taps, channels, index, expected);
    op_harness_read(&h, h.stored[0].code, found, bytes);
    ck_assert_mem_eq(found, expected, bytes);
    op_harness_backward(&h);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(every_tap) {
    static const uint32_t channels[] = {1, 8, 19};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        check(1, 2, channels[i]);
        check(2, 2, channels[i]);
        check(3, 3, channels[i]);
        check(4, 4, channels[i]);
        check(16, 16, channels[i]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/argmax");
    TCase *test = tcase_create("device");
    tcase_add_test(test, sizes);
    tcase_add_test(test, every_tap);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
