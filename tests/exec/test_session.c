/* A session's promises: memory to the byte, nothing created in a step, results that depend on the
 * seed alone, and the refusals of every call. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"

enum { BATCH = 4, SIDE = 6, COLOURS = 2, CLASSES = 3, INPUT = SIDE * SIDE * COLOURS, BATCHES = 3 };

static struct {
    float inputs[BATCHES][BATCH * INPUT];
    int32_t labels[BATCHES][BATCH];
} data;

static pp_batch batch_of(size_t index) {
    return (pp_batch){.inputs = data.inputs[index % BATCHES],
                      .labels = data.labels[index % BATCHES],
                      .count = BATCH};
}

/* Every kind of saved value: x-hat with and without a ReLU, a pool's index, a mask behind an
 * addition, inputs of layers with weights; and dropout, whose draws depend on the step. */
static pp_graph *make_graph(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    const pp_conv2d_params conv = {
        .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_batchnorm(g, "bn1", pp_graph_conv2d(g, "conv1", x, &conv), NULL);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    pp_value y = pp_graph_batchnorm(g, "bn2", pp_graph_conv2d(g, "conv2", x, &conv), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x));
    x = pp_graph_dropout(g, "dropout", x, 0.25f);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}

static pp_graph *graph;

static void set_up(void) {
    graph = make_graph();
    test_fill_normal(&data.inputs[0][0], sizeof data.inputs / sizeof(float));
    for (size_t i = 0; i < BATCHES * BATCH; i++)
        data.labels[i / BATCH][i % BATCH] = (int32_t)(i % CLASSES);
}

static void tear_down(void) {
    pp_graph_destroy(graph);
}

static const pp_plan_options plans[] = {
    {.batch = BATCH, .codec = "raw"},
    {.batch = BATCH, .codec = "half"},
    {.batch = BATCH, .codec = "norm:4", .optimizer = {.momentum = 0.9f}},
    {.batch = BATCH, .codec = "norm:8"},
    {.batch = BATCH, .codec = "avgpool:2"},
    {.batch = BATCH, .codec = "norm:4", .accumulate = 3},
    {.batch = BATCH, .optimizer = {.momentum = 0.9f, .clip_norm = 1}},
    {.batch = BATCH, .codec = "half", .optimizer = {.kind = PP_OPTIMIZER_ADAM}},
    {.batch = BATCH, .codec = "norm:8", .optimizer = {.kind = PP_OPTIMIZER_ADAMW}, .accumulate = 2},
    {.batch = BATCH, .inference = true},
};
enum { PLANS = sizeof plans / sizeof *plans };

static pp_device_counters counters(void) {
    pp_device_counters c;
    pp_device_read_counters(test_device(), &c);
    return c;
}

START_TEST(holds_what_was_planned) {
    uint64_t before = counters().live_buffer_bytes;
    trainer t;
    trainer_create(&t, graph, &plans[_i], 1);
    pp_plan_summary summary;
    pp_plan_summarize(t.plan, &summary);
    ck_assert_uint_gt(summary.peak_bytes, 0);
    ck_assert_uint_eq(pp_session_device_bytes(t.session), summary.peak_bytes);
    ck_assert_uint_eq(counters().live_buffer_bytes - before, summary.peak_bytes);
    pp_batch batch = batch_of(0);
    for (size_t i = 0; i < 3 && !plans[_i].inference; i++)
        TEST_OK(pp_session_step(t.session, &batch, 0.1f));
    TEST_OK(pp_session_evaluate(t.session, &batch));
    TEST_OK(pp_session_finish(t.session));
    ck_assert_uint_eq(counters().live_buffer_bytes - before, summary.peak_bytes);
    trainer_destroy(&t);
    ck_assert_uint_eq(counters().live_buffer_bytes, before);
}
END_TEST

/* Whatever runs, from the very first step on. */
typedef struct told {
    size_t calls, total;
} told;

static void hear(void *user, size_t done, size_t total) {
    told *t = user;
    ck_assert_uint_eq(done, t->calls++);
    ck_assert(t->total == 0 || t->total == total);
    t->total = total;
}

/* Once in front of each launch of each stream: at least a step's and an evaluation's. */
START_TEST(creation_tells_how_far_it_is) {
    trainer t;
    told heard = {0};
    const pp_session_options options = {.progress = hear, .progress_user = &heard};
    trainer_create(&t, graph, &plans[_i], 1);
    pp_session_destroy(t.session);
    TEST_OK(pp_session_create(test_device(), t.plan, t.profile, &options, &t.session));
    pp_plan_summary summary;
    pp_plan_summarize(t.plan, &summary);
    ck_assert_uint_eq(heard.calls, heard.total);
    if (plans[_i].inference)
        ck_assert_uint_eq(heard.total, summary.step_count);
    else
        ck_assert_uint_gt(heard.total, summary.step_count);
    trainer_destroy(&t);
}
END_TEST

START_TEST(running_creates_nothing) {
    trainer t;
    trainer_create(&t, graph, &plans[_i], 1);
    size_t allocations = pp_engine_allocation_count(test_engine());
    pp_device_counters before = counters();
    float outputs[BATCH * CLASSES];
    pp_metrics metrics;
    for (size_t i = 0; i < 7; i++) {
        pp_batch batch = batch_of(i);
        if (!plans[_i].inference) TEST_OK(pp_session_step(t.session, &batch, 0.1f));
        TEST_OK(pp_session_evaluate(t.session, &batch));
        TEST_OK(pp_session_predict(t.session, &batch, outputs));
        TEST_OK(pp_session_read_metrics(t.session, &metrics));
        TEST_OK(pp_session_reset_metrics(t.session));
    }
    TEST_OK(pp_session_finish(t.session));
    pp_device_counters after = counters();
    ck_assert_uint_eq(pp_engine_allocation_count(test_engine()), allocations);
    ck_assert_uint_eq(after.buffers_created, before.buffers_created);
    ck_assert_uint_eq(after.programs_built, before.programs_built);
    ck_assert_uint_eq(after.programs_loaded, before.programs_loaded);
    ck_assert_uint_gt(after.kernels_enqueued, before.kernels_enqueued);
    trainer_destroy(&t);
}
END_TEST

static void run_steps(const trainer *t, size_t count) {
    for (size_t i = 0; i < count; i++) {
        pp_batch batch = batch_of(i);
        TEST_OK(pp_session_step(t->session, &batch, 0.05f));
    }
}

START_TEST(seed_decides) {
    if (plans[_i].inference) return;
    trainer a, b, c;
    trainer_create(&a, graph, &plans[_i], 7);
    trainer_create(&b, graph, &plans[_i], 7);
    trainer_create(&c, graph, &plans[_i], 8);
    ck_assert(trainer_same(&a, &b));
    ck_assert(!trainer_same(&a, &c));
    run_steps(&a, 6);
    ck_assert(!trainer_same(&a, &b));
    run_steps(&b, 6);
    ck_assert(trainer_same(&a, &b));
    ck_assert_uint_eq(pp_session_update_count(a.session),
                      6 / (plans[_i].accumulate ? plans[_i].accumulate : 1));
    trainer_destroy(&a);
    trainer_destroy(&b);
    trainer_destroy(&c);
}
END_TEST

/* Between steps and between micro-steps; what inference overwrites is nobody's. */
START_TEST(inference_leaves_training_alone) {
    if (plans[_i].inference) return;
    trainer a, b;
    float outputs[BATCH * CLASSES];
    trainer_create(&a, graph, &plans[_i], 7);
    trainer_create(&b, graph, &plans[_i], 7);
    for (size_t i = 0; i < 6; i++) {
        pp_batch batch = batch_of(i), other = batch_of(i + 1);
        TEST_OK(pp_session_step(a.session, &batch, 0.05f));
        TEST_OK(pp_session_step(b.session, &batch, 0.05f));
        TEST_OK(pp_session_evaluate(b.session, &other));
        TEST_OK(pp_session_predict(b.session, &other, outputs));
    }
    ck_assert(trainer_same(&a, &b));
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

/* The values of a fresh session: He's deviation for convolutions, 1/fan_in for dense layers. */
START_TEST(initial_values) {
    trainer t;
    trainer_create(&t, graph, &plans[0], 3);
    static const struct {
        const char *name;
        double mean, deviation;
    } expected[] = {
        {"conv2.weight", 0, 0.16666667},
        {"fc.weight", 0, 0.11785113},
        {"fc.bias", 0, 0},
        {"bn1.weight", 1, 0},
        {"bn1.bias", 0, 0},
        {"bn1.running_mean", 0, 0},
        {"bn1.running_var", 1, 0},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        size_t count = trainer_elems(&t, expected[i].name);
        float *values = trainer_read(&t, expected[i].name);
        double sum = 0, squares = 0;
        for (size_t j = 0; j < count; j++) sum += (double)values[j];
        double mean = sum / (double)count;
        for (size_t j = 0; j < count; j++)
            squares += ((double)values[j] - mean) * ((double)values[j] - mean);
        double deviation = sqrt(squares / (double)count), d = expected[i].deviation;
        double error = 4 * d / sqrt((double)count); /* four standard errors of the mean */
        ck_assert_msg(fabs(mean - expected[i].mean) <= error, "%s: mean %g", expected[i].name,
                      mean);
        ck_assert_msg(fabs(deviation - d) <= error / sqrt(2), "%s: deviation %g", expected[i].name,
                      deviation);
        free(values);
    }
    trainer_destroy(&t);
}
END_TEST

START_TEST(parameters_round_trip) {
    trainer t;
    trainer_create(&t, graph, &plans[2], 1);
    for (size_t i = 0; i < pp_plan_parameter_count(t.plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(t.plan, i, &info);
        float *written = malloc(info.elem_count * sizeof *written);
        ck_assert(written != NULL);
        test_fill_normal(written, info.elem_count);
        TEST_OK(pp_session_write_parameter(t.session, i, written, info.elem_count));
        float *found = trainer_read(&t, info.name);
        ck_assert_mem_eq(found, written, info.elem_count * sizeof *written);
        free(found);
        free(written);
    }
    float value[1] = {0};
    size_t count = pp_plan_parameter_count(t.plan), bias = trainer_index(&t, "fc.bias");
    TEST_FAILS(pp_session_read_parameter(t.session, count, value, 1), PP_ERROR_INVALID_ARGUMENT,
               "parameter 12 of 12");
    TEST_FAILS(pp_session_write_parameter(t.session, count, value, 1), PP_ERROR_INVALID_ARGUMENT,
               "parameter 12 of 12");
    TEST_FAILS(pp_session_read_parameter(t.session, bias, value, 1), PP_ERROR_SHAPE,
               "1 elements for 'fc.bias', which has 3");
    TEST_FAILS(pp_session_write_parameter(t.session, bias, value, 4), PP_ERROR_SHAPE,
               "4 elements for 'fc.bias', which has 3");
    trainer_destroy(&t);
}
END_TEST

static double cross_entropy(const float *logits, int32_t label) {
    double sum = 0;
    for (size_t k = 0; k < CLASSES; k++) sum += exp((double)logits[k]);
    return log(sum) - (double)logits[label];
}

static size_t largest(const float *logits) {
    size_t best = 0;
    for (size_t k = 1; k < CLASSES; k++)
        if (logits[k] > logits[best]) best = k;
    return best;
}

/* A short batch too: what lies behind its samples counts for nothing. */
START_TEST(predict_agrees_with_evaluate) {
    trainer t;
    trainer_create(&t, graph, &plans[_i], 5);
    if (!plans[_i].inference) run_steps(&t, 6);
    for (uint32_t count = 1; count <= BATCH; count++) {
        float outputs[BATCH * CLASSES + 1];
        pp_batch batch = batch_of(count);
        batch.count = count;
        pp_metrics metrics;
        TEST_OK(pp_session_reset_metrics(t.session));
        TEST_OK(pp_session_evaluate(t.session, &batch));
        outputs[count * CLASSES] = 1234;
        TEST_OK(pp_session_predict(t.session, &batch, outputs));
        ck_assert(outputs[count * CLASSES] == 1234);
        TEST_OK(pp_session_read_metrics(t.session, &metrics));
        ck_assert_uint_eq(metrics.count, count);
        double loss = 0;
        uint64_t correct = 0;
        for (uint32_t i = 0; i < count; i++) {
            loss += cross_entropy(outputs + i * CLASSES, batch.labels[i]);
            correct += largest(outputs + i * CLASSES) == (size_t)batch.labels[i];
        }
        /* A float32 sum of at most four losses of about 1. */
        ck_assert_double_eq_tol(metrics.loss_sum, loss, 4e-6);
        ck_assert_uint_eq(metrics.correct, correct);
    }
    trainer_destroy(&t);
}
END_TEST

/* With fewer pixels to a split, batch-norm has more partial sums than the plan has room for. */
START_TEST(refuses_a_profile_that_outgrows_the_plan) {
    char path[256];
    snprintf(path, sizeof path, "%s/other.profile", test_scratch_folder());
    FILE *file = fopen(path, "w");
    ck_assert(file && fputs("batchnorm.split_octets = 1\n", file) >= 0 && fclose(file) == 0);
    pp_profile *planned = NULL, *other = NULL;
    pp_plan *plan = NULL;
    pp_session *session = NULL;
    TEST_OK(pp_profile_load(test_engine(), "default", &planned));
    TEST_OK(pp_profile_load(test_engine(), path, &other));
    TEST_OK(pp_plan_create(graph, planned, &plans[0], &plan));
    TEST_FAILS(pp_session_create(test_device(), plan, other, NULL, &session),
               PP_ERROR_INVALID_ARGUMENT, "the plan was made for another profile");
    ck_assert_ptr_null(session);
    pp_plan_destroy(plan);
    pp_profile_destroy(other);
    pp_profile_destroy(planned);
}
END_TEST

/* A session that refuses a batch goes on as if it had not been asked. */
START_TEST(refuses_batches) {
    trainer a, b;
    trainer_create(&a, graph, &plans[5], 1);
    trainer_create(&b, graph, &plans[5], 1);
    float outputs[BATCH * CLASSES];
    int32_t labels[BATCH] = {0, 1, 2, 0};
    pp_batch good = batch_of(0), batch = good;
    TEST_OK(pp_session_step(a.session, &good, 0.1f));
    TEST_OK(pp_session_step(b.session, &good, 0.1f));

    batch.labels = labels;
    labels[2] = CLASSES;
    TEST_FAILS(pp_session_step(a.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "label 3 of sample 2; the network has 3 classes");
    labels[2] = -1;
    TEST_FAILS(pp_session_evaluate(a.session, &batch), PP_ERROR_INVALID_ARGUMENT,
               "label -1 of sample 2; the network has 3 classes");
    batch.labels = NULL;
    TEST_FAILS(pp_session_step(a.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "the batch has no labels");
    batch = good;
    batch.inputs = NULL;
    TEST_FAILS(pp_session_step(a.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "4 samples without inputs");
    TEST_FAILS(pp_session_predict(a.session, &batch, outputs), PP_ERROR_INVALID_ARGUMENT,
               "4 samples without inputs");
    batch = good;
    batch.count = BATCH + 1;
    TEST_FAILS(pp_session_evaluate(a.session, &batch), PP_ERROR_INVALID_ARGUMENT,
               "a batch of 5 samples; the plan's batch is 4");
    batch.count = 0;
    TEST_FAILS(pp_session_predict(a.session, &batch, outputs), PP_ERROR_INVALID_ARGUMENT,
               "a batch of 0 samples; the plan's batch is 4");
    batch.count = BATCH - 1;
    TEST_FAILS(pp_session_step(a.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "a training batch of 3 samples; the plan's batch is 4");

    pp_metrics metrics;
    TEST_OK(pp_session_read_metrics(a.session, &metrics));
    ck_assert_uint_eq(metrics.count, BATCH);
    TEST_OK(
        pp_session_predict(a.session, &(pp_batch){.inputs = good.inputs, .count = BATCH}, outputs));
    for (size_t i = 0; i < 2; i++) {
        TEST_OK(pp_session_step(a.session, &good, 0.1f));
        TEST_OK(pp_session_step(b.session, &good, 0.1f));
    }
    ck_assert_uint_eq(pp_session_update_count(a.session), 1);
    ck_assert(trainer_same(&a, &b));
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

START_TEST(inference_cannot_train) {
    trainer t;
    trainer_create(&t, graph, &plans[PLANS - 1], 1);
    pp_batch batch = batch_of(0);
    float value[CLASSES];
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_UNSUPPORTED,
               "a plan for inference cannot train");
    TEST_FAILS(pp_session_read_gradient(t.session, trainer_index(&t, "fc.bias"), value, CLASSES),
               PP_ERROR_UNSUPPORTED, "the gradient of 'fc.bias'");
    trainer_destroy(&t);
}
END_TEST

/* Parameters trained elsewhere give the same outputs in a plan for inference, bit for bit. */
START_TEST(inference_plan_agrees) {
    trainer training, inference;
    trainer_create(&training, graph, &plans[2], 1);
    trainer_create(&inference, graph, &plans[PLANS - 1], 2);
    run_steps(&training, 3);
    for (size_t i = 0; i < pp_plan_parameter_count(training.plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(training.plan, i, &info);
        float *values = trainer_read(&training, info.name);
        TEST_OK(pp_session_write_parameter(inference.session, trainer_index(&inference, info.name),
                                           values, info.elem_count));
        free(values);
    }
    float expected[BATCH * CLASSES], found[BATCH * CLASSES];
    pp_batch batch = batch_of(1);
    TEST_OK(pp_session_predict(training.session, &batch, expected));
    TEST_OK(pp_session_predict(inference.session, &batch, found));
    ck_assert_mem_eq(found, expected, sizeof found);
    trainer_destroy(&training);
    trainer_destroy(&inference);
}
END_TEST

START_TEST(gradients_are_read_where_they_are_kept) {
    for (size_t i = 0; i < PLANS; i++) {
        if (plans[i].inference) continue;
        trainer t;
        float gradient[CLASSES], sum = 0, size = 0;
        trainer_create(&t, graph, &plans[i], 1);
        run_steps(&t, 1);
        size_t bias = trainer_index(&t, "fc.bias");
        if (plans[i].accumulate > 1 || plans[i].optimizer.clip_norm > 0) {
            TEST_OK(pp_session_read_gradient(t.session, bias, gradient, CLASSES));
            for (size_t k = 0; k < CLASSES; k++) sum += gradient[k], size += fabsf(gradient[k]);
            /* Softmax minus labels: the classes' gradients cancel. */
            ck_assert_msg(size > 1e-3f && fabsf(sum) < 1e-6f, "sum %g of %g", (double)sum,
                          (double)size);
            TEST_FAILS(pp_session_read_gradient(t.session, trainer_index(&t, "bn1.running_mean"),
                                                gradient, 8),
                       PP_ERROR_UNSUPPORTED, "bn1.running_mean");
        } else {
            TEST_FAILS(pp_session_read_gradient(t.session, bias, gradient, CLASSES),
                       PP_ERROR_UNSUPPORTED, "the gradient of 'fc.bias' does not outlive its step");
        }
        TEST_FAILS(pp_session_read_gradient(t.session, bias, gradient, 2), PP_ERROR_SHAPE,
                   "2 elements for 'fc.bias'");
        trainer_destroy(&t);
    }
}
END_TEST

/* Sums over steps and evaluations since the last reset. */
START_TEST(metrics_add_up) {
    trainer t;
    trainer_create(&t, graph, &plans[0], 1);
    pp_metrics one, all;
    pp_batch batch = batch_of(0);
    TEST_OK(pp_session_evaluate(t.session, &batch));
    TEST_OK(pp_session_read_metrics(t.session, &one));
    for (size_t i = 0; i < 2; i++) TEST_OK(pp_session_evaluate(t.session, &batch));
    TEST_OK(pp_session_read_metrics(t.session, &all));
    ck_assert_uint_eq(all.count, 3 * BATCH);
    ck_assert_uint_eq(all.correct, 3 * one.correct);
    ck_assert_double_eq_tol(all.loss_sum, 3 * one.loss_sum, 1e-5);
    TEST_OK(pp_session_reset_metrics(t.session));
    TEST_OK(pp_session_read_metrics(t.session, &all));
    ck_assert(all.count == 0 && all.correct == 0 && all.loss_sum == 0);
    trainer_destroy(&t);
}
END_TEST

/* The host may reuse a batch's memory once two further batches were handed over. */
START_TEST(batches_are_read_in_time) {
    trainer a, b;
    trainer_create(&a, graph, &plans[2], 1);
    trainer_create(&b, graph, &plans[2], 1);
    static float ring[3][BATCH * INPUT];
    for (size_t i = 0; i < 24; i++) {
        pp_batch batch = batch_of(i);
        TEST_OK(pp_session_step(a.session, &batch, 0.05f));
        memcpy(ring[i % 3], batch.inputs, sizeof ring[0]);
        batch.inputs = ring[i % 3];
        TEST_OK(pp_session_step(b.session, &batch, 0.05f));
        if (i >= 2) memset(ring[(i + 1) % 3], 0xFF, sizeof ring[0]);
    }
    ck_assert(trainer_same(&a, &b));
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

/* At rate 0 the weights stay, so the same batch gives another loss only because other elements drop
 * out; sessions of one seed draw alike. */
START_TEST(dropout_draws_anew_in_each_step) {
    trainer a, b;
    trainer_create(&a, graph, &plans[0], 1);
    trainer_create(&b, graph, &plans[0], 1);
    pp_batch batch = batch_of(0);
    double losses[4];
    for (size_t i = 0; i < 4; i++) {
        losses[i] = trainer_step(&a, &batch, 0);
        ck_assert(trainer_step(&b, &batch, 0) == losses[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(losses[i] != losses[j], "steps %zu and %zu: loss %g", j, i, losses[i]);
    }
    trainer_destroy(&a);
    trainer_destroy(&b);
}
END_TEST

/* The mean squared error takes targets of the prediction's shape instead of labels. */
START_TEST(regression) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "image", SIDE, SIDE, COLOURS);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_mse(g, "loss", x);
    trainer t;
    trainer_create(&t, g, &(pp_plan_options){.batch = BATCH}, 1);
    float outputs[BATCH * CLASSES], targets[BATCH * CLASSES];
    test_fill_normal(targets, BATCH * CLASSES);
    pp_batch batch = batch_of(0);
    TEST_FAILS(pp_session_step(t.session, &batch, 0.1f), PP_ERROR_INVALID_ARGUMENT,
               "the batch has no targets");
    batch.targets = targets;
    TEST_OK(pp_session_predict(t.session, &batch, outputs));
    double expected = 0, loss = 0;
    for (size_t i = 0; i < BATCH * CLASSES; i++)
        expected += ((double)outputs[i] - (double)targets[i]) *
                    ((double)outputs[i] - (double)targets[i]) / (BATCH * CLASSES);
    loss = trainer_step(&t, &batch, 0.05f);
    ck_assert_double_eq_tol(loss, expected, 1e-6 * (1 + expected));
    for (size_t i = 0; i < 100; i++) loss = trainer_step(&t, &batch, 0.05f);
    ck_assert_msg(loss < expected / 100, "loss %g after 100 steps, %g before", loss, expected);
    trainer_destroy(&t);
    pp_graph_destroy(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec/session");
    TCase *test = tcase_create("device");
    tcase_add_unchecked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, holds_what_was_planned, 0, PLANS);
    tcase_add_loop_test(test, creation_tells_how_far_it_is, 0, PLANS);
    tcase_add_loop_test(test, running_creates_nothing, 0, PLANS);
    tcase_add_loop_test(test, seed_decides, 0, PLANS);
    tcase_add_loop_test(test, inference_leaves_training_alone, 0, PLANS);
    tcase_add_test(test, initial_values);
    tcase_add_test(test, parameters_round_trip);
    tcase_add_loop_test(test, predict_agrees_with_evaluate, 0, PLANS);
    tcase_add_test(test, refuses_batches);
    tcase_add_test(test, refuses_a_profile_that_outgrows_the_plan);
    tcase_add_test(test, inference_cannot_train);
    tcase_add_test(test, inference_plan_agrees);
    tcase_add_test(test, gradients_are_read_where_they_are_kept);
    tcase_add_test(test, metrics_add_up);
    tcase_add_test(test, batches_are_read_in_time);
    tcase_add_test(test, dropout_draws_anew_in_each_step);
    tcase_add_test(test, regression);
    suite_add_tcase(suite, test);
    return test_run(suite);
}
