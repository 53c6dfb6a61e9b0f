/* Measured harms in a budget's choice: they decide where they are given, expected errors elsewhere,
 * and the budget holds with any. */
#include <stdio.h>
#include <stdlib.h>

#include "plan/flow.h"
#include "plan/plans.h"

static const char *const codecs[] = {"norm:8", "norm:6", "norm:5", "norm:4", "norm:3",
                                     "norm:2", "norm:1", "btc:2",  "btc:4",  "btc:8"};
enum { CODECS = sizeof codecs / sizeof *codecs };

/* With every code of the value's x-hat as harmful as `harm`; NULL: nothing measured. */
static pp_plan *plan_with(const char *name, double harm) {
    pp_harm harms[CODECS];
    for (size_t i = 0; i < CODECS; i++) harms[i] = (pp_harm){name, "normalised", codecs[i], harm};
    const pp_plan_options options = {.batch = 16,
                                     .budget_bytes = 4500000,
                                     .harms = name ? harms : NULL,
                                     .harm_count = name ? CODECS : 0};
    pp_plan *plan = plan_and_drop(graph_of_model("resnet20"), &options);
    ck_assert_uint_le(summary_of(plan).peak_bytes, options.budget_bytes);
    flow_check(plan);
    return plan;
}

/* What the decisions' line for the value says. */
static const char *codec_in(pp_plan *plan, const char *name, char codec[32]) {
    char *text = NULL, wanted[64];
    TEST_OK(pp_plan_print_policy(plan, &text));
    snprintf(wanted, sizeof wanted, "%s@normalised", name);
    const char *line = strstr(text, wanted);
    ck_assert_msg(line != NULL, "no %s in\n%s", wanted, text);
    line += strlen(wanted) + 1;
    snprintf(codec, 32, "%.*s", (int)strcspn(line, " \n"), line);
    pp_text_free(test_engine(), text);
    return codec;
}

START_TEST(a_value_that_must_not_lose_anything_stays_raw) {
    static const char *const names[] = {"layer2.1.bn1", "layer3.0.bn2", "layer2.0.bn2"};
    char codec[32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pp_plan *plan = plan_with(NULL, 0);
        ck_assert_str_ne(codec_in(plan, names[i], codec), "raw");
        pp_plan_destroy(plan);
        plan = plan_with(names[i], 1e6);
        ck_assert_str_eq(codec_in(plan, names[i], codec), "raw");
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(a_value_that_does_not_matter_gives_way) {
    char codec[32], before[32];
    pp_plan *plan = plan_with(NULL, 0);
    codec_in(plan, "layer1.1.bn1", before);
    pp_plan_destroy(plan);
    plan = plan_with("layer1.1.bn1", 1e-9);
    codec_in(plan, "layer1.1.bn1", codec);
    pp_plan_destroy(plan);
    ck_assert_msg(!strcmp(codec, "norm:1") || !strcmp(codec, "btc:8"), "%s, before %s", codec,
                  before);
    ck_assert_str_ne(codec, before);
}
END_TEST

START_TEST(names_that_there_are_not_change_nothing) {
    char *before = NULL, *after = NULL;
    pp_plan *plan = plan_with(NULL, 0), *other = plan_with("layer9.bn", 1e6);
    TEST_OK(pp_plan_print(plan, &before));
    TEST_OK(pp_plan_print(other, &after));
    ck_assert_str_eq(before, after);
    pp_text_free(test_engine(), before);
    pp_text_free(test_engine(), after);
    pp_plan_destroy(plan);
    pp_plan_destroy(other);
}
END_TEST

START_TEST(rows_say_what_error_to_expect) {
    static const struct {
        const char *policy;
        double error;
    } policies[] = {{"norm:4", 0.1074 * 0.1074}, {"norm:2", 0.3447 * 0.3447}, {"raw", 0}};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        const pp_plan_options options = {.batch = 16, .codec = policies[i].policy};
        pp_plan *plan = plan_and_drop(graph_of_model("resnet20"), &options);
        size_t found = 0;
        for (size_t r = 0; r < pp_plan_row_count(plan); r++) {
            pp_plan_row row;
            pp_plan_read_row(plan, r, &row);
            if (strcmp(row.kind, "normalised") != 0) {
                ck_assert(row.error == 0 || !strcmp(row.kind, "activation"));
                continue;
            }
            found++;
            ck_assert_double_eq_tol(row.error, policies[i].error, 1e-12);
        }
        ck_assert_uint_gt(found, 10);
        pp_plan_destroy(plan);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("harms");
    TCase *tests = tcase_create("harms");
    tcase_add_test(tests, a_value_that_must_not_lose_anything_stays_raw);
    tcase_add_test(tests, a_value_that_does_not_matter_gives_way);
    tcase_add_test(tests, names_that_there_are_not_change_nothing);
    tcase_add_test(tests, rows_say_what_error_to_expect);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
