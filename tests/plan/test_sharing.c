/* What of a band takes turns in one place: a front of many layers, in bands, takes the memory of the few
 * values that are alive at a time. That no value is overwritten before its last reader comes by is
 * what tests/plan/test_bands.c and tests/exec/test_rules.c show. */
#include "plan/plan.h"
#include "plan/plans.h"
#include "support/support.h"

enum { BATCH = 16, BAND = 2, SIDE = 8, CHANNELS = 8, LAYERS = 6 };

static pp_graph *chain(uint32_t stride_at) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, CHANNELS);
    for (uint32_t i = 0; i < LAYERS; i++) {
        const char name[] = {'c', (char)('0' + i), 0};
        const uint32_t stride = i == stride_at ? 2 : 1;
        x = pp_graph_conv2d(g, name, x,
                            &(pp_conv2d_params){.out_channels = CHANNELS,
                                                .kernel_h = 3,
                                                .kernel_w = 3,
                                                .pad_h = 1,
                                                .pad_w = 1,
                                                .stride_h = stride,
                                                .stride_w = stride});
    }
    add_head(g, x);
    return g;
}

/* The bytes of the places of a band's values, and how many there are. */
static size_t band_bytes(const pp_plan *plan, size_t *places_out) {
    size_t bytes = 0;
    *places_out = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        if (!b->images || b->images == plan->batch || !b->bytes) continue;
        bytes += b->bytes;
        ++*places_out;
    }
    return bytes;
}

static pp_plan *plan_front(pp_graph *g) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "c*", 0}};
    static const pp_band band = {"c0", "c5", BAND};
    return plan_and_drop(
        g, &(pp_plan_options){
               .batch = BATCH, .rules = rules, .rule_count = 1, .bands = &band, .band_count = 1});
}

/* A layer reads one value and writes the next: two places do for any number. */
START_TEST(layers_take_turns) {
    size_t places;
    pp_plan *plan = plan_front(chain(LAYERS));
    ck_assert_uint_eq(band_bytes(plan, &places), 2 * BAND * SIDE * SIDE * CHANNELS * sizeof(float));
    ck_assert_uint_eq(places, 2);
    pp_plan_destroy(plan);
}
END_TEST

/* Behind a stride values have a quarter of the bytes, and lie in the large ones' places. */
START_TEST(small_values_lie_in_large_places) {
    size_t places;
    pp_plan *plan = plan_front(chain(2));
    ck_assert_uint_eq(band_bytes(plan, &places), 2 * BAND * SIDE * SIDE * CHANNELS * sizeof(float));
    ck_assert_uint_eq(places, 2);
    pp_plan_destroy(plan);
}
END_TEST

/* A budget takes the frozen front as one run. */
START_TEST(budgets_band_the_frozen_front) {
    static const pp_parameter_rule rules[] = {
        {PP_RULE_FREEZE, "*", 0}, {PP_RULE_TRAIN, "layer3.2.*", 0}, {PP_RULE_TRAIN, "linear.*", 0}};
    pp_graph *g = graph_of_model("resnet20");
    pp_plan *plan = plan_of(g, &(pp_plan_options){.batch = 128,
                                                  .optimizer = {.momentum = 0.9f},
                                                  .budget_bytes = 6000000,
                                                  .rules = rules,
                                                  .rule_count = 3});
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    ck_assert_uint_le(summary.peak_bytes, 6000000);
    pp_plan_destroy(plan);
    pp_graph_destroy(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/sharing");
    TCase *test = tcase_create("host");
    tcase_add_test(test, layers_take_turns);
    tcase_add_test(test, small_values_lie_in_large_places);
    tcase_add_test(test, budgets_band_the_frozen_front);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
