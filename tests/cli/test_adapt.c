/* train --adapt: a new plan within the budget in the midst of a run. */
#include "cli/program.h"
#include "support/support.h"

#define RUN "train --model resnet20 --data digits --limit 320 --batch 32 --epochs 1 --json "
#define MOMENTS "--optimizer adam --optimizer-bits 8 --dropout 0.2 "

static void copy_member(const char *json, const char *key, char text[64]) {
    const char *place = strstr(json, key);
    ck_assert_msg(place != NULL, "no %s in %s", key, json);
    snprintf(text, 64, "%.*s", (int)strcspn(place, ",\n"), place);
}

/* Room for everything: nothing to change, whatever was measured. */
START_TEST(a_plan_that_stays_leaves_the_run_as_it_was_bit_for_bit) {
    char digest[64], adapted[64];
    const outcome *found = run(RUN MOMENTS "--budget 64M");
    ck_assert_msg(found->status == 0, "%s", found->err);
    copy_member(found->out, "weights_digest", digest);
    found = run(RUN MOMENTS "--budget 64M --adapt 4");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(strstr(found->err, "adapted after 4 updates") != NULL, "%s", found->err);
    ck_assert_msg(strstr(found->err, " 0 decisions changed") != NULL, "%s", found->err);
    copy_member(found->out, "weights_digest", adapted);
    ck_assert_str_eq(digest, adapted);
}
END_TEST

/* Also the peak while measuring: the real peak is that of the whole run. */
START_TEST(the_budget_holds_throughout_and_the_page_shows_the_signals) {
    enum { BUDGET = 3300 * 1024 };
    char arguments[512], path[256];
    static char page[1 << 22];
    snprintf(path, sizeof path, "%s/page.html", test_scratch_folder());
    snprintf(arguments, sizeof arguments, RUN "--budget 3300K --adapt 3 --report %s", path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(strstr(found->err, "adapted after 3 updates") != NULL, "%s", found->err);
    ck_assert_msg(!strstr(found->err, " 0 decisions changed"), "%s", found->err);
    ck_assert(member(found->out, "planned_peak_bytes") <= BUDGET);
    ck_assert(member(found->out, "real_peak_bytes") <= BUDGET);
    read_text(path, page, sizeof page);
    const char *section = strstr(page, "Measured signals");
    ck_assert(section != NULL);
    ck_assert_uint_eq(count_parts(section, "<td>layer2.1.bn1</td><td>normalised</td>"), 1);
    ck_assert_uint_ge(count_parts(section, "norm:4 0.0"), 10);
}
END_TEST

START_TEST(a_plan_shows_the_errors_that_it_expects) {
    char arguments[512], path[256];
    static char page[1 << 22];
    snprintf(path, sizeof path, "%s/plan.html", test_scratch_folder());
    snprintf(arguments, sizeof arguments,
             "plan --model resnet20 --batch 8 --codec norm:4 --html %s", path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    read_text(path, page, sizeof page);
    ck_assert_uint_ge(count_parts(page, "<td class=\"n\">0.012</td>"), 19);
}
END_TEST

START_TEST(without_a_budget_there_is_nothing_to_adapt) {
    check_refused("train --model resnet20 --data digits --adapt 3", "--adapt: found no --budget");
    check_refused("train --model resnet20 --data digits --budget 64M --adapt 0",
                  "--adapt: found '0'");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("adapt");
    TCase *tests = tcase_create("adapt");
    tcase_add_test(tests, a_plan_that_stays_leaves_the_run_as_it_was_bit_for_bit);
    tcase_add_test(tests, the_budget_holds_throughout_and_the_page_shows_the_signals);
    tcase_add_test(tests, without_a_budget_there_is_nothing_to_adapt);
    tcase_add_test(tests, a_plan_shows_the_errors_that_it_expects);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
