/* The command line from outside: exit status, what goes to which stream, what files are left
 * behind. Nothing here opens a device in this process; the program under test does. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/program.h"
#include "support/support.h"

START_TEST(help_of_every_command) {
    static const char *const names[] = {"devices",    "plan",      "train",
                                        "eval",       "fidelity",  "tune",
                                        "bench step", "bench ops", "bench peak"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char arguments[64], usage[64];
        snprintf(arguments, sizeof arguments, "%s --help", names[i]);
        snprintf(usage, sizeof usage, "usage: pocketprop %s", names[i]);
        const outcome *found = run(arguments);
        ck_assert_int_eq(found->status, 0);
        ck_assert_str_eq(found->err, "");
        ck_assert_msg(test_contains(found->out, usage), "%s", found->out);
        ck_assert_msg(test_contains(found->out, "--json"), "%s", found->out);
        ck_assert_msg(test_contains(run("--help")->out, names[i]), "%s is not in the overview",
                      names[i]);
    }
    ck_assert_msg(test_contains(run("train --help")->out, "(default 64)"), "defaults are shown");
    const outcome *topics = run("bench --help");
    ck_assert_int_eq(topics->status, 0);
    ck_assert_msg(
        test_contains(topics->out, "bench step") && test_contains(topics->out, "bench ops"), "%s",
        topics->out);
    ck_assert_int_eq(run("--version")->status, 0);
}
END_TEST

START_TEST(bad_options) {
    static const char *const cases[][2] = {
        {"", "no command"},
        {"trian --model lenet", "did you mean train?"},
        {"nonsense", "devices, plan, train, eval, fidelity, inspect, convert, tune, bench"},
        {"train --modle lenet", "did you mean --model?"},
        {"train --wibblewobble", "unknown option '--wibblewobble'"},
        {"train -q", "unknown option '-q'"},
        {"train --json -qh", "unknown option '-q'"},
        {"train --m lenet", "could be more than one"},
        {"train --batch", "--batch lacks its argument"},
        {"train --json=3", "--json takes no argument"},
        {"train --data digits", "--model is missing"},
        {"train --model lenet", "--data is missing"},
        {"train stray --model lenet --data digits", "unexpected argument 'stray'"},
        {"train --batch 0", "--batch: found '0'"},
        {"train --batch -4", "--batch: found '-4'"},
        {"train --batch 12x", "--batch: found '12x'"},
        {"train --batch 1e3", "--batch: found '1e3'"},
        {"train --batch 99999999999999999999", "--batch: found '99999999999999999999'"},
        {"train --seed 99999999999999999999", "--seed: found '99999999999999999999'"},
        {"train --epochs 0", "--epochs: found '0'"},
        {"train --lr nan", "--lr: found 'nan'"},
        {"train --lr 0x1", "--lr: found '0x1'"},
        {"train --lr 1e999", "--lr: found '1e999'"},
        {"train --lr ' 1'", "--lr: found ' 1'"},
        {"train --momentum 1", "--momentum: found '1'"},
        {"train --optimizer-bits 4", "--optimizer-bits: found '4'"},
        {"train --mean 1,2,3,4", "--mean: found '1,2,3,4'"},
        {"train --mean 1,", "--mean: found '1,'"},
        {"train --deviation 0", "--deviation: found '0'"},
        {"train --override conv1", "PATTERN=CODEC"},
        {"plan --model lenet --band conv1", "FIRST..LAST"},
        {"plan --model lenet --recompute conv1", "FIRST..LAST"},
        {"train --optimizer lion", "sgd|adam|adamw"},
        {"train --optimizer sgd\\|adam", "sgd|adam|adamw"},
        {"train --schedule ''", "--schedule: found an empty argument"},
        {"train --model lenet --data digits --optimizer adam --nesterov", "--nesterov"},
        {"train --model lenet --data digits --augment --no-augment", "--no-augment"},
        {"bench", "step, ops, peak"},
        {"bench --model lenet", "step, ops, peak"},
        {"bench leap --model lenet", "'leap'"},
        {"bench step step --model lenet", "unexpected argument 'step'"},
        {"bench peak --model lenet", "unknown option '--model'"},
        {"bench ops --model lenet --accumulate 2", "--accumulate: found 2"},
        {"bench step --model resnet8-digits --trace /nowhere/at/all.json", "/nowhere/at/all.json"},
        {"bench ops --model resnet8-digits --trace /dev/null", "no regular file"},
        {"train --model resnet8-digits --data digits --trace /nowhere/at/all.json",
         "/nowhere/at/all.json"},
        {"train --model resnet8-digits --data digits --partial", "--partial: found no --weights"},
        {"eval --model resnet8-digits --data digits --rename a=b", "--rename: found no --weights"},
        {"plan --model resnet21", "did you mean resnet20?"},
        {"plan --model perceptron", "lenet"},
        {"plan --model lenet --codec norm:3x", "norm:3x"},
        {"plan --model lenet --codec zip", "zip"},
        {"plan --model lenet --override 'nowhere*=raw'", "nowhere*"},
        {"plan --model lenet --band conv1..nothing", "nothing"},
        {"plan --model lenet --recompute conv1..nothing", "nothing"},
        {"plan --model resnet20 --recompute conv1..layer1.0.conv1", "its inside is read by"},
        {"plan --model resnet20 --band image..loss", "cannot run in bands"},
        {"plan --model resnet20 --compare 1", "a budget of 1 bytes cannot be met"},
        {"plan --model lenet --override '@activation=zip'", "zip"},
        {"plan --model lenet --profile toaster", "toaster"},
        {"tune --time-limit 0", "--time-limit: found '0'"},
        {"tune --model lenett", "did you mean lenet?"},
        {"tune --data digits", "unknown option '--data'"},
        {"plan --model lenet --height 1 --width 1", "1"},
        {"train --model lenet --data floppy:disk", "floppy"},
        {"train --model lenet --data mnist:/nowhere/at/all", "/nowhere/at/all"},
        {"train --model resnet8-digits --data digits --height 9", "--height"},
        {"train --model resnet8-digits --data digits --mean 1,2", "--mean"},
        {"train --model resnet8-digits --data digits --batch 4000", "4000"},
        {"train --model resnet8-digits --data digits --log /nowhere/at/all.jsonl",
         "/nowhere/at/all.jsonl"},
        {"train --model resnet8-digits --data digits --device nothing-like-this",
         "nothing-like-this"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(cases[i][0], cases[i][1]);
}
END_TEST

/* Bad files leave neither output nor a log. */
static void check_bad_data(const char *folder, const char *kind, const char *part) {
    char arguments[768];
    snprintf(arguments, sizeof arguments,
             "train --model lenet --data %s:%s --batch 1 --log %s/bad.jsonl", kind, folder,
             test_scratch_folder());
    check_refused(arguments, part);
    ck_assert_msg(!is_there("bad.jsonl"), "%s: a log was left", arguments);
}

START_TEST(bad_mnist_files) {
    unsigned char images[16 + 2 * 784] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28};
    unsigned char labels[8 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 4};
    static const char *const image_names[] = {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"};
    static const char *const label_names[] = {"train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"};
    const char *folder = new_folder("mnist");
    for (int i = 0; i < 2; i++) {
        write_file(folder, image_names[i], images, sizeof images);
        write_file(folder, label_names[i], labels, sizeof labels);
    }

    write_file(folder, image_names[1], images, sizeof images - 1);
    check_bad_data(folder, "mnist", "t10k-images-idx3-ubyte");
    images[3] = 9;
    write_file(folder, image_names[1], images, sizeof images);
    check_bad_data(folder, "mnist", "t10k-images-idx3-ubyte");
    images[3] = 3;
    write_file(folder, image_names[1], images, sizeof images);
    labels[8] = 10;
    write_file(folder, label_names[0], labels, sizeof labels);
    check_bad_data(folder, "mnist", "train-labels-idx1-ubyte");
    labels[8] = 3;
    labels[7] = 1;
    write_file(folder, label_names[0], labels, sizeof labels - 1);
    check_bad_data(folder, "mnist", "train-");
}
END_TEST

START_TEST(bad_cifar_files) {
    unsigned char record[3073] = {7};
    const char *folder = new_folder("cifar");
    write_file(folder, "data_batch_1.bin", record, sizeof record);
    check_bad_data(folder, "cifar10", "test_batch.bin");
    write_file(folder, "test_batch.bin", record, 3000);
    check_bad_data(folder, "cifar10", "test_batch.bin");
    record[0] = 10;
    write_file(folder, "test_batch.bin", record, sizeof record);
    check_bad_data(folder, "cifar10", "test_batch.bin");
}
END_TEST

START_TEST(empty_class_folder) {
    const char *folder = new_folder("photos");
    check_bad_data(folder, "images", "photos");
    char path[300];
    snprintf(path, sizeof path, "%s/cat", folder);
    ck_assert(mkdir(path, 0700) == 0);
    check_bad_data(folder, "images", "cat");
}
END_TEST

START_TEST(plan_needs_no_device) {
    const outcome *found =
        run_with("OCL_ICD_VENDORS=/nowhere",
                 "plan --model resnet20 --batch 32 --codec norm:4 --profile mali --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    static const char *const keys[] = {"parameters\": ", "gradients",      "optimizer", "saved",
                                       "transient",      "workspace",      "staging",   "by_class",
                                       "peak_step",      "peak_step_name", "values"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        ck_assert_msg(test_contains(found->out, keys[i]), "no %s in %s", keys[i], found->out);
    ck_assert_msg(test_contains(found->out, "\"codec\": \"norm:4\""), "%s", found->out);
    ck_assert_msg(test_contains(found->out, "\"profile\": \"mali\""), "%s", found->out);
    ck_assert(member(found->out, "batch") == 32);
    ck_assert(member(found->out, "peak_bytes") >= member(found->out, "lower_bound_bytes"));
    ck_assert(member(found->out, "peak_bytes") <= 1.02 * member(found->out, "lower_bound_bytes"));
    ck_assert(member(found->out, "saved_stored_bytes") <
              0.5 * member(found->out, "saved_raw_bytes"));
    static const char *const row[] = {"raw_bytes", "stored_bytes", "first_step",
                                      "last_step", "chunk",        "offset"};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        ck_assert(member(found->out, row[i]) >= 0);

    found = run_with("OCL_ICD_VENDORS=/nowhere", "plan --model lenet --rows");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(test_contains(found->out, "peak") && !test_contains(found->out, "more (--rows)"),
                  "%s", found->out);
}
END_TEST

START_TEST(no_platform) {
    const outcome *found = run_with("OCL_ICD_VENDORS=/nowhere", "devices --json");
    ck_assert_int_eq(found->status, 1);
    ck_assert_str_eq(found->out, "");
    ck_assert_msg(line_count(found->err) == 1 && test_contains(found->err, "install"), "%s",
                  found->err);
}
END_TEST

START_TEST(full_standard_output) {
    if (access("/dev/full", W_OK) != 0) {
        fprintf(stderr, "SKIPPED: no /dev/full here\n");
        return;
    }
    char command[512];
    snprintf(command, sizeof command, "'%s' plan --model lenet >/dev/full 2>/dev/null", PP_CLI);
    int status = system(command);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

START_TEST(devices) {
    const outcome *found = run("devices --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(found->out[0] == '[', "%s", found->out);
    ck_assert(member(found->out, "index") == 0);
    ck_assert(member(found->out, "compute_units") >= 1);
    ck_assert(member(found->out, "max_allocation_bytes") <= member(found->out, "memory_bytes"));
    ck_assert_msg(test_contains(found->out, "\"profile\": \""), "%s", found->out);
    ck_assert_int_eq(run("devices")->status, 0);
}
END_TEST

/* The digest of the weights behind one short training with these options added. */
static void train_digits(const char *options, char digest_out[17]) {
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --batch 32 --limit 256 --json %s",
             options);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    const char *place = strstr(found->out, "\"weights_digest\": \"");
    ck_assert_msg(place != NULL, "%s", found->out);
    snprintf(digest_out, 17, "%.16s", place + strlen("\"weights_digest\": \""));
    ck_assert(member(found->out, "planned_peak_bytes") == member(found->out, "real_peak_bytes"));
}

START_TEST(the_same_seed_gives_the_same_weights) {
    char first[17], other[17];
    train_digits("--codec norm:4 --pad 1 --seed 7", first);
    train_digits("--codec norm:4 --pad 1 --seed 7 --threads 0", other);
    ck_assert_str_eq(first, other);
    train_digits("--codec norm:4 --pad 1 --seed 7 --threads 2", other);
    ck_assert_str_eq(first, other);
    train_digits("--codec norm:4 --pad 1 --seed 8", other);
    ck_assert_str_ne(first, other);
}
END_TEST

/* Bytes or floats: the same values, also of what augmentation pads with. */
START_TEST(the_kind_of_input_changes_no_weights) {
    char bytes[17], floats[17];
    train_digits("--pad 2 --flip", bytes);
    train_digits("--pad 2 --flip --float-input", floats);
    ck_assert_str_eq(bytes, floats);
    train_digits("--pad 2 --flip --mean 0.4 --deviation 0.3", floats);
    ck_assert_str_ne(bytes, floats);
    const outcome *found = run("plan --model resnet8-digits --rows");
    ck_assert_msg(test_contains(found->out, "image bytes"), "%s", found->out);
    found = run("plan --model resnet8-digits --rows --float-input");
    ck_assert_msg(!test_contains(found->out, "image bytes"), "%s", found->out);
    found = run("plan --model resnet8-digits --rows --channels 5");
    ck_assert_msg(found->status == 0 && !test_contains(found->out, "image bytes"), "%s",
                  found->out);
}
END_TEST

/* A budget with room for more samples than there are. */
START_TEST(batches_are_no_larger_than_the_data) {
    const outcome *found =
        run("train --model resnet8-digits --data digits --limit 40 --epochs 1 --batch auto "
            "--budget 64M --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(member(found->out, "batch") == 40);
}
END_TEST

START_TEST(one_log_line_per_epoch) {
    char arguments[512], path[256], log[4096];
    snprintf(path, sizeof path, "%s/run.jsonl", test_scratch_folder());
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --epochs 2 --optimizer adamw --schedule "
             "cosine --warmup 4 "
             "--log %s",
             path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(
        test_contains(found->out, "planned peak") && test_contains(found->out, "weights digest"),
        "%s", found->out);
    ck_assert_msg(test_contains(found->err, "epoch 2/2: train loss") && !strchr(found->err, '\r'),
                  "%s", found->err);
    read_text(path, log, sizeof log);
    ck_assert_uint_eq(line_count(log), 2);
    char *second = strchr(log, '\n') + 1;
    ck_assert(member(second, "epoch") == 2);
    ck_assert(member(second, "train_loss") < member(log, "train_loss"));
    ck_assert(member(second, "test_loss") > 0);
    ck_assert(member(second, "test_top1") > 80 && member(second, "test_top1") <= 100);
    ck_assert(member(second, "images_per_second") > 0);
    ck_assert(member(second, "planned_peak_bytes") == member(second, "real_peak_bytes"));
}
END_TEST

static void check_old_log(const char *options, int status, const char *expected) {
    char arguments[512], path[256], text[4096];
    write_file(test_scratch_folder(), "old.jsonl", "old\n", 4);
    snprintf(path, sizeof path, "%s/old.jsonl", test_scratch_folder());
    snprintf(arguments, sizeof arguments, "train --batch 1 --log %s %s", path, options);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == status, "%s: exit status %d, expected %d: %s", arguments,
                  found->status, status, found->err);
    read_text(path, text, sizeof text);
    ck_assert_msg(test_contains(text, expected), "%s: the log holds '%s'", arguments, text);
    ck_assert(status == 0 || !strchr(text, '{'));
}

/* Until a run's input and plan stand, an earlier run's log is worth more than none; and
 * whatever fails later, a file that was there before is never removed. */
START_TEST(old_logs_are_kept) {
    char options[768], path[320];
    snprintf(options, sizeof options, "--model resnet8-digits --data digits --profile %s/%s",
             test_scratch_folder(), "own.profile");
    const char *vectors = "conv2d.vector = 5\n";
    write_file(test_scratch_folder(), "own.profile", vectors, strlen(vectors));
    check_old_log(options, 2, "old\n");

    const char *folder = new_folder("broken");
    snprintf(path, sizeof path, "%s/cat", folder);
    ck_assert(mkdir(path, 0700) == 0);
    write_file(path, "empty.jpg", "", 0);
    snprintf(options, sizeof options, "--model resnet20 --height 32 --data images:%s", folder);
    check_old_log(options, 2, "");

    check_old_log("--model resnet8-digits --data digits --limit 4", 0, "{\"epoch\": 1");
}
END_TEST

static pid_t start_long_training(const char *log) {
    pid_t child = fork();
    if (child) return child;
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0) _exit(99);
    char out[270];
    snprintf(out, sizeof out, "%.256s.out", log);
    if (!freopen(out, "w", stdout)) _exit(99);
    signal(SIGHUP, SIG_DFL); /* the tests may have been told to outlive their terminal */
    execl(PP_CLI, "pocketprop", "train", "--model", "resnet8-digits", "--data", "digits",
          "--epochs", "100000", "--log", log, "--json", (char *)NULL);
    _exit(99);
}

static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP};

START_TEST(interrupt_stops_cleanly) {
    char log[256], out[270], text[4096];
    snprintf(log, sizeof log, "%s/long%d.jsonl", test_scratch_folder(), _i);
    snprintf(out, sizeof out, "%.256s.out", log);
    pid_t child = start_long_training(log);
    ck_assert(child > 0);
    /* The first whole epoch says that training is under way. */
    struct stat info = {.st_size = 0};
    for (int i = 0; i < 3000 && (stat(log, &info) != 0 || !info.st_size); i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    ck_assert_msg(info.st_size > 0, "no epoch within a minute");
    ck_assert(kill(child, interrupts[_i]) == 0);
    int status = 0;
    ck_assert(waitpid(child, &status, 0) == child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 130, "status %x", (unsigned)status);
    read_text(out, text, sizeof text);
    ck_assert_msg(test_contains(text, "\"interrupted\": true"), "%s", text);
    ck_assert(member(text, "epochs") >= 1);
    read_text(log, text, sizeof text);
    ck_assert_msg(text[strlen(text) - 1] == '\n', "the last line is whole");
}
END_TEST

/* Whoever read what the run says has gone: its work is saved all the same. */
START_TEST(nobody_need_listen) {
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --limit 320 --batch 32 --epochs 1 "
             "--checkpoint %s/alone 2>&1 | true",
             test_scratch_folder());
    (void)run(arguments);
    ck_assert(is_there("alone/step-000000010.safetensors"));
}
END_TEST

/* The log is a pipe that nobody reads behind its first line: it is full when the signal comes. What was
 * being written then is written when it is read on. */
START_TEST(interrupt_breaks_no_write) {
    char environment[1024], arguments[512];
    const char *scratch = test_scratch_folder();
    snprintf(environment, sizeof environment,
             "mkfifo %s/fifo; (cd %s; read line; sleep 2; kill -TERM $(cat pid); sleep 1; cat "
             ">/dev/null) "
             "<%s/fifo & sh -c 'echo $$ >%s/pid; exec \"$0\" \"$@\"'",
             scratch, scratch, scratch, scratch);
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --limit 32 --batch 32 --epochs 1000000 "
             "--log %s/fifo",
             scratch);
    const outcome *found = run_with(environment, arguments);
    ck_assert(strstr(found->err, "could not be written") == NULL);
    ck_assert_int_eq(found->status, 130);
    snprintf(environment, sizeof environment, "cd %s && rm fifo pid", scratch);
    ck_assert_int_eq(system(environment), 0);
}
END_TEST

START_TEST(eval_and_bench) {
    const outcome *found = run("eval --model resnet8-digits --data digits --batch 100 --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(member(found->out, "samples") == 360);
    ck_assert(member(found->out, "loss") > 0);
    ck_assert(member(found->out, "top1") >= 0 && member(found->out, "top1") <= 100);

    found = run("bench step --model resnet8-digits --batch 8 --codec half --steps 3 --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(member(found->out, "min_ms") > 0);
    ck_assert(member(found->out, "median_ms") >= member(found->out, "min_ms"));
    ck_assert(member(found->out, "images_per_second") > 0);
    ck_assert(member(found->out, "peak_device_bytes") == member(found->out, "planned_peak_bytes"));
    ck_assert(member(found->out, "enqueue_ms") > 0 && member(found->out, "enqueue_share") > 0);
    check_json(found->out);
    ck_assert(test_contains(run("bench step --model resnet8-digits --steps 1")->out, "to enqueue"));
}
END_TEST

START_TEST(bench_peak) {
    const outcome *found = run("bench peak --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    check_json(found->out);
    ck_assert(member(found->out, "fma_gflops") > 0);
    ck_assert(member(found->out, "copy_gbps") > 0);
}
END_TEST

START_TEST(bench_ops) {
    const outcome *found =
        run("bench ops --model resnet8-digits --batch 8 --codec norm:4 --steps 3 --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    check_json(found->out);
    static const char *const keys[] = {"fma_gflops", "copy_gbps",  "step_ms", "device_ms",
                                       "gap_ms",     "enqueue_ms", "gflops",  "gbps"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        ck_assert_msg(member(found->out, keys[i]) >= 0, "%s", keys[i]);
    /* The rows are the plan's steps, and all of them ran something. */
    size_t rows = count_parts(found->out, "{\"step\": ");
    ck_assert_msg(!test_contains(found->out, "\"commands\": 0,"), "%s", found->out);
    ck_assert(test_contains(found->out, "\"operator\": \"conv2d\", \"pass\": \"backward weight\""));
    found = run("plan --model resnet8-digits --batch 8 --codec norm:4 --json");
    ck_assert(member(found->out, "step_count") == (double)rows);
    found = run("bench ops --model resnet8-digits --batch 8 --steps 1");
    ck_assert_msg(
        test_contains(found->out, "\nconv1 forward ") && test_contains(found->out, "gaps"), "%s",
        found->out);
}
END_TEST

/* Runs a command that traces; the file holds `steps` steps and all kernels of each, and nothing
 * lies beside it. */
static void check_trace(const char *arguments, size_t steps) {
    static char text[1 << 22];
    char command[512], path[256];
    snprintf(path, sizeof path, "%s/run.trace", test_scratch_folder());
    snprintf(command, sizeof command, "%s --batch 8 --trace %s", arguments, path);
    const outcome *found = run(command);
    ck_assert_msg(found->status == 0, "%s", found->err);
    read_text(path, text, sizeof text);
    check_json(text);
    ck_assert_uint_eq(count_parts(text, "\"name\": \"step "), steps);
    ck_assert_uint_eq(count_parts(text, "\"kernel\": \"softmax_cross_entropy_backward\""), steps);
    ck_assert_uint_eq(count_parts(text, "\"thread_name\""), 2);
    ck_assert(remove(path) == 0);
    snprintf(command, sizeof command, "ls %s/run.trace* 2>/dev/null", test_scratch_folder());
    int status = system(command);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 0, "a file was left");
}

START_TEST(traces) {
    check_trace("bench step --model resnet8-digits --steps 2", 2);
    check_trace("bench step --model resnet8-digits --steps 25", 20);
    check_trace("bench ops --model resnet8-digits --steps 3", 3);
    check_trace("train --model resnet8-digits --data digits --limit 32", 4);
    check_trace("train --model resnet8-digits --data digits --limit 200", 20);
}
END_TEST

static long file_bytes(const char *folder, const char *name) {
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_msg(stat(path, &info) == 0, "%s is not there", path);
    return (long)info.st_size;
}

/* 75002 trainable parameters, and the running statistics of seven batch-norms with 16, 16, 16, 32,
 * 32, 64 and 64 channels. */
START_TEST(bench_dumps_a_step) {
    char folder[128], arguments[512], path[256], text[1 << 14];
    snprintf(folder, sizeof folder, "%s/step", test_scratch_folder());
    snprintf(arguments, sizeof arguments,
             "bench step --model resnet8-digits --batch 6 --steps 1 --dump %s", folder);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_int_eq(file_bytes(folder, "parameters.f32"), 4 * (75002 + 2 * 240));
    ck_assert_int_eq(file_bytes(folder, "inputs.f32"), 4 * 6 * 64);
    ck_assert_int_eq(file_bytes(folder, "labels.i32"), 4 * 6);
    snprintf(path, sizeof path, "%s/step.json", folder);
    read_text(path, text, sizeof text);
    ck_assert(member(text, "batch") == 6 && member(text, "classes") == 10);
    ck_assert(test_contains(text,
                            "{\"name\": \"conv1.weight\", \"shape\": [3, 3, 1, 16], "
                            "\"trainable\": true, \"decayed\": true}"));
    double losses[3];
    const char *list = strstr(text, "\"losses\": [");
    ck_assert(list != NULL);
    ck_assert_int_eq(sscanf(list, "\"losses\": [ %lf, %lf, %lf ]", losses, losses + 1, losses + 2),
                     3);
    ck_assert_msg(losses[0] > losses[2] && losses[2] > 0, "%s", text);
    check_refused("bench step --model resnet8-digits --batch 6 --steps 1 --dump /nowhere/at/all",
                  "/nowhere/at/all");
}
END_TEST

static const outcome *run_configured(const char *arguments) {
    char environment[256];
    snprintf(environment, sizeof environment, "POCKETPROP_CONFIG_DIR=%s/config",
             test_scratch_folder());
    return run_with(environment, arguments);
}

/* One trial a run: the second run goes on behind the first, and training takes the profile. */
START_TEST(tune_writes_what_runs_pick_up) {
    static const char tune[] =
        "tune --model resnet8-digits --batch 4 --codec norm:4 --time-limit 1 --json";
    char path[512] = "", state[600], text[8192];
    const char *quiet = run_configured("devices")->out;
    ck_assert_msg(!test_contains(quiet, "/config/"), "%s", quiet);
    for (int i = 1; i <= 2; i++) {
        const outcome *found = run_configured(tune);
        ck_assert_msg(found->status == 0, "%s", found->err);
        check_json(found->out);
        ck_assert_msg(member(found->out, "trials") >= i, "run %d: %s", i, found->out);
        ck_assert(member(found->out, "gain") >= 1);
        ck_assert(member(found->out, "conv2d.vector") >= 1);
        const char *name = strstr(found->out, "\"profile\": \"") + strlen("\"profile\": \"");
        snprintf(path, sizeof path, "%.*s", (int)strcspn(name, "\""), name);
    }
    read_text(path, text, sizeof text);
    ck_assert_msg(test_contains(text, "parent = ") && test_contains(text, "match.device = "), "%s",
                  text);
    snprintf(state, sizeof state, "%s.tuning", path);
    read_text(state, text, sizeof text);
    ck_assert_msg(count_parts(text, "\ntrial ") >= 2, "%s", text);
    ck_assert_msg(test_contains(text, "network resnet8-digits batch 4 norm:4\n"), "%s", text);

    const char *listed = run_configured("devices")->out;
    ck_assert_msg(test_contains(listed, path), "%s", listed);
    const outcome *found =
        run_configured("bench step --model resnet8-digits --batch 4 --steps 1 --json");
    ck_assert_msg(found->status == 0 && test_contains(found->err, path), "%s", found->err);
    found = run_configured(
        "bench step --model resnet8-digits --batch 4 --steps 1 --profile default --json");
    ck_assert_msg(found->status == 0 && !test_contains(found->err, path), "%s", found->err);

    /* Another question is another search, and --out another place. */
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "tune --model lenet --batch 2 --time-limit 1 --out %s/mine/lenet.profile",
             test_scratch_folder());
    found = run_configured(arguments);
    ck_assert_msg(found->status == 0 && test_contains(found->out, "lenet.profile"), "%s",
                  found->err);
    ck_assert(is_there("mine/lenet.profile.tuning"));
    found = run_configured("tune --model resnet8-digits --batch 5 --time-limit 1");
    ck_assert_msg(found->status == 0 && test_contains(found->err, "beginning anew"), "%s",
                  found->err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/cli");
    TCase *cases = tcase_create("cli");
    tcase_add_test(cases, help_of_every_command);
    tcase_add_test(cases, bad_options);
    tcase_add_test(cases, bad_mnist_files);
    tcase_add_test(cases, bad_cifar_files);
    tcase_add_test(cases, empty_class_folder);
    tcase_add_test(cases, plan_needs_no_device);
    tcase_add_test(cases, no_platform);
    tcase_add_test(cases, full_standard_output);
    tcase_add_test(cases, devices);
    tcase_add_test(cases, the_same_seed_gives_the_same_weights);
    tcase_add_test(cases, the_kind_of_input_changes_no_weights);
    tcase_add_test(cases, batches_are_no_larger_than_the_data);
    tcase_add_test(cases, one_log_line_per_epoch);
    tcase_add_test(cases, old_logs_are_kept);
    tcase_add_loop_test(cases, interrupt_stops_cleanly, 0, sizeof interrupts / sizeof *interrupts);
    tcase_add_test(cases, interrupt_breaks_no_write);
    tcase_add_test(cases, nobody_need_listen);
    tcase_add_test(cases, eval_and_bench);
    tcase_add_test(cases, tune_writes_what_runs_pick_up);
    tcase_add_test(cases, bench_peak);
    tcase_add_test(cases, bench_ops);
    tcase_add_test(cases, traces);
    tcase_add_test(cases, bench_dumps_a_step);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
