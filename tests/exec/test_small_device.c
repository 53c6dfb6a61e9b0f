/* A device with little of everything: the program run with and without POCKETPROP_LIMITS trains to
 * the same bits. Work-group shapes decide which work-items share a group, and allocation caps where
 * values lie; neither decides what a work-item computes, nor in which order it adds, so any
 * difference at all is a defect. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

typedef struct curve {
    char losses[1024]; /* per epoch, as the log prints them */
    char digest[32];   /* of the final weights */
} curve;

/* The text between `"key": ` (or `"key":`) and what ends a JSON member. */
static void copy_member(const char *json, const char *key, char *text, size_t capacity) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *start = strstr(json, quoted);
    ck_assert_msg(start != NULL, "no %s in %s", key, json);
    start += strlen(quoted);
    start += strspn(start, " \"");
    size_t length = strcspn(start, "\",}\n");
    ck_assert(length > 0 && length < capacity);
    memcpy(text, start, length);
    text[length] = '\0';
}

static void read_losses(const char *path, curve *c) {
    char line[4096], value[64];
    FILE *file = fopen(path, "r");
    size_t epochs = 0;
    ck_assert_msg(file != NULL, "no log %s", path);
    for (c->losses[0] = '\0'; fgets(line, sizeof line, file); epochs++) {
        static const char *const keys[] = {"train_loss", "test_loss"};
        for (size_t k = 0; k < 2; k++) {
            copy_member(line, keys[k], value, sizeof value);
            ck_assert(strlen(c->losses) + strlen(value) + 2 < sizeof c->losses);
            strcat(strcat(c->losses, value), " ");
        }
    }
    fclose(file);
    ck_assert_uint_eq(epochs, 2);
}

static void train(const char *limits, const char *codec, curve *c) {
    char command[2048], output[8192], log[128];
    snprintf(log, sizeof log, "%s/log.jsonl", test_scratch_folder());
    snprintf(command, sizeof command,
             "POCKETPROP_LIMITS='%s' '%s' train --model resnet8-digits --data digits --limit 160 "
             "--batch 20 --epochs 2 --codec %s --seed 3 --log %s --json 2>%s/err",
             limits, PP_CLI, codec, log, test_scratch_folder());
    FILE *pipe = popen(command, "r");
    ck_assert(pipe != NULL);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    ck_assert_msg(pclose(pipe) == 0, "%s failed", command);
    read_losses(log, c);
    copy_member(output, "weights_digest", c->digest, sizeof c->digest);
}

static const char *const limits[] = {
    "max_allocation=16M,work_group=32,local_memory=8K",
    "max_allocation=1M,work_group=1,local_memory=1K,alignment=4K",
    "no_half,no_images",
};
static const char *const codecs[] = {"norm:4", "raw", "half"};

START_TEST(limits_change_no_bit) {
    curve free_of_limits, limited;
    train("", codecs[_i], &free_of_limits);
    train(limits[_i], codecs[_i], &limited);
    ck_assert_str_eq(limited.losses, free_of_limits.losses);
    ck_assert_str_eq(limited.digest, free_of_limits.digest);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/small_device");
    TCase *test = tcase_create("program");
    tcase_add_loop_test(test, limits_change_no_bit, 0, sizeof limits / sizeof *limits);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
