/* Depthwise convolution against the reference of conv2d, under profiles of the test's own.
 * Tolerances are those of test_conv2d.c. */
#include <stdio.h>

#include "op/conv2d.h"
#include "profile/profile.h"
#include "ref/conv2d_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

typedef struct setting {
    uint32_t vector, tile, rows, blocks, weight_items;
} setting;

enum { SETTINGS = 5 };
static const setting settings[SETTINGS] = {
    {4, 4, 1, 1, 1},     {1, 1, 3, 2, 9},  {16, 8, 4, 1 << 20, 64},
    {8, 16, 2, 1, 1000}, {2, 2, 64, 3, 5},
};

static void open_harness(op_harness *h, const setting *s) {
    char path[256];
    snprintf(path, sizeof path, "%s/depthwise.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fprintf(file,
            "conv2d.vector = %u\nconv2d_depthwise.tile = %u\nconv2d_depthwise.rows = %u\n"
            "conv2d_depthwise.blocks = %u\nconv2d_depthwise.weight_items = %u\n",
            s->vector, s->tile, s->rows, s->blocks, s->weight_items);
    ck_assert_int_eq(fclose(file), 0);
    op_harness_open(h, path);
}

static ref_conv2d reference_of(const pp__conv2d_geometry *g) {
    return (ref_conv2d){.input = {g->n, g->h, g->w, g->c},
                        .out_channels = g->k,
                        .groups = g->groups,
                        .window = {g->r, g->s, g->stride_h, g->stride_w, g->pad_h, g->pad_w,
                                   g->dilation_h, g->dilation_w}};
}

static pp__ref tensor(op_harness *h, size_t elems) {
    return op_harness_tensor(h, elems * sizeof(float));
}

static void check_forward(op_harness *h, const pp__conv2d_geometry *g, pp__ref x, pp__ref w,
                          bool biased) {
    const ref_conv2d r = reference_of(g);
    const size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
    pp__ref b = {0}, y = tensor(h, y_count);
    if (biased) b = tensor(h, g->k);
    const double *xs = op_harness_random(h, x, x_count),
                 *ws = op_harness_random(h, w, ref_conv2d_weight_elems(&r));
    const double *bs = biased ? op_harness_random(h, b, g->k) : NULL;
    double *ys = op_harness_room(h, y_count);
    ref_conv2d_forward(&r, xs, ws, bs, ys);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_depthwise_forward(h->b.stream, g, x, w, b, y));
    op_harness_run(h);
    op_harness_expect(h, "y", y, ys, y_count, tolerance((size_t)g->r * g->s), 0);
}

static void check_backward_input(op_harness *h, const pp__conv2d_geometry *g, pp__ref w, pp__ref dy,
                                 bool adds) {
    const ref_conv2d r = reference_of(g);
    const size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
    pp__ref dx = tensor(h, x_count);
    const double *ws = op_harness_random(h, w, ref_conv2d_weight_elems(&r)),
                 *dys = op_harness_random(h, dy, y_count);
    const double *before = adds ? op_harness_random(h, dx, x_count) : NULL;
    double *dxs = op_harness_room(h, x_count);
    ref_conv2d_backward_input(&r, ws, dys, dxs);
    op_harness_add(dxs, before, x_count);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_depthwise_backward_input(h->b.stream, g, w, dy, dx, adds));
    op_harness_run(h);
    op_harness_expect(h, "dx", dx, dxs, x_count, tolerance((size_t)g->r * g->s), 0);
}

static void check_backward_weight(op_harness *h, const pp__conv2d_geometry *g, pp__ref x,
                                  pp__ref dy, bool adds) {
    const ref_conv2d r = reference_of(g);
    const ref_shape out = ref_conv2d_output(&r);
    const size_t w_count = ref_conv2d_weight_elems(&r);
    pp__ref dw = tensor(h, w_count), workspace = {0};
    const double *xs = op_harness_random(h, x, ref_elems(r.input)),
                 *dys = op_harness_random(h, dy, ref_elems(out));
    const double *before = adds ? op_harness_random(h, dw, w_count) : NULL;
    double *dws = op_harness_room(h, w_count);
    ref_conv2d_backward_weight(&r, xs, dys, dws);
    op_harness_add(dws, before, w_count);
    const size_t bytes = pp__conv2d_depthwise_bytes(g, PP__PASS_BACKWARD_PARAMETERS, h->profile);
    if (bytes) workspace = op_harness_tensor(h, bytes);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_depthwise_backward_weight(h->b.stream, g, x, dy, dw, adds, workspace));
    op_harness_run(h);
    op_harness_expect(h, "dw", dw, dws, w_count, tolerance(ref_pixels(out)), 0);
}

static void check(const setting *s, pp__conv2d_geometry g, bool flag) {
    g.k = g.groups = g.c;
    g.oh = pp__conv2d_output_extent(g.h, g.r, g.stride_h, g.pad_h, g.dilation_h);
    g.ow = pp__conv2d_output_extent(g.w, g.s, g.stride_w, g.pad_w, g.dilation_w);
    op_harness h;
    open_harness(&h, s);
    ck_assert(pp__conv2d_depthwise_fits(&g, h.profile));
    pp__ref x = tensor(&h, (size_t)g.n * g.h * g.w * g.c), w = tensor(&h, (size_t)g.r * g.s * g.c),
            dy = tensor(&h, (size_t)g.n * g.oh * g.ow * g.c);
    check_forward(&h, &g, x, w, flag);
    check_backward_input(&h, &g, w, dy, flag);
    check_backward_weight(&h, &g, x, dy, flag);
    op_harness_destroy(&h);
}

/* n, h, w, c; window, strides, padding, dilation. */
static const pp__conv2d_geometry cases[] = {
    {1, 1, 1, 2, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0},
    {2, 7, 9, 16, 0, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 0},
    {2, 9, 8, 24, 0, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 0},
    {1, 23, 31, 10, 0, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 0},
    {3, 11, 6, 13, 0, 0, 0, 5, 2, 1, 2, 2, 0, 1, 1, 0},
    {1, 12, 17, 6, 0, 0, 0, 3, 3, 1, 1, 2, 3, 2, 3, 0},
    {2, 4, 4, 3, 0, 0, 0, 4, 4, 1, 1, 3, 3, 1, 1, 0},
    {1, 23, 37, 40, 0, 0, 0, 7, 7, 3, 3, 3, 3, 1, 1, 0},
    {2, 5, 20, 37, 0, 0, 0, 1, 1, 2, 3, 0, 0, 1, 1, 0},
    {1, 9, 40, 19, 0, 0, 0, 3, 3, 2, 2, 2, 2, 2, 2, 0},
    {2, 3, 2, 64, 0, 0, 0, 3, 3, 3, 3, 3, 3, 1, 1, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < CASES; i++) check(&settings[i % SETTINGS], cases[i], i % 2);
    for (size_t i = 0; i < SETTINGS; i++) check(&settings[i], cases[2], true);
}
END_TEST

START_TEST(agrees_on_random_geometries) {
    for (size_t i = 0; i < 2 * SETTINGS; i++) {
        pp__conv2d_geometry g;
        do {
            g = (pp__conv2d_geometry){.n = 1 + test_random_below(4),
                                      .h = 1 + test_random_below(14),
                                      .w = 1 + test_random_below(30),
                                      .c = 2 + test_random_below(40),
                                      .r = 1 + test_random_below(5),
                                      .s = 1 + test_random_below(5),
                                      .stride_h = 1 + test_random_below(3),
                                      .stride_w = 1 + test_random_below(3),
                                      .pad_h = test_random_below(4),
                                      .pad_w = test_random_below(4),
                                      .dilation_h = 1 + test_random_below(2),
                                      .dilation_w = 1 + test_random_below(2)};
        } while (g.dilation_h * (g.r - 1) + 1 > g.h + 2 * g.pad_h ||
                 g.dilation_w * (g.s - 1) + 1 > g.w + 2 * g.pad_w);
        check(&settings[i % SETTINGS], g, i / SETTINGS);
    }
}
END_TEST

START_TEST(refuses_other_groups) {
    const pp__conv2d_geometry good = {2, 8, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 8};
    pp__conv2d_geometry bad[4] = {good, good, good, good};
    bad[0].groups = 4;
    bad[1].groups = 1;
    bad[2].k = 16;
    bad[3].s = 99;
    op_harness h;
    op_harness_open(&h, "default");
    ck_assert(pp__conv2d_depthwise_fits(&good, h.profile));
    for (size_t i = 0; i < 4; i++)
        ck_assert_msg(!pp__conv2d_depthwise_fits(&bad[i], h.profile), "geometry %zu", i);
    op_harness_destroy(&h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/conv2d_depthwise");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, agrees_on_random_geometries);
    tcase_add_test(test, refuses_other_groups);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
