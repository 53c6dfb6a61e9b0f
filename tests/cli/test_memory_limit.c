/* A device with little memory: what fits by plan runs, what does not is refused before anything
 * does. */
#include "cli/program.h"

#define TRAINING "train --model resnet8-digits --data digits --limit 64 --batch 32 --epochs 1"

static const outcome *train_within(size_t bytes) {
    char environment[64];
    snprintf(environment, sizeof environment, "POCKETPROP_LIMITS=memory=%zu", bytes);
    return run_with(environment, TRAINING);
}

static size_t planned_peak(void) {
    const outcome *training = run(TRAINING " --json");
    ck_assert_int_eq(training->status, 0);
    return (size_t)member(training->out, "planned_peak_bytes");
}

START_TEST(the_planned_peak_is_enough_and_less_is_refused_at_planning) {
    const size_t peak = planned_peak();
    ck_assert_int_eq(train_within(peak + peak / 100)->status, 0);
    ck_assert_int_eq(train_within(peak)->status, 0);
    const outcome *refused = train_within(peak - peak / 100);
    ck_assert_int_eq(refused->status, 2);
    ck_assert_uint_eq(line_count(refused->err), 1);
    ck_assert_msg(strstr(refused->err, "the device has") != NULL, "%s", refused->err);
    ck_assert_str_eq(refused->out, "");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/memory_limit");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, the_planned_peak_is_enough_and_less_is_refused_at_planning);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
