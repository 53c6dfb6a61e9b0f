/* Pre-activation bottleneck ResNets (He et al., "Identity mappings in deep residual networks", ECCV
 * 2016), built as Chakrabarti & Moseley (NeurIPS 2019) do in their code: three stages with 9n + 2
 * layers for CIFAR, four stages for ImageNet.
 *
 *     skip ---------------------------------------------------------- (pool, pad) -----+
 *     x -> BN -> ReLU -> 1x1 (stride) -> BN -> ReLU -> 3x3 -> BN -> ReLU -> 1x1 (4x) -> + -> next x
 *
 * The skip is x itself, except in the very first block, where it is taken behind the first ReLU. A
 * skip that changes shape is averaged over stride x stride pixels and padded with zero channels,
 * equally on both sides; there are no projections. Their batch-norms add 1e-3 to the variance. On
 * ImageNet's images the first convolution is 7x7 with stride 2, and the first ReLU is followed by a
 * 3x3 max-pool with stride 2; of the odd padding that stride 2 needs, their code puts the greater
 * part behind the image, ours is equal on both sides. */
#include "model/networks.h"

static pp_value add_activation(pp_graph *graph, const char *bn, const char *relu, pp_value x) {
    x = pp_graph_batchnorm(graph, bn, x, &(pp_batchnorm_params){.epsilon = 1e-3f});
    return pp_graph_relu(graph, relu, x);
}

static pp_value add_block_activation(pp_graph *graph, const pp__layer_name *block, const char *bn,
                                     const char *relu, pp_value x) {
    const pp__layer_name bn_name = pp__name_leaf(block, bn), relu_name = pp__name_leaf(block, relu);
    return add_activation(graph, bn_name.text, relu_name.text, x);
}

static pp_value reshape_skip(pp_graph *graph, const pp__layer_name *block, pp_value skip,
                             uint32_t out_channels, uint32_t stride) {
    if (stride > 1) {
        const pp_pool_params pool = {.kernel_h = stride, .kernel_w = stride};
        skip = pp_graph_avgpool(graph, pp__name_leaf(block, "pool").text, skip, &pool);
    }
    const pp_shortcut_params pad = {.stride = 1, .out_channels = out_channels};
    return pp_graph_shortcut(graph, pp__name_leaf(block, "shortcut").text, skip, &pad);
}

static pp_value add_block(pp_graph *graph, const pp__network *network, uint32_t stage,
                          uint32_t number, pp_value input) {
    const pp__layer_name block = pp__name_block(stage + 1, number);
    const bool first = !stage && !number;
    const uint32_t width = (network->variant ? 64u : 16u) << stage;
    const uint32_t stride = stage && !number ? 2 : 1;
    pp_value x = add_block_activation(graph, &block, "bn1", "relu1", input);
    if (first && network->variant) {
        const pp_pool_params pool = {
            .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
        x = pp_graph_maxpool(graph, "maxpool", x, &pool);
    }
    pp_value skip = first ? x : input;
    x = pp__add_conv(graph, pp__name_leaf(&block, "conv1").text, x, width, 1, stride);
    x = add_block_activation(graph, &block, "bn2", "relu2", x);
    x = pp__add_conv(graph, pp__name_leaf(&block, "conv2").text, x, width, 3, 1);
    x = add_block_activation(graph, &block, "bn3", "relu3", x);
    x = pp__add_conv(graph, pp__name_leaf(&block, "conv3").text, x, 4 * width, 1, 1);
    if (!number) skip = reshape_skip(graph, &block, skip, 4 * width, stride);
    return pp_graph_add(graph, pp__name_leaf(&block, "add").text, x, skip);
}

pp_value pp__build_preresnet(pp_graph *graph, const pp__network *network,
                             const pp_model_options *options, pp_value input) {
    pp_value x = network->variant ? pp__add_conv(graph, "conv1", input, 64, 7, 2)
                                  : pp__add_conv(graph, "conv1", input, 16, 3, 1);
    for (uint32_t stage = 0; stage < 4; stage++)
        for (uint32_t i = 0; i < network->blocks[stage]; i++)
            x = add_block(graph, network, stage, i, x);
    x = add_activation(graph, "bn", "relu", x);
    x = pp_graph_global_avgpool(graph, "avgpool", x);
    return pp__add_classifier(graph, "fc", x, options);
}
