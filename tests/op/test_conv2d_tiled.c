/* The convolution through local memory against its reference, under profiles of the test's own:
 * tiles and register tiles of several shapes, vectors of all widths, split sums. Tolerances are
 * those of test_conv2d.c. */
#include <stdio.h>
#include <string.h>

#include "op/conv2d.h"
#include "profile/profile.h"
#include "ref/conv2d_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

typedef struct setting {
    uint32_t rows, columns, item_rows, item_columns, depth, vector, groups, split_depth;
} setting;

/* The first two fit groups of 16 and of 32 work-items with 8 KiB. In the third a work-item copies
 * several vectors in a step, in the fifth most copy none. The last is what discrete.profile has. */
enum { SETTINGS = 6, SMALL = 0 };
static const setting settings[SETTINGS] = {
    {16, 16, 4, 4, 8, 2, 1, 1},   {32, 16, 4, 4, 16, 4, 64, 8},   {32, 64, 8, 8, 32, 8, 1, 1},
    {16, 32, 2, 4, 8, 1, 40, 16}, {64, 32, 1, 2, 16, 4, 256, 32}, {64, 64, 8, 8, 16, 4, 512, 256},
};

/* The path of a profile with these numbers. */
static const char *write_profile(const setting *s, char path[256]) {
    snprintf(path, 256, "%s/tiled.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fprintf(file,
            "conv2d_tiled.rows = %u\nconv2d_tiled.columns = %u\nconv2d_tiled.item_rows = %u\n"
            "conv2d_tiled.item_columns = %u\nconv2d_tiled.depth = %u\nconv2d_tiled.vector = %u\n"
            "conv2d_tiled.groups = %u\nconv2d_tiled.split_depth = %u\n",
            s->rows, s->columns, s->item_rows, s->item_columns, s->depth, s->vector, s->groups,
            s->split_depth);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void open_harness(op_harness *h, const setting *s) {
    char path[256];
    op_harness_open(h, write_profile(s, path));
}

/* Small devices run small groups alone; where there is room, they have to fit. */
static bool has_room(const op_harness *h, const setting *s) {
    const uint32_t items = s->rows / s->item_rows * (s->columns / s->item_columns);
    const size_t floats = (size_t)s->depth * (s->rows + s->columns + 2 * s->vector) +
                          3 * ((size_t)s->rows + s->depth);
    return pp__profile_u32(h->profile, "launch.max_work_group_size") >= items &&
           pp__profile_bytes(h->profile, "launch.local_memory_bytes") >= floats * sizeof(float);
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

static pp__ref workspace_of(op_harness *h, const pp__conv2d_geometry *g, pp__pass pass) {
    const size_t bytes = pp__conv2d_tiled_bytes(g, pass, h->profile);
    return bytes ? op_harness_tensor(h, bytes) : (pp__ref){0};
}

static void check_forward(op_harness *h, const pp__conv2d_geometry *g, bool biased) {
    const ref_conv2d r = reference_of(g);
    const size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r)),
                 w_count = ref_conv2d_weight_elems(&r);
    pp__ref x = tensor(h, x_count), w = tensor(h, w_count), b = {0}, y = tensor(h, y_count);
    if (biased) b = tensor(h, g->k);
    const double *xs = op_harness_random(h, x, x_count), *ws = op_harness_random(h, w, w_count);
    const double *bs = biased ? op_harness_random(h, b, g->k) : NULL;
    double *ys = op_harness_room(h, y_count);
    ref_conv2d_forward(&r, xs, ws, bs, ys);
    const pp__ref workspace = workspace_of(h, g, PP__PASS_FORWARD);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_tiled_forward(h->b.stream, g, x, w, b, y, workspace));
    op_harness_run(h);
    op_harness_expect(h, "y", y, ys, y_count, tolerance((size_t)g->r * g->s * g->c), 0);
}

static void check_backward_input(op_harness *h, const pp__conv2d_geometry *g, bool adds) {
    const ref_conv2d r = reference_of(g);
    const size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r)),
                 w_count = ref_conv2d_weight_elems(&r);
    pp__ref w = tensor(h, w_count), dy = tensor(h, y_count), dx = tensor(h, x_count);
    const double *ws = op_harness_random(h, w, w_count), *dys = op_harness_random(h, dy, y_count);
    const double *before = adds ? op_harness_random(h, dx, x_count) : NULL;
    double *dxs = op_harness_room(h, x_count);
    ref_conv2d_backward_input(&r, ws, dys, dxs);
    op_harness_add(dxs, before, x_count);
    const pp__ref workspace = workspace_of(h, g, PP__PASS_BACKWARD);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_tiled_backward_input(h->b.stream, g, w, dy, dx, adds, workspace));
    op_harness_run(h);
    op_harness_expect(h, "dx", dx, dxs, x_count, tolerance((size_t)g->r * g->s * g->k), 0);
}

static void check_backward_weight(op_harness *h, const pp__conv2d_geometry *g, bool adds) {
    const ref_conv2d r = reference_of(g);
    const ref_shape out = ref_conv2d_output(&r);
    const size_t x_count = ref_elems(r.input), y_count = ref_elems(out),
                 w_count = ref_conv2d_weight_elems(&r);
    pp__ref x = tensor(h, x_count), dy = tensor(h, y_count), dw = tensor(h, w_count);
    const double *xs = op_harness_random(h, x, x_count), *dys = op_harness_random(h, dy, y_count);
    const double *before = adds ? op_harness_random(h, dw, w_count) : NULL;
    double *dws = op_harness_room(h, w_count);
    ref_conv2d_backward_weight(&r, xs, dys, dws);
    op_harness_add(dws, before, w_count);
    const pp__ref workspace = workspace_of(h, g, PP__PASS_BACKWARD_PARAMETERS);
    op_harness_begin(h);
    TEST_OK(pp__conv2d_tiled_backward_weight(h->b.stream, g, x, dy, dw, adds, workspace));
    op_harness_run(h);
    op_harness_expect(h, "dw", dw, dws, w_count, tolerance(ref_pixels(out)), 0);
}

static void check(const setting *s, pp__conv2d_geometry g, bool flag) {
    g.oh = pp__conv2d_output_extent(g.h, g.r, g.stride_h, g.pad_h, g.dilation_h);
    g.ow = pp__conv2d_output_extent(g.w, g.s, g.stride_w, g.pad_w, g.dilation_w);
    op_harness h;
    open_harness(&h, s);
    const bool fits = pp__conv2d_tiled_fits(&g, h.profile);
    ck_assert_int_eq(fits, has_room(&h, s));
    if (fits) {
        check_forward(&h, &g, flag);
        check_backward_input(&h, &g, flag);
        check_backward_weight(&h, &g, flag);
    }
    op_harness_destroy(&h);
}

/* n, h, w, c, (oh, ow), k, window, strides, padding, dilation, groups. Whole and broken vectors and
 * tiles, primes, windows longer than the image, paddings wide, strides that skip taps. */
static const pp__conv2d_geometry cases[] = {
    {1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {2, 5, 7, 3, 0, 0, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {3, 8, 8, 16, 0, 0, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 9, 9, 13, 0, 0, 17, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {2, 8, 8, 24, 0, 0, 72, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {3, 7, 9, 8, 0, 0, 5, 1, 1, 2, 3, 0, 0, 1, 1, 1},
    {2, 11, 6, 4, 0, 0, 7, 5, 2, 1, 2, 2, 0, 1, 1, 1},
    {1, 12, 12, 6, 0, 0, 6, 3, 3, 1, 1, 2, 3, 2, 3, 1},
    {2, 4, 4, 3, 0, 0, 4, 4, 4, 1, 1, 3, 3, 1, 1, 1},
    {1, 23, 19, 1, 0, 0, 9, 7, 7, 3, 3, 3, 3, 1, 1, 1},
    {5, 2, 2, 67, 0, 0, 32, 2, 2, 1, 1, 0, 0, 1, 1, 1},
    {67, 1, 1, 41, 0, 0, 10, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {1, 9, 11, 32, 0, 0, 64, 3, 3, 2, 2, 2, 2, 2, 2, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(agrees_with_reference) {
    for (size_t i = 0; i < CASES; i++) check(&settings[i % SETTINGS], cases[i], i % 2);
    for (size_t i = 0; i < SETTINGS; i++) check(&settings[i], cases[2], true);
}
END_TEST

static pp__conv2d_geometry random_geometry(void) {
    pp__conv2d_geometry g = {.groups = 1};
    do {
        g.n = 1 + test_random_below(4);
        g.h = 1 + test_random_below(14);
        g.w = 1 + test_random_below(14);
        g.c = 1 + test_random_below(40);
        g.k = 1 + test_random_below(80);
        g.r = 1 + test_random_below(5);
        g.s = 1 + test_random_below(5);
        g.stride_h = 1 + test_random_below(3);
        g.stride_w = 1 + test_random_below(3);
        g.pad_h = test_random_below(4);
        g.pad_w = test_random_below(4);
        g.dilation_h = 1 + test_random_below(2);
        g.dilation_w = 1 + test_random_below(2);
        if (test_random_below(2)) {
            g.c = (g.c + 7) / 8 * 8;
            g.k = (g.k + 7) / 8 * 8;
        }
    } while (g.dilation_h * (g.r - 1) + 1 > g.h + 2 * g.pad_h ||
             g.dilation_w * (g.s - 1) + 1 > g.w + 2 * g.pad_w);
    return g;
}

START_TEST(agrees_on_random_geometries) {
    for (size_t i = 0; i < 2 * SETTINGS; i++)
        check(&settings[i % SETTINGS], random_geometry(), i / SETTINGS);
}
END_TEST

/* Sums are added in an order that the profile fixes, whatever the device schedules. */
START_TEST(repeats_bit_for_bit) {
    const pp__conv2d_geometry g = {2, 9, 9, 16, 9, 9, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1};
    op_harness h;
    open_harness(&h, &settings[1]);
    if (pp__conv2d_tiled_fits(&g, h.profile)) {
        const size_t x_count = 2 * 9 * 9 * 16, y_count = 2 * 9 * 9 * 24, w_count = 9 * 16 * 24;
        pp__ref x = tensor(&h, x_count), dy = tensor(&h, y_count);
        pp__ref dw[2] = {tensor(&h, w_count), tensor(&h, w_count)};
        ck_assert_uint_ge(pp__conv2d_tiled_bytes(&g, PP__PASS_BACKWARD_PARAMETERS, h.profile),
                          2 * w_count * sizeof(float));
        const pp__ref workspace = workspace_of(&h, &g, PP__PASS_BACKWARD_PARAMETERS);
        op_harness_random(&h, x, x_count);
        op_harness_random(&h, dy, y_count);
        op_harness_begin(&h);
        for (size_t i = 0; i < 2; i++)
            TEST_OK(
                pp__conv2d_tiled_backward_weight(h.b.stream, &g, x, dy, dw[i], false, workspace));
        op_harness_run(&h);
        float *found[2];
        for (size_t i = 0; i < 2; i++) {
            found[i] = op_harness_bytes(&h, w_count * sizeof(float));
            op_harness_read(&h, dw[i], found[i], w_count * sizeof(float));
        }
        ck_assert_mem_eq(found[0], found[1], w_count * sizeof(float));
    }
    op_harness_destroy(&h);
}
END_TEST

START_TEST(refuses_what_it_cannot_compute) {
    const pp__conv2d_geometry good = {2, 8, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1};
    pp__conv2d_geometry grouped = good, huge = good;
    grouped.groups = 2;
    huge.n = 1u << 24;
    op_harness h;
    open_harness(&h, &settings[SMALL]);
    ck_assert(pp__conv2d_tiled_fits(&good, h.profile));
    ck_assert(!pp__conv2d_tiled_fits(&grouped, h.profile));
    ck_assert(!pp__conv2d_tiled_fits(&huge, h.profile));
    op_harness_destroy(&h);
}
END_TEST

/* A group that is too large for the device is found before anything runs. */
START_TEST(a_group_that_is_too_large_is_refused) {
    const pp__conv2d_geometry g = {2, 8, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1};
    op_harness h;
    open_harness(&h, &settings[SMALL]);
    TEST_OK(pp__profile_tighten(h.profile, "launch.max_work_group_size", 8, false));
    ck_assert(!pp__conv2d_tiled_fits(&g, h.profile));
    pp__ref x = tensor(&h, 2 * 8 * 8 * 8), w = tensor(&h, 9 * 8 * 8), y = tensor(&h, 2 * 8 * 8 * 8);
    op_harness_begin(&h);
    TEST_FAILS(pp__conv2d_tiled_forward(h.b.stream, &g, x, w, (pp__ref){0}, y, (pp__ref){0}),
               PP_ERROR_UNSUPPORTED, "needs groups of 16x1x1 work-items; 8 is the most");
    op_harness_run(&h);
    op_harness_destroy(&h);
}
END_TEST

/* The shipped numbers: graphics cards with memory of their own alone. */
START_TEST(is_on_where_local_memory_pays) {
    static const char *const profiles[] = {"default", "mali", "adreno", "intel", "pocl-cpu"};
    const pp__conv2d_geometry g = {2, 8, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1};
    op_harness h;
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        op_harness_open(&h, profiles[i]);
        ck_assert_msg(!pp__conv2d_tiled_fits(&g, h.profile), "%s", profiles[i]);
        op_harness_destroy(&h);
    }
    op_harness_open(&h, "discrete");
    if (has_room(&h, &settings[SETTINGS - 1])) ck_assert(pp__conv2d_tiled_fits(&g, h.profile));
    op_harness_destroy(&h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/conv2d_tiled");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, agrees_on_random_geometries);
    tcase_add_test(test, repeats_bit_for_bit);
    tcase_add_test(test, refuses_what_it_cannot_compute);
    tcase_add_test(test, a_group_that_is_too_large_is_refused);
    tcase_add_test(test, is_on_where_local_memory_pays);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
