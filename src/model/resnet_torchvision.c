/* The ImageNet ResNets of He et al. (CVPR 2016) in torchvision's layout and names, so that its
 * weights load as they are: basic blocks for 18 and 34 layers, bottlenecks for 50, with the stride
 * on the 3x3 convolution ("v1.5"); a skip that changes shape is a 1x1 convolution with batch-norm.
 * For small images the stem is a 3x3 convolution with stride 1 and no pool, as is usual on CIFAR.
 */
#include "model/networks.h"

static pp_value add_conv_bn(pp_graph *graph, const pp__layer_name *block, const char *conv,
                            const char *bn, pp_value x, uint32_t out_channels, uint32_t kernel,
                            uint32_t stride) {
    x = pp__add_conv(graph, pp__name_leaf(block, conv).text, x, out_channels, kernel, stride);
    return pp_graph_batchnorm(graph, pp__name_leaf(block, bn).text, x, NULL);
}

static pp_value add_basic(pp_graph *graph, const pp__layer_name *block, pp_value x, uint32_t width,
                          uint32_t stride) {
    x = add_conv_bn(graph, block, "conv1", "bn1", x, width, 3, stride);
    x = pp_graph_relu(graph, pp__name_leaf(block, "relu1").text, x);
    return add_conv_bn(graph, block, "conv2", "bn2", x, width, 3, 1);
}

static pp_value add_bottleneck(pp_graph *graph, const pp__layer_name *block, pp_value x,
                               uint32_t width, uint32_t stride) {
    x = add_conv_bn(graph, block, "conv1", "bn1", x, width, 1, 1);
    x = pp_graph_relu(graph, pp__name_leaf(block, "relu1").text, x);
    x = add_conv_bn(graph, block, "conv2", "bn2", x, width, 3, stride);
    x = pp_graph_relu(graph, pp__name_leaf(block, "relu2").text, x);
    return add_conv_bn(graph, block, "conv3", "bn3", x, 4 * width, 1, 1);
}

static pp_value add_block(pp_graph *graph, uint32_t stage, uint32_t number, pp_value input,
                          bool bottleneck) {
    const pp__layer_name block = pp__name_block(stage + 1, number);
    const uint32_t width = 64u << stage, stride = stage && !number ? 2 : 1;
    pp_value x = bottleneck ? add_bottleneck(graph, &block, input, width, stride)
                            : add_basic(graph, &block, input, width, stride);
    pp_value skip = input;
    if (!number && (stage || bottleneck))
        skip = add_conv_bn(graph, &block, "downsample.0", "downsample.1", input,
                           bottleneck ? 4 * width : width, 1, stride);
    x = pp_graph_add(graph, pp__name_leaf(&block, "add").text, x, skip);
    return pp_graph_relu(graph, pp__name_leaf(&block, bottleneck ? "relu3" : "relu2").text, x);
}

static pp_value add_stem(pp_graph *graph, pp_value x, bool small) {
    x = small ? pp__add_conv(graph, "conv1", x, 64, 3, 1)
              : pp__add_conv(graph, "conv1", x, 64, 7, 2);
    x = pp_graph_batchnorm(graph, "bn1", x, NULL);
    x = pp_graph_relu(graph, "relu", x);
    if (small) return x;
    const pp_pool_params pool = {
        .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
    return pp_graph_maxpool(graph, "maxpool", x, &pool);
}

pp_value pp__build_resnet_torchvision(pp_graph *graph, const pp__network *network,
                                      const pp_model_options *options, pp_value input) {
    pp_value x = add_stem(graph, input, network->small_stem);
    for (uint32_t stage = 0; stage < 4; stage++)
        for (uint32_t i = 0; i < network->blocks[stage]; i++)
            x = add_block(graph, stage, i, x, network->variant);
    x = pp_graph_global_avgpool(graph, "avgpool", x);
    return pp__add_classifier(graph, "fc", x, options);
}
