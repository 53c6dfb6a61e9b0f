/* The CIFAR ResNets of He et al., "Deep residual learning for image recognition" (CVPR 2016),
 * section 4.2: 6n + 2 layers, three stages of n basic blocks with 16, 32 and 64 channels, shortcuts
 * without parameters (option A). Names as in Idelbayev's pytorch_resnet_cifar10, whose weights load
 * as they are. */
#include "model/networks.h"

static pp_value add_block(pp_graph *graph, const pp__layer_name *block, pp_value input,
                          uint32_t channels, uint32_t stride, bool widens) {
    pp_value x =
        pp__add_conv(graph, pp__name_leaf(block, "conv1").text, input, channels, 3, stride);
    x = pp_graph_batchnorm(graph, pp__name_leaf(block, "bn1").text, x, NULL);
    x = pp_graph_relu(graph, pp__name_leaf(block, "relu1").text, x);
    x = pp__add_conv(graph, pp__name_leaf(block, "conv2").text, x, channels, 3, 1);
    x = pp_graph_batchnorm(graph, pp__name_leaf(block, "bn2").text, x, NULL);
    pp_value skip = input;
    if (widens) {
        const pp_shortcut_params params = {.stride = stride, .out_channels = channels};
        skip = pp_graph_shortcut(graph, pp__name_leaf(block, "shortcut").text, input, &params);
    }
    x = pp_graph_add(graph, pp__name_leaf(block, "add").text, x, skip);
    return pp_graph_relu(graph, pp__name_leaf(block, "relu2").text, x);
}

pp_value pp__build_resnet_cifar(pp_graph *graph, const pp__network *network,
                                const pp_model_options *options, pp_value input) {
    pp_value x = pp__add_conv(graph, "conv1", input, 16, 3, 1);
    x = pp_graph_batchnorm(graph, "bn1", x, NULL);
    x = pp_graph_relu(graph, "relu", x);
    for (uint32_t stage = 0; stage < 3; stage++) {
        for (uint32_t i = 0; i < network->blocks[stage]; i++) {
            const pp__layer_name block = pp__name_block(stage + 1, i);
            bool widens = stage && !i;
            x = add_block(graph, &block, x, 16u << stage, widens ? 2 : 1, widens);
        }
    }
    x = pp_graph_global_avgpool(graph, "avgpool", x);
    return pp__add_classifier(graph, "linear", x, options);
}
