/* Winograd's convolution against the reference, under profiles of the test's own: tiles of both
 * sizes, vectors of all widths, blocks in small and large scratches.
 *
 * Its rounding error. Let A, B and G be the matrices of cl/op/winograd.cl with m outputs. With
 * N(0,1) inputs an element of plane (i, j) is a sum of products of deviation |B_i||B_j||G_i||G_j|,
 * its rounding error is in proportion, and the way back scales it by A. Along one axis output a
 * carries
 *
 *     f_a = sum_i A_ai^2 |B_i|^2 |G_i|^2
 *
 * of the error's variance, so the error's deviation is sqrt(f_a f_b) / 3 of the plain sum's: for
 * m = 4 it is 4.78 on the average of a tile's outputs and 8.19 in the last; for m = 2 it is 1.67
 * everywhere. In the weight gradient it is 4.78 and 6.56, or 1.67 and 2. Tolerances are those of
 * test_conv2d.c times the largest of these. */
#include <math.h>
#include <stdio.h>

#include "op/coded_input.h"
#include "op/winograd.h"
#include "profile/profile.h"
#include "ref/conv2d_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

typedef struct setting {
    uint32_t output, vector, vectors, rows, tiles, channels, scratch_bytes;
} setting;

/* The last has the size of a processor's own. */
enum { SETTINGS = 4, SMALL = 0, DEEP = 1, WIDE = 3 };
static const setting settings[SETTINGS] = {{2, 4, 2, 3, 6, 8, 8 << 10},
                                           {4, 4, 2, 5, 10, 12, 32 << 10},
                                           {2, 8, 3, 4, 16, 48, 128 << 10},
                                           {4, 16, 4, 6, 48, 64, 960 << 10}};

static float amplification(const setting *s) {
    return s->output == 4 ? 8.2f : 2.0f;
}
static float tolerance(const setting *s, size_t terms) {
    return amplification(s) * (float)(terms + 16) * 0x1p-21f;
}

/* The path of a profile with these numbers. */
static const char *write_profile(const setting *s, char path[256]) {
    snprintf(path, 256, "%s/winograd.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fprintf(file,
            "winograd.scratch_bytes = %u\nwinograd.output = %u\nconv2d.vector = %u\n"
            "winograd.vectors = %u\nwinograd.rows = %u\nwinograd.tiles = %u\n"
            "winograd.channels = %u\nwinograd.items = 3\nwinograd.min_channels = 1\n"
            "winograd.min_tiles = 1\nwinograd.min_saving = 1\n",
            s->scratch_bytes, s->output, s->vector, s->vectors, s->rows, s->tiles, s->channels);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void open_harness(op_harness *h, const setting *s) {
    char path[256];
    op_harness_open(h, write_profile(s, path));
}

typedef struct extents {
    uint32_t n, h, w, c, k, pad_h, pad_w;
} extents;

static pp__conv2d_geometry geometry_of(const extents *e) {
    return (pp__conv2d_geometry){e->n,
                                 e->h,
                                 e->w,
                                 e->c,
                                 e->h + 2 * e->pad_h - 2,
                                 e->w + 2 * e->pad_w - 2,
                                 e->k,
                                 3,
                                 3,
                                 1,
                                 1,
                                 e->pad_h,
                                 e->pad_w,
                                 1,
                                 1,
                                 1};
}
static ref_conv2d reference_of(const extents *e) {
    return (ref_conv2d){.input = {e->n, e->h, e->w, e->c},
                        .out_channels = e->k,
                        .groups = 1,
                        .window = {3, 3, 1, 1, e->pad_h, e->pad_w, 1, 1}};
}

static pp__ref tensor(op_harness *h, size_t elems) {
    return op_harness_tensor(h, elems * sizeof(float));
}

/* The splits' counts add up to the pixels; merged, mean and variance are y's own. `y` is the
 * device's. */
static void check_moments(op_harness *h, const setting *s, pp__ref moments, uint32_t splits,
                          pp__ref y, size_t pixels, size_t k) {
    float *parts = op_harness_bytes(h, splits * 3 * k * sizeof *parts);
    float *values = op_harness_bytes(h, pixels * k * sizeof *values);
    op_harness_read(h, moments, parts, splits * 3 * k * sizeof *parts);
    op_harness_read(h, y, values, pixels * k * sizeof *values);
    for (size_t c = 0; c < k; c++) {
        double count = 0, sum = 0, squares = 0, expected = 0, mean = 0, found = 0;
        for (size_t p = 0; p < pixels; p++) mean += (double)values[p * k + c] / (double)pixels;
        for (size_t p = 0; p < pixels; p++) expected += pow((double)values[p * k + c] - mean, 2);
        for (size_t i = 0; i < splits; i++) {
            const float *part = parts + i * 3 * k + c;
            count += (double)part[0];
            sum += (double)part[0] * (double)part[k];
            found += (double)part[2 * k];
            squares += (double)part[0] * pow((double)part[k] - mean, 2);
        }
        double unit = sqrt(expected / (double)pixels) + fabs(mean);
        ck_assert_msg(count == (double)pixels, "output %u: %g of %zu pixels", s->output, count,
                      pixels);
        ck_assert_msg(fabs(sum / count - mean) <= unit * 0x1p-20, "mean %g, expected %g",
                      sum / count, mean);
        ck_assert_msg(fabs(found + squares - expected) <= (expected + unit) * 0x1p-18,
                      "squares %g, expected %g", found + squares, expected);
    }
}

static void check_forward(op_harness *h, const setting *s, const extents *e, bool flag) {
    pp__conv2d_geometry g = geometry_of(e);
    ref_conv2d r = reference_of(e);
    size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
    size_t w_count = ref_conv2d_weight_elems(&r);
    uint32_t splits = pp__winograd_moment_splits(&g, h->profile);
    pp__ref x = tensor(h, x_count), w = tensor(h, w_count), y = tensor(h, y_count);
    pp__ref b = flag ? tensor(h, e->k) : (pp__ref){0};
    pp__ref moments = flag ? tensor(h, (size_t)splits * 3 * e->k) : (pp__ref){0};
    const double *xs = op_harness_random(h, x, x_count), *ws = op_harness_random(h, w, w_count);
    const double *bs = flag ? op_harness_random(h, b, e->k) : NULL;
    double *ys = op_harness_room(h, y_count);
    ref_conv2d_forward(&r, xs, ws, bs, ys);
    op_harness_begin(h);
    TEST_OK(pp__winograd_forward(h->b.stream, &g, x, w, b, y, moments));
    op_harness_run(h);
    op_harness_expect(h, "y", y, ys, y_count, tolerance(s, 9 * e->c), 0);
    if (flag) check_moments(h, s, moments, splits, y, y_count / e->k, e->k);
}

static void check_backward_input(op_harness *h, const setting *s, const extents *e, bool adds) {
    pp__conv2d_geometry g = geometry_of(e);
    ref_conv2d r = reference_of(e);
    size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
    size_t w_count = ref_conv2d_weight_elems(&r);
    pp__ref w = tensor(h, w_count), dy = tensor(h, y_count), dx = tensor(h, x_count);
    const double *ws = op_harness_random(h, w, w_count), *dys = op_harness_random(h, dy, y_count);
    const double *before = adds ? op_harness_random(h, dx, x_count) : NULL;
    double *dxs = op_harness_room(h, x_count);
    ref_conv2d_backward_input(&r, ws, dys, dxs);
    op_harness_add(dxs, before, x_count);
    op_harness_begin(h);
    TEST_OK(pp__winograd_backward_input(h->b.stream, &g, w, dy, dx, adds));
    op_harness_run(h);
    op_harness_expect(h, "dx", dx, dxs, x_count, tolerance(s, 9 * e->k), 0);
}

static void check_backward_weight(op_harness *h, const setting *s, const extents *e, bool adds) {
    pp__conv2d_geometry g = geometry_of(e);
    ref_conv2d r = reference_of(e);
    size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
    size_t w_count = ref_conv2d_weight_elems(&r);
    pp__ref x = tensor(h, x_count), dy = tensor(h, y_count), dw = tensor(h, w_count);
    size_t bytes = pp__winograd_partial_bytes(&g, h->profile);
    pp__ref workspace = {0};
    if (bytes) workspace = op_harness_tensor(h, bytes);
    const double *xs = op_harness_random(h, x, x_count), *dys = op_harness_random(h, dy, y_count);
    const double *before = adds ? op_harness_random(h, dw, w_count) : NULL;
    double *dws = op_harness_room(h, w_count);
    ref_conv2d_backward_weight(&r, xs, dys, dws);
    op_harness_add(dws, before, w_count);
    pp__stored stored = {
        .subject = PP__SUBJECT_ACTIVATION, .shape = {g.n, g.h, g.w, g.c}, .code = x};
    TEST_OK(pp__coding_read(test_engine(), "raw", &stored.coding));
    op_harness_begin(h);
    TEST_OK(pp__winograd_backward_weight(h->b.stream, &g, &stored, dy, dw, adds, workspace));
    op_harness_run(h);
    op_harness_expect(h, "dw", dw, dws, w_count, tolerance(s, ref_pixels(ref_conv2d_output(&r))),
                      0);
}

static bool fits(const op_harness *h, const extents *e) {
    pp__conv2d_geometry g = geometry_of(e);
    return pp__winograd_fits(&g, PP__PASS_FORWARD, h->profile) &&
           pp__winograd_fits(&g, PP__PASS_BACKWARD, h->profile) &&
           pp__winograd_fits(&g, PP__PASS_BACKWARD_PARAMETERS, h->profile);
}

static void check(const setting *s, const extents *e, bool flag) {
    op_harness h;
    open_harness(&h, s);
    ck_assert(fits(&h, e));
    check_forward(&h, s, e, flag);
    check_backward_input(&h, s, e, flag);
    check_backward_weight(&h, s, e, flag);
    op_harness_destroy(&h);
}

/* Extents around multiples of a tile, and every padding. */
START_TEST(agrees_with_reference) {
    static const uint32_t sides[][2] = {{1, 5}, {7, 7}, {8, 4}, {13, 10}};
    for (size_t i = 0; i < SETTINGS; i++)
        for (size_t j = 0; j < sizeof sides / sizeof *sides; j++) {
            const setting *s = &settings[i];
            extents e = {
                1 + (uint32_t)j % 3, sides[j][0], sides[j][1], s->vector * 3, s->vector * 2, 1, 1};
            check(s, &e, j % 2);
        }
}
END_TEST

START_TEST(agrees_on_random_extents) {
    for (size_t i = 0; i < 12; i++) {
        const setting *s = &settings[i % SETTINGS];
        uint32_t most = 96 / s->vector;
        extents e = {1 + test_random_below(5),
                     3 + test_random_below(12),
                     3 + test_random_below(12),
                     s->vector * (1 + test_random_below(most)),
                     s->vector * (1 + test_random_below(most)),
                     test_random_below(3),
                     test_random_below(3)};
        check(s, &e, i / SETTINGS % 2);
    }
}
END_TEST

/* Kernels that decode as they load, of vectors of one octet and of two, against the reference fed
 * with what the code decodes to. Its values are up to four times as large as N(0,1) draws. */
START_TEST(weight_gradient_reads_codes) {
    for (size_t i = WIDE - 1; i <= WIDE; i++) {
        const setting *s = &settings[i];
        const extents e = {2, 9, 6, s->vector * 2, s->vector * 3, 1, 1};
        pp__conv2d_geometry g = geometry_of(&e);
        ref_conv2d r = reference_of(&e);
        size_t y_count = ref_elems(ref_conv2d_output(&r)), w_count = ref_conv2d_weight_elems(&r);
        op_harness h;
        pp__stored stored;
        open_harness(&h, s);
        const double *xs = coded_input(&h, &g, input_codings[_i], &stored);
        ck_assert(pp__winograd_reads(&g, &stored, h.profile));
        pp__ref dy = tensor(&h, y_count), dw = tensor(&h, w_count), workspace = {0};
        size_t bytes = pp__winograd_partial_bytes(&g, h.profile);
        if (bytes) workspace = op_harness_tensor(&h, bytes);
        const double *dys = op_harness_random(&h, dy, y_count);
        double *dws = op_harness_room(&h, w_count);
        ref_conv2d_backward_weight(&r, xs, dys, dws);
        op_harness_begin(&h);
        TEST_OK(pp__winograd_backward_weight(h.b.stream, &g, &stored, dy, dw, false, workspace));
        op_harness_run(&h);
        op_harness_expect(&h, input_codings[_i], dw, dws, w_count,
                          4 * tolerance(s, ref_pixels(ref_conv2d_output(&r))), 0);
        op_harness_destroy(&h);
    }
}
END_TEST

static double deviation(op_harness *h, pp__ref found, const double *expected, size_t count) {
    float *values = op_harness_bytes(h, count * sizeof *values);
    op_harness_read(h, found, values, count * sizeof *values);
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += pow((double)values[i] - expected[i], 2);
    return sqrt(sum / (double)count);
}

/* The formula at this file's head, against the plain kernel on the same numbers. A sum of fewer
 * terms in between costs less, and transforms round too: a quarter is allowed for the latter. */
START_TEST(error_is_bounded_by_the_plain_kernels) {
    const extents e = {1, 12, 12, 32, 24, 1, 1};
    for (size_t i = SMALL; i <= DEEP; i++) {
        op_harness h;
        open_harness(&h, &settings[i]);
        pp__conv2d_geometry g = geometry_of(&e);
        ref_conv2d r = reference_of(&e);
        size_t x_count = ref_elems(r.input), y_count = ref_elems(ref_conv2d_output(&r));
        size_t w_count = ref_conv2d_weight_elems(&r);
        pp__ref x = tensor(&h, x_count), w = tensor(&h, w_count);
        pp__ref y[2] = {tensor(&h, y_count), tensor(&h, y_count)}, workspace = {0};
        const double *xs = op_harness_random(&h, x, x_count);
        const double *ws = op_harness_random(&h, w, w_count);
        double *ys = op_harness_room(&h, y_count);
        ref_conv2d_forward(&r, xs, ws, NULL, ys);
        if (fits(&h, &e)) {
            size_t bytes = pp__conv2d_forward_bytes(&g, h.profile);
            if (bytes) workspace = op_harness_tensor(&h, bytes);
            op_harness_begin(&h);
            TEST_OK(pp__winograd_forward(h.b.stream, &g, x, w, (pp__ref){0}, y[0], (pp__ref){0}));
            TEST_OK(pp__conv2d_forward(h.b.stream, &g, x, w, (pp__ref){0}, y[1], (pp__ref){0},
                                       workspace));
            op_harness_run(&h);
            double ratio = deviation(&h, y[0], ys, y_count) / deviation(&h, y[1], ys, y_count);
            double bound = 1.25 * (settings[i].output == 4 ? 4.78 : 1.67);
            ck_assert_msg(ratio <= bound, "error %.2f times the plain kernel's; expected %.2f",
                          ratio, bound);
        }
        op_harness_destroy(&h);
    }
}
END_TEST

static bool fits_forward(const op_harness *h, pp__conv2d_geometry g) {
    return pp__winograd_fits(&g, PP__PASS_FORWARD, h->profile);
}

START_TEST(refuses_what_it_cannot_compute) {
    const extents e = {2, 8, 8, 8, 8, 1, 1};
    const pp__conv2d_geometry good = geometry_of(&e);
    op_harness h;
    open_harness(&h, &settings[SMALL]);
    ck_assert(fits_forward(&h, good));
    pp__conv2d_geometry bad[8];
    for (size_t i = 0; i < 8; i++) bad[i] = good;
    bad[0].r = 5;
    bad[1].s = 1;
    bad[2].stride_h = 2;
    bad[3].dilation_w = 2;
    bad[4].groups = 2;
    bad[5].pad_w = 3;
    bad[6].c = 6;
    bad[7].k = 10;
    for (size_t i = 0; i < 8; i++) ck_assert_msg(!fits_forward(&h, bad[i]), "geometry %zu", i);
    TEST_FAILS(pp__stream_create(test_device(), h.profile, &h.b.stream) == PP_OK
                   ? pp__winograd_forward(h.b.stream, &bad[0], (pp__ref){0}, (pp__ref){0},
                                          (pp__ref){0}, (pp__ref){0}, (pp__ref){0})
                   : PP_OK,
               PP_ERROR_INTERNAL, "does not fit");
    pp__stream_destroy(h.b.stream);
    op_harness_destroy(&h);
}
END_TEST

/* The shipped numbers: only PoCL's processors, only where there are enough channels and tiles. */
START_TEST(is_off_where_it_loses) {
    static const char *const profiles[] = {"default", "mali", "adreno", "intel", "discrete"};
    const extents wide = {8, 16, 16, 128, 128, 1, 1}, narrow = {8, 16, 16, 8, 128, 1, 1};
    const extents few = {1, 8, 8, 128, 128, 1, 1}, small = {64, 2, 2, 128, 128, 1, 1};
    op_harness h;
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        op_harness_open(&h, profiles[i]);
        ck_assert_msg(!fits(&h, &wide), "%s", profiles[i]);
        op_harness_destroy(&h);
    }
    op_harness_open(&h, "pocl-cpu");
    ck_assert(fits(&h, &wide));
    ck_assert(!fits(&h, &narrow));
    ck_assert(!fits(&h, &few));
    ck_assert(!fits(&h, &small));
    op_harness_destroy(&h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/winograd");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, agrees_on_random_extents);
    tcase_add_loop_test(test, weight_gradient_reads_codes, 0, INPUT_CODINGS);
    tcase_add_test(test, error_is_bounded_by_the_plain_kernels);
    tcase_add_test(test, refuses_what_it_cannot_compute);
    tcase_add_test(test, is_off_where_it_loses);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
