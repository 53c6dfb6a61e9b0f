/* bytes on the device against its reference, to the bit: as a line, pixel by pixel, and on the way
 * into a convolution's weight gradient; and against the normalisation that loaders do on the host.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/dataset.h"
#include "device/buffer.h"
#include "op/params.h"
#include "ref/bytes_ref.h"
#include "ref/conv2d_ref.h"
#include "support/op_harness.h"
#include "support/support.h"

static const pp_pixels usual = {
    255, {0.4914f, 0.4822f, 0.4465f, 0.5f}, {0.2470f, 0.2435f, 0.2616f, 1.0f}};

static pp__stored stored_of(pp__shape shape, const pp_pixels *pixels) {
    pp__stored stored = {.subject = PP__SUBJECT_ACTIVATION, .shape = shape, .pixels = pixels};
    TEST_OK(pp__coding_read(test_engine(), "bytes", &stored.coding));
    ck_assert_uint_eq(pp__coding_bytes(&stored.coding, shape), op_harness_elems(shape));
    return stored;
}

static uint8_t *random_bytes(op_harness *h, size_t count) {
    uint8_t *bytes = op_harness_bytes(h, count);
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)test_random_below(256);
    return bytes;
}

/* Through codec_value8, which operators read codes by. */
static void record_pixelwise(const pp__stored *stored, pp__ref y, pp__stream *stream) {
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/transcode", "transcode_decode");
    pp__stored_prefix(stored, &l);
    pp__launch_tensor(&l, stored->code, 1);
    pp__launch_tensor(&l, y, sizeof(float));
    pp__launch_u32(&l, 0);
    TEST_OK(pp__launch_cover_octets(&l, pp__shape_pixels(stored->shape), stored->shape.c));
}

static void check(pp__shape shape, const pp_pixels *pixels, const uint8_t *given) {
    op_harness h;
    op_harness_open(&h, NULL);
    pp__stored stored = stored_of(shape, pixels);
    const size_t count = op_harness_elems(shape), image = count / shape.n;
    const uint8_t *bytes = given ? given : random_bytes(&h, count);
    stored.code = op_harness_tensor(&h, count);
    TEST_OK(pp__write_now(test_device(), stored.code, bytes, count));
    float *expected = op_harness_bytes(&h, count * sizeof(float)),
          *found = op_harness_bytes(&h, count * sizeof(float));
    ref_bytes_decode(count / shape.c, shape.c, pixels->maximum, pixels->mean, pixels->deviation,
                     bytes, expected);

    /* All images, the last alone, and all by pixels. */
    pp__ref whole = op_harness_tensor(&h, count * sizeof(float)),
            last = op_harness_tensor(&h, image * sizeof(float)),
            pixelwise = op_harness_tensor(&h, count * sizeof(float));
    op_harness_begin(&h);
    TEST_OK(pp__stored_decode(&stored, 0, shape.n, whole, h.b.stream));
    TEST_OK(pp__stored_decode(&stored, shape.n - 1, 1, last, h.b.stream));
    record_pixelwise(&stored, pixelwise, h.b.stream);
    op_harness_run(&h);
    op_harness_read(&h, whole, found, count * sizeof(float));
    ck_assert_mem_eq(found, expected, count * sizeof(float));
    op_harness_read(&h, pixelwise, found, count * sizeof(float));
    ck_assert_mem_eq(found, expected, count * sizeof(float));
    op_harness_read(&h, last, found, image * sizeof(float));
    ck_assert_mem_eq(found, expected + count - image, image * sizeof(float));
    op_harness_destroy(&h);
}

START_TEST(agrees_with_reference) {
    const uint32_t channels = (uint32_t)_i;
    const pp__shape shapes[] = {{1, 1, 1, channels},  {1, 1, 2, channels}, {2, 5, 7, channels},
                                {3, 1, 17, channels}, {5, 3, 3, channels}, {2, 31, 37, channels}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check(shapes[i], &usual, NULL);
}
END_TEST

/* Neighbouring floats are one apart. */
static int64_t place_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

static float in_double(const pp_pixels *pixels, uint32_t c, unsigned byte) {
    return (float)(((double)byte / pixels->maximum - (double)pixels->mean[c]) /
                   (double)pixels->deviation[c]);
}

/* Any normalisation: the reference is within one unit in the last place of what a host computes in
 * double. */
START_TEST(errs_by_a_unit_in_the_last_place) {
    for (size_t i = 0; i < 2000; i++) {
        pp_pixels pixels = {.maximum = i % 3 ? 255 : 1 + test_random_below(255)};
        pixels.mean[0] = ldexpf(test_random_normal(), (int)test_random_below(20) - 10);
        pixels.deviation[0] = ldexpf(test_random_uniform(1, 2), (int)test_random_below(30) - 15);
        for (unsigned byte = 0; byte < 256; byte++) {
            float found = ref_bytes_value(pixels.maximum, pixels.mean[0], pixels.deviation[0],
                                          (uint8_t)byte),
                  exact = in_double(&pixels, 0, byte);
            ck_assert_msg(llabs(place_of(found) - place_of(exact)) <= 1,
                          "byte %u of %u, mean %a, deviation %a: %a, not %a", byte, pixels.maximum,
                          (double)pixels.mean[0], (double)pixels.deviation[0], (double)found,
                          (double)exact);
        }
    }
}
END_TEST

/* A few of them on the device, with means on and beside whole bytes. */
START_TEST(takes_any_normalisation) {
    static const pp_pixels all[] = {{255, {0, 1, -3, 0.5f}, {1, 1, 1e-6f, 1e6f}},
                                    {1, {16384, -16384, 7, 100.3f}, {1, 2, 3, 4}},
                                    {16, {0.305215f, 0.3125f, 0.31250003f, 0.99f}, {1, 1, 1, 0.1f}},
                                    {255, {127 / 255.0f, 0.1f, 2.1f, 255}, {0.5f, 2, 0.01f, 7}}};
    uint8_t bytes[256 * 4];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i / 4);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check((pp__shape){1, 16, 16, 4}, &all[i], bytes);
}
END_TEST

/* The device's values of every byte are the loader's floats to the bit, for all data sets. */
START_TEST(equals_the_loaders_normalisation) {
    static const pp__source *const sources[] = {&pp__source_digits, &pp__source_mnist,
                                                &pp__source_cifar10, &pp__source_cifar100,
                                                &pp__source_images};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const pp__source *s = sources[i];
        const uint32_t channels = s->deviation[1] > 0 ? 3 : 1;
        pp__augment augment = {.channels = channels};
        pp__augment_set_values(&augment, s->pixel_max, s->mean, s->deviation);
        pp_pixels pixels = {.maximum = s->pixel_max};
        uint8_t bytes[256 * 3];
        memcpy(pixels.mean, s->mean, sizeof s->mean);
        memcpy(pixels.deviation, s->deviation, sizeof s->deviation);
        for (size_t k = 0; k < 256 * channels; k++) bytes[k] = (uint8_t)(k / channels);
        check((pp__shape){1, 16, 16, channels}, &pixels, bytes);
        for (uint32_t c = 0; c < channels; c++)
            for (unsigned byte = 0; byte < 256; byte++)
                ck_assert_msg(ref_bytes_value(s->pixel_max, s->mean[c], s->deviation[c],
                                              (uint8_t)byte) == augment.value[c][byte],
                              "%s: byte %u of channel %u", s->name, byte, (unsigned)c);
    }
}
END_TEST

/* A convolution's weight gradient from bytes: where columns are neighbours pixels are copied by the
 * line, elsewhere one by one, and some profiles decode them first. */
typedef struct gradient_case {
    pp__shape input;
    pp_conv2d_params params;
} gradient_case;

static const gradient_case gradient_cases[] = {
    {{1, 1, 1, 1}, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, false}},
    {{2, 5, 7, 3}, {8, 3, 3, 1, 1, 1, 1, 1, 1, 1, false}},
    {{3, 9, 11, 4}, {5, 3, 3, 2, 2, 1, 1, 1, 1, 1, false}},
    {{2, 23, 19, 1}, {9, 7, 7, 3, 3, 3, 3, 1, 1, 1, false}},
    {{2, 17, 13, 3}, {16, 7, 7, 2, 2, 3, 3, 1, 1, 1, false}},
    {{2, 8, 8, 2}, {7, 1, 1, 2, 2, 0, 0, 1, 1, 1, false}},
    {{1, 12, 12, 4}, {6, 3, 3, 1, 1, 2, 3, 2, 3, 2, false}},
    {{3, 6, 7, 3}, {3, 3, 3, 1, 1, 1, 1, 1, 1, 3, false}},
};

static void check_gradient(const gradient_case *c, const char *profile) {
    const pp_conv2d_params *p = &c->params;
    const op_case oc = {.op = &pp__op_conv2d,
                        .params = p,
                        .inputs = {c->input},
                        .codings = {"bytes"},
                        .profile = profile};
    op_harness h;
    op_harness_create(&h, &oc);
    h.stored[0].pixels = &usual;
    const ref_conv2d g = {.input = {c->input.n, c->input.h, c->input.w, c->input.c},
                          .out_channels = p->out_channels,
                          .groups = p->groups,
                          .window = {p->kernel_h, p->kernel_w, p->stride_h, p->stride_w, p->pad_h,
                                     p->pad_w, p->dilation_h, p->dilation_w}};
    const size_t count = ref_elems(g.input), pixels = ref_pixels(ref_conv2d_output(&g)),
                 weights = ref_conv2d_weight_elems(&g);
    const uint8_t *bytes = random_bytes(&h, count);
    TEST_OK(pp__write_now(test_device(), h.stored[0].code, bytes, count));
    double *x = op_harness_room(&h, count), *dw = op_harness_room(&h, weights);
    for (size_t i = 0; i < count; i++) {
        size_t k = i % c->input.c;
        x[i] = (double)ref_bytes_value(255, usual.mean[k], usual.deviation[k], bytes[i]);
    }
    op_harness_random(&h, h.b.parameters[0], weights);
    double *dy = op_harness_random(&h, h.b.output_gradient, pixels * p->out_channels);
    op_harness_backward(&h);
    ref_conv2d_backward_weight(&g, x, dy, dw);
    /* As tests/op/test_conv2d.c; the values are in +-2. */
    op_harness_expect(&h, "dw", h.b.parameter_gradients[0], dw, weights,
                      (float)(pixels + 16) * 0x1p-20f, 0);
    op_harness_destroy(&h);
}

START_TEST(serves_weight_gradients) {
    static const char *const profiles[] = {NULL, "default", "discrete", "mali", "adreno"};
    for (size_t i = 0; i < sizeof gradient_cases / sizeof *gradient_cases; i++)
        check_gradient(&gradient_cases[i], profiles[_i]);
}
END_TEST

START_TEST(serves_nothing_but_values) {
    const pp__codec *bytes = pp__codec_find("bytes");
    ck_assert_uint_eq(bytes->views[PP__SUBJECT_ACTIVATION], PP__VIEW_VALUE);
    ck_assert_uint_eq(bytes->views[PP__SUBJECT_NORMALISED] | bytes->views[PP__SUBJECT_BITS], 0);
    const pp__stored stored = stored_of((pp__shape){2, 3, 5, 3}, &usual);
    ck_assert(!pp__stored_is_plain(&stored));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/bytes");
    TCase *test = tcase_create("device");
    tcase_add_loop_test(test, agrees_with_reference, 1, PP_PIXEL_CHANNELS + 1);
    tcase_add_test(test, errs_by_a_unit_in_the_last_place);
    tcase_add_test(test, takes_any_normalisation);
    tcase_add_test(test, equals_the_loaders_normalisation);
    tcase_add_loop_test(test, serves_weight_gradients, 0, 5);
    tcase_add_test(test, serves_nothing_but_values);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
