/* half and bfloat on the device against their references: every code to the bit, for random values
 * and for those at the edges of the formats. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "device/buffer.h"
#include "ref/bfloat_ref.h"
#include "ref/half_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float edges[] = {
    0.0f,         -0.0f,         1.0f,           -1.0f,           65504.0f,    65519.9f,
    65520.0f,     1e30f,         -1e30f,         INFINITY,        -INFINITY,   0x1p-14f,
    0x1.ffcp-15f, 0x1p-24f,      0x1p-25f,       0x1.000002p-25f, 0x1p-26f,    1e-30f,
    -0x1p-25f,    -1e-30f,       1.00048828125f, 1.0014648f,      2049.0f,     2051.0f,
    0x1.8p-24f,   -0x1.8p-24f,   3.14159274f,    -2.71828175f,    1e-6f,       6e-8f,
    2.9e-8f,      65503.9f,      0x1.fep127f,    0x1.ffp127f,     0x1.fdp3f,   0x1.01p0f,
    0x1.03p0f,    0x1.010002p0f, -0x1.01p0f,     0x1p-126f,       0x1.8p-127f, 0x1p-133f,
    0x1p-134f,    0x1.8p-133f,   0x1p-149f,      -0x1p-149f,      -0x1p-134f,  FLT_MAX,
    -FLT_MAX,
};

static const struct {
    const char *name;
    void (*encode)(size_t count, const float *values, uint8_t *code);
    void (*decode)(size_t count, const uint8_t *code, float *values);
    uint16_t (*from_float)(float value);
    float (*to_float)(uint16_t bits);
    int largest_exponent;
} formats[] = {
    {"half", ref_half_encode, ref_half_decode, ref_half_from_float, ref_half_to_float, 13},
    {"bfloat", ref_bfloat_encode, ref_bfloat_decode, ref_bfloat_from_float, ref_bfloat_to_float,
     120},
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

static pp__stored stored_of(op_harness *h, const char *name, pp__shape shape) {
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape};
    TEST_OK(pp__coding_read(test_engine(), name, &stored.coding));
    ck_assert_uint_eq(pp__coding_bytes(&stored.coding, shape), 2 * op_harness_elems(shape));
    stored.code = op_harness_tensor(h, pp__coding_bytes(&stored.coding, shape));
    return stored;
}

static void check(int format, pp__shape shape, const float *values) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored stored = stored_of(&h, formats[format].name, shape);
    size_t count = op_harness_elems(shape), image = count / shape.n;
    pp__ref value = op_harness_tensor(&h, count * sizeof(float));
    TEST_OK(pp__write_now(test_device(), value, values, count * sizeof(float)));
    op_harness_begin(&h);
    TEST_OK(stored.coding.codec->encode(&stored, value, h.b.stream));
    op_harness_run(&h);
    uint8_t *expected = op_harness_bytes(&h, 2 * count), *found = op_harness_bytes(&h, 2 * count);
    formats[format].encode(count, values, expected);
    op_harness_read(&h, stored.code, found, 2 * count);
    ck_assert_mem_eq(found, expected, 2 * count);

    /* All images, then the last alone. */
    float *decoded = op_harness_bytes(&h, count * sizeof(float)),
          *back = op_harness_bytes(&h, count * sizeof(float));
    formats[format].decode(count, expected, decoded);
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
            values[k] = ldexpf(test_random_normal(),
                               (int)test_random_below(2 * (uint32_t)formats[_i].largest_exponent) -
                                   formats[_i].largest_exponent);
        check(_i, shape, values);
        free(values);
    }
}
END_TEST

START_TEST(edges_of_the_format) {
    check(_i, (pp__shape){1, 1, sizeof edges / sizeof *edges, 1}, edges);
    check(_i, (pp__shape){1, 1, 1, sizeof edges / sizeof *edges}, edges);
}
END_TEST

/* A positive value stays positive, whatever its size, and nothing else becomes so. */
START_TEST(keeps_the_mask) {
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        ck_assert_int_eq(formats[_i].to_float(formats[_i].from_float(edges[i])) > 0, edges[i] > 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/half");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, random_values, 0, FORMAT_COUNT);
    tcase_add_loop_test(test, edges_of_the_format, 0, FORMAT_COUNT);
    tcase_add_loop_test(test, keeps_the_mask, 0, FORMAT_COUNT);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
