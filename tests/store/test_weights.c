/* Weights from files: names, layouts and types, what does not fit, and networks that were trained
 * elsewhere. */
#include <math.h>
#include <stdlib.h>

#include <pocketprop/data.h>
#include <pocketprop/weights.h>

#include "io/make_files.h"
#include "io/safetensors.h"
#include "store/layout.h"
#include "support/support.h"
#include "support/trainer.h"

/* image 4x4x4 -> conv of two groups -> bn -> dense over 4x3 pixels. */
static void create(trainer *t, uint32_t classes) {
    pp_graph *g = NULL;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "image", 4, 4, 4);
    x = pp_graph_conv2d(g, "conv", x,
                        &(pp_conv2d_params){.out_channels = 6,
                                            .kernel_h = 3,
                                            .kernel_w = 2,
                                            .pad_h = 1,
                                            .groups = 2,
                                            .bias = true});
    x = pp_graph_batchnorm(g, "bn", x, NULL);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = classes, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    trainer_create(t, g, &(pp_plan_options){.batch = 2}, 3);
    pp_graph_destroy(g);
}

enum { CONV = 6 * 2 * 3 * 2, FC_IN = 4 * 3 * 6, CLASSES = 5, MOST = FC_IN * CLASSES };

/* The tensors as PyTorch has them, each element its own number. */
static const struct {
    const char *name;
    uint32_t axis_count;
    uint64_t extents[4];
} torch[] = {{"conv.weight", 4, {6, 2, 3, 2}},
             {"conv.bias", 1, {6}},
             {"bn.weight", 1, {6}},
             {"bn.bias", 1, {6}},
             {"bn.running_mean", 1, {6}},
             {"bn.running_var", 1, {6}},
             {"fc.weight", 2, {CLASSES, FC_IN}},
             {"fc.bias", 1, {CLASSES}}};
enum { TENSORS = sizeof torch / sizeof *torch };

typedef struct example {
    const char *prefix;
    pp__safe_type type;
    size_t leave_out; /* a tensor, or TENSORS */
    bool bookkeeping, stranger;
} example;

static float number_of(size_t tensor, size_t element) {
    return (float)(tensor + 1) + (float)element / 256;
}

static const char *write_file(const char *file_name, const example *e) {
    static char names[TENSORS + 2][64];
    static unsigned char bytes[TENSORS + 2][MOST * 8];
    pp__safe_tensor tensors[TENSORS + 2];
    const void *data[TENSORS + 2];
    size_t count = 0;
    for (size_t t = 0; t < TENSORS; t++) {
        if (t == e->leave_out) continue;
        snprintf(names[count], sizeof *names, "%s%s", e->prefix, torch[t].name);
        tensors[count] = (pp__safe_tensor){
            .name = names[count], .type = e->type, .axis_count = torch[t].axis_count};
        size_t elems = 1;
        for (uint32_t a = 0; a < torch[t].axis_count; a++)
            elems *= (size_t)(tensors[count].extents[a] = torch[t].extents[a]);
        for (size_t i = 0; i < elems; i++) {
            const float value = number_of(t, i);
            const double wide = (double)value;
            uint32_t word;
            memcpy(&word, &value, 4);
            const uint16_t upper = (uint16_t)(word >> 16), half = pp__half_of(value);
            if (e->type == PP__SAFE_F32) memcpy(bytes[count] + 4 * i, &value, 4);
            if (e->type == PP__SAFE_F64) memcpy(bytes[count] + 8 * i, &wide, 8);
            if (e->type == PP__SAFE_F16) memcpy(bytes[count] + 2 * i, &half, 2);
            if (e->type == PP__SAFE_BF16) memcpy(bytes[count] + 2 * i, &upper, 2);
        }
        data[count] = bytes[count];
        count++;
    }
    static const int64_t batches = 100;
    const char *const extra[] = {e->bookkeeping ? "bn.num_batches_tracked" : NULL,
                                 e->stranger ? "neck.weight" : NULL};
    for (size_t i = 0; i < 2; i++) {
        if (!extra[i]) continue;
        snprintf(names[count], sizeof *names, "%s%s", e->prefix, extra[i]);
        tensors[count] = (pp__safe_tensor){.name = names[count], .type = PP__SAFE_I64};
        data[count++] = &batches;
    }
    const char *path = make_path(file_name);
    TEST_OK(pp__safe_write(test_engine(), path, tensors, data, count, NULL, 0, false));
    return path;
}

/* The device's element of each of PyTorch's, written out by hand. `ulp`: the type's precision. */
static void check_loaded(const trainer *t, float ulp) {
    float *conv = trainer_read(t, "conv.weight"), *fc = trainer_read(t, "fc.weight");
    float *variance = trainer_read(t, "bn.running_var");
    for (size_t k = 0; k < 6; k++)
        for (size_t c = 0; c < 2; c++)
            for (size_t r = 0; r < 3; r++)
                for (size_t s = 0; s < 2; s++) {
                    const float expected = number_of(0, ((k * 2 + c) * 3 + r) * 2 + s);
                    const float found = conv[((r * 2 + s) * 2 + c) * 6 + k];
                    ck_assert_msg(fabsf(found - expected) <= ulp * expected, "%g, not %g",
                                  (double)found, (double)expected);
                }
    for (size_t k = 0; k < CLASSES; k++)
        for (size_t c = 0; c < 6; c++)
            for (size_t p = 0; p < 12; p++) {
                const float expected = number_of(6, k * FC_IN + c * 12 + p);
                const float found = fc[(p * 6 + c) * CLASSES + k];
                ck_assert_msg(fabsf(found - expected) <= ulp * expected, "%g, not %g",
                              (double)found, (double)expected);
            }
    for (size_t c = 0; c < 6; c++)
        ck_assert(fabsf(variance[c] - number_of(5, c)) <= ulp * number_of(5, c));
    free(conv);
    free(fc);
    free(variance);
}

static const example plain = {.prefix = "", .leave_out = TENSORS};

START_TEST(layouts_and_types) {
    static const struct {
        pp__safe_type type;
        float ulp;
    } types[] = {
        {PP__SAFE_F32, 0}, {PP__SAFE_F64, 0}, {PP__SAFE_F16, 0x1p-11f}, {PP__SAFE_BF16, 0x1p-7f}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        example e = plain;
        e.type = types[i].type;
        e.bookkeeping = true;
        trainer t;
        create(&t, CLASSES);
        pp_weights_report *report;
        TEST_OK(pp_weights_load(t.session, write_file("types", &e), NULL, &report));
        ck_assert_uint_eq(pp_weights_report_count(report), TENSORS);
        ck_assert_uint_eq(pp_weights_report_matches(report, PP_WEIGHTS_LOADED), TENSORS);
        pp_weights_report_destroy(report);
        check_loaded(&t, types[i].ulp);
        trainer_destroy(&t);
    }
}
END_TEST

/* `expected` is taken off by itself. */
static void check_prefix(trainer *t, const char *path, const pp_weights_options *options,
                         const char *expected) {
    pp_weights_report *report = NULL;
    TEST_OK(pp_weights_load(t->session, path, options, &report));
    ck_assert_str_eq(pp_weights_report_prefix(report), expected);
    pp_weights_report_destroy(report);
}

START_TEST(names) {
    static const pp_rename rules[] = {{"net.head.*", "head.*"}, {"net.*", "*"}};
    trainer t;
    create(&t, CLASSES);
    example e = plain;
    e.prefix = "module.";
    check_prefix(&t, write_file("prefixed", &e), NULL, "module.");
    check_loaded(&t, 0);
    e.prefix = "module.model.";
    e.bookkeeping = e.stranger = false;
    check_prefix(&t, write_file("twice", &e), NULL, "module.model.");
    e.prefix = "net.";
    const pp_weights_options renamed = {.renames = rules, .rename_count = 2};
    check_prefix(&t, write_file("renamed", &e), &renamed, "");
    /* The first rule that matches makes "head.conv.weight", whose prefix all names share. */
    e.prefix = "net.head.";
    check_prefix(&t, write_file("headed", &e), &renamed, "head.");
    static const pp_rename one[] = {{"conv.weight", "stem.weight"}};
    TEST_FAILS(pp_weights_load(t.session, write_file("plain", &plain),
                               &(pp_weights_options){.renames = one, .rename_count = 1}, NULL),
               PP_ERROR_SHAPE, "has no 'conv.weight' of shape [6, 2, 3, 2]; 1 more do not fit");
    trainer_destroy(&t);
}
END_TEST

static float first_of(const trainer *t, const char *name) {
    float *values = trainer_read(t, name);
    const float first = values[0];
    free(values);
    return first;
}

START_TEST(what_does_not_fit) {
    trainer t;
    create(&t, CLASSES);
    const float before = first_of(&t, "conv.weight");
    example e = plain;
    e.leave_out = 3;
    TEST_FAILS(pp_weights_load(t.session, write_file("less", &e), NULL, NULL), PP_ERROR_SHAPE,
               "has no 'bn.bias' of shape [6]");
    e = plain;
    e.stranger = true;
    TEST_FAILS(pp_weights_load(t.session, write_file("more", &e), NULL, NULL), PP_ERROR_SHAPE,
               "'neck.weight' of shape [] belongs to no parameter");
    e = plain;
    e.type = PP__SAFE_I32;
    TEST_FAILS(pp_weights_load(t.session, write_file("whole", &e), NULL, NULL),
               PP_ERROR_CORRUPT_DATA, "'conv.weight' holds I32");
    ck_assert(first_of(&t, "conv.weight") == before);
    trainer_destroy(&t);

    /* Another head: everything else is taken. */
    trainer other;
    create(&other, 7);
    const float head = first_of(&other, "fc.weight");
    pp_weights_report *report;
    TEST_FAILS(pp_weights_load(other.session, write_file("head", &plain), NULL, &report),
               PP_ERROR_SHAPE,
               "'fc.weight' has shape [5, 72], expected [7, 72]; 1 more do not fit");
    ck_assert_uint_eq(pp_weights_report_matches(report, PP_WEIGHTS_SHAPE), 2);
    pp_weights_report_destroy(report);
    TEST_OK(pp_weights_load(other.session, write_file("head", &plain),
                            &(pp_weights_options){.partial = true}, &report));
    ck_assert_uint_eq(pp_weights_report_matches(report, PP_WEIGHTS_LOADED), TENSORS - 2);
    ck_assert_uint_eq(pp_weights_report_matches(report, PP_WEIGHTS_SHAPE), 2);
    ck_assert(first_of(&other, "fc.weight") == head);
    ck_assert(first_of(&other, "conv.weight") == number_of(0, 0));
    pp_weights_report_destroy(report);

    /* Nothing at all is an error even then. */
    TEST_OK(pp_weights_save(other.session, make_path("foreign"), NULL));
    e = plain;
    e.prefix = "x";
    TEST_FAILS(pp_weights_load(other.session, write_file("foreign", &e),
                               &(pp_weights_options){.partial = true}, NULL),
               PP_ERROR_SHAPE, "has no 'conv.weight'");
    trainer_destroy(&other);
}
END_TEST

START_TEST(saved_weights_come_back) {
    trainer a, b;
    create(&a, CLASSES);
    create(&b, CLASSES);
    float values[CONV];
    test_fill_normal(values, CONV);
    TEST_OK(pp_session_write_parameter(a.session, trainer_index(&a, "conv.weight"), values, CONV));
    ck_assert(!trainer_same(&a, &b));
    TEST_OK(pp_weights_save(a.session, make_path("saved"), NULL));
    TEST_OK(pp_weights_load(b.session, make_path("saved"), NULL, NULL));
    ck_assert(trainer_same(&a, &b));
    TEST_OK(pp_weights_save(a.session, make_path("half"), &(pp_weights_save_options){true}));
    TEST_OK(pp_weights_load(b.session, make_path("half"), NULL, NULL));
    float *found = trainer_read(&b, "conv.weight");
    test_close("halves", found, values, CONV, 0x1p-25f, 0x1p-11f);
    free(found);
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

/* Rounded to the nearest even, as the C reference of the codec does. */
START_TEST(halves) {
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {{0, 0},
                 {-0.0f, 0x8000},
                 {1, 0x3C00},
                 {-2, 0xC000},
                 {65504, 0x7BFF},
                 {65519.996f, 0x7BFF},
                 {65520, 0x7C00},
                 {INFINITY, 0x7C00},
                 {0x1p-14f, 0x400},
                 {0x1p-24f, 1},
                 {0x1p-25f, 0},
                 {0x1.8p-25f, 1},
                 {1 + 0x1p-11f, 0x3C00},
                 {1 + 0x1.8p-10f, 0x3C02},
                 {0x1.ff8p-15f, 0x3FF}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(pp__half_of(cases[i].value) == cases[i].half, "%g: %x, not %x",
                      (double)cases[i].value, pp__half_of(cases[i].value), cases[i].half);
    ck_assert_uint_eq(pp__half_of(NAN) & 0x7C00, 0x7C00);
    ck_assert_uint_ne(pp__half_of(NAN) & 0x3FF, 0);
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t half = (uint16_t)h;
        float value;
        ck_assert(pp__floats_read(PP__SAFE_F16, &half, 1, &value));
        if (!isnan(value)) ck_assert_uint_eq(pp__half_of(value), half);
    }
}
END_TEST

/* What PyTorch computes from the same file and image (the data's README). */
START_TEST(trained_networks) {
    static const struct {
        const char *model;
        float logits[4];
    } cases[] = {{"resnet20", {-6.97181f, 2.29266f, -4.46710f, 1.13611f}},
                 {"resnet32", {-9.06298f, 2.01445f, 0.40057f, -0.80684f}}};
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
    char text[MAKE_PATH], folder[MAKE_PATH / 2];
    const char *data = test_data_folder("weights");
    if (!data) return;
    snprintf(folder, sizeof folder, "%s", data);
    data = test_data_folder("cifar10");
    if (!data) return;
    snprintf(text, sizeof text, "cifar10:%s", data);
    pp_dataset *set = NULL;
    pp_loader *loader = NULL;
    TEST_OK(pp_dataset_open(test_engine(), text, PP_SPLIT_TEST, NULL, &set));
    const pp_loader_options options = {.batch = 1, .mean = mean, .deviation = deviation};
    TEST_OK(pp_loader_create(set, &options, &loader));
    TEST_OK(pp_loader_start_epoch(loader, 0));
    pp_batch batch;
    TEST_OK(pp_loader_next(loader, &batch));
    for (size_t i = 0; i < 2; i++) {
        pp_graph *g = NULL;
        TEST_OK(pp_model_build(test_engine(), cases[i].model, NULL, &g));
        trainer t;
        trainer_create(&t, g, &(pp_plan_options){.batch = 1, .inference = true}, 1);
        pp_graph_destroy(g);
        snprintf(text, sizeof text, "%s/%s.safetensors", folder, cases[i].model);
        TEST_OK(pp_weights_load(t.session, text, NULL, NULL));
        float logits[10];
        TEST_OK(pp_session_predict(t.session, &batch, logits));
        test_close(cases[i].model, logits, cases[i].logits, 4, 1e-3f, 0);
        trainer_destroy(&t);
    }
    pp_loader_destroy(loader);
    pp_dataset_close(set);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store/weights");
    TCase *test = tcase_create("device");
    tcase_add_test(test, layouts_and_types);
    tcase_add_test(test, names);
    tcase_add_test(test, what_does_not_fit);
    tcase_add_test(test, saved_weights_come_back);
    tcase_add_test(test, halves);
    tcase_add_test(test, trained_networks);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
