/* blockmean (avgpool:W) on the device against its reference: means, expansion, and the weight
 * gradient of a convolution taken in the pooled domain, which equals expanding first (METHODS E row
 * 14); the same with the means in the code of group:K. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "op/op.h"
#include "op/scalars.h"
#include "ref/blockmean_ref.h"
#include "ref/group_ref.h"
#include "support/op_harness.h"
#include "support/support.h"
#include "util/size.h"

static const char *const texts[] = {"avgpool:2", "avgpool:4", "avgpool:3"};
static const uint32_t sides[] = {2, 4, 3};

static ref_shape ref_of(pp__shape s) {
    return (ref_shape){s.n, s.h, s.w, s.c};
}

static void check_code(pp__shape shape, size_t which) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape};
    TEST_OK(pp__coding_read(test_engine(), texts[which], &stored.coding));
    size_t bytes = pp__coding_bytes(&stored.coding, shape), count = op_harness_elems(shape);
    ck_assert_uint_eq(bytes, ref_blockmean_bytes(ref_of(shape), sides[which]));
    stored.code = op_harness_tensor(&h, bytes);
    pp__ref value = op_harness_tensor(&h, count * sizeof(float)),
            back = op_harness_tensor(&h, count * sizeof(float));
    double *x = op_harness_random(&h, value, count);
    double *means = op_harness_room(&h, bytes / sizeof(float)),
           *expanded = op_harness_room(&h, count);
    ref_blockmean_encode(ref_of(shape), sides[which], x, means);
    ref_blockmean_decode(ref_of(shape), sides[which], means, expanded);
    op_harness_begin(&h);
    TEST_OK(stored.coding.codec->encode(&stored, value, h.b.stream));
    TEST_OK(stored.coding.codec->decode(&stored, 0, shape.n, back, h.b.stream));
    op_harness_run(&h);
    op_harness_expect(&h, "means", stored.code, means, bytes / sizeof(float), 1e-6f, 1e-6f);
    op_harness_expect(&h, "expansion", back, expanded, count, 1e-6f, 1e-6f);
    op_harness_destroy(&h);
}

/* avgpool:W+group:K is group:K of the means that avgpool:W stores, to the bit, code and decoding. */
static void check_coded_means(pp__shape shape, size_t which, const char *group_text,
                              const ref_group *group) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored plain = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape, .relu = true}, coded;
    char text[PP__CODING_TEXT];
    snprintf(text, sizeof text, "%s+%s", texts[which], group_text);
    TEST_OK(pp__coding_read(test_engine(), texts[which], &plain.coding));
    coded = plain;
    TEST_OK(pp__coding_read(test_engine(), text, &coded.coding));
    ref_shape blocks = ref_blockmean_shape(ref_of(shape), sides[which]);
    size_t bytes = pp__coding_bytes(&coded.coding, shape), count = op_harness_elems(shape);
    ck_assert_uint_eq(bytes, ref_group_bytes(group, blocks));
    plain.code = op_harness_tensor(&h, ref_elems(blocks) * sizeof(float));
    coded.code = op_harness_tensor(&h, bytes);
    coded.scalars = op_harness_tensor(&h, sizeof h.scalars);
    coded.number = 11;
    h.scalars[PP__SCALAR_SEED_LOW] = 5, h.scalars[PP__SCALAR_STEP] = 6;
    TEST_OK(pp__write_now(test_device(), coded.scalars, h.scalars, sizeof h.scalars));
    pp__ref value = op_harness_tensor(&h, count * sizeof(float)),
            back = op_harness_tensor(&h, count * sizeof(float));
    op_harness_random(&h, value, count);
    op_harness_begin(&h);
    TEST_OK(plain.coding.codec->encode(&plain, value, h.b.stream));
    TEST_OK(coded.coding.codec->encode(&coded, value, h.b.stream));
    TEST_OK(pp__stored_decode(&coded, 0, shape.n, back, h.b.stream));
    op_harness_run(&h);
    float *means = op_harness_bytes(&h, ref_elems(blocks) * sizeof(float));
    uint8_t *expected = op_harness_bytes(&h, bytes), *found = op_harness_bytes(&h, bytes);
    op_harness_read(&h, plain.code, means, ref_elems(blocks) * sizeof(float));
    op_harness_read(&h, coded.code, found, bytes);
    ref_group_encode(group, blocks, means, &(ref_group_key){5, 11, 6}, expected);
    ck_assert_msg(!memcmp(found, expected, bytes), "%s: not the code of the means", text);
    ref_group_decode(group, blocks, found, means);
    double *wide = op_harness_room(&h, ref_elems(blocks)), *expanded = op_harness_room(&h, count);
    for (size_t i = 0; i < ref_elems(blocks); i++) wide[i] = (double)means[i];
    ref_blockmean_decode(ref_of(shape), sides[which], wide, expanded);
    op_harness_expect(&h, text, back, expanded, count, 0, 0);
    op_harness_destroy(&h);
}

START_TEST(coded_means_are_the_group_codec_s) {
    static const struct {
        const char *text;
        ref_group group;
    } groups[] = {{"group:4", {4, 256, false}},
                  {"group:1,size=64", {1, 64, false}},
                  {"group:8,size=24", {8, 24, false}}};
    for (size_t i = 0; i < OP_SHAPES; i++)
        check_coded_means(op_harness_shape(i), i % 3, groups[i / 2].text, &groups[i / 2].group);
    check_coded_means((pp__shape){3, 16, 32, 64}, 0, groups[0].text, &groups[0].group);
}
END_TEST

START_TEST(means_and_expansion) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t which = 0; which < 3; which++) check_code(op_harness_shape(i), which);
    check_code((pp__shape){2, 7, 7, 16}, 1); /* short blocks at both borders */
}
END_TEST

/* What backward sees of x: the means, through the code that the device wrote where they are coded,
 * repeated over their blocks. */
static const double *seen_by_backward(op_harness *h, pp__shape shape, size_t which,
                                      const ref_group *group, const double *x) {
    const ref_shape blocks = ref_blockmean_shape(ref_of(shape), sides[which]);
    double *means = op_harness_room(h, ref_elems(blocks)),
           *expanded = op_harness_room(h, op_harness_elems(shape));
    ref_blockmean_encode(ref_of(shape), sides[which], x, means);
    if (group) {
        uint8_t *code = op_harness_bytes(h, ref_group_bytes(group, blocks));
        float *decoded = op_harness_bytes(h, ref_elems(blocks) * sizeof(float));
        op_harness_read(h, h->stored[0].code, code, ref_group_bytes(group, blocks));
        ref_group_decode(group, blocks, code, decoded);
        for (size_t i = 0; i < ref_elems(blocks); i++) means[i] = (double)decoded[i];
    }
    ref_blockmean_decode(ref_of(shape), sides[which], means, expanded);
    return expanded;
}

/* dw from the device, against correlating the expanded map. */
static void check_weight_gradient(pp__shape shape, const pp_conv2d_params *p, size_t which,
                                  const ref_group *group, const char *profile) {
    char text[PP__CODING_TEXT];
    if (group)
        snprintf(text, sizeof text, "%s+group:%u", texts[which], group->bits);
    else
        snprintf(text, sizeof text, "%s", texts[which]);
    op_case c = {.op = &pp__op_conv2d,
                 .params = p,
                 .inputs = {shape},
                 .codings = {text},
                 .profile = profile};
    op_harness h;
    op_harness_create(&h, &c);
    size_t count = op_harness_elems(shape), outputs = op_harness_elems(h.shapes.output);
    size_t weights = op_harness_elems(h.shapes.parameters[0].shape);
    double *x = op_harness_random(&h, h.b.inputs[0], count);
    op_harness_random(&h, h.b.parameters[0], weights);
    op_harness_forward(&h);
    double *dy = op_harness_random(&h, h.b.output_gradient, outputs);
    op_harness_backward(&h);
    ref_conv2d g = {ref_of(shape),
                    p->out_channels,
                    p->groups,
                    {p->kernel_h, p->kernel_w, p->stride_h, p->stride_w, p->pad_h, p->pad_w,
                     p->dilation_h, p->dilation_w}};
    double *expected = op_harness_room(&h, weights);
    ref_conv2d_backward_weight(&g, seen_by_backward(&h, shape, which, group, x), dy, expected);
    double largest = 0;
    for (size_t i = 0; i < weights; i++) largest = fmax(largest, fabs(expected[i]));
    op_harness_expect(&h, "dw", h.b.parameter_gradients[0], expected, weights,
                      (float)(1e-5 * largest), 0);
    op_harness_destroy(&h);
}

START_TEST(pooled_gradient_equals_expanding) {
    const pp_conv2d_params cases[] = {
        {16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false}, {24, 3, 3, 2, 2, 1, 1, 1, 1, 1, false},
        {8, 1, 1, 1, 1, 0, 0, 1, 1, 1, false},  {8, 1, 1, 2, 2, 0, 0, 1, 1, 1, false},
        {6, 5, 3, 1, 2, 2, 1, 1, 1, 1, false},  {8, 3, 3, 1, 1, 2, 2, 2, 2, 1, false},
        {16, 3, 3, 1, 1, 1, 1, 1, 1, 8, false}, {10, 7, 7, 2, 2, 3, 3, 1, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t which = 0; which < 3; which++)
            check_weight_gradient((pp__shape){3, 9 + (uint32_t)i, 14 - (uint32_t)i, 16}, &cases[i],
                                  which, NULL, NULL);
}
END_TEST

/* Kernels that read the code as they load, maps that they cannot cut, and kernels that take means
 * decoded to float32. */
START_TEST(pooled_gradient_reads_coded_means) {
    static const pp_conv2d_params p = {16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false};
    static const ref_group group = {4, 256, false};
    static const pp__shape shapes[] = {{3, 12, 12, 16}, {2, 9, 13, 24}};
    static const char *const profiles[] = {NULL, "default", "discrete"};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
            check_weight_gradient(shapes[s], &p, i % 2, &group, profiles[i]);
}
END_TEST

/* METHODS B.3: a 1x1 convolution over a divisible map does 1/w^2 of the multiplications. */
START_TEST(pooled_gradient_costs_less) {
    static const pp_conv2d_params p = {16, 1, 1, 1, 1, 0, 0, 1, 1, 1, false};
    for (size_t which = 0; which < 2; which++) {
        pp__stored exact = {.subject = PP__SUBJECT_ACTIVATION}, pooled = exact;
        TEST_OK(pp__coding_read(test_engine(), "raw", &exact.coding));
        TEST_OK(pp__coding_read(test_engine(), texts[which], &pooled.coding));
        pp__op_query q = {
            .params = &p, .input_count = 1, .inputs = {{4, 16, 16, 32}}, .output = {4, 16, 16, 16}};
        q.stored[0] = &exact;
        double flops = pp__op_conv2d.cost(&q, PP__PASS_BACKWARD_PARAMETERS).flops;
        q.stored[0] = &pooled;
        double fewer = pp__op_conv2d.cost(&q, PP__PASS_BACKWARD_PARAMETERS).flops;
        double additions = 4 * 16 * 16 * 16; /* the block sums of dy */
        ck_assert_double_eq(fewer - additions, flops / (sides[which] * sides[which]));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/blockmean");
    TCase *test = tcase_create("device");
    tcase_add_test(test, means_and_expansion);
    tcase_add_test(test, coded_means_are_the_group_codec_s);
    tcase_add_test(test, pooled_gradient_equals_expanding);
    tcase_add_test(test, pooled_gradient_reads_coded_means);
    tcase_add_test(test, pooled_gradient_costs_less);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
