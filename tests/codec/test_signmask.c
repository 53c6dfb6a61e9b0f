/* signmask on the device against its reference, to the bit; the bits behind the last channel are 0
 * on both sides. */
#include <math.h>

#include "device/buffer.h"
#include "ref/signmask_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static void check(pp__shape shape) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape};
    TEST_OK(pp__coding_read(test_engine(), "signmask", &stored.coding));
    size_t count = op_harness_elems(shape), bytes = pp__coding_bytes(&stored.coding, shape);
    ck_assert_uint_eq(bytes, ref_signmask_bytes(count / shape.c, shape.c));
    stored.code = op_harness_tensor(&h, bytes);
    pp__ref value = op_harness_tensor(&h, count * sizeof(float));
    float *values = op_harness_bytes(&h, count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = test_random_normal();
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-126f, -0x1p-126f};
    for (size_t i = 0; i < count; i += 9) values[i] = special[i % 7];
    TEST_OK(pp__write_now(test_device(), value, values, count * sizeof *values));
    op_harness_begin(&h);
    TEST_OK(stored.coding.codec->encode(&stored, value, h.b.stream));
    op_harness_run(&h);
    uint8_t *expected = op_harness_bytes(&h, bytes), *found = op_harness_bytes(&h, bytes);
    ref_signmask_encode(count / shape.c, shape.c, values, expected);
    op_harness_read(&h, stored.code, found, bytes);
    ck_assert_mem_eq(found, expected, bytes);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++) check(op_harness_shape(i));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/signmask");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
