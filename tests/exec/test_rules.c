/* Training with rules: what is frozen keeps its bits, what is trained gets the gradient that it gets
 * when everything is, and rates multiply. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan/small_networks.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 8, INPUT = 12 * 12 * 3, CLASSES = 5, STEPS = 3 };

typedef struct material {
    float inputs[BATCH * INPUT];
    int32_t labels[BATCH];
} material;

static pp_batch batch_of(material *m) {
    test_fill_normal(m->inputs, BATCH * INPUT);
    for (size_t i = 0; i < BATCH; i++) m->labels[i] = (int32_t)test_random_below(CLASSES);
    return (pp_batch){.inputs = m->inputs, .labels = m->labels, .count = BATCH};
}

/* Gradients are kept to the end of the step, unclipped. */
static const pp_optimizer keeping = {.momentum = 0.9f, .clip_norm = 1e12f};

static void create(trainer *t, const pp_parameter_rule *rules, size_t count, const char *codec) {
    pp_graph *g = residual_block();
    trainer_create(t, g,
                   &(pp_plan_options){.batch = BATCH,
                                      .codec = codec,
                                      .optimizer = keeping,
                                      .rules = rules,
                                      .rule_count = count},
                   7);
    pp_graph_destroy(g);
}

static pp_parameter_info info_of(const trainer *t, size_t index) {
    pp_parameter_info info;
    pp_plan_read_parameter(t->plan, index, &info);
    return info;
}

/* The parameters that `some` trains have the gradients that they have in `all`, bit for bit. */
static size_t compare_gradients(const trainer *all, const trainer *some) {
    size_t trained = 0;
    for (size_t p = 0; p < pp_plan_parameter_count(some->plan); p++) {
        const pp_parameter_info info = info_of(some, p);
        if (!info.trainable) continue;
        float *expected = trainer_read_gradient(all, info.name);
        float *found = trainer_read_gradient(some, info.name);
        ck_assert_msg(!memcmp(expected, found, info.elem_count * sizeof(float)),
                      "the gradient of %s", info.name);
        free(expected);
        free(found);
        trained++;
    }
    return trained;
}

/* With the batch's statistics everywhere, forward is what it was. */
START_TEST(gradients_are_the_same) {
    static const struct {
        const char *freeze, *train;
        size_t count;
    } cases[] = {{"*.weight", "fc.weight", 5},
                 {"bn?.weight", "fc.*", 8},
                 {"conv*", "conv1.*", 9},
                 {"bn1.bias", "bn1.bias", 11}};
    static const char *const codecs[] = {"raw", "half"};
    material m;
    const pp_batch batch = batch_of(&m);
    for (size_t k = 0; k < sizeof codecs / sizeof *codecs; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, cases[i].freeze, 0},
                                               {PP_RULE_TRAIN, cases[i].train, 0}};
            trainer all, some;
            create(&all, NULL, 0, codecs[k]);
            create(&some, rules, 2, codecs[k]);
            const double expected = trainer_step(&all, &batch, 0.05f);
            ck_assert_double_eq(trainer_step(&some, &batch, 0.05f), expected);
            ck_assert_uint_eq(compare_gradients(&all, &some), cases[i].count);
            trainer_destroy(&all);
            trainer_destroy(&some);
        }
}
END_TEST

/* The head alone, by running statistics, is a linear classifier on fixed features: what it predicts
 * before the step is what it predicts in inference. */
START_TEST(what_is_frozen_stays) {
    static const pp_parameter_rule head[] = {{PP_RULE_FREEZE, "*", 0}, {PP_RULE_TRAIN, "fc.*", 0}};
    static const pp_parameter_rule tail[] = {
        {PP_RULE_FREEZE, "*", 0}, {PP_RULE_TRAIN, "bn2.bias", 0}, {PP_RULE_TRAIN, "conv2.*", 0}};
    static const pp_parameter_rule statistics[] = {{PP_RULE_FREEZE, "*.running_*", 0}};
    static const struct {
        const pp_parameter_rule *rules;
        size_t count, trained;
    } cases[] = {{head, 2, 2}, {tail, 3, 2}, {statistics, 1, 11}};
    static const char *const codecs[] = {"raw", "norm:4", "avgpool:2"};
    material m;
    const pp_batch batch = batch_of(&m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof codecs / sizeof *codecs; k++) {
            trainer t;
            create(&t, cases[i].rules, cases[i].count, codecs[k]);
            pp_metrics metrics;
            TEST_OK(pp_session_evaluate(t.session, &batch));
            TEST_OK(pp_session_read_metrics(t.session, &metrics));
            TEST_OK(pp_session_reset_metrics(t.session));
            float *before[32];
            const size_t count = pp_plan_parameter_count(t.plan);
            for (size_t p = 0; p < count; p++) before[p] = trainer_read(&t, info_of(&t, p).name);
            const double first = trainer_step(&t, &batch, 0.05f);
            ck_assert_double_le(fabs(first - metrics.loss_sum / BATCH), 1e-6);
            for (size_t s = 1; s < STEPS; s++) trainer_step(&t, &batch, 0.05f);
            size_t changed = 0;
            for (size_t p = 0; p < count; p++) {
                const pp_parameter_info info = info_of(&t, p);
                float *after = trainer_read(&t, info.name);
                const bool same = !memcmp(before[p], after, info.elem_count * sizeof *after);
                ck_assert_msg(same == !info.trainable, "%s", info.name);
                changed += !same;
                free(after);
                free(before[p]);
            }
            ck_assert_uint_eq(changed, cases[i].trained);
            ck_assert_double_lt(trainer_step(&t, &batch, 0.05f), first);
            trainer_destroy(&t);
        }
}
END_TEST

/* Bands and recomputation do not change what frozen statistics make. */
START_TEST(frozen_statistics_in_bands) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "*.running_*", 0},
                                              {PP_RULE_FREEZE, "bn1.weight", 0}};
    static const pp_band band = {"conv0", "bn0", 2}, block = {"conv1", "add", 4};
    static const pp_span span = {"conv1", "add"};
    const pp_plan_options options[] = {
        {.batch = BATCH},
        {.batch = BATCH, .bands = &band, .band_count = 1},
        {.batch = BATCH, .bands = &block, .band_count = 1},
        {.batch = BATCH, .recompute = &span, .recompute_count = 1},
    };
    material m;
    const pp_batch batch = batch_of(&m);
    float *expected = NULL;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        pp_plan_options o = options[i];
        o.rules = rules;
        o.rule_count = 2;
        o.optimizer.momentum = 0.9f;
        pp_graph *g = residual_block();
        trainer t;
        trainer_create(&t, g, &o, 7);
        pp_graph_destroy(g);
        for (size_t s = 0; s < STEPS; s++) trainer_step(&t, &batch, 0.05f);
        size_t count;
        float *found = trainer_read_all(&t, &count);
        /* The order of sums alone differs (tests/exec/test_bands.c). */
        if (expected) test_close("parameters", found, expected, count, 1e-5f, 0);
        trainer_destroy(&t);
        if (expected)
            free(found);
        else
            expected = found;
    }
    free(expected);
}
END_TEST

/* A front in which nothing is trained goes through in one run of bands, whose values share places. */
START_TEST(frozen_front_in_bands) {
    static const pp_parameter_rule rules[] = {{PP_RULE_FREEZE, "*", 0}, {PP_RULE_TRAIN, "fc.*", 0}};
    static const pp_band band = {"image", "add", 1};
    material m;
    const pp_batch batch = batch_of(&m);
    pp_graph *g = residual_block();
    pp_plan_options options = {.batch = BATCH, .rules = rules, .rule_count = 2};
    trainer whole, bands;
    trainer_create(&whole, g, &options, 7);
    options.bands = &band;
    options.band_count = 1;
    trainer_create(&bands, g, &options, 7);
    pp_graph_destroy(g);
    for (size_t s = 0; s < STEPS; s++)
        ck_assert_double_le(
            fabs(trainer_step(&whole, &batch, 0.05f) - trainer_step(&bands, &batch, 0.05f)), 1e-6);
    ck_assert_uint_lt(pp_session_device_bytes(bands.session),
                      pp_session_device_bytes(whole.session));
    size_t count;
    float *expected = trainer_read_all(&whole, &count), *found = trainer_read_all(&bands, &count);
    test_close("parameters", found, expected, count, 1e-6f, 0);
    free(expected);
    free(found);
    trainer_destroy(&whole);
    trainer_destroy(&bands);
}
END_TEST

/* Without a moment one step goes rate times as far. */
START_TEST(rates_multiply) {
    static const pp_parameter_rule rules[] = {{PP_RULE_RATE, "fc.*", 10},
                                              {PP_RULE_RATE, "conv1.weight", 0.5f}};
    material m;
    const pp_batch batch = batch_of(&m);
    pp_graph *g = residual_block();
    trainer plain, rated;
    trainer_create(&plain, g, &(pp_plan_options){.batch = BATCH}, 7);
    trainer_create(&rated, g, &(pp_plan_options){.batch = BATCH, .rules = rules, .rule_count = 2},
                   7);
    pp_graph_destroy(g);
    for (size_t p = 0; p < pp_plan_parameter_count(plain.plan); p++) {
        const pp_parameter_info info = info_of(&rated, p);
        const float rate = !strncmp(info.name, "fc.", 3)        ? 10
                           : !strcmp(info.name, "conv1.weight") ? 0.5f
                                                                : 1;
        ck_assert_msg(info.rate == rate, "%s: %g", info.name, (double)info.rate);
    }
    float *start = trainer_read(&plain, "fc.weight");
    trainer_step(&plain, &batch, 0.05f);
    trainer_step(&rated, &batch, 0.05f);
    float *once = trainer_read(&plain, "fc.weight"), *tenfold = trainer_read(&rated, "fc.weight");
    for (size_t i = 0; i < trainer_elems(&plain, "fc.weight"); i++)
        ck_assert_msg(fabsf((tenfold[i] - start[i]) - 10 * (once[i] - start[i])) <=
                          1e-5f * fabsf(tenfold[i] - start[i]) + 1e-6f,
                      "element %zu: %g, not 10 times %g", i, (double)(tenfold[i] - start[i]),
                      (double)(once[i] - start[i]));
    free(start);
    free(once);
    free(tenfold);
    trainer_destroy(&plain);
    trainer_destroy(&rated);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/rules");
    TCase *test = tcase_create("device");
    tcase_add_test(test, gradients_are_the_same);
    tcase_add_test(test, what_is_frozen_stays);
    tcase_add_test(test, frozen_statistics_in_bands);
    tcase_add_test(test, frozen_front_in_bands);
    tcase_add_test(test, rates_multiply);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
