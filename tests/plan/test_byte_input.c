/* Plans of networks whose input arrives in bytes: one byte an element from the application to the
 * weight gradient, and float32 only between the step that decodes and the first layers. */
#include <string.h>

#include "plan/flow.h"
#include "plan/plans.h"

enum { BATCH = 2, ELEMS = BATCH * 7 * 9 * 3 };

static const pp_pixels pixels = {0, {0.5f, 0.4f, 0.3f}, {0.25f, 0.2f}};

static pp_value add_bytes(pp_graph *g) {
    return pp_graph_input_bytes(g, "image", 7, 9, 3, &pixels);
}

static pp_graph *small_net(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", add_bytes(g), 8);
    x = add_conv(g, "conv2", pp_graph_relu(g, "relu1", add_bn(g, "bn1", x)), 8);
    add_head(g, pp_graph_relu(g, "relu2", x));
    return g;
}

static pp_plan *planned(pp_graph *g, const char *codec, const char *pattern, const char *over) {
    const pp_codec_override override = {pattern, over};
    pp_plan *plan = plan_and_drop(g, &(pp_plan_options){.batch = BATCH,
                                                        .codec = codec,
                                                        .overrides = &override,
                                                        .override_count = pattern != NULL});
    flow_check(plan);
    return plan;
}

static const char *const policies[] = {"raw", "half", "norm:8", "norm:2", "avgpool:2"};

START_TEST(stays_bytes_in_every_policy) {
    pp_plan *plan = planned(small_net(), policies[_i], NULL, NULL);
    const pp_plan_row staged = row_of(plan, "image bytes"), value = row_of(plan, "image");
    ck_assert_int_eq(staged.memory_class, PP_MEMORY_STAGING);
    ck_assert_str_eq(staged.codec, "bytes");
    ck_assert_str_eq(staged.kind, "input");
    ck_assert_str_eq(staged.views, "value");
    ck_assert_uint_eq(staged.stored_bytes, ELEMS);
    ck_assert_uint_eq(staged.raw_bytes, 4 * ELEMS);
    ck_assert_uint_eq(staged.first_step, 0);
    ck_assert_uint_eq(staged.last_step, step_of(plan, "conv1 backward weight"));

    ck_assert_int_eq(value.memory_class, PP_MEMORY_TRANSIENT);
    ck_assert_str_eq(value.codec, "");
    ck_assert_uint_eq(value.stored_bytes, 4 * ELEMS);
    ck_assert_uint_eq(value.first_step, step_of(plan, "image forward"));
    ck_assert_uint_eq(value.last_step, step_of(plan, "conv1 forward"));
    ck_assert(!has_row(plan, "image code"));
    pp_plan_destroy(plan);
}
END_TEST

/* The bytes of the network's summary, in the place of the float32 tensor. */
START_TEST(counts_as_saved) {
    pp_graph *g = graph_new();
    add_head(g, add_conv(g, "conv1", pp_graph_input(g, "image", 7, 9, 3), 8));
    pp_plan *floats = plan_and_drop(g, &(pp_plan_options){.batch = BATCH});
    g = graph_new();
    add_head(g, add_conv(g, "conv1", add_bytes(g), 8));
    pp_plan *bytes = plan_and_drop(g, &(pp_plan_options){.batch = BATCH});
    ck_assert_uint_eq(summary_of(floats).saved_raw_bytes, summary_of(bytes).saved_raw_bytes);
    ck_assert_uint_eq(summary_of(floats).saved_stored_bytes,
                      summary_of(bytes).saved_stored_bytes + 3 * ELEMS);
    pp_plan_destroy(floats);
    pp_plan_destroy(bytes);
}
END_TEST

START_TEST(inference_keeps_nothing) {
    pp_plan *plan =
        plan_and_drop(small_net(), &(pp_plan_options){.batch = BATCH, .inference = true});
    flow_check(plan);
    const pp_plan_row staged = row_of(plan, "image bytes");
    ck_assert_str_eq(staged.codec, "");
    ck_assert_uint_eq(staged.stored_bytes, ELEMS);
    ck_assert_uint_eq(staged.last_step, 0);
    pp_plan_destroy(plan);
}
END_TEST

/* By kind an override is literal; by name it leaves the bytes alone. */
START_TEST(overrides) {
    pp_plan *plan = planned(small_net(), "norm:4", "@input", "half");
    ck_assert_uint_eq(row_of(plan, "image code").stored_bytes, 2 * ELEMS);
    ck_assert_uint_eq(row_of(plan, "image bytes").last_step, 0);
    pp_plan_destroy(plan);

    plan = planned(small_net(), "norm:4", "@input", "raw");
    ck_assert_int_eq(row_of(plan, "image").memory_class, PP_MEMORY_SAVED);
    ck_assert_uint_eq(row_of(plan, "image").last_step, step_of(plan, "conv1 backward weight"));
    ck_assert_uint_eq(row_of(plan, "image bytes").last_step, 0);
    pp_plan_destroy(plan);

    plan = planned(small_net(), "raw", "@input", "bytes");
    ck_assert_str_eq(row_of(plan, "image bytes").codec, "bytes");
    pp_plan_destroy(plan);

    static const char *const everything[] = {"half", "raw", "avgpool:2"};
    for (size_t i = 0; i < sizeof everything / sizeof *everything; i++) {
        plan = planned(small_net(), "norm:4", "*", everything[i]);
        ck_assert_str_eq(row_of(plan, "image bytes").codec, "bytes");
        ck_assert(!has_row(plan, "image code"));
        pp_plan_destroy(plan);
    }
}
END_TEST

static void refuse(pp_graph *g, const char *codec, const char *pattern, const char *over,
                   const char *part) {
    const pp_codec_override override = {pattern, over};
    pp_plan *plan = NULL;
    TEST_FAILS(plan_try(g,
                        &(pp_plan_options){.batch = BATCH,
                                           .codec = codec,
                                           .overrides = &override,
                                           .override_count = pattern != NULL},
                        &plan),
               PP_ERROR_INVALID_ARGUMENT, part);
    ck_assert_ptr_null(plan);
}

START_TEST(nothing_else_becomes_bytes) {
    pp_graph *bytes = small_net(), *floats = graph_new();
    add_head(floats, add_conv(floats, "conv1", pp_graph_input(floats, "image", 7, 9, 3), 8));
    refuse(bytes, "bytes", NULL, NULL, "codec 'bytes' stores masks, indices or images only");
    refuse(bytes, "raw", "@activation", "bytes", "codec 'bytes' cannot store this kind");
    refuse(bytes, "raw", "@mask", "bytes", "codec 'bytes' cannot store this kind");
    refuse(bytes, "raw", "conv*", "bytes", "override conv*=bytes has no effect");
    refuse(bytes, "raw", "image", "half", "override image=half has no effect");
    refuse(floats, "raw", "@input", "bytes", "codec 'bytes' cannot store this kind");
    refuse(floats, "raw", "image", "bytes", "override image=bytes has no effect");
    pp_graph_destroy(bytes);
    pp_graph_destroy(floats);
}
END_TEST

/* The decoded input is an activation like others: its last reader may overwrite it, several layers
 * may read it, and a batch-norm may keep it. */
START_TEST(is_an_activation_like_others) {
    pp_graph *g = graph_new();
    add_head(g, add_conv(g, "conv1", pp_graph_relu(g, "relu1", add_bytes(g)), 8));
    pp_plan *plan = planned(g, "half", NULL, NULL);
    ck_assert(!has_row(plan, "relu1"));
    ck_assert_uint_eq(row_of(plan, "image bytes").last_step, 0);
    pp_plan_destroy(plan);

    g = graph_new();
    add_head(g, add_conv(g, "conv1", pp_graph_relu(g, "relu1", add_bn(g, "bn1", add_bytes(g))), 8));
    plan = planned(g, "raw", NULL, NULL);
    ck_assert_int_eq(row_of(plan, "image").memory_class, PP_MEMORY_SAVED);
    ck_assert_str_eq(row_of(plan, "image").kind, "normalised");
    pp_plan_destroy(plan);

    g = graph_new();
    pp_value x = add_bytes(g), a = add_conv(g, "a", x, 8);
    add_head(g, pp_graph_add(g, "add", a, add_conv(g, "b", x, 8)));
    plan = planned(g, "norm:4", NULL, NULL);
    ck_assert_uint_eq(row_of(plan, "image").last_step, step_of(plan, "b forward"));
    ck_assert_uint_eq(row_of(plan, "image bytes").last_step, step_of(plan, "a backward weight"));
    pp_plan_destroy(plan);
}
END_TEST

/* In a run of bands that begins with it, the float32 input exists for one band. */
START_TEST(decodes_by_bands) {
    pp_graph *g = graph_new();
    add_head(g, pp_graph_maxpool(g, "pool", add_conv(g, "conv1", add_bytes(g), 8),
                                 &(pp_pool_params){.kernel_h = 2, .kernel_w = 2}));
    const pp_band band = {"image", "pool", 1};
    pp_plan *plan =
        plan_and_drop(g, &(pp_plan_options){.batch = BATCH, .bands = &band, .band_count = 1});
    ck_assert_uint_eq(row_of(plan, "image").stored_bytes, 4 * ELEMS / BATCH);
    ck_assert_uint_eq(row_of(plan, "image bytes").stored_bytes, ELEMS);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(describes_the_step) {
    pp_plan *plan = planned(small_net(), "raw", NULL, NULL);
    pp_plan_step_info info;
    pp_plan_describe_step(plan, step_of(plan, "image forward"), &info);
    ck_assert_str_eq(info.operator_name, "input");
    ck_assert(info.bytes == 5 * ELEMS && !info.is_product);
    pp_plan_destroy(plan);
}
END_TEST

static void refuse_pixels(uint32_t channels, const pp_pixels *wrong, pp_status status,
                          const char *part) {
    pp_graph *g = graph_new();
    pp_plan *plan = NULL;
    add_head(g, add_conv(g, "conv1", pp_graph_input_bytes(g, "photo", 4, 4, channels, wrong), 8));
    TEST_FAILS(plan_try(g, &(pp_plan_options){.batch = BATCH}, &plan), status, part);
    pp_graph_destroy(g);
}

START_TEST(refuses_what_no_image_has) {
    refuse_pixels(5, &pixels, PP_ERROR_SHAPE,
                  "'photo' (input): 5 channels of bytes, expected at most 4");
    refuse_pixels(0, &pixels, PP_ERROR_SHAPE, "zero extent");
    refuse_pixels(3, &(pp_pixels){.maximum = 256}, PP_ERROR_INVALID_ARGUMENT,
                  "256 stands for 1, expected a byte");
    refuse_pixels(3, &(pp_pixels){.deviation = {1, 1, -1}}, PP_ERROR_INVALID_ARGUMENT,
                  "channel 2 has mean 0 and deviation -1");
    refuse_pixels(2, &(pp_pixels){.mean = {0, 1e6f}}, PP_ERROR_INVALID_ARGUMENT,
                  "channel 1 has mean 1e+06 and deviation 1, expected at most 16384");
    refuse_pixels(3, NULL, PP_ERROR_INVALID_ARGUMENT, "node 'photo' has no parameters");
    pp_graph *g = graph_new(); /* what lies behind the input's channels does not matter */
    add_head(
        g,
        add_conv(g, "conv1",
                 pp_graph_input_bytes(g, "photo", 4, 4, 1, &(pp_pixels){.deviation = {1, -1}}), 8));
    pp_plan_destroy(plan_and_drop(g, &(pp_plan_options){.batch = BATCH}));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/byte_input");
    TCase *test = tcase_create("plans");
    tcase_add_loop_test(test, stays_bytes_in_every_policy, 0,
                        (int)(sizeof policies / sizeof *policies));
    tcase_add_test(test, counts_as_saved);
    tcase_add_test(test, inference_keeps_nothing);
    tcase_add_test(test, overrides);
    tcase_add_test(test, nothing_else_becomes_bytes);
    tcase_add_test(test, is_an_activation_like_others);
    tcase_add_test(test, decodes_by_bands);
    tcase_add_test(test, describes_the_step);
    tcase_add_test(test, refuses_what_no_image_has);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
