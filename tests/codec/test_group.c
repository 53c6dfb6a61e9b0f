/* group on the device against its reference, to the bit: codes, decoded values and masks; and what
 * the codec promises of them: errors below a step, means that are the values', zeros and masks that
 * are exact behind a ReLU, and that a broken group breaks nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "op/op.h"
#include "op/scalars.h"
#include "ref/conv2d_ref.h"
#include "ref/group_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const unsigned all_bits[] = {1, 2, 3, 4, 8};
enum { BITS = sizeof all_bits / sizeof *all_bits };
static const size_t sizes[] = {256, 8, 64, 136, 1024};
enum { SIZES = sizeof sizes / sizeof *sizes };

static ref_shape ref_of(pp__shape s) {
    return (ref_shape){s.n, s.h, s.w, s.c};
}

/* One value on the device, and its code. */
typedef struct run {
    op_harness h;
    ref_group group;
    ref_shape shape;
    size_t count, bytes;
    pp__stored stored;
    pp__ref value;
    float *x, *back;
    uint8_t *code; /* what the device wrote */
} run;

static void open_run(run *r, unsigned bits, size_t size, bool relu, pp__shape shape) {
    char text[PP__CODING_TEXT];
    memset(r, 0, sizeof *r);
    op_harness_open(&r->h, NULL);
    r->group = (ref_group){bits, size, relu};
    r->shape = ref_of(shape);
    r->count = op_harness_elems(shape);
    r->stored = (pp__stored){.subject = PP__SUBJECT_ACTIVATION, .shape = shape, .relu = relu};
    snprintf(text, sizeof text, "group:%u,size=%zu", bits, size);
    TEST_OK(pp__coding_read(test_engine(), text, &r->stored.coding));
    r->bytes = pp__coding_bytes(&r->stored.coding, shape);
    ck_assert_uint_eq(r->bytes, ref_group_bytes(&r->group, r->shape));
    r->stored.code = op_harness_tensor(&r->h, r->bytes);
    r->stored.scalars = op_harness_tensor(&r->h, sizeof r->h.scalars);
    r->value = op_harness_tensor(&r->h, r->count * sizeof(float));
    r->x = op_harness_bytes(&r->h, r->count * sizeof(float));
    r->back = op_harness_bytes(&r->h, r->count * sizeof(float));
    r->code = op_harness_bytes(&r->h, r->bytes);
}

/* Encodes x on the device. */
static void encode(run *r, const ref_group_key *key) {
    r->h.scalars[PP__SCALAR_SEED_LOW] = (uint32_t)key->seed;
    r->h.scalars[PP__SCALAR_SEED_HIGH] = (uint32_t)(key->seed >> 32);
    r->h.scalars[PP__SCALAR_STEP] = key->step;
    r->stored.number = key->number;
    TEST_OK(pp__write_now(test_device(), r->stored.scalars, r->h.scalars, sizeof r->h.scalars));
    TEST_OK(pp__write_now(test_device(), r->value, r->x, r->count * sizeof(float)));
    op_harness_begin(&r->h);
    TEST_OK(r->stored.coding.codec->encode(&r->stored, r->value, r->h.b.stream));
    op_harness_run(&r->h);
    op_harness_read(&r->h, r->stored.code, r->code, r->bytes);
}

/* The same by the reference, which must agree to the bit. */
static void check_codes(run *r, const ref_group_key *key) {
    uint8_t *expected = malloc(r->bytes);
    ck_assert(expected != NULL);
    ref_group_encode(&r->group, r->shape, r->x, key, expected);
    for (size_t i = 0; i < r->bytes; i++)
        ck_assert_msg(r->code[i] == expected[i],
                      "group:%u,size=%zu, relu %d, %zux%zux%zux%zu: byte %zu of %zu is %02x, not "
                      "%02x",
                      r->group.bits, r->group.size, r->group.relu, r->shape.n, r->shape.h,
                      r->shape.w, r->shape.c, i, r->bytes, r->code[i], expected[i]);
    free(expected);
}

/* Decodes images first..first+count-1 on the device and compares with the reference. */
static void check_decode(run *r, uint32_t first, uint32_t count) {
    size_t image = r->count / r->shape.n;
    float *expected = malloc(r->count * sizeof *expected);
    ck_assert(expected != NULL);
    ref_group_decode(&r->group, r->shape, r->code, expected);
    pp__ref back = op_harness_tensor(&r->h, count * image * sizeof(float));
    op_harness_begin(&r->h);
    TEST_OK(pp__stored_decode(&r->stored, first, count, back, r->h.b.stream));
    op_harness_run(&r->h);
    op_harness_read(&r->h, back, r->back + first * image, count * image * sizeof(float));
    for (size_t i = first * image; i < (first + count) * image; i++) {
        bool same = isnan(expected[i]) ? isnan(r->back[i]) : r->back[i] == expected[i];
        ck_assert_msg(same, "group:%u, relu %d: element %zu is %.9g, not %.9g", r->group.bits,
                      r->group.relu, i, (double)r->back[i], (double)expected[i]);
    }
    free(expected);
}

static void check_all(run *r, const ref_group_key *key) {
    encode(r, key);
    check_codes(r, key);
    check_decode(r, 0, (uint32_t)r->shape.n);
    if (r->shape.n > 1) check_decode(r, 1, (uint32_t)r->shape.n - 1);
}

/* N(0,1), with the negative half as zeros of both signs behind a ReLU. */
static void fill(run *r) {
    test_fill_normal(r->x, r->count);
    for (size_t i = 0; r->group.relu && i < r->count; i++)
        if (r->x[i] < 0) r->x[i] = i % 3 ? 0.0f : -0.0f;
}

/* Every shape with every number of bits, and over the shapes both forms and all sizes of groups. */
START_TEST(codes_equal_the_reference) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t b = 0; b < BITS; b++) {
            run r;
            open_run(&r, all_bits[b], sizes[(i + b) % SIZES], (i + b) % 2, op_harness_shape(i));
            fill(&r);
            check_all(&r, &(ref_group_key){0x0123456789ABCDEF, 7, 41});
            op_harness_destroy(&r.h);
        }
}
END_TEST

/* Images of whole groups of the default size, more groups than a work-item's chunk; and images that
 * end with a short group. */
START_TEST(default_groups_equal_the_reference) {
    static const pp__shape shapes[] = {{3, 64, 64, 16}, {5, 8, 4, 64}, {3, 9, 10, 24}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t b = 0; b < BITS; b++)
            for (int relu = 0; relu < 2; relu++) {
                run r;
                open_run(&r, all_bits[b], 256, relu, shapes[i]);
                fill(&r);
                check_all(&r, &(ref_group_key){5, 1, 2});
                op_harness_destroy(&r.h);
            }
}
END_TEST

START_TEST(draws_depend_on_seed_step_and_number) {
    static const ref_group_key keys[] = {{1, 0, 0}, {2, 0, 0}, {1ull << 32, 0, 0},
                                         {1, 3, 0}, {1, 0, 1}, {1, 0, 0xFFFFFFFF}};
    enum { KEYS = sizeof keys / sizeof *keys };
    run r;
    uint8_t *codes[KEYS];
    open_run(&r, 4, 256, false, (pp__shape){2, 5, 8, 32});
    fill(&r);
    for (size_t k = 0; k < KEYS; k++) {
        check_all(&r, &keys[k]);
        codes[k] = op_harness_bytes(&r.h, r.bytes);
        memcpy(codes[k], r.code, r.bytes);
        for (size_t j = 0; j < k; j++) ck_assert(memcmp(codes[k], codes[j], r.bytes) != 0);
    }
    op_harness_destroy(&r.h);
}
END_TEST

/* A mean over many steps converges to the value: within five deviations of an average of draws
 * that lie `step` apart, each with a deviation of at most half of that. */
static void measure_bias(unsigned bits, bool relu) {
    enum { STEPS = 400 };
    run r;
    open_run(&r, bits, 256, relu, (pp__shape){1, 8, 8, 12});
    fill(&r);
    double *sums = op_harness_room(&r.h, r.count), all = 0, squares = 0;
    for (size_t i = 0; i < r.count; i++) sums[i] = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        encode(&r, &(ref_group_key){99, 4, step});
        ref_group_decode(&r.group, r.shape, r.code, r.back);
        for (size_t i = 0; i < r.count; i++) sums[i] += (double)r.back[i] / STEPS;
    }
    for (size_t i = 0; i < r.count; i++) {
        double deviation = (double)ref_group_step(&r.group, r.shape, r.code, i) / 2 / sqrt(STEPS);
        double error = sums[i] - (double)r.x[i];
        ck_assert_msg(fabs(error) <= 5 * deviation + 1e-6,
                      "group:%u, relu %d: element %zu, %g, comes back as %g on average; %g allowed",
                      bits, relu, i, (double)r.x[i], sums[i], 5 * deviation);
        all += error, squares += deviation * deviation;
    }
    ck_assert_msg(fabs(all) <= 5 * sqrt(squares), "group:%u, relu %d: errors add up to %g", bits,
                  relu, all);
    op_harness_destroy(&r.h);
}

START_TEST(means_converge_to_the_values) {
    for (size_t b = 0; b < BITS; b++) {
        measure_bias(all_bits[b], false);
        if (all_bits[b] > 1) measure_bias(all_bits[b], true);
    }
}
END_TEST

/* Every element comes back as a level beside it, and where the grid has a level of its value, as
 * itself. The slack is the rounding of one sum. */
START_TEST(errors_stay_below_a_step) {
    for (size_t b = 0; b < BITS; b++)
        for (int relu = 0; relu < 2; relu++) {
            if (relu && all_bits[b] == 1) continue;
            run r;
            open_run(&r, all_bits[b], 256, relu, (pp__shape){3, 13, 17, 20});
            fill(&r);
            for (size_t i = 0; i < r.count; i++) r.x[i] *= ldexpf(1, (int)(i / 1024 % 32) - 16);
            encode(&r, &(ref_group_key){3, 3, 3});
            check_decode(&r, 0, 3);
            for (size_t i = 0; i < r.count; i++) {
                double step = (double)ref_group_step(&r.group, r.shape, r.code, i);
                double error = fabs((double)r.back[i] - (double)r.x[i]);
                ck_assert_msg(
                    error < step * (1 + 1e-4) + fabs((double)r.x[i]) * 0x1p-22 || error == 0,
                    "group:%u: element %zu, %g, is away by %g; a step is %g", all_bits[b], i,
                    (double)r.x[i], error, step);
            }
            op_harness_destroy(&r.h);
        }
}
END_TEST

START_TEST(levels_that_fit_come_back_exactly) {
    for (size_t b = 0; b < BITS; b++)
        for (int relu = 0; relu < 2; relu++) {
            run r;
            open_run(&r, all_bits[b], 256, relu, (pp__shape){2, 8, 8, 16});
            uint32_t levels = 1u << all_bits[b];
            for (size_t i = 0; i < r.count; i++) /* each group has its first and its last level */
                r.x[i] = 0.25f * (float)(i % 256 < levels ? i % levels : test_random_below(levels));
            for (size_t i = 0; !relu && i < r.count; i++) r.x[i] -= 3;
            check_all(&r, &(ref_group_key){8, 8, 8});
            for (size_t i = 0; i < r.count; i++) ck_assert_float_eq(r.back[i], r.x[i]);
            op_harness_destroy(&r.h);
        }
}
END_TEST

/* What a ReLU stopped comes back as 0, what it let pass as positive, whatever the range. */
START_TEST(masks_and_zeros_are_exact) {
    for (size_t b = 0; b < BITS; b++) {
        run r;
        open_run(&r, all_bits[b], 256, true, (pp__shape){2, 9, 16, 32});
        fill(&r);
        for (size_t i = 0; i < r.count; i++) {
            if (i % 11 == 0) r.x[i] = 1e-30f;
            if (i / 256 % 5 == 0 && i % 256) r.x[i] = 0; /* one positive element */
            if (i / 256 % 5 == 1) r.x[i] = 0;            /* none */
        }
        check_all(&r, &(ref_group_key){6, 6, 6});
        uint8_t *mask = op_harness_bytes(&r.h, r.count);
        ref_group_decode_mask(&r.group, r.shape, r.code, mask);
        for (size_t i = 0; i < r.count; i++) {
            ck_assert_int_eq(mask[i], r.x[i] > 0);
            ck_assert_int_eq(r.back[i] > 0, r.x[i] > 0);
            ck_assert_int_eq(r.back[i] == 0, !(r.x[i] > 0));
        }
        op_harness_destroy(&r.h);
    }
}
END_TEST

/* The mask as the ReLU's backward reads it. */
START_TEST(relu_reads_the_mask) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t b = 0; b < BITS; b++) {
            char text[PP__CODING_TEXT];
            snprintf(text, sizeof text, "group:%u,size=%zu", all_bits[b], sizes[(i + b) % SIZES]);
            op_case c = {.op = &pp__op_relu, .inputs = {op_harness_shape(i)}, .codings = {text}};
            op_harness h;
            op_harness_create(&h, &c);
            size_t count = op_harness_elems(c.inputs[0]);
            double *x = op_harness_random(&h, h.b.inputs[0], count);
            op_harness_forward(&h);
            double *dy = op_harness_random(&h, h.b.output_gradient, count);
            op_harness_backward(&h);
            double *dx = op_harness_room(&h, count);
            for (size_t k = 0; k < count; k++) dx[k] = x[k] > 0 ? dy[k] : 0;
            op_harness_expect(&h, text, h.b.input_gradients[0], dx, count, 0, 0);
            op_harness_destroy(&h);
        }
}
END_TEST

/* A weight gradient from the code that the device wrote, by kernels that decode as they load, and
 * by those that take float32. */
START_TEST(weight_gradients_read_the_code) {
    static const pp_conv2d_params p = {24, 3, 3, 1, 1, 1, 1, 1, 1, 1, false},
                                  strided = {8, 1, 1, 2, 2, 0, 0, 1, 1, 1, false};
    static const struct {
        pp__shape shape;
        const pp_conv2d_params *params;
        const char *profile;
    } cases[] = {{{3, 16, 16, 24}, &p, NULL},
                 {{2, 9, 7, 20}, &p, NULL},
                 {{2, 9, 7, 20}, &strided, NULL},
                 {{3, 9, 7, 24}, &p, "default"},
                 {{3, 8, 8, 32}, &strided, "discrete"}};
    static const ref_group group = {4, 256, false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pp_conv2d_params *params = cases[i].params;
        op_case c = {.op = &pp__op_conv2d,
                     .params = params,
                     .inputs = {cases[i].shape},
                     .codings = {"group:4"},
                     .profile = cases[i].profile};
        op_harness h;
        op_harness_create(&h, &c);
        size_t count = op_harness_elems(cases[i].shape);
        size_t outputs = op_harness_elems(h.shapes.output);
        size_t weights = op_harness_elems(h.shapes.parameters[0].shape);
        op_harness_random(&h, h.b.inputs[0], count);
        op_harness_random(&h, h.b.parameters[0], weights);
        op_harness_forward(&h);
        double *dy = op_harness_random(&h, h.b.output_gradient, outputs);
        op_harness_backward(&h);
        const ref_shape shape = ref_of(cases[i].shape);
        const ref_conv2d g = {
            shape,
            params->out_channels,
            params->groups,
            {params->kernel_h, params->kernel_w, params->stride_h, params->stride_w, params->pad_h,
             params->pad_w, params->dilation_h, params->dilation_w}};
        uint8_t *code = op_harness_bytes(&h, ref_group_bytes(&group, shape));
        float *seen = op_harness_bytes(&h, count * sizeof *seen);
        double *wide = op_harness_room(&h, count), *dw = op_harness_room(&h, weights), most = 0;
        op_harness_read(&h, h.stored[0].code, code, ref_group_bytes(&group, shape));
        ref_group_decode(&group, shape, code, seen);
        for (size_t k = 0; k < count; k++) wide[k] = (double)seen[k];
        ref_conv2d_backward_weight(&g, wide, dy, dw);
        for (size_t k = 0; k < weights; k++) most = fmax(most, fabs(dw[k]));
        op_harness_expect(&h, "dw", h.b.parameter_gradients[0], dw, weights, (float)(1e-5 * most),
                          0);
        op_harness_destroy(&h);
    }
}
END_TEST

/* One positive level: zeros stay and sums do. */
START_TEST(one_bit_keeps_the_mean) {
    run r;
    open_run(&r, 1, 64, true, (pp__shape){2, 6, 5, 16});
    fill(&r);
    check_all(&r, &(ref_group_key){0});
    double sum = 0, back = 0;
    for (size_t i = 0; i < r.count; i++) sum += (double)r.x[i], back += (double)r.back[i];
    ck_assert_msg(fabs(sum - back) <= 1e-6 * sum, "%g came back as %g", sum, back);
    op_harness_destroy(&r.h);
}
END_TEST

/* All equal, tiny, huge, far from 0 beside their range, and zeros of both signs. */
START_TEST(wild_groups_equal_the_reference) {
    static const float firsts[] = {0, 1,        -1,    3.14159f, -3.14159f, 1e30f,    -1e30f,
                                   0, 1e-30f,   100,   -100,     1e-20f,    -3.3e38f, 3.3e38f,
                                   0, -1.6e38f, 65504, 1e-37f,   -0.0f};
    static const float ranges[] = {0,      0,       0,     0,      0,      0,     0,
                                   3e38f,  1e-30f,  1e-3f, 1e-3f,  1e-25f, 1e36f, -1e36f,
                                   1e-36f, 3.2e38f, 1e-2f, 1e-37f, 0};
    enum { WILD = sizeof firsts / sizeof *firsts };
    for (size_t b = 0; b < BITS; b++)
        for (int relu = 0; relu < 2; relu++) {
            run r;
            open_run(&r, all_bits[b], 64, relu, (pp__shape){WILD, 4, 4, 8});
            for (size_t i = 0; i < r.count; i++) {
                size_t kind = i / 128;
                r.x[i] = firsts[kind] + ranges[kind] * test_random_uniform(0, 1);
                if (i % 2 && firsts[kind] == 0 && ranges[kind] == 0) r.x[i] = -r.x[i];
                if (relu && !(r.x[i] > 0)) r.x[i] = i % 2 ? 0.0f : -0.0f;
            }
            check_all(&r, &(ref_group_key){12, 34, 56});
            for (size_t i = 0; i < r.count; i++) {
                double step = (double)ref_group_step(&r.group, r.shape, r.code, i);
                double error = fabs((double)r.back[i] - (double)r.x[i]);
                if (isnan(r.back[i]) || (relu && all_bits[b] == 1)) continue;
                ck_assert_msg(error <= step * (1 + 1e-4) + fabs((double)r.x[i]) * 0x1p-22,
                              "group:%u, relu %d: element %zu, %g, came back as %g; a step is %g",
                              all_bits[b], relu, i, (double)r.x[i], (double)r.back[i], step);
            }
            op_harness_destroy(&r.h);
        }
}
END_TEST

/* NaN and infinities make their own group NaN and leave the others, and the mask, alone. */
START_TEST(a_broken_group_breaks_no_other) {
    static const float broken[] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < BITS; b++)
        for (int relu = 0; relu < 2; relu++)
            for (size_t kind = 0; kind < 3u - (unsigned)relu; kind++) {
                run r, clean;
                open_run(&r, all_bits[b], 64, relu, (pp__shape){2, 5, 8, 16});
                open_run(&clean, all_bits[b], 64, relu, (pp__shape){2, 5, 8, 16});
                fill(&r);
                memcpy(clean.x, r.x, r.count * sizeof(float));
                size_t wrong = 5 * 64 + 37;
                r.x[wrong] = broken[kind];
                check_all(&r, &(ref_group_key){1, 2, 3});
                check_all(&clean, &(ref_group_key){1, 2, 3});
                for (size_t i = 0; i < r.count; i++) {
                    if (i / 64 == wrong / 64)
                        ck_assert(isnan(r.back[i]));
                    else
                        ck_assert_float_eq(r.back[i], clean.back[i]);
                }
                uint8_t *mask = op_harness_bytes(&r.h, r.count);
                ref_group_decode_mask(&r.group, r.shape, r.code, mask);
                for (size_t i = 0; relu && i < r.count; i++) ck_assert_int_eq(mask[i], r.x[i] > 0);
                op_harness_destroy(&r.h);
                op_harness_destroy(&clean.h);
            }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/group");
    TCase *test = tcase_create("device");
    tcase_add_test(test, codes_equal_the_reference);
    tcase_add_test(test, default_groups_equal_the_reference);
    tcase_add_test(test, draws_depend_on_seed_step_and_number);
    tcase_add_test(test, means_converge_to_the_values);
    tcase_add_test(test, errors_stay_below_a_step);
    tcase_add_test(test, levels_that_fit_come_back_exactly);
    tcase_add_test(test, masks_and_zeros_are_exact);
    tcase_add_test(test, relu_reads_the_mask);
    tcase_add_test(test, weight_gradients_read_the_code);
    tcase_add_test(test, one_bit_keeps_the_mean);
    tcase_add_test(test, wild_groups_equal_the_reference);
    tcase_add_test(test, a_broken_group_breaks_no_other);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
