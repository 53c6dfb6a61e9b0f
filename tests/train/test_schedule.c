#include <math.h>

#include "support/support.h"

static void check_rate(const pp_schedule *schedule, uint64_t step, double expected) {
    float found = pp_schedule_rate(schedule, step);
    ck_assert_msg(fabs((double)found - expected) <= 1e-7 * fabs(expected) + 1e-12,
                  "step %llu: %.9g, expected %.9g", (unsigned long long)step, (double)found,
                  expected);
}

START_TEST(constant_stays) {
    const pp_schedule s = {.kind = PP_SCHEDULE_CONSTANT, .base = 0.05f};
    check_rate(&s, 0, 0.05f);
    check_rate(&s, 1, 0.05f);
    check_rate(&s, UINT64_MAX, 0.05f);
}
END_TEST

START_TEST(step_drops_at_half_and_three_quarters) {
    const pp_schedule s = {.kind = PP_SCHEDULE_STEP, .base = 1, .total_steps = 100};
    check_rate(&s, 0, 1);
    check_rate(&s, 49, 1);
    check_rate(&s, 50, 0.1);
    check_rate(&s, 74, 0.1);
    check_rate(&s, 75, 0.01);
    check_rate(&s, 1000, 0.01);
    /* A drop never comes before its fraction of the steps is done: 7/2 and 21/4 are rounded up. */
    const pp_schedule odd = {.kind = PP_SCHEDULE_STEP, .base = 1, .total_steps = 7, .gamma = 0.5f};
    check_rate(&odd, 3, 1);
    check_rate(&odd, 4, 0.5);
    check_rate(&odd, 5, 0.5);
    check_rate(&odd, 6, 0.25);
}
END_TEST

START_TEST(step_drops_every_so_many) {
    const pp_schedule s = {
        .kind = PP_SCHEDULE_STEP, .base = 0.8f, .total_steps = 10, .step_every = 30, .gamma = 0.5f};
    check_rate(&s, 29, 0.8f);
    check_rate(&s, 30, 0.4f);
    check_rate(&s, 59, 0.4f);
    check_rate(&s, 60, 0.2f);
    check_rate(&s, 90, 0.1f);
}
END_TEST

START_TEST(step_without_a_total_never_drops) {
    const pp_schedule s = {.kind = PP_SCHEDULE_STEP, .base = 0.5f};
    check_rate(&s, 0, 0.5);
    check_rate(&s, 1000000, 0.5);
}
END_TEST

START_TEST(cosine_reaches_zero) {
    const pp_schedule s = {.kind = PP_SCHEDULE_COSINE, .base = 0.1f, .total_steps = 600};
    check_rate(&s, 0, 0.1f);
    check_rate(&s, 200, 0.1f * 0.75); /* cos 60 degrees is 1/2 */
    check_rate(&s, 300, 0.1f * 0.5);
    check_rate(&s, 400, 0.1f * 0.25);
    check_rate(&s, 600, 0);
    check_rate(&s, 601, 0);
}
END_TEST

START_TEST(warm_up_is_linear) {
    pp_schedule s = {
        .kind = PP_SCHEDULE_COSINE, .base = 0.4f, .total_steps = 604, .warmup_steps = 4};
    check_rate(&s, 0, 0.1f);
    check_rate(&s, 1, 0.2f);
    check_rate(&s, 2, 0.3f);
    check_rate(&s, 3, 0.4f);
    check_rate(&s, 4, 0.4f); /* the cosine starts behind the warm-up */
    check_rate(&s, 204, 0.3f);
    check_rate(&s, 304, 0.2f);
    check_rate(&s, 604, 0);
    s.kind = PP_SCHEDULE_CONSTANT;
    check_rate(&s, 1, 0.2f);
    check_rate(&s, 4, 0.4f);
    s.kind = PP_SCHEDULE_STEP;
    check_rate(&s, 1, 0.2f);
    check_rate(&s, 301, 0.4f);
    check_rate(&s, 302, 0.04);
}
END_TEST

START_TEST(warm_up_longer_than_the_run) {
    const pp_schedule s = {
        .kind = PP_SCHEDULE_COSINE, .base = 1, .total_steps = 5, .warmup_steps = 10};
    check_rate(&s, 4, 0.5);
    check_rate(&s, 7, 0.8);
    check_rate(&s, 10, 0);
}
END_TEST

START_TEST(kinds_have_names) {
    pp_optimizer_kind optimizer = PP_OPTIMIZER_ADAMW;
    ck_assert(pp_optimizer_kind_read("sgd", &optimizer) && optimizer == PP_OPTIMIZER_SGD);
    ck_assert(pp_optimizer_kind_read("adam", &optimizer) && optimizer == PP_OPTIMIZER_ADAM);
    ck_assert(pp_optimizer_kind_read("adamw", &optimizer) && optimizer == PP_OPTIMIZER_ADAMW);
    ck_assert(!pp_optimizer_kind_read("SGD", &optimizer) && optimizer == PP_OPTIMIZER_ADAMW);
    ck_assert(!pp_optimizer_kind_read("", &optimizer) && !pp_optimizer_kind_read(NULL, &optimizer));
    pp_schedule_kind schedule = PP_SCHEDULE_COSINE;
    ck_assert(pp_schedule_kind_read("constant", &schedule) && schedule == PP_SCHEDULE_CONSTANT);
    ck_assert(pp_schedule_kind_read("step", &schedule) && schedule == PP_SCHEDULE_STEP);
    ck_assert(pp_schedule_kind_read("cosine", &schedule) && schedule == PP_SCHEDULE_COSINE);
    ck_assert(!pp_schedule_kind_read("steps", &schedule) &&
              !pp_schedule_kind_read(NULL, &schedule));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("train/schedule");
    TCase *all = tcase_create("all");
    tcase_add_test(all, constant_stays);
    tcase_add_test(all, step_drops_at_half_and_three_quarters);
    tcase_add_test(all, step_drops_every_so_many);
    tcase_add_test(all, step_without_a_total_never_drops);
    tcase_add_test(all, cosine_reaches_zero);
    tcase_add_test(all, warm_up_is_linear);
    tcase_add_test(all, warm_up_longer_than_the_run);
    tcase_add_test(all, kinds_have_names);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
