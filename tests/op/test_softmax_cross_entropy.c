/* softmax_cross_entropy on the device against its reference. OpenCL's exp and log err by a few ulp,
 * and the sum over classes adds an ulp per term of a value near 1. */
#include <string.h>

#include "device/buffer.h"
#include "op/params.h"
#include "op/scalars.h"
#include "ref/softmax_cross_entropy_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const float loss_absolute = 1e-5f, loss_relative = 2e-6f, gradient_tolerance = 1e-6f;

static void check(uint32_t n, uint32_t count, uint32_t classes, float smoothing, double spread,
                  bool adds) {
    pp__cross_entropy_params params = {smoothing};
    op_case c = {.op = &pp__op_softmax_cross_entropy,
                 .params = &params,
                 .inputs = {{n, 1, 1, classes}},
                 .adds = adds};
    op_harness h;
    op_harness_create(&h, &c);
    float scale = 0.3f;
    h.scalars[PP__SCALAR_COUNT] = count;
    memcpy(&h.scalars[PP__SCALAR_LOSS_SCALE], &scale, sizeof scale);
    size_t elems = (size_t)n * classes;
    double *x = op_harness_random(&h, h.b.inputs[0], elems), *dx = op_harness_room(&h, elems);
    for (size_t i = 0; i < elems; i++) x[i] = (double)(float)(spread * x[i]);
    for (size_t i = 0; i < n; i += 3) x[i * classes] = x[i * classes + classes - 1]; /* ties */
    op_harness_write(&h, h.b.inputs[0], x, elems);
    int32_t *labels = op_harness_bytes(&h, n * sizeof *labels);
    for (size_t i = 0; i < n; i++) labels[i] = i < count ? (int32_t)test_random_below(classes) : -1;
    TEST_OK(pp__write_now(test_device(), h.b.labels, labels, n * sizeof *labels));
    ref_cross_entropy_result expected = ref_softmax_cross_entropy(
        n, count, classes, x, labels, (double)smoothing, (double)scale, dx);

    /* The sums are added to what is there. */
    op_harness_write(&h, h.b.metrics, (double[]){100, 7}, 2);
    op_harness_forward(&h);
    op_harness_expect(&h, "loss sum", h.b.metrics, (double[]){100 + expected.sum}, 1, loss_absolute,
                      loss_relative);
    float metrics[2];
    op_harness_read(&h, h.b.metrics, metrics, sizeof metrics);
    ck_assert_uint_eq((size_t)metrics[1], 7 + expected.hits);

    double *before = adds ? op_harness_random(&h, h.b.input_gradients[0], elems) : NULL;
    op_harness_backward(&h);
    op_harness_add(dx, before, elems);
    op_harness_expect(&h, "dx", h.b.input_gradients[0], dx, elems, gradient_tolerance, 0);
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    static const uint32_t batches[] = {1, 5, 64, 67}, class_counts[] = {1, 2, 10, 37, 1000};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (size_t k = 0; k < sizeof class_counts / sizeof *class_counts; k++) {
            uint32_t n = batches[i], classes = class_counts[k];
            check(n, n, classes, 0, 1, false);
            check(n, n - n / 3, classes, 0.1f, 1, true);
            check(n, n - n / 2, classes, 0, 30,
                  false); /* logits of +-100: exp alone would overflow */
        }
}
END_TEST

START_TEST(refuses) {
    pp__op_shapes shapes;
    pp__cross_entropy_params params = {0};
    pp__shape maps[] = {{64, 2, 2, 16}};
    TEST_FAILS(pp__op_softmax_cross_entropy.infer(test_engine(), "loss", &params, maps, &shapes),
               PP_ERROR_SHAPE, "logits [64, 2, 2, 16] are not [n, 1, 1, classes]");
    pp__shape logits[] = {{64, 1, 1, 16}};
    params.label_smoothing = 1;
    TEST_FAILS(pp__op_softmax_cross_entropy.infer(test_engine(), "loss", &params, logits, &shapes),
               PP_ERROR_INVALID_ARGUMENT, "label smoothing 1 is not in [0, 1)");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("op/softmax_cross_entropy");
    TCase *test = tcase_create("device");
    tcase_add_test(test, agrees_with_reference);
    tcase_add_test(test, refuses);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
