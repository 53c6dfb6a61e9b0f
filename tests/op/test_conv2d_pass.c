/* The choice among the ways of a pass: 1x1 convolutions and dense layers by the library's products
 * of matrices where a profile says so, and self-tests that test what is then recorded. */
#include <stdio.h>
#include <stdlib.h>

#include "device/gemm.h"
#include "device/self_test.h"
#include "op/conv2d.h"
#include "ref/conv2d_ref.h"
#include "ref/dense_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

/* As in tests/op/test_conv2d.c. */
static float tolerance(size_t terms) {
    return (float)(terms + 16) * 0x1p-21f;
}

/* A profile on top of the device's own, in the scratch folder. */
static const char *library_profile(void) {
    static char path[256];
    snprintf(path, sizeof path, "%s/library.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL);
    fprintf(file, "parent = %s\ngemm.library = 1\ngemm.library_least = 1\n",
            pp_device_describe(test_device())->profile);
    ck_assert(fclose(file) == 0);
    return path;
}

static uint64_t kernels(void) {
    pp_device_counters counters;
    pp_device_read_counters(test_device(), &counters);
    return counters.kernels_enqueued;
}

static void check_point(pp__shape shape, uint32_t out, bool bias, bool adds) {
    const pp_conv2d_params params = {out, 1, 1, 1, 1, 0, 0, 1, 1, 1, bias};
    op_case c = {.op = &pp__op_conv2d,
                 .params = &params,
                 .inputs = {shape},
                 .profile = library_profile(),
                 .adds = adds,
                 .parameters_add = adds};
    op_harness h;
    op_harness_create(&h, &c);
    const ref_conv2d g = {.input = {shape.n, shape.h, shape.w, shape.c},
                          .out_channels = out,
                          .groups = 1,
                          .window = {1, 1, 1, 1, 0, 0, 1, 1}};
    const size_t pixels = pp__shape_pixels(shape), in = pixels * shape.c, w_count = shape.c * out;
    double *x = op_harness_random(&h, h.b.inputs[0], in),
           *w = op_harness_random(&h, h.b.parameters[0], w_count),
           *b = bias ? op_harness_random(&h, h.b.parameters[1], out) : NULL,
           *y = op_harness_room(&h, pixels * out);
    const uint64_t before = kernels();
    op_harness_forward(&h);
    ck_assert_msg(kernels() - before == bias, "not the library");
    ref_conv2d_forward(&g, x, w, b, y);
    op_harness_expect(&h, "y", h.b.output, y, pixels * out, tolerance(shape.c), 0);

    double *dy = op_harness_random(&h, h.b.output_gradient, pixels * out);
    double *dx_before = adds ? op_harness_random(&h, h.b.input_gradients[0], in) : NULL,
           *dw_before = adds ? op_harness_random(&h, h.b.parameter_gradients[0], w_count) : NULL;
    if (bias && adds) op_harness_random(&h, h.b.parameter_gradients[1], out);
    double *dx = op_harness_room(&h, in), *dw = op_harness_room(&h, w_count);
    op_harness_backward(&h);
    ref_conv2d_backward_input(&g, w, dy, dx);
    op_harness_add(dx, dx_before, in);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, in, tolerance(out), 0);
    ref_conv2d_backward_weight(&g, x, dy, dw);
    op_harness_add(dw, dw_before, w_count);
    op_harness_expect(&h, "dw", h.b.parameter_gradients[0], dw, w_count, tolerance(pixels), 0);
    op_harness_destroy(&h);
}

static void check_dense(pp__shape shape, uint32_t out) {
    const pp_dense_params params = {.out_features = out, .bias = true};
    op_case c = {
        .op = &pp__op_dense, .params = &params, .inputs = {shape}, .profile = library_profile()};
    op_harness h;
    op_harness_create(&h, &c);
    const size_t n = shape.n, in = op_harness_elems(shape) / n;
    double *x = op_harness_random(&h, h.b.inputs[0], n * in),
           *w = op_harness_random(&h, h.b.parameters[0], in * out),
           *b = op_harness_random(&h, h.b.parameters[1], out), *y = op_harness_room(&h, n * out);
    const uint64_t before = kernels();
    op_harness_forward(&h);
    ck_assert_msg(kernels() - before == 1, "not the library");
    ref_dense_forward(n, in, out, x, w, b, y);
    op_harness_expect(&h, "y", h.b.output, y, n * out, tolerance(in), 0);
    double *dy = op_harness_random(&h, h.b.output_gradient, n * out);
    double *dx = op_harness_room(&h, n * in), *dw = op_harness_room(&h, in * out);
    op_harness_backward(&h);
    ref_dense_backward_input(n, in, out, w, dy, dx);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, n * in, tolerance(out), 0);
    ref_dense_backward_weight(n, in, out, x, dy, dw);
    op_harness_expect(&h, "dw", h.b.parameter_gradients[0], dw, in * out, tolerance(n), 0);
    op_harness_destroy(&h);
}

START_TEST(library_agrees_with_reference) {
    if (!pp__gemm_available()) {
        fprintf(stderr, "SKIPPED: this build has no CLBlast\n");
        return;
    }
    if (pp_device_describe(test_device())->max_work_group_size < 64) {
        fprintf(stderr, "SKIPPED: CLBlast wants work-groups of 64\n");
        return;
    }
    for (int adds = 0; adds < 2; adds++) {
        check_point((pp__shape){2, 8, 8, 24}, 32, adds, adds);
        check_point((pp__shape){3, 5, 7, 13}, 1, !adds, adds);
        check_point((pp__shape){1, 1, 1, 1}, 1, adds, !adds);
    }
    check_dense((pp__shape){2, 3, 5, 7}, 10);
    check_dense((pp__shape){33, 1, 1, 65}, 17);
}
END_TEST

/* Layers as networks have them. What a self-test ran is what the layer records: nothing is left to
 * build. */
static const pp__conv2d_geometry layers[] = {
    {64, 32, 32, 3, 32, 32, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {64, 32, 32, 16, 16, 16, 32, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {8, 56, 56, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {8, 14, 14, 256, 7, 7, 512, 1, 1, 2, 2, 0, 0, 1, 1, 1},
    {4, 28, 28, 512, 28, 28, 128, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {2, 224, 224, 3, 112, 112, 64, 7, 7, 2, 2, 3, 3, 1, 1, 1},
    {2, 14, 14, 96, 14, 14, 96, 3, 3, 1, 1, 1, 1, 1, 1, 96},
    {1, 1, 64, 512, 1, 64, 1000, 1, 1, 1, 1, 0, 0, 1, 1, 1},
};

static uint64_t programs(void) {
    pp_device_counters counters;
    pp_device_read_counters(test_device(), &counters);
    return counters.programs_built + counters.programs_loaded;
}

/* Memory of any size will do for recording. */
static void check_self_test(const pp__conv2d_geometry *g, pp__pass pass, const char *profile) {
    op_harness h;
    op_harness_open(&h, profile);
    op_harness_begin(&h);
    pp__conv2d_job job = {.pass = pass,
                          .g = *g,
                          .adds = pass != PP__PASS_FORWARD,
                          .stored.shape = {g->n, g->h, g->w, g->c}};
    TEST_OK(pp__coding_read(test_engine(), "half", &job.stored.coding));
    TEST_OK(pp__conv2d_self_test(h.b.stream, &job));
    const uint64_t before = programs();
    const size_t elems = (size_t)g->n * (g->h * g->w * g->c + g->oh * g->ow * g->k);
    const pp__ref room = op_harness_tensor(&h, elems * sizeof(float));
    job.x = job.y = job.w = job.dy = job.dx = job.dw = job.stored.code = room;
    job.workspace = op_harness_tensor(&h, pp__conv2d_pass_bytes(&job, h.profile));
    TEST_OK(pp__conv2d_pass(h.b.stream, &job));
    ck_assert_msg(programs() == before,
                  "%ux%ux%u by %u to %u, pass %d: the self-test ran other programs", g->h, g->w,
                  g->c, g->r, g->k, (int)pass);
    pp__stream_destroy(h.b.stream);
    op_harness_destroy(&h);
}

static const char *const profiles[] = {NULL, "mali", "default"};

START_TEST(self_tests_run_what_is_recorded) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (pp__pass pass = PP__PASS_FORWARD; pass <= PP__PASS_BACKWARD; pass++)
            check_self_test(&layers[i], pass, profiles[_i]);
}
END_TEST

int main(void) {
    setenv("POCKETPROP_CACHE", "off", 1); /* which keeps verdicts, and so has tests left out */
    Suite *suite = suite_create("op/conv2d_pass");
    TCase *test = tcase_create("device");
    tcase_add_test(test, library_agrees_with_reference);
    tcase_add_loop_test(test, self_tests_run_what_is_recorded, 0,
                        sizeof profiles / sizeof *profiles);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
