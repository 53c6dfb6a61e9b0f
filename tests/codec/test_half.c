/* half on the device against its reference: every code to the bit, for random values and for those
 * at the edges of the format. */
#include <math.h>
#include <stdlib.h>

#include "device/buffer.h"
#include "ref/half_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float edges[] = {
    0.0f,       -0.0f,           1.0f,     -1.0f,      65504.0f,    65519.9f,     65520.0f,
    1e30f,      -1e30f,          INFINITY, -INFINITY,  0x1p-14f,    0x1.ffcp-15f, 0x1p-24f,
    0x1p-25f,   0x1.000002p-25f, 0x1p-26f, 1e-30f,     -0x1p-25f,   -1e-30f,      1.00048828125f,
    1.0014648f, 2049.0f,         2051.0f,  0x1.8p-24f, -0x1.8p-24f, 3.14159274f,  -2.71828175f,
    1e-6f,      6e-8f,           2.9e-8f,  65503.9f,
};

static pp__stored stored_of(op_harness *h, pp__shape shape) {
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape};
    TEST_OK(pp__coding_read(test_engine(), "half", &stored.coding));
    ck_assert_uint_eq(pp__coding_bytes(&stored.coding, shape), 2 * op_harness_elems(shape));
    stored.code = op_harness_tensor(h, pp__coding_bytes(&stored.coding, shape));
    return stored;
}

static void check(pp__shape shape, const float *values) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored stored = stored_of(&h, shape);
    size_t count = op_harness_elems(shape), image = count / shape.n;
    pp__ref value = op_harness_tensor(&h, count * sizeof(float));
    TEST_OK(pp__write_now(test_device(), value, values, count * sizeof(float)));
    op_harness_begin(&h);
    TEST_OK(stored.coding.codec->encode(&stored, value, h.b.stream));
    op_harness_run(&h);
    uint8_t *expected = op_harness_bytes(&h, 2 * count), *found = op_harness_bytes(&h, 2 * count);
    ref_half_encode(count, values, expected);
    op_harness_read(&h, stored.code, found, 2 * count);
    ck_assert_mem_eq(found, expected, 2 * count);

    /* All images, then the last alone. */
    float *decoded = op_harness_bytes(&h, count * sizeof(float)),
          *back = op_harness_bytes(&h, count * sizeof(float));
    ref_half_decode(count, expected, decoded);
    for (uint32_t first = 0; first<shape.n; first += shape.n> 1 ? shape.n - 1 : 1) {
        uint32_t images = shape.n - first;
        pp__ref y = op_harness_tensor(&h, images * image * sizeof(float));
        op_harness_begin(&h);
        TEST_OK(pp__stored_decode(&stored, first, images, y, h.b.stream));
        op_harness_run(&h);
        op_harness_read(&h, y, back, images * image * sizeof(float));
        ck_assert_mem_eq(back, decoded + first * image, images * image * sizeof(float));
    }
    op_harness_destroy(&h);
}

START_TEST(random_values) {
    for (size_t i = 0; i < OP_SHAPES; i++) {
        pp__shape shape = op_harness_shape(i);
        size_t count = op_harness_elems(shape);
        float *values = malloc(count * sizeof *values);
        ck_assert(values != NULL);
        for (size_t k = 0; k < count; k++)
            values[k] = ldexpf(test_random_normal(), (int)test_random_below(40) - 27);
        check(shape, values);
        free(values);
    }
}
END_TEST

START_TEST(edges_of_the_format) {
    check((pp__shape){1, 1, sizeof edges / sizeof *edges, 1}, edges);
    check((pp__shape){1, 1, 1, sizeof edges / sizeof *edges}, edges);
}
END_TEST

/* A positive value stays positive, whatever its size, and nothing else becomes so. */
START_TEST(keeps_the_mask) {
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        ck_assert_int_eq(ref_half_to_float(ref_half_from_float(edges[i])) > 0, edges[i] > 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/half");
    TCase *test = tcase_create("device");
    tcase_add_test(test, random_values);
    tcase_add_test(test, edges_of_the_format);
    tcase_add_test(test, keeps_the_mask);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
