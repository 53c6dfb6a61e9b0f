#include <inttypes.h>
#include <stdio.h>

#include "model/networks.h"

pp__layer_name pp__name_block(uint32_t stage, uint32_t block) {
    pp__layer_name name;
    snprintf(name.text, sizeof name.text, "layer%" PRIu32 ".%" PRIu32, stage, block);
    return name;
}

pp__layer_name pp__name_leaf(const pp__layer_name *block, const char *leaf) {
    pp__layer_name name;
    snprintf(name.text, sizeof name.text, "%.31s.%.15s", block->text, leaf);
    return name;
}

pp_value pp__add_conv(pp_graph *graph, const char *name, pp_value x, uint32_t out_channels,
                      uint32_t kernel, uint32_t stride) {
    const pp_conv2d_params params = {
        .out_channels = out_channels,
        .kernel_h = kernel,
        .kernel_w = kernel,
        .stride_h = stride,
        .stride_w = stride,
        .pad_h = kernel / 2,
        .pad_w = kernel / 2,
    };
    return pp_graph_conv2d(graph, name, x, &params);
}

pp_value pp__add_classifier(pp_graph *graph, const char *name, pp_value x,
                            const pp_model_options *options) {
    if (options->dropout != 0) x = pp_graph_dropout(graph, "dropout", x, options->dropout);
    return pp_graph_dense(graph, name, x,
                          &(pp_dense_params){.out_features = options->classes, .bias = true});
}
