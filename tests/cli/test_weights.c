/* Weights on the command line: train --save, eval and fidelity --weights, inspect, convert,
 * and pretrained networks. */
#include <math.h>

#include "cli/program.h"
#include "support/support.h"

static char path[512];

static const char *scratch_path(const char *name) {
    snprintf(path, sizeof path, "%s/%s", test_scratch_folder(), name);
    return path;
}

START_TEST(weights_go_out_and_come_back) {
    char arguments[1600], weights[512], copy[512];
    snprintf(weights, sizeof weights, "%s", scratch_path("w.safetensors"));
    snprintf(copy, sizeof copy, "%s", scratch_path("copy.safetensors"));
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --batch 32 --epochs 2 --json --save %s",
             weights);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    const double top1 = member(found->out, "test_top1"), loss = member(found->out, "test_loss");
    snprintf(arguments, sizeof arguments, "convert --weights %s --out %s --rename '*=module.*'",
             weights, copy);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    /* Seven convolutions, seven batch-norms of four vectors each, weight and bias of the head. */
    ck_assert_str_eq(found->err,
                     "37 of 37 names changed, conv1.weight to module.conv1.weight first\n");
    snprintf(arguments, sizeof arguments,
             "eval --model resnet8-digits --data digits --batch 32 --json --weights %s", copy);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert_msg(strstr(found->err, "prefix module. stripped from 37 names\n") != NULL, "%s",
                  found->err);
    ck_assert(member(found->out, "top1") == top1);
    ck_assert(member(found->out, "loss") == loss);
    snprintf(arguments, sizeof arguments, "inspect --weights %s --json", copy);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(strstr(found->out, "\"name\": \"module.conv1.weight\"") != NULL);
    ck_assert(strstr(found->out, "\"nan\": 0") != NULL);
}
END_TEST

/* What is measured is the loaded network: its gradients are not the random one's, whatever the seed. */
START_TEST(fidelity_begins_with_a_file) {
    char arguments[1600], weights[512];
    snprintf(weights, sizeof weights, "%s", scratch_path("trained.safetensors"));
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --batch 32 --epochs 2 --save %s", weights);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    double norms[2];
    for (int i = 0; i < 2; i++) {
        snprintf(arguments, sizeof arguments,
                 "fidelity --model resnet8-digits --data digits --batch 32 --warm-up 0 --batches 1 "
                 "--codec raw --json %s%s",
                 i ? "--weights " : "", i ? weights : "");
        found = run(arguments);
        ck_assert_msg(found->status == 0, "%s", found->err);
        norms[i] = member(strstr(found->out, "\"overall\""), "gradient_norm");
        ck_assert(member(strstr(found->out, "\"overall\""), "error") == 0);
    }
    ck_assert_msg(norms[1] < norms[0] / 2, "%g, and %g trained", norms[0], norms[1]);
}
END_TEST

START_TEST(what_does_not_fit_is_one_line) {
    char arguments[1600], weights[512];
    snprintf(weights, sizeof weights, "%s", scratch_path("lenet.safetensors"));
    snprintf(
        arguments, sizeof arguments,
        "train --model resnet8-digits --data digits --batch 32 --limit 64 --epochs 1 --save %s",
        weights);
    ck_assert_int_eq(run(arguments)->status, 0);
    snprintf(arguments, sizeof arguments,
             "eval --model resnet20 --data digits --batch 32 --weights %s", weights);
    const outcome *found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
    ck_assert_msg(strstr(found->err, "(--partial loads what fits)\n") != NULL, "%s", found->err);
    snprintf(arguments, sizeof arguments,
             "eval --model lenet --data digits --batch 32 --weights %s", weights);
    found = run(arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
    ck_assert_msg(strstr(found->err, "--partial") == NULL, "%s", found->err);
    snprintf(arguments, sizeof arguments,
             "eval --model resnet20 --data digits --batch 32 --weights %s --partial", weights);
    found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    ck_assert(strstr(found->err, "not in the file: ") != NULL);
    ck_assert(strstr(found->err, "loaded: 37 of the network's 97 tensors, from ") != NULL);
    found = run("inspect --weights /nowhere/at/all");
    ck_assert_int_eq(found->status, 2);
    ck_assert_uint_eq(line_count(found->err), 1);
}
END_TEST

/* What PyTorch measures with the same files on the same images. */
START_TEST(pretrained_networks) {
    static const struct {
        const char *model;
        double top1, loss;
    } cases[] = {
        {"resnet20", 81.03, 0.8788}, {"resnet32", 82.56, 0.9227}, {"resnet44", 82.67, 0.9028}};
    char arguments[1600], folder[512];
    const char *data = test_data_folder("weights");
    if (!data) return;
    snprintf(folder, sizeof folder, "%s", data);
    data = test_data_folder("cifar10");
    if (!data) return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(arguments, sizeof arguments,
                 "eval --model %s --weights %s/%s.safetensors --data cifar10:%s --batch 100 "
                 "--mean 0.485,0.456,0.406 --deviation 0.229,0.224,0.225 --json",
                 cases[i].model, folder, cases[i].model, data);
        const outcome *found = run(arguments);
        ck_assert_msg(found->status == 0, "%s", found->err);
        const double top1 = member(found->out, "top1"), loss = member(found->out, "loss");
        ck_assert_msg(fabs(top1 - cases[i].top1) < 0.02, "%s: top-1 %g", cases[i].model, top1);
        ck_assert_msg(fabs(loss - cases[i].loss) < 1e-4, "%s: loss %g", cases[i].model, loss);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/weights");
    TCase *test = tcase_create("program");
    tcase_set_timeout(test, 0);
    tcase_add_test(test, weights_go_out_and_come_back);
    tcase_add_test(test, fidelity_begins_with_a_file);
    tcase_add_test(test, what_does_not_fit_is_one_line);
    tcase_add_test(test, pretrained_networks);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
