/* What rules leave of a plan: what is frozen has no gradient, moment or saved value, and rules that
 * make no sense are refused. */
#include "plan/plans.h"
#include "plan/small_networks.h"

#include "support/support.h"

enum { BATCH = 8 };

static pp_plan *plan_with(const char *model, const pp_parameter_rule *rules, size_t count,
                          pp_plan_summary *summary) {
    pp_graph *g = model ? graph_of_model(model) : residual_block();
    pp_plan *plan = plan_and_drop(g, &(pp_plan_options){.batch = BATCH,
                                                        .codec = "norm:4",
                                                        .optimizer = {.momentum = 0.9f},
                                                        .rules = rules,
                                                        .rule_count = count});
    pp_plan_summarize(plan, summary);
    return plan;
}

static size_t count_passes(const pp_plan *plan, const char *pass) {
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    size_t count = 0;
    for (size_t s = 0; s < summary.step_count; s++) {
        pp_plan_step_info info;
        pp_plan_describe_step(plan, s, &info);
        count += !strcmp(info.pass, pass);
    }
    return count;
}

/* 512 + 10 numbers are trained: their input is all that is saved, and theirs the one backward step
 * besides the loss's. */
START_TEST(head_alone_costs_next_to_nothing) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "*", 0},
                                              {PP_RULE_TRAIN, "linear.*", 0}};
    pp_plan_summary all, head;
    pp_plan_destroy(plan_with("resnet20", NULL, 0, &all));
    pp_plan *plan = plan_with("resnet20", rules, 2, &head);
    ck_assert_uint_eq(head.parameter_elems, 64 * 10 + 10);
    ck_assert_uint_eq(count_passes(plan, "backward"), 1);
    ck_assert_uint_eq(count_passes(plan, "backward weight"), 1);
    ck_assert_uint_eq(count_passes(plan, "encode"), 1);
    ck_assert_uint_eq(count_passes(plan, "update"), 1);
    /* Half, of one pixel each; the loss keeps its input. */
    ck_assert_uint_eq(head.saved_stored_bytes, BATCH * (64 * 2 + 10 * 4));
    ck_assert_uint_lt(head.saved_raw_bytes, all.saved_raw_bytes / 100);
    ck_assert_uint_eq(head.class_bytes[PP_MEMORY_SAVED], 0);
    size_t optimizer_bytes = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (row.memory_class == PP_MEMORY_OPTIMIZER) optimizer_bytes += row.stored_bytes;
    }
    ck_assert_uint_eq(optimizer_bytes, 4 * (64 * 10 + 10));
    pp_plan_destroy(plan);
}
END_TEST

/* Biases and betas need the gradient and the masks, no activation (TinyTL, Cai et al. 2020). */
START_TEST(biases_save_masks_alone) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "*", 0},
                                              {PP_RULE_TRAIN, "*.bias", 0}};
    pp_plan_summary summary;
    pp_plan *plan = plan_with("resnet20", rules, 2, &summary);
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (row.memory_class == PP_MEMORY_SAVED && strcmp(row.name, "linear") != 0)
            ck_assert_str_eq(row.kind, "mask");
    }
    ck_assert_uint_gt(summary.saved_stored_bytes, 0);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(layers_say_what_is_trained) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "conv1.*", 0},
                                              {PP_RULE_FREEZE, "bn0.*", 0}};
    pp_plan_summary summary;
    pp_plan *plan = plan_with(NULL, rules, 2, &summary);
    for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
        pp_plan_layer layer;
        pp_plan_read_layer(plan, i, &layer);
        if (!strcmp(layer.name, "conv1")) {
            ck_assert_int_eq(layer.weight, PP_TERM_ABSENT);
            ck_assert_int_eq(layer.input, PP_TERM_EXACT);
            ck_assert_uint_eq(layer.read_count, 0);
        }
        if (!strcmp(layer.name, "bn0")) {
            ck_assert_int_eq(layer.gamma, PP_TERM_ABSENT);
            ck_assert_int_eq(layer.beta, PP_TERM_ABSENT);
            ck_assert_int_eq(layer.input, PP_TERM_EXACT);
            ck_assert_uint_eq(layer.read_count, 1);
            ck_assert_str_eq(layer.reads[0].view, "mask");
        }
    }
    pp_plan_destroy(plan);
}
END_TEST

/* Budgets choose among what is left. */
START_TEST(budgets_know_rules) {
    static const pp_parameter_rule rules[] = {
        {PP_RULE_FREEZE, "*", 0}, {PP_RULE_TRAIN, "layer3.2.*", 0}, {PP_RULE_TRAIN, "linear.*", 0}};
    pp_graph *g = graph_of_model("resnet20");
    pp_plan *plan = plan_of(g, &(pp_plan_options){.batch = 128,
                                                  .optimizer = {.momentum = 0.9f},
                                                  .budget_bytes = 12000000,
                                                  .rules = rules,
                                                  .rule_count = 3});
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    ck_assert_uint_le(summary.peak_bytes, 12000000);
    ck_assert_uint_eq(summary.parameter_elems, 2 * 9 * 64 * 64 + 4 * 64 + 650);
    pp_plan_destroy(plan);
    pp_graph_destroy(g);
}
END_TEST

START_TEST(senseless_rules_are_refused) {
    static const struct {
        pp_parameter_rule rules[2];
        size_t count;
        const char *says;
    } cases[] = {
        {{{PP_RULE_FREEZE, "conv9.*", 0}}, 1, "a rule for 'conv9.*', which no parameter's name"},
        {{{PP_RULE_FREEZE, "*", 0}}, 1, "freeze all 17 parameters"},
        {{{PP_RULE_FREEZE, "*.running_mean", 0}}, 1, "one of bn0.running_mean and bn0.running_var"},
        {{{PP_RULE_RATE, "*", 0}}, 1, "rate 0 for '*'"},
        {{{PP_RULE_RATE, "*", -1}}, 1, "rate -1 for '*'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_graph *g = residual_block();
        pp_plan *plan = NULL;
        TEST_FAILS(
            plan_try(g,
                     &(pp_plan_options){
                         .batch = BATCH, .rules = cases[i].rules, .rule_count = cases[i].count},
                     &plan),
            PP_ERROR_INVALID_ARGUMENT, cases[i].says);
        pp_graph_destroy(g);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/rules");
    TCase *test = tcase_create("host");
    tcase_add_test(test, head_alone_costs_next_to_nothing);
    tcase_add_test(test, biases_save_masks_alone);
    tcase_add_test(test, layers_say_what_is_trained);
    tcase_add_test(test, budgets_know_rules);
    tcase_add_test(test, senseless_rules_are_refused);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
