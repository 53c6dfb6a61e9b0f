/* Ten steps of training on the device: with every value kept as it is against what PyTorch computed
 * in double, and with each codec against the references with the reference codec.
 *
 * How far the device may be away: an activation is a sum of at most 72 products, so it carries an
 * error of about 1e-6, and so do the gradients, relative to the largest. Ten steps at rate 0.05
 * with momentum 0.9 let them add up: measured on PoCL, losses are away by up to 5e-7 and parameters
 * by up to 3e-6. A lossy code could add jumps, an x-hat within rounding of a level's boundary that
 * takes the neighbouring level, but of the 25,600 elements that are coded hardly one lies so close.
 * A codec that does something else shows far beyond that, which the test makes sure of by comparing
 * its reference with the exact one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/residual.h"
#include "support/support.h"
#include "support/trainer.h"

enum { STEPS = RESIDUAL_STEPS, BATCH = RESIDUAL_BATCH, INPUT = RESIDUAL_INPUT };

#define LOSS_TOLERANCE 2e-6
#define PARAMETER_TOLERANCE 1e-5

static void write_initial(const trainer *t, const golden *g) {
    char tensor[GOLDEN_NAME];
    for (size_t i = 0; i < pp_plan_parameter_count(t->plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(t->plan, i, &info);
        snprintf(tensor, sizeof tensor, "initial.%s", info.name);
        trainer_write(t, info.name, golden_values(g, tensor, info.elem_count));
    }
}

/* Trains the network with a policy, behind which may stand one " @kind=codec"; the caller destroys
 * *t. */
static void train(trainer *t, golden *g, const char *policy, double losses[STEPS]) {
    pp_graph *graph = residual_graph();
    char codec[64];
    snprintf(codec, sizeof codec, "%s", policy);
    char *space = strchr(codec, ' '), *equals = space ? strchr(codec, '=') : NULL;
    if (space) *space = *equals = 0;
    const pp_codec_override override = {space ? space + 1 : NULL, space ? equals + 1 : NULL};
    pp_plan_options options = {
        .batch = BATCH,
        .codec = codec,
        .overrides = &override,
        .override_count = space != NULL,
        .optimizer = {.momentum = (float)golden_scalar(g, "momentum"),
                      .weight_decay = (float)golden_scalar(g, "weight_decay")},
    };
    const float *inputs = golden_floats(g, "inputs", STEPS * INPUT);
    const double *labels = golden_values(g, "labels", STEPS * BATCH);
    trainer_create(t, graph, &options, 1);
    pp_graph_destroy(graph);
    write_initial(t, g);
    for (size_t step = 0; step < STEPS; step++) {
        int32_t batch_labels[BATCH];
        for (size_t i = 0; i < BATCH; i++) batch_labels[i] = (int32_t)labels[step * BATCH + i];
        pp_batch batch = {.inputs = inputs + step * INPUT, .labels = batch_labels, .count = BATCH};
        losses[step] = trainer_step(t, &batch, (float)golden_scalar(g, "rate"));
    }
}

static void check_parameter(const trainer *t, const char *policy, const char *name,
                            const double *expected) {
    size_t count = trainer_elems(t, name);
    float *found = trainer_read(t, name);
    double *wide = malloc(count * sizeof *wide);
    char what[96];
    ck_assert(wide != NULL);
    for (size_t i = 0; i < count; i++) wide[i] = (double)found[i];
    snprintf(what, sizeof what, "%s after ten steps with %s", name, policy);
    golden_close(what, wide, expected, count, PARAMETER_TOLERANCE);
    free(wide);
    free(found);
}

START_TEST(raw_agrees_with_pytorch) {
    golden *g = golden_read("training/residual");
    trainer t;
    double losses[STEPS];
    char tensor[GOLDEN_NAME];
    train(&t, g, "raw", losses);
    golden_close("losses", losses, golden_values(g, "losses", STEPS), STEPS, LOSS_TOLERANCE);
    for (size_t i = 0; i < pp_plan_parameter_count(t.plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(t.plan, i, &info);
        snprintf(tensor, sizeof tensor, "final.%s", info.name);
        check_parameter(&t, "raw", info.name, golden_values(g, tensor, info.elem_count));
    }
    trainer_destroy(&t);
    golden_free(g);
}
END_TEST

/* The reference's ten losses. */
static void train_reference(residual *net, const golden *g, const char *policy,
                            double losses[STEPS]) {
    residual_start(net, g, policy);
    for (size_t step = 0; step < STEPS; step++) losses[step] = residual_step(net, step);
}

static double distance(const double *a, const double *b) {
    double most = 0;
    for (size_t i = 0; i < STEPS; i++) most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* Of 6 bits one x-hat of these ten steps lies within 1e-6 of a level's boundary, so that rounding
 * decides; 5 bits take their place. */
static const char *const policies[] = {"half",
                                       "norm:8",
                                       "norm:5",
                                       "norm:4",
                                       "norm:4,lloyd",
                                       "norm:3",
                                       "norm:3,lloyd",
                                       "norm:2",
                                       "norm:1",
                                       "btc:2",
                                       "btc:4",
                                       "btc:8",
                                       "avgpool:2",
                                       "avgpool:4",
                                       "raw @activation=group:4",
                                       "norm:4 @activation=group:2",
                                       "avgpool:2+group:4"};

START_TEST(codec_agrees_with_reference_codec) {
    static residual net;
    const char *policy = policies[_i];
    golden *g = golden_read("training/residual");
    double exact[STEPS], expected[STEPS], losses[STEPS];
    char what[64];
    trainer t;
    train_reference(&net, g, "raw", exact);
    golden_close("losses of the reference", exact, golden_values(g, "losses", STEPS), STEPS, 1e-11);
    train_reference(&net, g, policy, expected);
    train(&t, g, policy, losses);
    snprintf(what, sizeof what, "losses with %s", policy);
    golden_close(what, losses, expected, STEPS, LOSS_TOLERANCE);
    ck_assert_msg(distance(expected, exact) > 5 * LOSS_TOLERANCE,
                  "%s changes no loss by more than %g: the comparison shows nothing", policy,
                  distance(expected, exact));
    for (size_t i = 0; i < RESIDUAL_PARAMETERS; i++)
        check_parameter(&t, policy, net.p[i].name, net.p[i].value);
    for (size_t i = 0; i < RESIDUAL_STATISTICS; i++)
        check_parameter(&t, policy, residual_statistics[i], net.running[i]);
    trainer_destroy(&t);
    golden_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/training");
    TCase *test = tcase_create("residual");
    tcase_add_test(test, raw_agrees_with_pytorch);
    tcase_add_loop_test(test, codec_agrees_with_reference_codec, 0,
                        (int)(sizeof policies / sizeof *policies));
    suite_add_tcase(suite, test);
    return test_run(suite);
}
