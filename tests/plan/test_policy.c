/* Policies, overrides and codec texts: the table in include/pocketprop/plan.h, row by row. */
#include <stdio.h>

#include "codec/codec.h"
#include "plan/flow.h"
#include "plan/plans.h"

/* A value of every kind, reproducible or not. bn1 has a ReLU behind it; relu2 lies behind an
 * addition, its output is read by conv3; relu3 likewise, read by no layer with weights; the pool
 * has an index. */
static pp_graph *every_kind(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 8, 8, 8), 8);
    x = pp_graph_relu(g, "relu1", add_bn(g, "bn1", x));
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    pp_value y = add_conv(g, "conv2", pp_graph_relu(g, "relu", add_bn(g, "bn2", x)), 8);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add2", x, y));
    y = add_conv(g, "conv3", x, 8);
    add_head(g, pp_graph_relu(g, "relu3", pp_graph_add(g, "add3", x, y)));
    return g;
}

static pp_plan *planned(const char *codec, const pp_codec_override *overrides, size_t count) {
    const pp_plan_options options = {
        .batch = 2, .codec = codec, .overrides = overrides, .override_count = count};
    pp_plan *plan = plan_and_drop(every_kind(), &options);
    flow_check(plan);
    return plan;
}

/* "codec of kind for views" of a row; "" where it keeps nothing for backward, "-" where there is no
 * such row. */
static const char *stored(const pp_plan *plan, const char *name) {
    static char text[128];
    pp_plan_row row;
    if (!find_row(plan, name, &row)) return "-";
    if (!*row.codec) return "";
    snprintf(text, sizeof text, "%s of %s for %s", row.codec, row.kind, row.views);
    return text;
}

typedef struct expectation {
    const char *row, *stored;
} expectation;

static void expect(const pp_plan *plan, const char *what, const expectation *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(!strcmp(stored(plan, rows[i].row), rows[i].stored),
                      "%s: row '%s' is '%s', expected '%s'", what, rows[i].row,
                      stored(plan, rows[i].row), rows[i].stored);
}

/* Rows of x-hat: under raw the batch-norm's input is kept in its place (conv1, pool); the
 * activations of bn1's and bn2's ReLUs are views where they can be. The pooled image of "gap" has
 * one pixel, so avgpool keeps it. */
START_TEST(the_table) {
    static const struct {
        const char *codec;
        expectation rows[10];
    } cases[] = {
        {"raw",
         {{"conv1", "raw of normalised for x-hat mask"},
          {"pool", "raw of normalised for x-hat mask value"},
          {"image", "raw of input for value"},
          {"bn1 x-hat", "-"},
          {"bn2 x-hat", "-"},
          {"add2 code", "-"},
          {"conv2", "raw of activation for mask value"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap", "raw of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"half",
         {{"bn1 x-hat", "half of normalised for x-hat"},
          {"bn1 mask", "signmask of mask for mask"},
          {"bn2 x-hat", "half of normalised for x-hat value"},
          {"bn2 mask", "signmask of mask for mask"},
          {"image code", "half of input for value"},
          {"add2 code", "half of activation for mask value"},
          {"add2 mask", "-"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap code", "half of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"norm:8",
         {{"bn1 x-hat", "norm:8 of normalised for x-hat mask"},
          {"bn1 mask", "-"},
          {"bn2 x-hat", "norm:8 of normalised for x-hat mask value"},
          {"bn2 mask", "-"},
          {"image code", "half of input for value"},
          {"add2 code", "group:8 of activation for mask value"},
          {"add2 mask", "-"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap code", "half of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"norm:4,clip=3",
         {{"bn1 x-hat", "norm:4,clip=3 of normalised for x-hat mask"},
          {"bn1 code", "-"},
          {"bn2 x-hat", "norm:4,clip=3 of normalised for x-hat mask value"},
          {"bn2 code", "-"},
          {"image code", "half of input for value"},
          {"add2 code", "group:4 of activation for mask value"},
          {"add2 mask", "-"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap code", "half of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"btc:4",
         {{"bn1 x-hat", "btc:4 of normalised for x-hat mask"},
          {"bn1 code", "-"},
          {"bn2 x-hat", "btc:4 of normalised for x-hat mask value"},
          {"bn2 code", "-"},
          {"image code", "half of input for value"},
          {"add2 code", "group:2 of activation for mask value"},
          {"add2 mask", "-"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap code", "half of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"bitmap,density=0.7",
         {{"conv1", "raw of normalised for x-hat mask"},
          {"pool", "raw of normalised for x-hat mask value"},
          {"image", "raw of input for value"},
          {"bn1 x-hat", "-"},
          {"bn2 x-hat", "-"},
          {"add2 code", "bitmap,density=0.7 of activation for mask value"},
          {"add2 mask", "-"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap", "raw of activation for value"},
          {"pool index", "argmax of index for index"}}},
        {"avgpool:2",
         {{"conv1", "raw of normalised for x-hat mask"},
          {"pool", "raw of normalised for x-hat mask"},
          {"image", "raw of input for value"},
          {"bn1 code", "-"},
          {"bn2 code", "avgpool:2 of activation for value"},
          {"add2 code", "avgpool:2 of activation for value"},
          {"add2 mask", "signmask of mask for mask"},
          {"add3 mask", "signmask of mask for mask"},
          {"gap", "raw of activation for value"},
          {"pool index", "argmax of index for index"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = planned(cases[i].codec, NULL, 0);
        expect(plan, cases[i].codec, cases[i].rows, 10);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* 2 x 8 x 8 pixels of 8 channels in bn1, 2 x 4 x 4 in the pool's output. */
START_TEST(stored_bytes_are_the_codecs) {
    static const struct {
        const char *codec, *row;
        size_t raw_bytes, stored_bytes;
    } cases[] = {
        {"half", "bn1 x-hat", 4096, 2048},       {"half", "bn1 mask", 4096, 128},
        {"btc:2", "bn1 x-hat", 4096, 384},       {"btc:4", "bn1 x-hat", 4096, 192},
        {"btc:8", "bn1 x-hat", 4096, 144},       {"btc:2", "add2 code", 1024, 104},
        {"norm:8", "bn1 x-hat", 4096, 1024},     {"norm:4", "bn1 x-hat", 4096, 512},
        {"norm:4", "image code", 4096, 2048},    {"avgpool:2", "bn2 code", 1024, 256},
        {"avgpool:3", "bn2 code", 1024, 256},    {"avgpool:4", "bn2 code", 1024, 64},
        {"avgpool:64", "bn2 code", 1024, 64},    {"avgpool:2", "add2 mask", 1024, 32},
        {"raw", "pool index", 1024, 2 * 16 * 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = planned(cases[i].codec, NULL, 0);
        pp_plan_row row = row_of(plan, cases[i].row);
        ck_assert_uint_eq(row.raw_bytes, cases[i].raw_bytes);
        ck_assert_uint_eq(row.stored_bytes, cases[i].stored_bytes);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Without a codec's name the policy is raw. */
START_TEST(raw_is_the_default) {
    pp_plan *plans[] = {planned(NULL, NULL, 0), planned("raw", NULL, 0)};
    char *texts[2];
    for (int i = 0; i < 2; i++) TEST_OK(pp_plan_print(plans[i], &texts[i]));
    ck_assert_str_eq(texts[0], texts[1]);
    for (int i = 0; i < 2; i++) {
        pp_text_free(test_engine(), texts[i]);
        pp_plan_destroy(plans[i]);
    }
}
END_TEST

START_TEST(overrides_by_kind) {
    static const struct {
        const char *codec;
        pp_codec_override override;
        expectation row;
    } cases[] = {
        {"raw",
         {"@normalised", "norm:4"},
         {"bn2 x-hat", "norm:4 of normalised for x-hat mask value"}},
        {"norm:4", {"@normalised", "raw"}, {"conv1", "raw of normalised for x-hat mask"}},
        {"norm:4", {"@activation", "raw"}, {"bn2", "raw of activation for value"}},
        {"norm:4", {"@activation", "avgpool:2"}, {"bn2 code", "avgpool:2 of activation for value"}},
        {"avgpool:2", {"@activation", "view"}, {"pool", "raw of normalised for x-hat mask value"}},
        {"avgpool:2", {"@activation", "view"}, {"add2 mask", "-"}},
        {"norm:4", {"@input", "raw"}, {"image", "raw of input for value"}},
        {"raw", {"@input", "avgpool:2"}, {"image code", "avgpool:2 of input for value"}},
        {"norm:4", {"@mask", "signmask"}, {"bn2 mask", "signmask of mask for mask"}},
        {"norm:4", {"@mask", "signmask"}, {"bn2 x-hat", "norm:4 of normalised for x-hat value"}},
        {"raw", {"@mask", "half"}, {"add3 mask", "half of mask for mask"}},
        {"norm:4", {"@index", "argmax"}, {"pool index", "argmax of index for index"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = planned(cases[i].codec, &cases[i].override, 1);
        expect(plan, cases[i].override.codec, &cases[i].row, 1);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Patterns name the node whose value is stored; after fusing, that is the first of the two. */
START_TEST(overrides_by_name) {
    static const struct {
        const char *pattern;
        bool bn1, bn2;
    } cases[] = {{"bn1", true, false},
                 {"bn*", true, true},
                 {"*", true, true},
                 {"b?2", false, true},
                 {"*2", false, true},
                 {"?n?", true, true},
                 {"*n*1", true, false},
                 {"**bn1**", true, false},
                 {"bn2*", false, true},
                 {"*b*n*1*", true, false},
                 {"**************************1", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pp_codec_override override = {cases[i].pattern, "norm:8"};
        pp_plan *plan = planned("norm:4", &override, 1);
        pp_plan_row bn1 = row_of(plan, "bn1 x-hat"), bn2 = row_of(plan, "bn2 x-hat");
        ck_assert_msg(!strcmp(bn1.codec, "norm:8") == cases[i].bn1, "%s", cases[i].pattern);
        ck_assert_msg(!strcmp(bn2.codec, "norm:8") == cases[i].bn2, "%s", cases[i].pattern);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* A name stands for what a policy of that codec would do with the node's values: one code, views on
 * it, and a bit plane where there is none. */
START_TEST(overrides_by_name_keep_views) {
    static const struct {
        const char *policy;
        pp_codec_override override;
        expectation rows[3];
    } cases[] = {
        {"norm:4",
         {"bn2", "raw"},
         {{"pool", "raw of normalised for x-hat mask value"},
          {"bn2 code", "-"},
          {"bn2 mask", "-"}}},
        {"norm:4",
         {"bn2", "half"},
         {{"bn2 x-hat", "half of normalised for x-hat value"},
          {"bn2 code", "-"},
          {"bn2 mask", "signmask of mask for mask"}}},
        {"norm:4",
         {"bn2", "avgpool:2"},
         {{"bn2 x-hat", "norm:4 of normalised for x-hat mask"},
          {"bn2 code", "avgpool:2 of activation for value"},
          {"bn2 mask", "-"}}},
        {"norm:4",
         {"add*", "raw"},
         {{"pool", "raw of activation for mask value"},
          {"add2 code", "-"},
          {"add3 mask", "signmask of mask for mask"}}},
        {"raw",
         {"add2", "avgpool:2"},
         {{"add2 code", "avgpool:2 of activation for value"},
          {"add2 mask", "signmask of mask for mask"},
          {"add3 mask", "signmask of mask for mask"}}},
        {"raw",
         {"bn2", "signmask"},
         {{"bn2 mask", "signmask of mask for mask"},
          {"pool", "raw of normalised for x-hat value"},
          {"bn2 code", "-"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp_plan *plan = planned(cases[i].policy, &cases[i].override, 1);
        expect(plan, cases[i].override.codec, cases[i].rows, 3);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(the_last_match_wins) {
    const pp_codec_override overrides[] = {
        {"bn1", "norm:8"}, {"@normalised", "half"}, {"bn2", "norm:8"}};
    pp_plan *plan = planned("norm:4", overrides, 3);
    ck_assert_str_eq(row_of(plan, "bn1 x-hat").codec, "half");
    ck_assert_str_eq(row_of(plan, "bn2 x-hat").codec, "norm:8");
    pp_plan_destroy(plan);
    const pp_codec_override views[] = {{"@activation", "avgpool:2"}, {"bn2", "view"}};
    plan = planned("norm:4", views, 2);
    ck_assert_str_eq(stored(plan, "bn2 x-hat"), "norm:4 of normalised for x-hat mask value");
    ck_assert_str_eq(stored(plan, "add2 code"), "avgpool:2 of activation for value");
    pp_plan_destroy(plan);
}
END_TEST

/* The loss reads its input to the last bit: no policy and no override changes that. */
START_TEST(what_must_be_exact_stays_exact) {
    const pp_codec_override override = {"@activation", "half"};
    pp_plan *plan = planned("norm:4", &override, 1);
    ck_assert_str_eq(stored(plan, "fc"), "raw of activation for value");
    pp_plan_destroy(plan);

    /* Its input is also a layer's input here: the lossy code is not used for it, and both are kept.
     */
    pp_graph *g = graph_new();
    pp_value x = pp_graph_global_avgpool(g, "gap", pp_graph_input(g, "image", 4, 4, 8));
    const pp_dense_params dense = {.out_features = 8};
    x = pp_graph_dense(g, "fc1", x, &dense);
    pp_graph_dense(g, "idle", x, &dense);
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    plan = plan_and_drop(g, &(pp_plan_options){.batch = 2, .codec = "half"});
    flow_check(plan);
    ck_assert_str_eq(stored(plan, "fc1"), "raw of activation for value");
    ck_assert_str_eq(stored(plan, "fc1 code"), "half of activation for value");
    pp_plan_destroy(plan);
}
END_TEST

static void expect_failure(const char *codec, const char *pattern, const char *override_codec,
                           const char *part) {
    const pp_codec_override override = {pattern, override_codec};
    const pp_plan_options options = {
        .batch = 2, .codec = codec, .overrides = &override, .override_count = 1};
    pp_plan *plan = NULL;
    pp_graph *g = every_kind();
    TEST_FAILS(plan_try(g, &options, &plan), PP_ERROR_INVALID_ARGUMENT, part);
    pp_graph_destroy(g);
}

START_TEST(overrides_that_cannot_work_are_refused) {
    expect_failure("raw", "layer9.*", "half", "override layer9.*=half has no effect");
    expect_failure("raw", "@weights", "half", "override @weights=half has no effect");
    expect_failure("raw", "", "half", "override =half has no effect");
    expect_failure("raw", "bn", "half", "override bn=half has no effect"); /* no prefix matching */
    expect_failure("raw", "add2", "norm:4", "override add2=norm:4 has no effect");
    expect_failure("raw", "@normalised", "avgpool:2",
                   "override @normalised=avgpool:2: codec 'avgpool:2' cannot store this kind");
    expect_failure("raw", "@activation", "norm:4", "'norm:4' cannot store this kind");
    expect_failure("raw", "@activation", "signmask", "'signmask' cannot store this kind");
    expect_failure("raw", "@mask", "avgpool:2", "'avgpool:2' cannot store this kind");
    expect_failure("raw", "@index", "half", "'half' cannot store this kind");
    expect_failure("raw", "@normalised", "view", "'view' cannot store this kind");
    expect_failure("raw", "@input", "view", "'view' cannot store this kind");
    expect_failure(
        "raw", "@activation", "bitmap",
        "override of 'gap': codec 'bitmap' stores what a ReLU let pass, and the value of "
        "'gap' is not a ReLU's output");
    expect_failure("raw", "@input", "bitmap", "override of 'image': codec 'bitmap' stores what");
    expect_failure("raw", "@normalised", "bitmap", "codec 'bitmap' cannot store this kind");
    expect_failure("raw", "bn1", "norm:9", "codec 'norm:9': expected norm:K with K = 1, 2,");
}
END_TEST

START_TEST(a_policy_stores_values) {
    pp_graph *g = every_kind();
    static const char *const codecs[] = {"signmask", "argmax"};
    for (size_t i = 0; i < 2; i++) {
        pp_plan *plan = NULL;
        TEST_FAILS(plan_try(g, &(pp_plan_options){.batch = 2, .codec = codecs[i]}, &plan),
                   PP_ERROR_INVALID_ARGUMENT,
                   "stores masks, indices or images only; a policy is raw, half, norm:K, btc:W, "
                   "group:K, avgpool:W, bitmap or pool:W+residual:K");
    }
    pp_graph_destroy(g);
}
END_TEST

START_TEST(codec_texts_are_read_and_printed) {
    static const struct {
        const char *text, *printed;
    } cases[] = {{"raw", "raw"},
                 {"half", "half"},
                 {"norm:4", "norm:4"},
                 {"norm:8", "norm:8"},
                 {"norm:4,clip=3", "norm:4,clip=3"},
                 {"norm:8,clip=2.5", "norm:8,clip=2.5"},
                 {"norm:4,clip=2.69", "norm:4"},
                 {"norm:8,clip=100", "norm:8,clip=100"},
                 {"avgpool:2", "avgpool:2"},
                 {"avgpool:64", "avgpool:64"},
                 {"avgpool:08", "avgpool:8"},
                 {"signmask", "signmask"},
                 {"argmax", "argmax"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp__coding coding, again;
        char text[PP__CODING_TEXT];
        TEST_OK(pp__coding_read(test_engine(), cases[i].text, &coding));
        pp__coding_print(&coding, text);
        ck_assert_str_eq(text, cases[i].printed);
        TEST_OK(pp__coding_read(test_engine(), text, &again));
        ck_assert(again.codec == coding.codec && again.bits == coding.bits &&
                  again.window == coding.window && again.clip == coding.clip);
    }
}
END_TEST

START_TEST(codec_texts_that_make_no_sense_are_refused) {
    static const struct {
        const char *text, *part;
    } cases[] = {{"norm", "codec 'norm': expected norm:K with K = 1, 2, 3, 4, 5, 6 or 8"},
                 {"norm:", "expected norm:K"},
                 {"norm:7", "expected norm:K"},
                 {"norm:44", "expected norm:K"},
                 {"norm:4,", "expected norm:K"},
                 {"norm:4,clip=", "expected norm:K"},
                 {"norm:4,clip=1e-39", "clip from 0.01 to 100"},
                 {"norm:4,clip=0", "clip from 0.01 to 100"},
                 {"norm:4,clip=-3", "clip from 0.01 to 100"},
                 {"norm:4,clip=101", "clip from 0.01 to 100"},
                 {"norm:4,clip=nan", "clip from 0.01 to 100"},
                 {"norm:4,clip=\n3", "clip from 0.01 to 100"},
                 {"norm:4,clip=3x", "clip from 0.01 to 100"},
                 {"avgpool", "expected avgpool:W with a block side W from 2 to 64"},
                 {"avgpool:1", "from 2 to 64"},
                 {"avgpool:65", "from 2 to 64"},
                 {"avgpool:-2", "from 2 to 64"},
                 {"avgpool:2x", "from 2 to 64"},
                 {"avgpool:99999999999999999999", "from 2 to 64"},
                 {"raw:1", "codec 'raw:1': raw takes no parameters"},
                 {"half:", "half takes no parameters"},
                 {"Raw", "codec 'Raw' is unknown; there are raw, half, bfloat, norm, group,"},
                 {"view", "codec 'view' is unknown"},
                 {"blockmean:2", "codec 'blockmean:2' is unknown"},
                 {"ra", "codec 'ra' is unknown"},
                 {":", "codec ':' is unknown"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pp__coding coding = {.bits = 7};
        TEST_FAILS(pp__coding_read(test_engine(), cases[i].text, &coding),
                   PP_ERROR_INVALID_ARGUMENT, cases[i].part);
        ck_assert(coding.codec == NULL && coding.bits == 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan/policy");
    TCase *all = tcase_create("all");
    tcase_add_test(all, the_table);
    tcase_add_test(all, stored_bytes_are_the_codecs);
    tcase_add_test(all, raw_is_the_default);
    tcase_add_test(all, overrides_by_kind);
    tcase_add_test(all, overrides_by_name);
    tcase_add_test(all, overrides_by_name_keep_views);
    tcase_add_test(all, the_last_match_wins);
    tcase_add_test(all, what_must_be_exact_stays_exact);
    tcase_add_test(all, overrides_that_cannot_work_are_refused);
    tcase_add_test(all, a_policy_stores_values);
    tcase_add_test(all, codec_texts_are_read_and_printed);
    tcase_add_test(all, codec_texts_that_make_no_sense_are_refused);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
