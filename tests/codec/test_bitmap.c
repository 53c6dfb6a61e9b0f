/* bitmap on the device against its reference, to the bit: codes, decoded values and masks, with as
 * many values in an image as there is room for, with more, and with all; what operators read from
 * it; and that training is raw's where the density suffices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "op/op.h"
#include "ref/bitmap_ref.h"
#include "support/op_harness.h"
#include "support/support.h"
#include "support/trainer.h"

/* In units of 1/10000, from the least to the most. */
static const unsigned densities[] = {1000, 1250, 2500, 3333, 5000, 6000, 10000};
enum { DENSITIES = sizeof densities / sizeof *densities };

/* One value on the device, and its code. */
typedef struct run {
    op_harness h;
    unsigned density;
    ref_shape shape;
    size_t count, image_count, bytes; /* elements, those of an image, bytes of the code */
    pp__stored stored;
    pp__ref value;
    float *x, *back;
    uint8_t *code;
} run;

static void open_run(run *r, unsigned density, pp__shape shape) {
    char text[PP__CODING_TEXT];
    memset(r, 0, sizeof *r);
    op_harness_open(&r->h, NULL);
    r->density = density;
    r->shape = (ref_shape){shape.n, shape.h, shape.w, shape.c};
    r->count = op_harness_elems(shape);
    r->image_count = r->count / shape.n;
    r->stored = (pp__stored){.subject = PP__SUBJECT_ACTIVATION, .shape = shape, .relu = true};
    snprintf(text, sizeof text, "bitmap,density=%g", density / 10000.0);
    TEST_OK(pp__coding_read(test_engine(), text, &r->stored.coding));
    r->bytes = pp__coding_bytes(&r->stored.coding, shape);
    ck_assert_uint_eq(r->bytes, ref_bitmap_bytes(density, r->shape));
    r->stored.code = op_harness_tensor(&r->h, r->bytes);
    r->value = op_harness_tensor(&r->h, r->count * sizeof(float));
    r->x = op_harness_bytes(&r->h, r->count * sizeof(float));
    r->back = op_harness_bytes(&r->h, r->count * sizeof(float));
    r->code = op_harness_bytes(&r->h, r->bytes);
}

static size_t image_bytes(const run *r) {
    return r->bytes / r->shape.n;
}

/* Encodes x on the device; the code must be the reference's but for bytes that mean nothing. */
static void check_codes(run *r) {
    TEST_OK(pp__write_now(test_device(), r->value, r->x, r->count * sizeof(float)));
    op_harness_begin(&r->h);
    TEST_OK(r->stored.coding.codec->encode(&r->stored, r->value, r->h.b.stream));
    op_harness_run(&r->h);
    op_harness_read(&r->h, r->stored.code, r->code, r->bytes);
    uint8_t *expected = malloc(r->bytes);
    ck_assert(expected != NULL);
    ref_bitmap_encode(r->density, r->shape, r->x, expected);
    for (size_t n = 0; n < r->shape.n; n++) {
        const size_t first = n * image_bytes(r);
        const size_t used = ref_bitmap_read(r->density, r->shape, expected, n).used_bytes;
        ck_assert_uint_le(used, image_bytes(r));
        for (size_t i = first; i < first + used; i++)
            ck_assert_msg(r->code[i] == expected[i],
                          "density %u, %zux%zux%zux%zu: byte %zu of image %zu is %02x, not %02x",
                          r->density, r->shape.n, r->shape.h, r->shape.w, r->shape.c, i - first, n,
                          r->code[i], expected[i]);
    }
    free(expected);
}

/* Decodes images first..first+count-1 on the device and compares with the reference. */
static void check_decode(run *r, uint32_t first, uint32_t count) {
    float *expected = malloc(r->count * sizeof *expected);
    ck_assert(expected != NULL);
    ref_bitmap_decode(r->density, r->shape, r->code, expected);
    pp__ref back = op_harness_tensor(&r->h, count * r->image_count * sizeof(float));
    op_harness_begin(&r->h);
    TEST_OK(pp__stored_decode(&r->stored, first, count, back, r->h.b.stream));
    op_harness_run(&r->h);
    op_harness_read(&r->h, back, r->back + first * r->image_count,
                    count * r->image_count * sizeof(float));
    for (size_t i = first * r->image_count; i < (first + count) * r->image_count; i++) {
        bool same = isnan(expected[i]) ? isnan(r->back[i]) : r->back[i] == expected[i];
        ck_assert_msg(same, "density %u: element %zu is %.9g, not %.9g", r->density, i,
                      (double)r->back[i], (double)expected[i]);
    }
    free(expected);
}

/* Zeros stay zeros and positive elements positive; the mask is the ReLU's. */
static void check_signs(run *r) {
    uint8_t *mask = op_harness_bytes(&r->h, r->count);
    ref_bitmap_decode_mask(r->density, r->shape, r->code, mask);
    for (size_t i = 0; i < r->count; i++) {
        ck_assert_int_eq(mask[i], r->x[i] > 0);
        ck_assert_int_eq(r->back[i] > 0, r->x[i] > 0);
        ck_assert_int_eq(r->back[i] == 0, !(r->x[i] > 0));
    }
}

static void check_all(run *r) {
    check_codes(r);
    check_decode(r, 0, (uint32_t)r->shape.n);
    if (r->shape.n > 1) check_decode(r, 1, (uint32_t)r->shape.n - 1);
    check_signs(r);
}

static unsigned width_of(const run *r, size_t image) {
    return ref_bitmap_read(r->density, r->shape, r->code, image).width;
}

/* Positive elements in `count` random places of an image, zeros of both signs elsewhere. */
static void fill_image(run *r, size_t image, size_t count) {
    float *x = r->x + image * r->image_count;
    for (size_t i = 0; i < r->image_count; i++) {
        const size_t left = r->image_count - i;
        const bool positive = test_random_below((uint32_t)left) < count;
        x[i] = positive ? fabsf(test_random_normal()) + 1e-6f : i % 3 ? 0.0f : -0.0f;
        count -= positive;
    }
}

START_TEST(codes_equal_the_reference) {
    static const pp__shape shapes[] = {{2, 16, 16, 8}, {3, 13, 17, 20}, {2, 32, 64, 16},
                                       {3, 7, 11, 1},  {5, 1, 1, 37},   {2, 9, 5, 17}};
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    for (size_t i = 0; i < OP_SHAPES + SHAPES; i++)
        for (size_t d = 0; d < DENSITIES; d++) {
            run r;
            open_run(&r, densities[d], i < OP_SHAPES ? op_harness_shape(i) : shapes[i - OP_SHAPES]);
            test_fill_normal(r.x, r.count);
            for (size_t k = 0; k < r.count; k++)
                if (r.x[k] < 0) r.x[k] = 0;
            check_all(&r);
            op_harness_destroy(&r.h);
        }
}
END_TEST

/* What image `kind` of the next test holds, and in how many bits its values must be. */
typedef struct filling {
    size_t count;
    unsigned width;
} filling;

/* Images round each limit, in one batch: each has a form of its own. */
START_TEST(forms_change_at_the_capacity) {
    static const pp__shape shape = {9, 12, 10, 24};
    const size_t elems = (size_t)shape.h * shape.w * shape.c;
    for (size_t d = 0; d < DENSITIES; d++) {
        const size_t room = (elems * densities[d] + 9999) / 10000;
        const filling images[] = {{0, 32},        {1, 32},           {room, 32},
                                  {room + 1, 16}, {2 * room, 16},    {2 * room + 1, 8},
                                  {4 * room, 8},  {4 * room + 1, 4}, {elems, 0}};
        run r;
        open_run(&r, densities[d], shape);
        for (size_t n = 0; n < shape.n; n++)
            fill_image(&r, n, images[n].count < elems ? images[n].count : elems);
        check_all(&r);
        for (size_t n = 0; n < shape.n; n++) {
            const filling *f = &images[n];
            const size_t count = f->count < elems ? f->count : elems;
            ck_assert_uint_eq(ref_bitmap_read(r.density, r.shape, r.code, n).count, count);
            if (f->width && f->count <= elems) ck_assert_uint_eq(width_of(&r, n), f->width);
            for (size_t i = n * elems; width_of(&r, n) == 32 && i < (n + 1) * elems; i++)
                ck_assert_float_eq(r.back[i], r.x[i]);
        }
        op_harness_destroy(&r.h);
    }
}
END_TEST

/* Every number of values that a small image can have, at every density. */
START_TEST(every_count_fits) {
    static const pp__shape shapes[] = {{40, 1, 3, 13}, {34, 33, 1, 1}, {2, 1, 1, 1}, {7, 2, 3, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t d = 0; d < DENSITIES; d++) {
            run r;
            open_run(&r, densities[d], shapes[i]);
            ck_assert_uint_eq(shapes[i].n, r.image_count + 1);
            for (size_t n = 0; n < shapes[i].n; n++) fill_image(&r, n, n);
            check_all(&r);
            op_harness_destroy(&r.h);
        }
}
END_TEST

/* All elements positive, down to two bits at the least density: half a step, and the rounding of
 * what comes back. */
START_TEST(errors_stay_below_half_a_step) {
    for (size_t d = 0; d < DENSITIES; d++) {
        run r;
        open_run(&r, densities[d], (pp__shape){3, 13, 17, 20});
        for (size_t n = 0; n < 3; n++) fill_image(&r, n, r.image_count);
        for (size_t i = 0; i < r.count; i++) r.x[i] *= ldexpf(1, 8 * (int)(i / r.image_count) - 8);
        check_all(&r);
        for (size_t i = 0; i < r.count; i++) {
            const ref_bitmap_header header =
                ref_bitmap_read(r.density, r.shape, r.code, i / r.image_count);
            /* Half keeps 11 bits, and steps of 2^-24 below 2^-14. */
            const double allowed = header.width == 32 ? 0
                                   : header.width == 16
                                       ? fmax((double)r.x[i] * 0x1p-11, 0x1p-24)
                                       : (double)header.step * 0.5 + (double)r.x[i] * 0x1p-22;
            ck_assert_msg(fabs((double)r.back[i] - (double)r.x[i]) <= allowed,
                          "density %u, %u bits: element %zu, %g, came back as %g; %g allowed",
                          r.density, header.width, i, (double)r.x[i], (double)r.back[i], allowed);
        }
        if (densities[d] == 1000) ck_assert_uint_eq(width_of(&r, 0), 2);
        op_harness_destroy(&r.h);
    }
}
END_TEST

/* Smallest and largest numbers in every form, and what is not finite: an infinity, and a NaN, which
 * shows in its own image alone and has no bit. */
START_TEST(wild_values_equal_the_reference) {
    static const float wild[] = {1e-38f, 1e-30f, 0x1p-25f, 65520, 1e30f, 3e38f, INFINITY, NAN};
    enum { WILD = sizeof wild / sizeof *wild };
    for (size_t d = 0; d < DENSITIES; d++)
        for (size_t kind = 0; kind < WILD; kind++)
            for (int others = 0; others < 2; others++) {
                run r;
                open_run(&r, densities[d], (pp__shape){3, 6, 8, 16});
                for (size_t n = 0; n < 3; n++) fill_image(&r, n, r.image_count);
                for (size_t i = r.image_count; !others && i < 2 * r.image_count; i++)
                    r.x[i] = i % 3 ? 1e-38f : 1e-37f;
                r.x[r.image_count + 77] = wild[kind];
                check_codes(&r);
                check_decode(&r, 0, 3);
                if (!isnan(wild[kind])) check_signs(&r);
                for (size_t i = 0; i < r.count; i++) {
                    const bool own = i / r.image_count == 1;
                    if (!own) ck_assert(isfinite(r.back[i]) && r.back[i] > 0);
                    if (i == r.image_count + 77) ck_assert_int_eq(isnan(r.back[i]), kind == 7);
                }
                op_harness_destroy(&r.h);
            }
}
END_TEST

/* The mask as the ReLU's backward reads it, whatever form the values have. */
START_TEST(relu_reads_the_mask) {
    for (size_t i = 0; i < OP_SHAPES; i++)
        for (size_t d = 0; d < DENSITIES; d++) {
            char text[PP__CODING_TEXT];
            snprintf(text, sizeof text, "bitmap,density=%g", densities[d] / 10000.0);
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

/* --- A small network --- */

enum { BATCH = 6, SIDE = 9, CLASSES = 4, STEPS = 3 };

/* How a network is trained. */
typedef struct setting {
    uint32_t channels;
    const char *profile; /* NULL: the device's */
    bool pools;          /* global pooling in front of the dense layers */
    uint32_t band;       /* images; 0: no bands */
} setting;

/* ReLUs behind convolutions and a sum, read by convolutions of several sizes and by dense layers;
 * channels in full octets and not. */
static pp_graph *make_network(const setting *s) {
    pp_graph *g = NULL;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_conv2d_params p = {.out_channels = s->channels,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .pad_h = 1,
                          .pad_w = 1,
                          .bias = true};
    const pp_conv2d_params point = {.out_channels = s->channels, .kernel_h = 1, .kernel_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, 3);
    x = pp_graph_relu(g, "relu1", pp_graph_conv2d(g, "conv1", x, &p));
    pp_value y = pp_graph_relu(g, "relu2", pp_graph_conv2d(g, "conv2", x, &p));
    y = pp_graph_conv2d(g, "conv3", y, &point);
    x = pp_graph_relu(g, "relu3", pp_graph_add(g, "add", x, y));
    p.stride_h = p.stride_w = 2;
    x = pp_graph_relu(g, "relu4", pp_graph_conv2d(g, "conv4", x, &p));
    if (s->pools) x = pp_graph_global_avgpool(g, "gap", x);
    x = pp_graph_dense(g, "fc1", x, &(pp_dense_params){.out_features = 24, .bias = true});
    x = pp_graph_relu(g, "relu5", x);
    x = pp_graph_dense(g, "fc2", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

/* Every parameter after some steps with a policy; the caller frees them. */
static float *train(const setting *s, const char *codec, size_t *count_out) {
    static const int32_t labels[BATCH] = {0, 3, 1, 2, 3, 1};
    static float inputs[BATCH * SIDE * SIDE * 3];
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        inputs[i] = sinf((float)i * 0.37f) + cosf((float)(i * i % 101));
    const pp_batch batch = {.inputs = inputs, .labels = labels, .count = BATCH};
    const pp_band band = {.first = "conv1", .last = "conv2", .images = s->band};
    const pp_plan_options options = {
        .batch = BATCH, .codec = codec, .bands = &band, .band_count = s->band != 0};
    pp_graph *g = make_network(s);
    trainer t;
    if (s->profile)
        trainer_create_with(&t, s->profile, g, &options, 11);
    else
        trainer_create(&t, g, &options, 11);
    for (size_t i = 0; i < STEPS; i++) trainer_step(&t, &batch, 0.05f);
    float *all = trainer_read_all(&t, count_out);
    trainer_destroy(&t);
    pp_graph_destroy(g);
    return all;
}

static void check_training(const setting *s, const char *codec, bool same) {
    size_t count, raw_count;
    float *raw = train(s, "raw", &raw_count), *found = train(s, codec, &count);
    ck_assert_uint_eq(count, raw_count);
    ck_assert_msg(!memcmp(raw, found, count * sizeof *raw) == same,
                  "%s, %u channels, bands of %u: %s raw's bits", codec, s->channels, s->band,
                  same ? "not" : "the same as");
    free(raw);
    free(found);
}

/* Every gradient has raw's bits, as the parameters after each step show. The device's own profile
 * may sum a dense layer's weight gradient over a map in another order where the map is a code. */
START_TEST(training_is_raws_where_the_density_suffices) {
    static const setting settings[] = {{16, "default", false, 0},
                                       {10, "default", false, 0},
                                       {16, NULL, true, 0},
                                       {10, NULL, true, 0},
                                       {16, "default", true, 2}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        check_training(&settings[i], "bitmap,density=1", true);
        check_training(&settings[i], "bitmap,density=0.9", true);
        check_training(&settings[i], "bitmap,density=0.1", false);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("codec/bitmap");
    TCase *test = tcase_create("device");
    tcase_add_test(test, codes_equal_the_reference);
    tcase_add_test(test, forms_change_at_the_capacity);
    tcase_add_test(test, every_count_fits);
    tcase_add_test(test, errors_stay_below_half_a_step);
    tcase_add_test(test, wild_values_equal_the_reference);
    tcase_add_test(test, relu_reads_the_mask);
    tcase_add_test(test, training_is_raws_where_the_density_suffices);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
