/* Small networks, each with runs of nodes that are worth bands. */
#ifndef PP_TEST_PLAN_SMALL_NETWORKS_H
#define PP_TEST_PLAN_SMALL_NETWORKS_H

#include "plan/plans.h"

static inline pp_value add_strided_conv(pp_graph *g, const char *name, pp_value x,
                                        uint32_t channels, uint32_t kernel, uint32_t stride) {
    return pp_graph_conv2d(g, name, x,
                           &(pp_conv2d_params){.out_channels = channels,
                                               .kernel_h = kernel,
                                               .kernel_w = kernel,
                                               .stride_h = stride,
                                               .stride_w = stride,
                                               .pad_h = kernel / 2,
                                               .pad_w = kernel / 2});
}

static inline pp_value add_conv_bn_relu(pp_graph *g, const char *conv, const char *bn,
                                        const char *relu, pp_value x) {
    return pp_graph_relu(g, relu, add_bn(g, bn, add_conv(g, conv, x, 8)));
}

static inline pp_value start(pp_graph *g) {
    return pp_graph_input(g, "image", 12, 12, 3);
}

static inline pp_graph *residual_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_conv_bn_relu(g, "conv1", "bn1", "relu1", x);
    y = add_bn(g, "bn2", add_conv(g, "conv2", y, 8));
    add_head(g, pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, x)));
    return g;
}

static inline pp_graph *stem(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv1", "bn1", "relu1", start(g));
    const pp_pool_params pool = {
        .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
    x = pp_graph_maxpool(g, "pool", x, &pool);
    add_head(g, add_conv_bn_relu(g, "conv2", "bn2", "relu2", x));
    return g;
}

static inline pp_graph *preactivation_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv0", start(g), 8);
    pp_value y = pp_graph_relu(g, "relu1", add_bn(g, "bn1", x));
    y = add_conv_bn_relu(g, "conv1", "bn2", "relu2", y);
    x = pp_graph_add(g, "add", add_conv(g, "conv2", y, 8), x);
    add_head(g, pp_graph_relu(g, "relu3", add_bn(g, "bn3", x)));
    return g;
}

static inline pp_graph *downsample_block(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_bn(g, "bn1", add_strided_conv(g, "conv1", x, 16, 3, 2));
    y = add_strided_conv(g, "conv2", pp_graph_relu(g, "relu1", y), 16, 3, 1);
    y = add_bn(g, "bn2", y);
    pp_value skip = add_bn(g, "down.bn", add_strided_conv(g, "down", x, 16, 1, 2));
    add_head(g, pp_graph_relu(g, "relu2", pp_graph_add(g, "add", y, skip)));
    return g;
}

static inline pp_graph *plain_chain(void) {
    pp_graph *g = graph_new();
    pp_value x = pp_graph_relu(g, "relu1", add_conv(g, "conv1", start(g), 8));
    x = pp_graph_relu(g, "relu2", add_conv(g, "conv2", x, 16));
    x = pp_graph_relu(g, "relu3", add_conv(g, "conv3", x, 8));
    add_head(g, add_conv(g, "conv4", x, 8));
    return g;
}

/* Normalised again before anything reads it: four passes. */
static inline pp_graph *nested_batchnorms(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv1", "bn1", "relu1", start(g));
    x = add_conv_bn_relu(g, "conv2", "bn2", "relu2", x);
    x = add_bn(g, "bn3", add_conv(g, "conv3", x, 8));
    add_head(g, pp_graph_relu(g, "relu4", add_bn(g, "bn4", x)));
    return g;
}

static inline pp_graph *pooled_skip(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv_bn_relu(g, "conv0", "bn0", "relu0", start(g));
    pp_value y = add_bn(g, "bn1", add_strided_conv(g, "conv1", x, 16, 3, 2));
    const pp_pool_params pool = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
    pp_value skip = pp_graph_avgpool(g, "pool", x, &pool);
    skip = pp_graph_shortcut(g, "shortcut", skip, &(pp_shortcut_params){.out_channels = 16});
    add_head(g, pp_graph_relu(g, "relu1", pp_graph_add(g, "add", y, skip)));
    return g;
}

/* A band has too few pixels for moments where the batch has enough. */
static inline pp_graph *small_maps(void) {
    pp_graph *g = graph_new();
    pp_value x = add_conv(g, "conv1", pp_graph_input(g, "image", 8, 8, 3), 32);
    x = pp_graph_relu(g, "relu1", add_bn(g, "bn1", x));
    x = add_bn(g, "bn2", add_conv(g, "conv2", x, 32));
    add_head(g, pp_graph_relu(g, "relu2", x));
    return g;
}

typedef struct block {
    const char *name;
    pp_graph *(*build)(void);
    const char *first, *last;
} block;

static const block blocks[] = {
    {"residual block", residual_block, "conv1", "add"},
    {"residual block with its input", residual_block, "image", "add"},
    {"tail of a residual block", residual_block, "conv2", "add"},
    {"head of a residual block", residual_block, "conv1", "bn1"},
    {"one sum", residual_block, "add", "add"},
    {"one batch-norm", residual_block, "bn1", "bn1"},
    {"one convolution", residual_block, "conv2", "conv2"},
    {"convolution without its batch-norm", residual_block, "bn1", "conv2"},
    {"stem", stem, "conv1", "pool"},
    {"stem and more", stem, "image", "bn2"},
    {"one pool", stem, "pool", "pool"},
    {"pre-activation block", preactivation_block, "bn1", "add"},
    {"pre-activation block with its neighbours", preactivation_block, "conv0", "bn3"},
    {"downsample block", downsample_block, "conv1", "add"},
    {"one strided convolution", downsample_block, "conv1", "conv1"},
    {"convolutions", plain_chain, "conv1", "conv4"},
    {"convolutions in the middle", plain_chain, "relu1", "relu3"},
    {"one convolution that widens", plain_chain, "conv2", "conv2"},
    {"nested batch-norms", nested_batchnorms, "conv1", "bn4"},
    {"two batch-norms in a row", nested_batchnorms, "bn3", "bn4"},
    {"small maps", small_maps, "conv1", "bn2"},
    {"small maps without the last batch-norm", small_maps, "image", "conv2"},
    {"one convolution of small maps", small_maps, "conv2", "conv2"},
    {"pooled skip", pooled_skip, "conv1", "add"},
    {"one pool and shortcut", pooled_skip, "pool", "shortcut"},
    {"one shortcut", pooled_skip, "shortcut", "shortcut"},
};

enum { BLOCK_COUNT = sizeof blocks / sizeof *blocks };

#endif
