/* The weight gradient that decodes codes of x-hat as it loads, against the reference fed with what
 * the code decodes to, in one band and in many. Sums are allowed what tests/op/test_conv2d.c allows
 * them, four times: a code's values are that much larger than N(0,1) draws. */
#include <stdio.h>

#include "op/coded_input.h"
#include "ref/conv2d_ref.h"

static float tolerance(size_t terms) {
    return 4 * (float)(terms + 16) * 0x1p-21f;
}

static ref_conv2d reference(const pp__conv2d_geometry *g) {
    return (ref_conv2d){.input = {g->n, g->h, g->w, g->c},
                        .out_channels = g->k,
                        .groups = g->groups,
                        .window = {g->r, g->s, g->stride_h, g->stride_w, g->pad_h, g->pad_w,
                                   g->dilation_h, g->dilation_w}};
}

/* Short octets, strides, dilation, groups of whole octets, and 1x1 without neighbours. */
static const pp__conv2d_geometry cases[] = {
    {1, 3, 3, 1, 3, 3, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 5, 7, 3, 5, 7, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 9, 9, 13, 5, 5, 17, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {3, 7, 9, 24, 7, 9, 5, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {1, 12, 12, 6, 12, 12, 6, 3, 3, 1, 1, 2, 3, 2, 3, 1},
    {2, 6, 6, 16, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 2},
    {5, 8, 8, 40, 4, 4, 33, 2, 2, 2, 2, 0, 0, 1, 1, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

static void check(const pp__conv2d_geometry *g, const char *coding, const char *profile,
                  bool adds) {
    op_harness h;
    pp__stored stored;
    op_harness_open(&h, profile);
    ref_conv2d r = reference(g);
    const double *xs = coded_input(&h, g, coding, &stored);
    ck_assert(pp__conv2d_weight_fits(g, &stored, h.profile));
    size_t y_count = ref_elems(ref_conv2d_output(&r)), w_count = ref_conv2d_weight_elems(&r);
    ck_assert_uint_eq(y_count, (size_t)g->n * g->oh * g->ow * g->k);
    pp__ref dy = op_harness_tensor(&h, y_count * sizeof(float));
    pp__ref dw = op_harness_tensor(&h, w_count * sizeof(float)), workspace = {0};
    size_t bytes = pp__conv2d_weight_bytes(g, &stored, h.profile);
    if (bytes) workspace = op_harness_tensor(&h, bytes);
    const double *dys = op_harness_random(&h, dy, y_count);
    const double *before = adds ? op_harness_random(&h, dw, w_count) : NULL;
    double *dws = op_harness_room(&h, w_count);
    ref_conv2d_backward_weight(&r, xs, dys, dws);
    op_harness_add(dws, before, w_count);
    op_harness_begin(&h);
    TEST_OK(pp__conv2d_weight_backward(h.b.stream, g, &stored, dy, dw, adds, workspace));
    op_harness_run(&h);
    op_harness_expect(&h, coding, dw, dws, w_count, tolerance(ref_pixels(ref_conv2d_output(&r))),
                      0);
    op_harness_destroy(&h);
}

/* A profile with so much scratch; `path` becomes its path. */
static void write_profile(const char *name, const char *scratch, char path[512]) {
    snprintf(path, 512, "%s/%s.profile", test_scratch_folder(), name);
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fprintf(file, "conv2d.vector = 8\nconv2d_weight.scratch_bytes = %s\nconv2d_weight.rows = 4\n",
            scratch);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(reads_codes) {
    char whole[512], banded[512];
    write_profile("whole", "1M", whole);
    write_profile("banded", "16K", banded);
    for (size_t i = 0; i < CASES; i++) {
        check(&cases[i], input_codings[_i], whole, i % 2);
        check(&cases[i], input_codings[_i], banded, i % 2 == 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/conv2d_weight");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, reads_codes, 0, INPUT_CODINGS);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
