/* train --on-nan, eval: what the program says of losses that are NaN or infinite, and what it keeps. */

#include <math.h>

#include "cli/program.h"
#include "support/support.h"

/* With this much weight decay for the rate every update turns the weights over and makes them larger
 * until something overflows. */
#define DIVERGES                                                                             \
    "train --model resnet8-digits --data digits --limit 640 --batch 16 --epochs 3 --lr 1e6 " \
    "--schedule constant --weight-decay 1e-4 "

/* Nothing is written behind the fault, and no result. */
START_TEST(training_stops) {
    char arguments[1024];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments,
             DIVERGES "--save %s/stopped --log %s/stopped.log --checkpoint %s/stopped.d", scratch,
             scratch, scratch);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 1, "status %d: %s", found->status, found->err);
    ck_assert_str_eq(found->out, "");
    ck_assert_msg(strstr(found->err, "losses are NaN or infinite") != NULL, "%s", found->err);
    ck_assert_msg(strstr(found->err, "--on-nan skip goes on") != NULL, "%s", found->err);
    ck_assert(!is_there("stopped") && !is_there("stopped.log"));
}
END_TEST

/* Asked to go on, the run ends with the first epoch that learns nothing any more; until then the
 * log counts what was left out, and every weight that a checkpoint has is finite. */
START_TEST(training_goes_on_while_it_learns) {
    char arguments[1024];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments,
             DIVERGES "--on-nan skip --log %s/on.log --checkpoint %s/on.d --keep 9", scratch,
             scratch);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 1, "status %d: %s", found->status, found->err);
    ck_assert_msg(strstr(found->err, "elements, for NaN or infinity") != NULL, "%s", found->err);
    char path[256];
    static char log[1 << 16];
    snprintf(path, sizeof path, "%s/on.log", scratch);
    read_text(path, log, sizeof log);
    ck_assert_msg(member(log, "skipped_updates") > 0, "%s", log);
    snprintf(arguments, sizeof arguments, "inspect --weights %s/on.d/step-000000040.safetensors",
             scratch);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    /* The table ends in front of the metadata, whose numbers of the test have no such promise. */
    const char *end = strstr(found->out, "note: ");
    ck_assert(end != NULL);
    for (const char *word = found->out; word < end; word++)
        ck_assert(strncmp(word, " nan", 4) != 0 && strncmp(word, " inf", 4) != 0);
}
END_TEST

START_TEST(a_choice_is_refused) {
    check_refused(DIVERGES "--on-nan ignore", "--on-nan: found 'ignore', expected stop|skip");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/on_nan");
    TCase *tests = tcase_create("cli/on_nan");
    tcase_add_test(tests, training_stops);
    tcase_add_test(tests, training_goes_on_while_it_learns);
    tcase_add_test(tests, a_choice_is_refused);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
