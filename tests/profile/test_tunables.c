/* One small network under other numbers: every shipped profile's, and random ones out of the ranges
 * that default.profile states. Loss, gradients and running statistics must be those that the
 * default's numbers give, but for the order of the sums. POCKETPROP_TEST_TUNABLES sets how many
 * random assignments there are.
 *
 * Values are of the order of 1. Gradients are sums of up to 1500 products behind up to eight layers,
 * each of which adds roundings of 2^-24 of such sums; what is read has been seen to differ by less
 * than a fifth of the tolerance. A code that rounds is another matter: where two assignments' x-hat lie
 * apart by 1e-7, one in 10^5 codes may be the neighbour. One such code moves a gradient by less than
 * a fiftieth of its norm; anything decoded wrongly moves it by far more. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/trainer.h"
#include "util/embedded.h"

static const float tolerance = 1e-4f;
static const double code_tolerance = 0.02; /* of the norm */

enum { BATCH = 3, HEIGHT = 17, WIDTH = 15, COLOURS = 3, CLASSES = 7, RANDOM = 3, STEPS = 2 };

static struct {
    float inputs[BATCH * HEIGHT * WIDTH * COLOURS];
    int32_t labels[BATCH];
} data;

static pp_value conv(pp_graph *g, const char *name, pp_value x, pp_conv2d_params params) {
    return pp_graph_conv2d(g, name, x, &params);
}

static pp_value normalise(pp_graph *g, const char *name, pp_value x, bool relu) {
    char relu_name[32];
    snprintf(relu_name, sizeof relu_name, "%s.relu", name);
    x = pp_graph_batchnorm(g, name, x, NULL);
    return relu ? pp_graph_relu(g, relu_name, x) : x;
}

/* Windows of several sizes, strides, a dilation, groups, depthwise, a shortcut, odd and whole
 * numbers of channels. */
static pp_graph *make_graph(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "image", HEIGHT, WIDTH, COLOURS);
    x = conv(g, "stem", x,
             (pp_conv2d_params){
                 .out_channels = 32, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1});
    x = normalise(g, "bn1", x, true);
    pp_value y =
        conv(g, "same", x,
             (pp_conv2d_params){
                 .out_channels = 32, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1});
    y = normalise(g, "bn2", y, false);
    x = pp_graph_relu(g, "add.relu", pp_graph_add(g, "add", y, x));
    x = pp_graph_maxpool(
        g, "maxpool", x,
        &(pp_pool_params){
            .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1});
    x = conv(g, "grouped", x,
             (pp_conv2d_params){.out_channels = 40,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .stride_h = 2,
                                .stride_w = 2,
                                .pad_h = 1,
                                .pad_w = 1,
                                .groups = 4});
    x = normalise(g, "bn3", x, true);
    x = conv(g, "point", x,
             (pp_conv2d_params){.out_channels = 21, .kernel_h = 1, .kernel_w = 1, .bias = true});
    x = pp_graph_relu(g, "point.relu", x);
    x = conv(g, "deep", x,
             (pp_conv2d_params){.out_channels = 21,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .pad_h = 1,
                                .pad_w = 1,
                                .groups = 21});
    x = pp_graph_avgpool(g, "avgpool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    x = conv(g, "dilated", x,
             (pp_conv2d_params){.out_channels = 13,
                                .kernel_h = 3,
                                .kernel_w = 2,
                                .pad_h = 2,
                                .pad_w = 1,
                                .dilation_h = 2,
                                .dilation_w = 2});
    x = normalise(g, "bn4", x, true);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0.1f);
    TEST_OK(pp_graph_status(g));
    return g;
}

static const char *const codecs[] = {"raw", "norm:4", "avgpool:2", "btc:4", "bitmap"};
enum { CODECS = sizeof codecs / sizeof codecs[0] };

/* What two steps leave under one profile. */
typedef struct outcome {
    double losses[STEPS];
    size_t count;   /* parameters and running statistics */
    float **values; /* gradients of what is trained, else the statistics */
    size_t *elems;
} outcome;

static outcome train(const char *profile, const char *codec) {
    pp_graph *graph = make_graph();
    trainer t;
    const pp_plan_options options = {
        .batch = BATCH, .codec = codec, .optimizer = {.momentum = 0.9f, .clip_norm = 1e6f}};
    trainer_create_with(&t, profile, graph, &options, 5);
    const pp_batch batch = {.inputs = data.inputs, .labels = data.labels, .count = BATCH};
    outcome o = {.count = pp_plan_parameter_count(t.plan)};
    for (size_t i = 0; i < STEPS; i++) o.losses[i] = trainer_step(&t, &batch, 0.01f);
    o.values = calloc(o.count, sizeof *o.values);
    o.elems = calloc(o.count, sizeof *o.elems);
    for (size_t i = 0; i < o.count; i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(t.plan, i, &info);
        o.elems[i] = info.elem_count;
        o.values[i] =
            info.trainable ? trainer_read_gradient(&t, info.name) : trainer_read(&t, info.name);
    }
    trainer_destroy(&t);
    pp_graph_destroy(graph);
    return o;
}

static void forget(outcome *o) {
    for (size_t i = 0; i < o->count; i++) free(o->values[i]);
    free(o->values);
    free(o->elems);
}

static void close_in_norm(const char *what, const float *found, const float *expected,
                          size_t count) {
    double apart = 0, whole = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)found[i] - (double)expected[i];
        apart += difference * difference;
        whole += (double)expected[i] * (double)expected[i];
    }
    ck_assert_msg(sqrt(apart) <= (double)tolerance + code_tolerance * sqrt(whole),
                  "%s: apart by %g, of norm %g", what, sqrt(apart), sqrt(whole));
}

static void compare(const char *what, const outcome *found, const outcome *expected, bool lossy) {
    for (size_t i = 0; i < STEPS; i++)
        ck_assert_msg(fabs(found->losses[i] - expected->losses[i]) <=
                          (double)(lossy && i ? 0.01f : tolerance),
                      "%s: loss %zu is %.9g, expected %.9g", what, i, found->losses[i],
                      expected->losses[i]);
    for (size_t i = 0; i < expected->count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s, parameter %zu", what, i);
        if (lossy)
            close_in_norm(name, found->values[i], expected->values[i], expected->elems[i]);
        else
            test_close(name, found->values[i], expected->values[i], expected->elems[i], tolerance,
                       tolerance);
    }
}

static void check(const char *what, const char *profile, size_t codec) {
    static outcome expected[CODECS];
    if (!expected[codec].values) expected[codec] = train("default", codecs[codec]);
    outcome found = train(profile, codecs[codec]);
    compare(what, &found, &expected[codec],
            !strncmp(codecs[codec], "norm", 4) || !strncmp(codecs[codec], "btc", 3));
    forget(&found);
}

START_TEST(agrees_under_every_profile) {
    static const char folder[] = "platforms/";
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const char *name = pp__embedded_files[i].name;
        if (strncmp(name, folder, sizeof folder - 1) != 0) continue;
        name += sizeof folder - 1;
        if (!strcmp(name, "default")) continue;
        check(name, name, i % CODECS);
    }
}
END_TEST

/* One of the candidates, or any value of the range, small ones as often as large ones. */
static size_t draw(const pp_tunable *tunable) {
    if (tunable->listed || test_random_below(2))
        return tunable->candidates[test_random_below((uint32_t)tunable->candidate_count)];
    double low = log((double)tunable->least + 1), high = log((double)tunable->most + 1);
    double value = exp(low + (high - low) * (double)test_random_uniform(0, 1)) - 1;
    size_t rounded = (size_t)(value + 0.5);
    return rounded < tunable->least  ? tunable->least
           : rounded > tunable->most ? tunable->most
                                     : rounded;
}

static const char *write_random(char *text, size_t capacity) {
    static char path[256];
    pp_profile *profile;
    TEST_OK(pp_profile_load(test_engine(), "default", &profile));
    text[0] = '\0';
    for (size_t i = 0; i < pp_profile_tunable_count(profile); i++) {
        pp_tunable tunable;
        pp_profile_read_tunable(profile, i, &tunable);
        size_t value = draw(&tunable), used = strlen(text);
        snprintf(text + used, capacity - used, " %s=%zu", tunable.key, value);
        TEST_OK(pp_profile_set(profile, tunable.key, value));
    }
    snprintf(path, sizeof path, "%s/random.profile", test_scratch_folder());
    TEST_OK(pp_profile_save(profile, NULL, NULL, path));
    pp_profile_destroy(profile);
    return path;
}

START_TEST(agrees_under_random_numbers) {
    const char *wished = getenv("POCKETPROP_TEST_TUNABLES");
    size_t rounds = wished ? strtoul(wished, NULL, 10) : RANDOM;
    for (size_t i = 0; i < rounds; i++) {
        char what[2048];
        const char *path = write_random(what, sizeof what);
        if (getenv("POCKETPROP_TEST_LOG")) fprintf(stderr, "%s:%s\n", codecs[i % CODECS], what);
        check(what, path, i % CODECS);
    }
}
END_TEST

/* No program of a random assignment is wanted again, and PoCL takes as long to hand one out for the
 * cache as to build it. */
int main(void) {
    setenv("POCKETPROP_CACHE", "off", 1);
    test_fill_normal(data.inputs, sizeof data.inputs / sizeof data.inputs[0]);
    for (int32_t i = 0; i < BATCH; i++) data.labels[i] = i % CLASSES;
    TCase *test = tcase_create("tunables");
    tcase_add_test(test, agrees_under_every_profile);
    tcase_add_test(test, agrees_under_random_numbers);
    Suite *suite = suite_create("tunables");
    suite_add_tcase(suite, test);
    return test_run(suite);
}
