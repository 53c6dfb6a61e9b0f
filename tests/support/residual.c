#include "support/residual.h"

#include <stdio.h>
#include <string.h>

#include "ref/add_relu_ref.h"
#include "ref/batchnorm_ref.h"
#include "ref/batchnorm_relu_ref.h"
#include "ref/blockmean_ref.h"
#include "ref/btc_ref.h"
#include "ref/conv2d_ref.h"
#include "ref/dense_ref.h"
#include "ref/global_avgpool_ref.h"
#include "ref/group_ref.h"
#include "ref/half_ref.h"
#include "ref/maxpool_ref.h"
#include "ref/norm_ref.h"
#include "ref/optimizer_ref.h"
#include "ref/softmax_cross_entropy_ref.h"
#include "support/support.h"

enum {
    BATCH = RESIDUAL_BATCH,
    WIDTH = RESIDUAL_WIDTH,
    CLASSES = RESIDUAL_CLASSES,
    INPUT = RESIDUAL_INPUT,
    LARGE = RESIDUAL_LARGE,
    SMALL = RESIDUAL_SMALL
};

enum { CONV1, BN1_GAMMA, BN1_BETA, CONV2, BN2_GAMMA, BN2_BETA, FC_WEIGHT, FC_BIAS };

static const ref_shape large = {BATCH, RESIDUAL_SIDE, RESIDUAL_SIDE, WIDTH},
                       small = {BATCH, RESIDUAL_SIDE / 2, RESIDUAL_SIDE / 2, WIDTH};
static const ref_conv2d conv1 = {
    {BATCH, RESIDUAL_SIDE, RESIDUAL_SIDE, RESIDUAL_COLOURS}, WIDTH, 1, {3, 3, 1, 1, 1, 1, 1, 1}};
static const ref_conv2d conv2 = {
    {BATCH, RESIDUAL_SIDE / 2, RESIDUAL_SIDE / 2, WIDTH}, WIDTH, 1, {3, 3, 1, 1, 1, 1, 1, 1}};
static const ref_window pool = {2, 2, 2, 2, 0, 0, 1, 1};

const char *const residual_statistics[RESIDUAL_STATISTICS] = {
    "bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"};

static residual_codec read_policy(const char *policy) {
    residual_codec codec = {0};
    if (!strcmp(policy, "half")) codec.half_xhat = codec.half_values = true;
    if (!strncmp(policy, "norm:", 5)) {
        codec.bits = (unsigned)(policy[5] - '0');
        codec.lloyd = strstr(policy, ",lloyd") != NULL;
        codec.half_values = true;
        /* Values that no code reproduces get as many bits, or the next number there is. */
        codec.group_bits = codec.bits < 5 ? codec.bits : 8;
    }
    if (!strncmp(policy, "btc:", 4)) {
        codec.btc_side = (size_t)(policy[4] - '0');
        codec.half_values = true;
        codec.group_bits = codec.btc_side == 2 ? 3 : 2;
    }
    if (!strncmp(policy, "avgpool:", 8)) codec.block_side = (size_t)(policy[8] - '0');
    const char *group = strstr(policy, "group:");
    if (group) codec.group_bits = (unsigned)(group[6] - '0');
    codec.groups_points = strstr(policy, "@activation=group:") != NULL;
    return codec;
}

void residual_start(residual *net, const golden *g, const char *policy) {
    static const struct {
        const char *name;
        size_t count;
        bool decayed;
    } table[RESIDUAL_PARAMETERS] = {
        [CONV1] = {"conv1.weight", 9 * RESIDUAL_COLOURS * WIDTH, true},
        [BN1_GAMMA] = {"bn1.weight", WIDTH, false},
        [BN1_BETA] = {"bn1.bias", WIDTH, false},
        [CONV2] = {"conv2.weight", RESIDUAL_MOST, true},
        [BN2_GAMMA] = {"bn2.weight", WIDTH, false},
        [BN2_BETA] = {"bn2.bias", WIDTH, false},
        [FC_WEIGHT] = {"fc.weight", WIDTH * CLASSES, true},
        [FC_BIAS] = {"fc.bias", CLASSES, false},
    };
    char name[GOLDEN_NAME];
    memset(net, 0, sizeof *net);
    net->g = g;
    net->codec = read_policy(policy);
    for (size_t i = 0; i < RESIDUAL_PARAMETERS; i++) {
        residual_parameter *p = &net->p[i];
        p->name = table[i].name, p->count = table[i].count, p->decayed = table[i].decayed;
        snprintf(name, sizeof name, "initial.%s", p->name);
        memcpy(p->value, golden_values(g, name, p->count), p->count * sizeof *p->value);
    }
    for (size_t i = 0; i < RESIDUAL_STATISTICS; i++) {
        snprintf(name, sizeof name, "initial.%s", residual_statistics[i]);
        memcpy(net->running[i], golden_values(g, name, WIDTH), sizeof net->running[i]);
    }
}

/* The first half of a batch-norm: statistics and x-hat of `x`. */
static void normalise(size_t pixels, const double *x, double *running_mean,
                      double *running_variance, double *inverse_deviation, double *xhat) {
    double mean[WIDTH];
    ref_batchnorm_statistics(pixels, WIDTH, x, 1e-5, mean, inverse_deviation, 0.1, running_mean,
                             running_variance);
    ref_batchnorm_normalise(pixels, WIDTH, x, mean, inverse_deviation, xhat);
}

static double forward(residual *net, const double *input, const int32_t *labels) {
    double x[LARGE], z[SMALL];
    residual_parameter *p = net->p;
    ref_conv2d_forward(&conv1, input, p[CONV1].value, NULL, x);
    normalise(LARGE / WIDTH, x, net->running[0], net->running[1], net->inverse_deviation1,
              net->xhat1);
    ref_batchnorm_relu_forward(LARGE / WIDTH, WIDTH, net->xhat1, p[BN1_GAMMA].value,
                               p[BN1_BETA].value, x, net->mask1);
    ref_maxpool_forward(&pool, large, x, net->pooled, net->index);
    ref_conv2d_forward(&conv2, net->pooled, p[CONV2].value, NULL, z);
    normalise(SMALL / WIDTH, z, net->running[2], net->running[3], net->inverse_deviation2,
              net->xhat2);
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

static void round_to_half(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = (double)ref_half_to_float(ref_half_from_float((float)values[i]));
}

/* x-hat, and behind a ReLU the mask too, become what their code decodes to. */
static void code_xhat(const residual *net, ref_shape shape, double *xhat, size_t gamma, bool relu,
                      uint8_t *mask) {
    const size_t count = ref_elems(shape);
    const ref_btc btc = {net->codec.btc_side, relu};
    const ref_norm norm = {.bits = net->codec.bits,
                           .clip = ref_norm_clip(net->codec.bits),
                           .relu = relu,
                           .lloyd = net->codec.lloyd};
    float narrow[LARGE], gammas[WIDTH], betas[WIDTH];
    uint8_t code[LARGE];
    if (net->codec.half_xhat) round_to_half(xhat, count);
    if (!norm.bits && !btc.side) return;
    for (size_t c = 0; c < WIDTH; c++) {
        gammas[c] = (float)net->p[gamma].value[c];
        betas[c] = (float)net->p[gamma + 1].value[c];
    }
    for (size_t i = 0; i < count; i++) narrow[i] = (float)xhat[i];
    if (btc.side) {
        ref_btc_encode(&btc, shape, narrow, gammas, betas, code);
        ref_btc_decode(&btc, shape, code, gammas, betas, narrow, mask, NULL);
    } else {
        ref_norm_encode(&norm, count / WIDTH, WIDTH, narrow, gammas, betas, code);
        ref_norm_decode_xhat(&norm, count / WIDTH, WIDTH, code, gammas, betas, narrow);
        if (relu) ref_norm_decode_mask(&norm, count / WIDTH, WIDTH, code, gammas, betas, mask);
    }
    for (size_t i = 0; i < count; i++) xhat[i] = (double)narrow[i];
}

/* The graph's numbers of the nodes whose values a group is drawn for. */
enum { POOL_NODE = 4, FEATURES_NODE = 9 };

/* Values become what group:K, with the seed of test_training, makes of them. */
static void code_group(const residual *net, ref_shape shape, double *values, uint32_t node,
                       size_t step) {
    const ref_group group = {net->codec.group_bits, 256, false};
    float narrow[SMALL];
    uint8_t code[SMALL * sizeof(float)];
    for (size_t i = 0; i < ref_elems(shape); i++) narrow[i] = (float)values[i];
    ref_group_encode(&group, shape, narrow, &(ref_group_key){1, node, (uint32_t)step}, code);
    ref_group_decode(&group, shape, code, narrow);
    for (size_t i = 0; i < ref_elems(shape); i++) values[i] = (double)narrow[i];
}

/* Replaces what forward left by what backward may read. `input` is conv1's. */
static void code_saved(residual *net, double *input, size_t step) {
    code_xhat(net, large, net->xhat1, BN1_GAMMA, true, net->mask1);
    code_xhat(net, small, net->xhat2, BN2_GAMMA, false, NULL);
    if (net->codec.half_values) {
        round_to_half(input, INPUT);
        if (!net->codec.group_bits) round_to_half(net->pooled, SMALL);
        if (!net->codec.groups_points) round_to_half(net->features, BATCH * WIDTH);
    }
    if (net->codec.group_bits && !net->codec.block_side) {
        code_group(net, small, net->pooled, POOL_NODE, step);
        if (net->codec.groups_points)
            code_group(net, (ref_shape){BATCH, 1, 1, WIDTH}, net->features, FEATURES_NODE, step);
    }
    if (net->codec.block_side) {
        double means[SMALL];
        ref_blockmean_encode(small, net->codec.block_side, net->pooled, means);
        if (net->codec.group_bits)
            code_group(net, ref_blockmean_shape(small, net->codec.block_side), means, POOL_NODE,
                       step);
        ref_blockmean_decode(small, net->codec.block_side, means, net->pooled);
    }
}

static void backward(residual *net, const double *input) {
    double dfeatures[BATCH * WIDTH], dsum[SMALL], dz[SMALL], dpooled[SMALL], dx[LARGE];
    residual_parameter *p = net->p;
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

double residual_step(residual *net, size_t step) {
    const golden *g = net->g;
    const double *labels = golden_values(g, "labels", RESIDUAL_STEPS * BATCH) + step * BATCH;
    double input[INPUT];
    int32_t batch_labels[BATCH];
    memcpy(input, golden_values(g, "inputs", RESIDUAL_STEPS * INPUT) + step * INPUT, sizeof input);
    for (size_t i = 0; i < BATCH; i++) batch_labels[i] = (int32_t)labels[i];
    double loss = forward(net, input, batch_labels);
    code_saved(net, input, step);
    backward(net, input);
    for (size_t i = 0; i < RESIDUAL_PARAMETERS; i++) {
        residual_parameter *p = &net->p[i];
        ref_sgd(p->count, p->value, p->gradient, p->moment, golden_scalar(g, "rate"),
                golden_scalar(g, "momentum"), false,
                p->decayed ? golden_scalar(g, "weight_decay") : 0);
    }
    return loss;
}

static pp_value add_conv(pp_graph *g, const char *name, pp_value x) {
    const pp_conv2d_params params = {
        .out_channels = WIDTH, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1};
    return pp_graph_conv2d(g, name, x, &params);
}

pp_graph *residual_graph(void) {
    pp_graph *g;
    TEST_OK(pp_graph_create(test_engine(), &g));
    pp_value x = pp_graph_input(g, "image", RESIDUAL_SIDE, RESIDUAL_SIDE, RESIDUAL_COLOURS);
    x = pp_graph_batchnorm(g, "bn1", add_conv(g, "conv1", x), NULL);
    x = pp_graph_relu(g, "relu1", x);
    x = pp_graph_maxpool(g, "pool", x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
    pp_value branch = pp_graph_batchnorm(g, "bn2", add_conv(g, "conv2", x), NULL);
    x = pp_graph_relu(g, "relu2", pp_graph_add(g, "add", branch, x));
    x = pp_graph_global_avgpool(g, "features", x);
    x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = CLASSES, .bias = true});
    pp_graph_softmax_cross_entropy(g, "loss", x, 0);
    TEST_OK(pp_graph_status(g));
    return g;
}
