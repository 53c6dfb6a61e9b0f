/* train --checkpoint, --resume: a run that was cut off ends with the weights and the log of one that
 * was not. */

#include <unistd.h>

#include "cli/program.h"
#include "support/support.h"

#define RUN "train --model resnet8-digits --data digits --limit 320 --batch 32 --epochs 4 --json "

enum { LOG_TEXT = 1 << 16 };

static void copy_digest(const char *json, char text[64]) {
    const char *place = strstr(json, "weights_digest");
    ck_assert_msg(place != NULL, "no digest in %s", json);
    snprintf(text, 64, "%.*s", (int)strcspn(place, ",\n"), place);
}

/* The log without what depends on the clock. */
static void read_log(const char *name, char text[LOG_TEXT]) {
    char path[512], line[1024];
    snprintf(path, sizeof path, "%s/%s", test_scratch_folder(), name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "no %s", path);
    size_t length = 0;
    *text = 0;
    while (fgets(line, sizeof line, file)) {
        char *speed = strstr(line, "\"images_per_second\"");
        if (speed) *speed = 0;
        length += (size_t)snprintf(text + length, LOG_TEXT - length, "%s\n", line);
        ck_assert_uint_lt(length, LOG_TEXT);
    }
    fclose(file);
}

static const struct {
    const char *options;
    unsigned every;
} cases[] = {
    {"--codec raw", 3},
    {"--codec norm:4 --optimizer adam --optimizer-bits 8 --dropout 0.2", 7},
    {"--codec norm:2 --accumulate 4 --augment", 1},
    {"--batch auto --budget 1300K --adapt 7", 5},
    {"--freeze 'conv1.*' --freeze '*.running_*' --rate 'linear.*=2'", 4},
};

/* Two times three epochs of the four, as if the machine had gone down in between: what a checkpoint
 * of the second epoch's midst leaves is what the run goes on from. */
START_TEST(a_run_in_pieces_is_the_run) {
    char arguments[1024], whole[64], pieces[64];
    static char whole_log[LOG_TEXT], log[LOG_TEXT];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments, RUN "%s --log %s/whole%d", cases[_i].options, scratch,
             _i);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    copy_digest(found->out, whole);
    char name[32];
    snprintf(name, sizeof name, "whole%d", _i);
    read_log(name, whole_log);
    snprintf(arguments, sizeof arguments,
             RUN "%s --log %s/pieces%d --checkpoint %s/run%d --checkpoint-every %u --keep 100",
             cases[_i].options, scratch, _i, scratch, _i, cases[_i].every);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    copy_digest(found->out, pieces);
    ck_assert_str_eq(whole, pieces);
    /* Take the last half of the checkpoints away. */
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s/run%d && n=$(ls | wc -l) && ls | tail -n $((n / 2)) | xargs rm", scratch, _i);
    ck_assert_int_eq(system(command), 0);
    snprintf(arguments + strlen(arguments), sizeof arguments - strlen(arguments), " --resume");
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(strstr(found->err, "resumed from ") != NULL, "%s", found->err);
    copy_digest(found->out, pieces);
    ck_assert_str_eq(whole, pieces);
    snprintf(name, sizeof name, "pieces%d", _i);
    read_log(name, log);
    ck_assert_str_eq(whole_log, log);
}
END_TEST

/* Runs of epochs that end in the midst of an update save behind it, and the last one in front of the
 * micro-steps that make none. */
START_TEST(updates_need_not_end_with_epochs) {
    char arguments[1024];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments,
             RUN "--epochs 3 --accumulate 4 --checkpoint %s/odd --keep 9", scratch);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(is_there("odd/step-000000003.safetensors"));
    ck_assert(is_there("odd/step-000000005.safetensors"));
    ck_assert(is_there("odd/step-000000007.safetensors"));
    ck_assert(!is_there("odd/step-000000006.safetensors"));
}
END_TEST

static const char *const signalled[] = {"", "--accumulate 4 --dropout 0.2"};

/* SIGTERM and SIGINT in turn at later and later moments: steps, tests and writes. */
START_TEST(signals_lose_nothing) {
    char arguments[1024], environment[64], whole[64], name[32];
    static char whole_log[LOG_TEXT], log[LOG_TEXT];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments, RUN "--epochs 120 %s --log %s/calm%d", signalled[_i],
             scratch, _i);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    copy_digest(found->out, whole);
    snprintf(arguments, sizeof arguments,
             RUN "--epochs 120 %s --log %s/hit%d --checkpoint %s/hits%d --resume", signalled[_i],
             scratch, _i, scratch, _i);
    size_t hits = 0;
    double seconds = 0.4;
    for (int n = 0; n == 0 || found->status != 0; n++) {
        ck_assert_int_lt(n, 150);
        snprintf(environment, sizeof environment, "timeout --preserve-status -s %s %.3f",
                 n % 2 ? "INT" : "TERM", seconds);
        seconds *= 1.05;
        found = run_with(environment, arguments);
        /* Before there is a run to interrupt, a signal is the process's end. */
        if (found->status == 143) continue;
        ck_assert_msg(found->status == 0 || found->status == 130, "%d: %s", found->status,
                      found->err);
        hits += found->status == 130;
        ck_assert_msg(!strstr(found->err, "nothing saved"), "%s", found->err);
    }
    ck_assert_uint_gt(hits, 2);
    char digest[64];
    copy_digest(found->out, digest);
    ck_assert_str_eq(whole, digest);
    snprintf(name, sizeof name, "calm%d", _i);
    read_log(name, whole_log);
    snprintf(name, sizeof name, "hit%d", _i);
    read_log(name, log);
    ck_assert_str_eq(whole_log, log);
}
END_TEST

/* A resumed run's page has all epochs, and a budget that shrank is kept. */
START_TEST(pages_and_budgets) {
    char arguments[1024], path[512];
    static char page[1 << 22];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments,
             RUN "--batch 56 --budget 1300K --adapt 7 --epochs 2 --checkpoint %s/page", scratch);
    ck_assert_int_eq(run(arguments)->status, 0);
    snprintf(path, sizeof path, "%s/page.html", scratch);
    snprintf(arguments, sizeof arguments,
             RUN
             "--batch 56 --budget 1250K --adapt 7 --epochs 3 --checkpoint %s/page --resume "
             "--report %s",
             scratch, path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(strstr(found->err, "needs more than --budget") != NULL, "%s", found->err);
    ck_assert(member(found->out, "planned_peak_bytes") <= 1250 * 1024);
    read_text(path, page, sizeof page);
    ck_assert(strstr(page, "3 of 3 epochs are whole") != NULL);
}
END_TEST

START_TEST(what_is_wrong_is_said) {
    char arguments[1024];
    const char *scratch = test_scratch_folder();
    const outcome *found = run(RUN "--resume");
    ck_assert_int_eq(found->status, 2);
    ck_assert(strstr(found->err, "--resume: found no --checkpoint") != NULL);

    snprintf(arguments, sizeof arguments, RUN "--checkpoint %s/said --resume --epochs 1", scratch);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(strstr(found->err, "has no checkpoint; the run begins") != NULL);
    snprintf(arguments, sizeof arguments, RUN "--checkpoint %s/said", scratch);
    found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
    ck_assert(strstr(found->err, "expected a folder without checkpoints") != NULL);

    snprintf(arguments, sizeof arguments, RUN "--checkpoint %s/said --resume --optimizer adam",
             scratch);
    found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert(strstr(found->err, "trained by sgd; the session's optimizer is adam") != NULL);

    snprintf(arguments, sizeof arguments, RUN "--checkpoint %s/said --resume --seed 3", scratch);
    found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert(strstr(found->err, "--seed: found 3, expected 1, that of the run in ") != NULL);

    snprintf(arguments, sizeof arguments, RUN "--checkpoint %s/said --resume --codec norm:4",
             scratch);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(strstr(found->err, "another schedule than before") != NULL);

    found = run(RUN "--checkpoint-every 3");
    ck_assert_int_eq(found->status, 2);
    ck_assert(strstr(found->err, "--checkpoint-every: found no --checkpoint") != NULL);
}
END_TEST

/* Before the training where that can be known, and without harm to it where it cannot. */
START_TEST(what_cannot_be_written_is_said) {
    char arguments[1024];
    const char *scratch = test_scratch_folder();
    snprintf(arguments, sizeof arguments,
             RUN "--epochs 1 --log %s/none.log --checkpoint %s/none/deep", scratch, scratch);
    const outcome *found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
    ck_assert(strstr(found->err, "expected a folder that can be made and written: ") != NULL);
    ck_assert(!is_there("none.log"));

    snprintf(arguments, sizeof arguments, RUN "--epochs 1 --save %s/none/w", scratch);
    found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
    ck_assert(strstr(found->err, "--save: found ") != NULL);

    /* /proc takes no file from anybody; only root may believe that it does. */
    found = run(RUN "--epochs 1 --checkpoint /proc");
    if (geteuid() != 0) {
        ck_assert_int_eq(found->status, 2);
        return;
    }
    ck_assert_int_eq(found->status, 1);
    ck_assert(strstr(found->err, "--checkpoint: nothing saved: ") != NULL);
    ck_assert(strstr(found->out, "weights_digest") != NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/resume");
    TCase *test = tcase_create("program");
    tcase_set_timeout(test, 0);
    tcase_add_loop_test(test, a_run_in_pieces_is_the_run, 0, sizeof cases / sizeof *cases);
    tcase_add_test(test, updates_need_not_end_with_epochs);
    tcase_add_loop_test(test, signals_lose_nothing, 0, sizeof signalled / sizeof *signalled);
    tcase_add_test(test, pages_and_budgets);
    tcase_add_test(test, what_is_wrong_is_said);
    tcase_add_test(test, what_cannot_be_written_is_said);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
