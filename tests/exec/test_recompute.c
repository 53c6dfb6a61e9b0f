/* Blocks that are computed again for backward, on the device: with a block's input kept as it is,
 * training gives the same bits as without; with a code in its place, it stays close. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan/small_networks.h"
#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 6, STEPS = 3, INPUT = 12 * 12 * 3 };

static float inputs[STEPS * BATCH * INPUT];
static int32_t labels[STEPS * BATCH];

static void train(trainer *t, const pp_graph *graph, const pp_plan_options *options,
                  double losses[STEPS]) {
    trainer_create(t, graph, options, 1);
    for (size_t s = 0; s < STEPS; s++) {
        const pp_batch batch = {
            .inputs = inputs + s * BATCH * INPUT, .labels = labels + s * BATCH, .count = BATCH};
        losses[s] = trainer_step(t, &batch, 0.05f);
    }
    pp_plan_summary summary;
    pp_plan_summarize(t->plan, &summary);
    ck_assert_uint_eq(pp_session_device_bytes(t->session), summary.peak_bytes);
}

typedef struct spot {
    const char *name;
    pp_graph *(*build)(void);
    pp_span spans[2];
    size_t count;
} spot;

static const spot spots[] = {
    {"residual block", residual_block, {{"conv1", "add"}}, 1},
    {"downsample block", downsample_block, {{"conv1", "add"}}, 1},
    {"from the images on", downsample_block, {{"conv0", "bn0"}, {"conv1", "add"}}, 2},
    {"stem with pool", stem, {{"conv1", "pool"}}, 1},
    {"convolutions", plain_chain, {{"conv2", "relu3"}}, 1},
    {"chain", nested_batchnorms, {{"conv2", "bn2"}, {"conv3", "bn4"}}, 2},
};

static const struct {
    pp_plan_options options;
    float tolerance; /* 0: the same bits */
} settings[] = {
    {{.codec = "raw"}, 0},
    {{.codec = "raw", .accumulate = 2}, 0},
    {{.codec = "raw", .optimizer = {.clip_norm = 0.5f}}, 0},
    {{.codec = "half"}, 2e-3f},
    {{.codec = "norm:8"}, 2e-2f},
};

START_TEST(training_stays_what_it_is) {
    const spot *at = &spots[_i];
    test_fill_normal(inputs, STEPS * BATCH * INPUT);
    for (size_t i = 0; i < STEPS * BATCH; i++) labels[i] = (int32_t)test_random_below(5);
    pp_graph *graph = at->build();
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        pp_plan_options options = settings[k].options;
        options.batch = BATCH;
        options.optimizer.momentum = 0.9f;
        trainer kept, again;
        double kept_losses[STEPS], again_losses[STEPS];
        train(&kept, graph, &options, kept_losses);
        options.recompute = at->spans;
        options.recompute_count = at->count;
        train(&again, graph, &options, again_losses);
        if (settings[k].tolerance == 0) {
            ck_assert_msg(trainer_same(&kept, &again), "%s, setting %zu: other bits", at->name, k);
            for (size_t s = 0; s < STEPS; s++) ck_assert(kept_losses[s] == again_losses[s]);
        } else {
            size_t count;
            float *a = trainer_read_all(&kept, &count), *b = trainer_read_all(&again, &count);
            test_close(at->name, b, a, count, settings[k].tolerance, 0);
            free(a);
            free(b);
        }
        trainer_destroy(&kept);
        trainer_destroy(&again);
    }
    pp_graph_destroy(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/recompute");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 0);
    tcase_add_loop_test(all, training_stays_what_it_is, 0, sizeof spots / sizeof *spots);
    suite_add_tcase(suite, all);
    return test_run(suite);
}
