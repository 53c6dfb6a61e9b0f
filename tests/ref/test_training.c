/* The references put together: ten steps of SGD on the network of tests/golden/README.md, each loss
 * and the final parameters against what PyTorch computed. Pins what the single cases cannot: that
 * the references fit each other, the accumulation of the residual's two gradients, and which
 * parameters decay. */
#include <stdio.h>
#include <string.h>

#include "ref/add_relu_ref.h"
#include "ref/batchnorm_ref.h"
#include "ref/batchnorm_relu_ref.h"
#include "ref/conv2d_ref.h"
#include "ref/dense_ref.h"
#include "ref/global_avgpool_ref.h"
#include "ref/maxpool_ref.h"
#include "ref/optimizer_ref.h"
#include "ref/softmax_cross_entropy_ref.h"
#include "support/golden.h"
#include "support/support.h"

enum { STEPS = 10, BATCH = 4, SIDE = 8, COLOURS = 3, WIDTH = 8, CLASSES = 5 };
enum { INPUT = BATCH * SIDE * SIDE * COLOURS };
enum {
    LARGE = BATCH * SIDE * SIDE * WIDTH,
    SMALL = LARGE / 4
};                                 /* activations before and behind the pool */
enum { MOST = 9 * WIDTH * WIDTH }; /* elements of the largest parameter */

static const ref_conv2d conv1 = {{BATCH, SIDE, SIDE, COLOURS}, WIDTH, 1, {3, 3, 1, 1, 1, 1, 1, 1}};
static const ref_conv2d conv2 = {
    {BATCH, SIDE / 2, SIDE / 2, WIDTH}, WIDTH, 1, {3, 3, 1, 1, 1, 1, 1, 1}};
static const ref_window pool = {2, 2, 2, 2, 0, 0, 1, 1};
static const ref_shape large = {BATCH, SIDE, SIDE, WIDTH},
                       small = {BATCH, SIDE / 2, SIDE / 2, WIDTH};

typedef struct parameter {
    const char *name;
    size_t count;
    bool decayed;
    double value[MOST], gradient[MOST], moment[MOST];
} parameter;

enum {
    CONV1,
    BN1_GAMMA,
    BN1_BETA,
    CONV2,
    BN2_GAMMA,
    BN2_BETA,
    FC_WEIGHT,
    FC_BIAS,
    PARAMETER_COUNT
};

typedef struct network {
    parameter p[PARAMETER_COUNT];
    double running[4][WIDTH]; /* of bn1 and bn2: mean, variance */
    double xhat1[LARGE], xhat2[SMALL], inverse_deviation1[WIDTH], inverse_deviation2[WIDTH];
    double pooled[SMALL], features[BATCH * WIDTH], logits[BATCH * CLASSES],
        dlogits[BATCH * CLASSES];
    uint8_t mask1[LARGE], mask2[SMALL], index[SMALL];
} network;

static const char *const running_names[] = {"bn1.running_mean", "bn1.running_var",
                                            "bn2.running_mean", "bn2.running_var"};

static void start(network *net, const golden *g) {
    static const struct {
        const char *name;
        size_t count;
        bool decayed;
    } table[PARAMETER_COUNT] = {
        [CONV1] = {"conv1.weight", 9 * COLOURS * WIDTH, true},
        [BN1_GAMMA] = {"bn1.weight", WIDTH, false},
        [BN1_BETA] = {"bn1.bias", WIDTH, false},
        [CONV2] = {"conv2.weight", MOST, true},
        [BN2_GAMMA] = {"bn2.weight", WIDTH, false},
        [BN2_BETA] = {"bn2.bias", WIDTH, false},
        [FC_WEIGHT] = {"fc.weight", WIDTH * CLASSES, true},
        [FC_BIAS] = {"fc.bias", CLASSES, false},
    };
    char name[GOLDEN_NAME];
    memset(net, 0, sizeof *net);
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        parameter *p = &net->p[i];
        p->name = table[i].name, p->count = table[i].count, p->decayed = table[i].decayed;
        snprintf(name, sizeof name, "initial.%s", p->name);
        memcpy(p->value, golden_values(g, name, p->count), p->count * sizeof *p->value);
    }
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "initial.%s", running_names[i]);
        memcpy(net->running[i], golden_values(g, name, WIDTH), sizeof net->running[i]);
    }
}

static double forward(network *net, const double *input, const int32_t *labels) {
    double x[LARGE], z[SMALL], mean[WIDTH];
    parameter *p = net->p;
    ref_conv2d_forward(&conv1, input, p[CONV1].value, NULL, x);
    ref_batchnorm_statistics(LARGE / WIDTH, WIDTH, x, 1e-5, mean, net->inverse_deviation1, 0.1,
                             net->running[0], net->running[1]);
    ref_batchnorm_normalise(LARGE / WIDTH, WIDTH, x, mean, net->inverse_deviation1, net->xhat1);
    ref_batchnorm_relu_forward(LARGE / WIDTH, WIDTH, net->xhat1, p[BN1_GAMMA].value,
                               p[BN1_BETA].value, x, net->mask1);
    ref_maxpool_forward(&pool, large, x, net->pooled, net->index);
    ref_conv2d_forward(&conv2, net->pooled, p[CONV2].value, NULL, z);
    ref_batchnorm_statistics(SMALL / WIDTH, WIDTH, z, 1e-5, mean, net->inverse_deviation2, 0.1,
                             net->running[2], net->running[3]);
    ref_batchnorm_normalise(SMALL / WIDTH, WIDTH, z, mean, net->inverse_deviation2, net->xhat2);
    ref_batchnorm_affine(SMALL / WIDTH, WIDTH, net->xhat2, p[BN2_GAMMA].value, p[BN2_BETA].value,
                         z);
    ref_add_relu_forward(SMALL, z, net->pooled, z, net->mask2);
    ref_global_avgpool_forward(small, z, net->features);
    ref_dense_forward(BATCH, WIDTH, CLASSES, net->features, p[FC_WEIGHT].value, p[FC_BIAS].value,
                      net->logits);
    return ref_softmax_cross_entropy(BATCH, BATCH, CLASSES, net->logits, labels, 0, 1.0 / BATCH,
                                     net->dlogits)
        .mean;
}

static void backward(network *net, const double *input) {
    double dfeatures[BATCH * WIDTH], dsum[SMALL], dz[SMALL], dpooled[SMALL], dx[LARGE];
    parameter *p = net->p;
    ref_dense_backward_weight(BATCH, WIDTH, CLASSES, net->features, net->dlogits,
                              p[FC_WEIGHT].gradient);
    ref_dense_backward_bias(BATCH, CLASSES, net->dlogits, p[FC_BIAS].gradient);
    ref_dense_backward_input(BATCH, WIDTH, CLASSES, p[FC_WEIGHT].value, net->dlogits, dfeatures);
    ref_global_avgpool_backward(small, dfeatures, dsum);
    ref_add_relu_backward(SMALL, dsum, net->mask2, dsum);
    ref_batchnorm_backward(SMALL / WIDTH, WIDTH, dsum, net->xhat2, p[BN2_GAMMA].value,
                           net->inverse_deviation2, dz, p[BN2_GAMMA].gradient,
                           p[BN2_BETA].gradient);
    ref_conv2d_backward_weight(&conv2, net->pooled, dz, p[CONV2].gradient);
    ref_conv2d_backward_input(&conv2, p[CONV2].value, dz, dpooled);
    for (size_t i = 0; i < SMALL; i++) dpooled[i] += dsum[i];
    ref_maxpool_backward(&pool, large, dpooled, net->index, dx);
    ref_batchnorm_relu_backward(LARGE / WIDTH, WIDTH, dx, net->xhat1, net->mask1,
                                p[BN1_GAMMA].value, net->inverse_deviation1, dx,
                                p[BN1_GAMMA].gradient, p[BN1_BETA].gradient);
    ref_conv2d_backward_weight(&conv1, input, dx, p[CONV1].gradient);
}

START_TEST(ten_steps) {
    static network net;
    golden *g = golden_read("training/residual");
    const double *inputs = golden_values(g, "inputs", STEPS * INPUT);
    const double *labels = golden_values(g, "labels", STEPS * BATCH);
    double losses[STEPS];
    char name[GOLDEN_NAME];
    start(&net, g);
    for (size_t step = 0; step < STEPS; step++) {
        int32_t batch_labels[BATCH];
        for (size_t i = 0; i < BATCH; i++) batch_labels[i] = (int32_t)labels[step * BATCH + i];
        losses[step] = forward(&net, inputs + step * INPUT, batch_labels);
        backward(&net, inputs + step * INPUT);
        for (size_t i = 0; i < PARAMETER_COUNT; i++) {
            parameter *p = &net.p[i];
            ref_sgd(p->count, p->value, p->gradient, p->moment, golden_scalar(g, "rate"),
                    golden_scalar(g, "momentum"), false,
                    p->decayed ? golden_scalar(g, "weight_decay") : 0);
        }
    }
    /* Rounding grows by less than a factor of ten a step from 1e-16. */
    golden_close("losses", losses, golden_values(g, "losses", STEPS), STEPS, 1e-11);
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        snprintf(name, sizeof name, "final.%s", net.p[i].name);
        golden_close(name, net.p[i].value, golden_values(g, name, net.p[i].count), net.p[i].count,
                     1e-11);
    }
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "final.%s", running_names[i]);
        golden_close(name, net.running[i], golden_values(g, name, WIDTH), WIDTH, 1e-11);
    }
    golden_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reference training");
    TCase *tcase = tcase_create("residual");
    tcase_add_test(tcase, ten_steps);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
