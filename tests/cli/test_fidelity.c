/* pocketprop fidelity from outside: what it says of policies whose gradients are known to be exact,
 * good, bad or random. */
#include <math.h>

#include "cli/program.h"
#include "support/support.h"

#define RUN "fidelity --model resnet8-digits --data digits --batch 16 --warm-up 10 --batches 2 "

/* The object of one parameter, or "overall". */
static const char *part_of(const char *json, const char *name) {
    char key[96];
    snprintf(key, sizeof key, strcmp(name, "overall") ? "\"name\": \"%s\"" : "\"%s\": {", name);
    const char *place = strstr(json, key);
    ck_assert_msg(place != NULL, "no %s in %s", name, json);
    return place;
}

static const char *measure(const char *options) {
    char arguments[512];
    snprintf(arguments, sizeof arguments, RUN "--json %s", options);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s: %s", options, found->err);
    check_json(found->out);
    return found->out;
}

static bool draws_differ(const char *json) {
    ck_assert(strstr(json, "\"draws_differ\": ") != NULL);
    return strstr(json, "\"draws_differ\": true") != NULL;
}

START_TEST(raw_is_exact) {
    const char *json = measure("--codec raw");
    ck_assert(!draws_differ(json));
    ck_assert_double_eq(member(json, "draws"), 2);
    size_t parts = 0;
    for (const char *place = json; (place = strstr(place, "\"cosine\": ")); place++, parts++) {
        ck_assert_double_eq_tol(member(place, "cosine"), 1, 1e-15);
        ck_assert_double_eq(member(place, "error"), 0);
        ck_assert_double_eq(member(place, "bias"), 0);
        ck_assert_double_eq(member(place, "spread"), 0);
        ck_assert_double_gt(member(place, "gradient_norm"), 0);
    }
    /* Seven convolutions with batch-norms of two parameters, the classifier's two, and the sum. */
    ck_assert_uint_eq(parts, 7 * 3 + 2 + 1);
    ck_assert_double_eq(member(part_of(json, "overall"), "elements"), 75002);
}
END_TEST

/* Fewer bits are worse, and what no code touches stays exact: the classifier's bias. */
START_TEST(bits_order_codecs) {
    static const char *const codecs[] = {"norm:8", "norm:4", "norm:2"};
    double last_error = 0, last_cosine = 1;
    for (size_t i = 0; i < 3; i++) {
        char options[64];
        snprintf(options, sizeof options, "--codec %s", codecs[i]);
        const char *json = measure(options), *all = part_of(json, "overall");
        ck_assert_double_gt(member(all, "error"), 2 * last_error);
        ck_assert_double_lt(member(all, "cosine"), last_cosine);
        ck_assert_double_le(member(all, "least_cosine"), member(all, "cosine"));
        last_error = member(all, "error");
        last_cosine = member(all, "cosine");
        ck_assert_double_eq(member(part_of(json, "linear.bias"), "error"), 0);
        ck_assert(strstr(part_of(json, "layer1.0.conv1.weight"), codecs[i]) != NULL);
    }
    ck_assert_double_gt(last_cosine, 0.5);
}
END_TEST

/* Rounding at random has next to no bias, rounding to the nearest nothing else; either way both make
 * up the error. */
START_TEST(bias_and_spread) {
    static const char *const pooled = "layer1.0.conv2.weight";
    const char *json = measure("--override '@activation=group:2' --draws 16");
    ck_assert(draws_differ(json));
    ck_assert_double_eq(member(json, "draws"), 16);
    const char *part = part_of(json, pooled);
    const double error = member(part, "error"), spread = member(part, "spread"),
                 bias = member(part, "bias");
    ck_assert_double_gt(error, 0.01);
    ck_assert_double_lt(bias, 0.2 * spread);
    ck_assert_double_eq_tol(error * error, bias * bias + spread * spread, 0.02 * error * error);

    json = measure("--codec avgpool:2 --draws 16");
    ck_assert(!draws_differ(json));
    ck_assert_double_eq(member(json, "draws"), 2);
    part = part_of(json, pooled);
    ck_assert_double_gt(member(part, "error"), 0.01);
    ck_assert_double_eq(member(part, "spread"), 0);
    ck_assert_double_eq(member(part, "bias"), member(part, "error"));
    /* Pooling touches weight gradients only. */
    ck_assert_double_eq(member(part_of(json, "bn1.weight"), "error"), 0);

    json = measure("--codec group:2 --draws 1");
    ck_assert(strstr(part_of(json, "overall"), "\"bias\": null") != NULL);
    ck_assert_double_gt(member(part_of(json, "overall"), "error"), 0.01);
}
END_TEST

/* The plan that is measured is the one that training has: a budget is met before gradients are kept,
 * and the policy it leads to, from a file, gives the same numbers. */
START_TEST(budgets_and_policies) {
    char options[512], whole[1 << 10];
    const char *folder = new_folder("policies");
    snprintf(options, sizeof options, "--budget 1200K --save-policy %s/policy", folder);
    const char *json = measure(options);
    ck_assert_double_le(member(json, "planned_peak_bytes"), 1200 << 10);
    ck_assert_double_lt(member(json, "saved_stored_bytes"), member(json, "saved_raw_bytes"));
    const char *overall = part_of(json, "overall");
    snprintf(whole, sizeof whole, "%.*s", (int)strcspn(overall, "}"), overall);
    ck_assert_double_gt(member(overall, "error"), 0);

    snprintf(options, sizeof options, "--policy %s/policy", folder);
    overall = part_of(measure(options), "overall");
    ck_assert_msg(!strncmp(overall, whole, strlen(whole)), "%.300s, expected %s", overall, whole);
}
END_TEST

START_TEST(same_seed_same_numbers) {
    static char first[1 << 16];
    snprintf(first, sizeof first, "%s", measure("--codec group:4 --seed 3"));
    ck_assert_str_eq(measure("--codec group:4 --seed 3"), first);
    ck_assert_str_ne(measure("--codec group:4 --seed 4"), first);
}
END_TEST

START_TEST(table_and_page) {
    static char page[1 << 20];
    char arguments[512], path[300];
    snprintf(path, sizeof path, "%s/fidelity.html", new_folder("pages"));
    snprintf(arguments, sizeof arguments, RUN "--codec avgpool:2 --html %s", path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    static const char *const rows[] = {"\nconv1.weight", "\nlayer3.0.bn2.bias", "\nall together",
                                       "agree bit for bit"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(strstr(found->out, rows[i]) != NULL, "no %s in %s", rows[i], found->out);
    read_text(path, page, sizeof page);
    ck_assert_uint_eq(count_parts(page, "<svg "), 2);
    ck_assert_uint_eq(count_parts(page, "<td>layer1.0.conv1.weight</td><td>avgpool:2</td>"), 1);
    ck_assert(strstr(page, "</html>") != NULL && !strstr(page, "nan"));
}
END_TEST

START_TEST(bad_input) {
    check_refused("fidelity --data digits", "--model is missing");
    check_refused("fidelity --model lenet", "--data is missing");
    check_refused(RUN "--codec norm:9", "norm:9");
    check_refused(RUN "--batches 0", "--batches: found '0'");
    check_refused(RUN "--draws 0", "--draws: found '0'");
    check_refused(RUN "--warm-up some", "--warm-up: found 'some'");
    check_refused(RUN "--override 'nothing=raw'", "nothing");
    check_refused(RUN "--html /nowhere/at/all.html", "--html: found '/nowhere/at/all.html'");
    check_refused("fidelity --model resnet8-digits --data digits --batch 4096", "4096");
    /* A rate that no network survives. */
    const outcome *found = run(RUN "--lr 1000000 --codec norm:4");
    ck_assert_int_eq(found->status, 1);
    ck_assert_str_eq(found->out, "");
    ck_assert_msg(test_contains(found->err, "not finite after 10 steps"), "%s", found->err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/fidelity");
    TCase *cases = tcase_create("fidelity");
    tcase_add_test(cases, raw_is_exact);
    tcase_add_test(cases, bits_order_codecs);
    tcase_add_test(cases, bias_and_spread);
    tcase_add_test(cases, budgets_and_policies);
    tcase_add_test(cases, same_seed_same_numbers);
    tcase_add_test(cases, table_and_page);
    tcase_add_test(cases, bad_input);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
