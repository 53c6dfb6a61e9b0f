/* The search, over landscapes that are known; no device and no clock. */
#include <pocketprop/tune.h>

#include <math.h>
#include <string.h>

#include "support/support.h"

static pp_profile *profile;
static pp_tuner *tuner;

static void set_up(void) {
    TEST_OK(pp_profile_load(test_engine(), "default", &profile));
    TEST_OK(pp_tuner_create(test_engine(), profile, &tuner));
}

static void tear_down(void) {
    pp_tuner_destroy(tuner);
    pp_profile_destroy(profile);
}

static size_t value_of(const char *key) {
    pp_tunable tunable;
    for (size_t i = 0; i < pp_profile_tunable_count(profile); i++) {
        pp_profile_read_tunable(profile, i, &tunable);
        if (!strcmp(tunable.key, key)) return tunable.value;
    }
    ck_abort_msg("no tunable %s", key);
    return 0;
}

/* Seconds under the profile: best with vectors of 4, tiles of 12, and then chunks of 64. */
static double seconds(void) {
    double tile = fabs((double)value_of("conv2d.tile") - 12);
    double vector = fabs(log2((double)value_of("conv2d.vector")) - 2);
    double chunk = fabs(log2((double)value_of("common.chunk")) - (tile > 0 ? 4 : 6));
    return 10 + tile + vector + chunk / 4;
}

static size_t search(double *best, size_t most) {
    pp_trial trial;
    size_t count = 0;
    for (; count < most && pp_tuner_propose(tuner, &trial); count++) {
        ck_assert_uint_eq(value_of(trial.key), trial.value);
        bool kept;
        double now = seconds();
        TEST_OK(pp_tuner_report(tuner, *best / now, &kept));
        ck_assert_uint_eq(value_of(trial.key), kept ? trial.value : trial.from);
        if (kept) *best = now;
    }
    return count;
}

START_TEST(finds_the_best) {
    double best = seconds();
    size_t count = search(&best, 1000);
    ck_assert_uint_le(count, 6 * pp_profile_tunable_count(profile)); /* three rounds */
    ck_assert_uint_eq(value_of("conv2d.tile"), 12);
    ck_assert_uint_eq(value_of("conv2d.vector"), 4);
    ck_assert_uint_eq(value_of("common.chunk"), 64);
    ck_assert_uint_eq(value_of("update.chunk"), 64); /* matters nothing, so it stays */
    pp_tuner_summary summary;
    pp_tuner_summarize(tuner, &summary);
    ck_assert_uint_eq(summary.trial_count, count);
    ck_assert_uint_eq(summary.kept_count, 4 + 1 + 2); /* steps of tile, vector, chunk */
    ck_assert_double_eq_tol(summary.gain, 19 / 10.0, 1e-3);
    ck_assert_double_eq(summary.progress, 1);
}
END_TEST

/* A text from the middle of a search leads to the same end, without a trial of before. */
START_TEST(resumes) {
    double best = seconds(), first = best;
    size_t count = search(&best, 11);
    ck_assert_uint_eq(count, 11);
    char *text, *again;
    TEST_OK(pp_tuner_print(tuner, &text));
    size_t rest = search(&best, 1000);

    tear_down();
    set_up();
    ck_assert_double_eq(seconds(), first);
    ck_assert(pp_tuner_resume(tuner, text));
    TEST_OK(pp_tuner_print(tuner, &again));
    ck_assert_str_eq(again, text);
    best = seconds();
    ck_assert_uint_eq(search(&best, 1000), rest);
    ck_assert_uint_eq(value_of("common.chunk"), 64);
    pp_text_free(test_engine(), again);
    pp_text_free(test_engine(), text);
}
END_TEST

START_TEST(forgets_what_does_not_fit) {
    double best = seconds();
    search(&best, 5);
    char *text;
    TEST_OK(pp_tuner_print(tuner, &text));
    tear_down();

    set_up();
    char *last = strstr(text, "trial ");
    for (char *next; (next = strstr(last + 1, "trial "));) last = next;
    memcpy(last, "TRIAL", 5);
    ck_assert(pp_tuner_resume(tuner, text));
    pp_tuner_summary summary;
    pp_tuner_summarize(tuner, &summary);
    ck_assert_uint_eq(summary.trial_count, 4);
    tear_down();

    set_up();
    TEST_OK(pp_profile_set(profile, "conv2d.vector", 1));
    pp_tuner_destroy(tuner);
    TEST_OK(pp_tuner_create(test_engine(), profile, &tuner));
    ck_assert(!pp_tuner_resume(tuner, text));
    ck_assert(!pp_tuner_resume(tuner, ""));
    ck_assert(!pp_tuner_resume(tuner, "begin conv2d.vector"));
    pp_text_free(test_engine(), text);
}
END_TEST

/* A trial that cannot run, noise, and nonsense keep nothing. */
START_TEST(keeps_gains_alone) {
    static const double gains[] = {0, 0.5, 1, 1.0149, NAN, INFINITY, -2};
    pp_trial trial, again;
    bool kept;
    for (size_t i = 0; i < sizeof gains / sizeof gains[0]; i++) {
        ck_assert(pp_tuner_propose(tuner, &trial) && pp_tuner_propose(tuner, &again));
        ck_assert(!strcmp(trial.key, again.key) && trial.value == again.value);
        TEST_OK(pp_tuner_report(tuner, gains[i], &kept));
        ck_assert(!kept && value_of(trial.key) == trial.from);
    }
    TEST_FAILS(pp_tuner_report(tuner, 1, NULL), PP_ERROR_INVALID_ARGUMENT, "without a trial");
    ck_assert(pp_tuner_propose(tuner, &trial));
    pp_tuner_destroy(tuner);
    ck_assert_uint_eq(value_of(trial.key), trial.from);
    TEST_OK(pp_tuner_create(test_engine(), profile, &tuner));
}
END_TEST

int main(void) {
    TCase *tune = tcase_create("tune");
    tcase_add_checked_fixture(tune, set_up, tear_down);
    tcase_add_test(tune, finds_the_best);
    tcase_add_test(tune, resumes);
    tcase_add_test(tune, forgets_what_does_not_fit);
    tcase_add_test(tune, keeps_gains_alone);
    Suite *suite = suite_create("tune");
    suite_add_tcase(suite, tune);
    return test_run(suite);
}
