/* LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998) with
 * today's ReLU and max-pooling. The convolutions have 16 and 32 channels in place of 6 and 16,
 * which whole vectors of channels fit, and full connections between them. Every layer has a bias,
 * but for convolutions with batch-norm, whose beta is one already. */
#include "model/networks.h"

static pp_value add_stage(pp_graph *graph, char number, pp_value x, uint32_t out_channels,
                          uint32_t pad, bool batchnorm) {
    const char conv[] = {'c', 'o', 'n', 'v', number, 0}, bn[] = {'b', 'n', number, 0};
    const char relu[] = {'r', 'e', 'l', 'u', number, 0}, pool[] = {'p', 'o', 'o', 'l', number, 0};
    const pp_conv2d_params params = {
        .out_channels = out_channels,
        .kernel_h = 5,
        .kernel_w = 5,
        .pad_h = pad,
        .pad_w = pad,
        .bias = !batchnorm,
    };
    x = pp_graph_conv2d(graph, conv, x, &params);
    if (batchnorm) x = pp_graph_batchnorm(graph, bn, x, NULL);
    x = pp_graph_relu(graph, relu, x);
    return pp_graph_maxpool(graph, pool, x, &(pp_pool_params){.kernel_h = 2, .kernel_w = 2});
}

pp_value pp__build_lenet(pp_graph *graph, const pp__network *network,
                         const pp_model_options *options, pp_value input) {
    pp_value x = add_stage(graph, '1', input, 16, 2, network->variant);
    x = add_stage(graph, '2', x, 32, 0, network->variant);
    x = pp_graph_dense(graph, "fc1", x, &(pp_dense_params){.out_features = 120, .bias = true});
    x = pp_graph_relu(graph, "relu3", x);
    x = pp_graph_dense(graph, "fc2", x, &(pp_dense_params){.out_features = 84, .bias = true});
    x = pp_graph_relu(graph, "relu4", x);
    return pp__add_classifier(graph, "fc3", x, options);
}
