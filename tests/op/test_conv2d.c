/* conv2d on the device against its reference; the weight gradient also against the reference fed
 * with what the input's code decodes to.
 *
 * Values and weights are N(0,1), so a partial sum of n products reaches about 4 sqrt(n), and n
 * roundings to float32 of it, of random signs, add up to an error of deviation n * 2^-24 * 4 / 3.
 * Sums are allowed six deviations, (n + 16) * 2^-21. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "op/conv2d.h"
#include "ref/blockmean_ref.h"
#include "ref/conv2d_ref.h"
#include "ref/half_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

typedef struct conv_case {
    pp__shape input;
    pp_conv2d_params params;
} conv_case;

/* out_channels, kernel, stride, pad, dilation, groups, bias */
static const conv_case cases[] = {
    {{1, 1, 1, 1}, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, true}},
    {{2, 5, 7, 3}, {8, 3, 3, 1, 1, 1, 1, 1, 1, 1, true}},
    {{3, 8, 8, 16}, {16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false}},
    {{2, 9, 9, 13}, {17, 3, 3, 2, 2, 1, 1, 1, 1, 1, true}},
    {{2, 8, 8, 24}, {32, 1, 1, 1, 1, 0, 0, 1, 1, 1, false}},
    {{3, 7, 9, 8}, {5, 1, 1, 2, 3, 0, 0, 1, 1, 1, true}},
    {{2, 11, 6, 4}, {7, 5, 2, 1, 2, 2, 0, 1, 1, 1, false}},
    {{1, 12, 12, 6}, {6, 3, 3, 1, 1, 2, 3, 2, 3, 1, true}},
    {{2, 6, 6, 12}, {18, 3, 3, 1, 1, 1, 1, 1, 1, 3, true}},
    {{2, 7, 7, 10}, {10, 3, 3, 2, 1, 1, 1, 1, 1, 10, false}},
    {{2, 4, 4, 3}, {4, 4, 4, 1, 1, 3, 3, 1, 1, 1, true}},
    {{1, 23, 19, 1}, {9, 7, 7, 3, 3, 3, 3, 1, 1, 1, true}},
    {{3, 9, 10, 20}, {40, 1, 1, 2, 2, 0, 0, 1, 1, 1, false}},
    {{2, 5, 8, 33}, {13, 1, 1, 1, 3, 0, 0, 1, 1, 1, true}},
    {{5, 2, 2, 65}, {33, 2, 2, 1, 1, 0, 0, 1, 1, 1, true}},
};

static ref_conv2d geometry(const conv_case *c) {
    const pp_conv2d_params *p = &c->params;
    return (ref_conv2d){.input = {c->input.n, c->input.h, c->input.w, c->input.c},
                        .out_channels = p->out_channels,
                        .groups = p->groups,
                        .window = {p->kernel_h, p->kernel_w, p->stride_h, p->stride_w, p->pad_h,
                                   p->pad_w, p->dilation_h, p->dilation_w}};
}

/* What backward sees of x. */
static void decode(op_harness *h, const ref_conv2d *g, const char *coding, const double *x,
                   double *seen) {
    size_t count = ref_elems(g->input);
    memcpy(seen, x, count * sizeof *seen);
    if (!strcmp(coding, "half"))
        for (size_t i = 0; i < count; i++)
            seen[i] = (double)ref_half_to_float(ref_half_from_float((float)x[i]));
    if (!strncmp(coding, "avgpool:", 8)) {
        size_t side = (size_t)(coding[8] - '0');
        double *means = op_harness_room(h, ref_elems(ref_blockmean_shape(g->input, side)));
        ref_blockmean_encode(g->input, side, x, means);
        ref_blockmean_decode(g->input, side, means, seen);
    }
}

static void check_forward(op_harness *h, const conv_case *c, const double *x, const double *w) {
    ref_conv2d g = geometry(c);
    size_t y_count = ref_elems(ref_conv2d_output(&g));
    size_t terms = g.window.kernel_h * g.window.kernel_w * g.input.c / g.groups;
    double *b = c->params.bias ? op_harness_random(h, h->b.parameters[1], g.out_channels) : NULL;
    double *y = op_harness_room(h, y_count);
    ck_assert_uint_eq(op_harness_elems(h->b.q.output), y_count);
    ref_conv2d_forward(&g, x, w, b, y);
    op_harness_forward(h);
    op_harness_expect(h, "y", h->b.output, y, y_count, tolerance(terms), 0);
}

static void check_backward(op_harness *h, const conv_case *c, const double *seen, const double *w) {
    ref_conv2d g = geometry(c);
    ref_shape out = ref_conv2d_output(&g);
    size_t x_count = ref_elems(g.input), w_count = ref_conv2d_weight_elems(&g),
           y_count = ref_elems(out);
    double *dy = op_harness_random(h, h->b.output_gradient, y_count);
    bool adds = h->c.adds, parameters_add = h->c.parameters_add;
    double *dx_before = adds ? op_harness_random(h, h->b.input_gradients[0], x_count) : NULL;
    double *dw_before =
        parameters_add ? op_harness_random(h, h->b.parameter_gradients[0], w_count) : NULL;
    double *db_before = parameters_add && c->params.bias
                            ? op_harness_random(h, h->b.parameter_gradients[1], g.out_channels)
                            : NULL;
    op_harness_backward(h);

    double *dx = op_harness_room(h, x_count), *dw = op_harness_room(h, w_count);
    ref_conv2d_backward_input(&g, w, dy, dx);
    op_harness_add(dx, dx_before, x_count);
    size_t terms = g.window.kernel_h * g.window.kernel_w * g.out_channels / g.groups;
    op_harness_expect(h, "dx", h->b.input_gradients[0], dx, x_count, tolerance(terms), 0);
    ref_conv2d_backward_weight(&g, seen, dy, dw);
    op_harness_add(dw, dw_before, w_count);
    op_harness_expect(h, "dw", h->b.parameter_gradients[0], dw, w_count, tolerance(ref_pixels(out)),
                      0);
    if (!c->params.bias) return;
    double *db = op_harness_room(h, g.out_channels);
    ref_conv2d_backward_bias(&g, dy, db);
    op_harness_add(db, db_before, g.out_channels);
    op_harness_expect(h, "db", h->b.parameter_gradients[1], db, g.out_channels,
                      tolerance(ref_pixels(out)), 0);
}

static void check(const conv_case *c, const char *coding, const char *profile, bool adds) {
    op_case oc = {.op = &pp__op_conv2d,
                  .params = &c->params,
                  .inputs = {c->input},
                  .codings = {coding},
                  .profile = profile,
                  .adds = adds,
                  .parameters_add = adds};
    op_harness h;
    op_harness_create(&h, &oc);
    ref_conv2d g = geometry(c);
    double *x = op_harness_random(&h, h.b.inputs[0], ref_elems(g.input));
    double *w = op_harness_random(&h, h.b.parameters[0], ref_conv2d_weight_elems(&g));
    double *seen = op_harness_room(&h, ref_elems(g.input));
    decode(&h, &g, coding, x, seen);
    check_forward(&h, c, x, w);
    check_backward(&h, c, seen, w);
    op_harness_destroy(&h);
}

enum { CASES = sizeof cases / sizeof *cases };

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < CASES; i++) {
        check(&cases[i], "raw", NULL, false);
        check(&cases[i], "raw", NULL, true);
    }
}
END_TEST

START_TEST(agrees_with_the_decoded_input) {
    static const char *const codings[] = {"half", "avgpool:2", "avgpool:3"};
    for (size_t i = 0; i < CASES; i++)
        for (size_t k = 0; k < sizeof codings / sizeof *codings; k++)
            check(&cases[i], codings[k], i % 2 ? "discrete" : NULL, k == 1);
}
END_TEST

START_TEST(agrees_under_every_profile) {
    static const char *const profiles[] = {"default", "pocl-cpu", "mali",
                                           "adreno",  "intel",    "discrete"};
    for (size_t i = 0; i < CASES; i++) check(&cases[i], "raw", profiles[i % 6], i % 2);
}
END_TEST

/* Any geometry whose window fits; small vectors and tiles keep the number of programs low. */
static conv_case random_case(void) {
    conv_case c;
    uint32_t groups = test_random_below(4) ? 1 : 1 + test_random_below(4);
    do {
        c.input = (pp__shape){1 + test_random_below(4), 1 + test_random_below(14),
                              1 + test_random_below(14), groups * (1 + test_random_below(11))};
        c.params = (pp_conv2d_params){.out_channels = groups * (1 + test_random_below(11)),
                                      .kernel_h = 1 + test_random_below(5),
                                      .kernel_w = 1 + test_random_below(5),
                                      .stride_h = 1 + test_random_below(3),
                                      .stride_w = 1 + test_random_below(3),
                                      .pad_h = test_random_below(4),
                                      .pad_w = test_random_below(4),
                                      .dilation_h = 1 + test_random_below(2),
                                      .dilation_w = 1 + test_random_below(2),
                                      .groups = groups,
                                      .bias = test_random_below(2)};
    } while (c.params.dilation_h * (c.params.kernel_h - 1) + 1 > c.input.h + 2 * c.params.pad_h ||
             c.params.dilation_w * (c.params.kernel_w - 1) + 1 > c.input.w + 2 * c.params.pad_w);
    return c;
}

static const char *const random_codings[] = {"raw", "raw", "half", "avgpool:2"};

START_TEST(agrees_on_random_geometries) {
    for (size_t i = 0; i < 40; i++) {
        conv_case c = random_case();
        check(&c, random_codings[i % 4], "mali", i % 8 > 3);
    }
}
END_TEST

/* Runs of tiles, packed weights, and a weight gradient in bands that a small scratch makes many. */
static const char *runs_profile(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/runs.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fputs(
        "parent = mali\nconv2d.vectors = 2\nconv2d.tile = 2\nconv2d.tile_most = 3\n"
        "conv2d.items = 5\nconv2d.scratch_bytes = 1K\nconv2d.pack = 1\nconv2d.blocks_last = 1\n"
        "conv2d.weight_items = 7\nconv2d_weight.scratch_bytes = 16K\n"
        "conv2d_weight.vectors = 2\nconv2d_weight.rows = 4\n",
        file);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

START_TEST(agrees_in_runs_and_bands) {
    const char *profile = runs_profile();
    for (size_t i = 0; i < CASES; i++) {
        if (cases[i].params.kernel_h * cases[i].params.kernel_w > 1) continue;
        check(&cases[i], "raw", profile, false);
        check(&cases[i], "raw", profile, true);
    }
    for (size_t i = 0; i < 60; i++) {
        conv_case c = random_case();
        check(&c, random_codings[i % 4], profile, i % 8 > 3);
    }
}
END_TEST

/* Count, mean and sum of squared deviations of each split, combined, against those of y. */
static void check_moments(const conv_case *c, const char *profile) {
    op_case oc = {
        .op = &pp__op_conv2d, .params = &c->params, .inputs = {c->input}, .profile = profile};
    op_harness h;
    op_harness_create(&h, &oc);
    ref_conv2d g = geometry(c);
    ref_shape out = ref_conv2d_output(&g);
    const pp_conv2d_params *p = &c->params;
    pp__conv2d_geometry geometry = {c->input.n,      c->input.h,      c->input.w,      c->input.c,
                                    (uint32_t)out.h, (uint32_t)out.w, p->out_channels, p->kernel_h,
                                    p->kernel_w,     p->stride_h,     p->stride_w,     p->pad_h,
                                    p->pad_w,        p->dilation_h,   p->dilation_w,   p->groups};
    uint32_t splits = pp__conv2d_pass_splits(&geometry, h.profile);
    if (splits == 0) { /* ways that leave them to who needs them */
        op_harness_destroy(&h);
        return;
    }
    if (!splits) { /* a way that leaves them to the batch-norm */
        op_harness_destroy(&h);
        return;
    }
    size_t moment_count = (size_t)splits * PP__OP_MOMENTS * out.c;
    h.b.output_moments = op_harness_tensor(&h, moment_count * sizeof(float));
    op_harness_random(&h, h.b.inputs[0], ref_elems(g.input));
    op_harness_random(&h, h.b.parameters[0], ref_conv2d_weight_elems(&g));
    if (p->bias) op_harness_random(&h, h.b.parameters[1], out.c);
    op_harness_forward(&h);
    float *y = op_harness_bytes(&h, ref_elems(out) * sizeof *y),
          *moments = op_harness_bytes(&h, moment_count * sizeof *moments);
    op_harness_read(&h, h.b.output, y, ref_elems(out) * sizeof *y);
    op_harness_read(&h, h.b.output_moments, moments, moment_count * sizeof *moments);
    size_t pixels = ref_pixels(out);
    for (size_t k = 0; k < out.c; k++) {
        double sum = 0, squares = 0, count = 0, split_sum = 0, split_squares = 0;
        for (size_t i = 0; i < pixels; i++) sum += (double)y[i * out.c + k];
        for (size_t i = 0; i < pixels; i++)
            squares += pow((double)y[i * out.c + k] - sum / (double)pixels, 2);
        for (size_t i = 0; i < splits; i++) {
            const float *m = moments + i * PP__OP_MOMENTS * out.c + k;
            count += (double)m[0];
            split_sum += (double)m[0] * (double)m[out.c];
            split_squares += (double)m[2 * out.c] +
                             (double)m[0] * pow((double)m[out.c] - sum / (double)pixels, 2);
        }
        ck_assert(count == (double)pixels);
        ck_assert_double_eq_tol(split_sum, sum, 1e-5 * (double)pixels * (1 + fabs(sum)));
        ck_assert_double_eq_tol(split_squares, squares, 1e-5 * (1 + squares));
    }
    op_harness_destroy(&h);
}

START_TEST(moments_are_those_of_the_output) {
    const char *const profiles[] = {runs_profile(), "pocl-cpu"};
    for (size_t i = 0; i < CASES; i++) check_moments(&cases[i], profiles[i % 2]);
    for (size_t i = 0; i < 20; i++) {
        conv_case c = random_case();
        check_moments(&c, profiles[0]);
    }
}
END_TEST

START_TEST(refuses_windows) {
    pp__op_shapes shapes;
    pp__shape inputs[] = {{64, 2, 2, 16}};
    pp_conv2d_params params = {8, 3, 3, 1, 1, 0, 0, 1, 1, 1, false};
    TEST_FAILS(pp__op_conv2d.infer(test_engine(), "conv1", &params, inputs, &shapes),
               PP_ERROR_SHAPE, "node 'conv1' (conv2d): window 3x3");
    params = (pp_conv2d_params){8, 1, 1, 1, 1, 0, 0, 1, 1, 3, false};
    TEST_FAILS(pp__op_conv2d.infer(test_engine(), "conv1", &params, inputs, &shapes),
               PP_ERROR_SHAPE, "3 groups do not divide 16 input and 8 output channels");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/conv2d");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, agrees_with_the_decoded_input);
    tcase_add_test(test, agrees_under_every_profile);
    tcase_add_test(test, agrees_on_random_geometries);
    tcase_add_test(test, agrees_in_runs_and_bands);
    tcase_add_test(test, moments_are_those_of_the_output);
    tcase_add_test(test, refuses_windows);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
