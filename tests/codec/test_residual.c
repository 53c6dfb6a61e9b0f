/* residual (pool:W+residual:K) on the device against its reference, bit for bit: shapes with short
 * blocks, octets and groups, all numbers of bits; the error's bound; guard bytes; bands of images. */
#include <math.h>
#include <string.h>

#include "device/buffer.h"
#include "op/op.h"
#include "op/scalars.h"
#include "ref/residual_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

enum { GUARD_BYTES = 64, GUARD = 0xA5 };

static const struct {
    const char *text;
    size_t side;
    ref_group group;
} codings[] = {
    {"pool:8+residual:2", 8, {2, 256, false}},        {"pool:2+residual:1", 2, {1, 256, false}},
    {"pool:4+residual:3,size=40", 4, {3, 40, false}}, {"pool:8+residual:4", 8, {4, 256, false}},
    {"pool:2+residual:8,size=8", 2, {8, 8, false}},
};
enum { CODING_COUNT = sizeof codings / sizeof *codings };

typedef struct coded {
    op_harness h;
    pp__stored stored;
    pp__ref value, back;
    float *x, *found;
    uint8_t *code, *expected;
    size_t bytes, count;
} coded;

static void start(coded *t, size_t which, pp__shape shape) {
    op_harness_open(&t->h, NULL);
    t->stored = (pp__stored){.subject = PP__SUBJECT_ACTIVATION, .shape = shape, .number = 11};
    TEST_OK(pp__coding_read(test_engine(), codings[which].text, &t->stored.coding));
    t->bytes = pp__coding_bytes(&t->stored.coding, shape);
    t->count = op_harness_elems(shape);
    t->stored.code = op_harness_tensor(&t->h, t->bytes + GUARD_BYTES);
    t->stored.scalars = op_harness_tensor(&t->h, sizeof t->h.scalars);
    t->h.scalars[PP__SCALAR_SEED_LOW] = 5, t->h.scalars[PP__SCALAR_STEP] = 6;
    TEST_OK(pp__write_now(test_device(), t->stored.scalars, t->h.scalars, sizeof t->h.scalars));
    t->value = op_harness_tensor(&t->h, t->count * sizeof(float));
    t->back = op_harness_tensor(&t->h, t->count * sizeof(float));
    t->x = op_harness_bytes(&t->h, t->count * sizeof(float));
    t->found = op_harness_bytes(&t->h, t->count * sizeof(float));
    t->code = op_harness_bytes(&t->h, t->bytes + GUARD_BYTES);
    t->expected = op_harness_bytes(&t->h, t->bytes + GUARD_BYTES);
    memset(t->expected, GUARD, t->bytes + GUARD_BYTES);
}

static void run(coded *t) {
    TEST_OK(pp__write_now(test_device(), t->stored.code, t->expected, t->bytes + GUARD_BYTES));
    TEST_OK(pp__write_now(test_device(), t->value, t->x, t->count * sizeof(float)));
    op_harness_begin(&t->h);
    TEST_OK(t->stored.coding.codec->encode(&t->stored, t->value, t->h.b.stream));
    TEST_OK(pp__stored_decode(&t->stored, 0, t->stored.shape.n, t->back, t->h.b.stream));
    op_harness_run(&t->h);
    op_harness_read(&t->h, t->stored.code, t->code, t->bytes + GUARD_BYTES);
    op_harness_read(&t->h, t->back, t->found, t->count * sizeof(float));
}

static void check(size_t which, pp__shape shape) {
    coded t;
    start(&t, which, shape);
    const ref_shape s = {shape.n, shape.h, shape.w, shape.c};
    const ref_group *group = &codings[which].group;
    ck_assert_uint_eq(t.bytes, ref_residual_bytes(group, codings[which].side, s));
    test_fill_normal(t.x, t.count);
    for (size_t i = 0; i < t.count; i++) t.x[i] = t.x[i] < 0 ? 0 : t.x[i] + (float)(i % s.c);
    run(&t);
    ref_residual_encode(group, codings[which].side, s, t.x, &(ref_group_key){5, 11, 6}, t.expected);
    for (size_t i = 0; i < t.bytes + GUARD_BYTES; i++)
        ck_assert_msg(
            t.code[i] == t.expected[i], "%s of [%zu, %zu, %zu, %zu]: byte %zu of %zu is %u, not %u",
            codings[which].text, s.n, s.h, s.w, s.c, i, t.bytes, t.code[i], t.expected[i]);
    float *back = op_harness_bytes(&t.h, t.count * sizeof(float));
    ref_residual_decode(group, codings[which].side, s, t.code, back);
    ck_assert_msg(!memcmp(back, t.found, t.count * sizeof(float)), "%s: decoded otherwise",
                  codings[which].text);
    op_harness_destroy(&t.h);
}

START_TEST(code_and_values_are_the_reference_s) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t which = 0; which < CODING_COUNT; which++) check(which, op_harness_shape(i));
    for (size_t which = 0; which < CODING_COUNT; which++) {
        check(which, (pp__shape){1, 1, 1, 1});
        check(which, (pp__shape){2, 7, 9, 16});
        check(which, (pp__shape){3, 16, 16, 64});
        for (int k = 0; k < 3; k++)
            check(which, (pp__shape){1 + test_random_below(4), 1 + test_random_below(20),
                                     1 + test_random_below(20), 1 + test_random_below(40)});
    }
}
END_TEST

/* A step of the group's grid, which spans what is left of the value at most. */
START_TEST(values_come_back_within_a_step) {
    const pp__shape shape = {2, 16, 16, 24};
    for (size_t which = 0; which < CODING_COUNT; which++) {
        coded t;
        start(&t, which, shape);
        for (size_t i = 0; i < t.count; i++) t.x[i] = 3 + test_random_uniform(-1, 1);
        run(&t);
        /* What is left lies within 2.03 of 0: a mean of up to 4 rounds by 1/64. The step's bfloat16
         * is up to 1/64 larger, and so is the end of the range. */
        const float step = 4.06f / (float)((1 << codings[which].group.bits) - 1) * (1 + 1.0f / 32);
        for (size_t i = 0; i < t.count; i++) ck_assert(fabsf(t.found[i] - t.x[i]) <= step);
        op_harness_destroy(&t.h);
    }
}
END_TEST

/* Images by themselves give the code of all, where they lie in it. */
START_TEST(images_stand_for_themselves) {
    const pp__shape shape = {4, 9, 5, 20};
    for (size_t which = 0; which < CODING_COUNT; which++) {
        coded whole;
        start(&whole, which, shape);
        test_fill_normal(whole.x, whole.count);
        run(&whole);
        const size_t bytes = whole.bytes / shape.n, count = whole.count / shape.n;
        for (uint32_t n = 0; n < shape.n; n++) {
            coded one;
            start(&one, which, (pp__shape){1, shape.h, shape.w, shape.c});
            one.stored.first_image = n;
            memcpy(one.x, whole.x + n * count, count * sizeof(float));
            run(&one);
            ck_assert(!memcmp(one.code, whole.code + n * bytes, bytes));
            ck_assert(!memcmp(one.found, whole.found + n * count, count * sizeof(float)));
            op_harness_destroy(&one.h);
        }
        op_harness_destroy(&whole.h);
    }
}
END_TEST

/* A NaN shows where it is, and no other image sees it. */
START_TEST(nan_comes_back) {
    coded t;
    start(&t, 0, (pp__shape){2, 8, 8, 16});
    test_fill_normal(t.x, t.count);
    t.x[5] = NAN;
    run(&t);
    ck_assert(isnan(t.found[5]));
    for (size_t i = t.count / 2; i < t.count; i++) ck_assert(isfinite(t.found[i]));
    op_harness_destroy(&t.h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/residual");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_test(all, code_and_values_are_the_reference_s);
    tcase_add_test(all, values_come_back_within_a_step);
    tcase_add_test(all, images_stand_for_themselves);
    tcase_add_test(all, nan_comes_back);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
