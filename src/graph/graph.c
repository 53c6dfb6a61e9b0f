#include "graph/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "op/params.h"
#include "util/text.h"

pp_status pp_graph_create(pp_engine *engine, pp_graph **graph_out) {
    *graph_out = NULL;
    pp_graph *graph;
    PP_TRY(pp__allocate(engine, 1, sizeof *graph, &graph));
    graph->engine = engine;
    *graph_out = graph;
    return PP_OK;
}

void pp_graph_destroy(pp_graph *graph) {
    if (!graph) return;
    for (size_t i = 0; i < graph->node_count; i++) {
        pp__release(graph->engine, graph->nodes[i].name);
        pp__release(graph->engine, graph->nodes[i].params);
    }
    pp__release(graph->engine, graph->nodes);
    pp__release(graph->engine, graph);
}

pp_status pp_graph_status(const pp_graph *graph) {
    return graph->status;
}

static pp_status check_name(pp_graph *graph, const char *name) {
    if (!name || !*name)
        return pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT, "graph: node %zu has no name",
                        graph->node_count);
    for (size_t i = 0; i < graph->node_count; i++)
        if (!strcmp(graph->nodes[i].name, name))
            return pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT,
                            "graph: there are two nodes called '%s'; names are unique in a graph",
                            name);
    return PP_OK;
}

static pp_status check_inputs(pp_graph *graph, const char *name, const pp__op *op,
                              const pp_value *inputs) {
    bool source = op->traits & PP__OP_SOURCE;
    if (source && graph->node_count)
        return pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT,
                        "graph: input '%s' is node %zu; a graph has one input, its first node",
                        name, graph->node_count);
    for (size_t i = 0; i < op->input_count; i++)
        if (inputs[i] == PP_NO_VALUE || inputs[i] > graph->node_count)
            return pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT,
                            "graph: input %zu of node '%s' (%s) is value %" PRIu32
                            ", but the graph has values 1 to %zu",
                            i, name, op->name, inputs[i], graph->node_count);
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op->traits & PP__OP_LOSS)
            return pp__fail(
                graph->engine, PP_ERROR_INVALID_ARGUMENT,
                "graph: node '%s' (%s) comes behind the loss '%s'; a graph has one loss, its last "
                "node",
                name, op->name, graph->nodes[i].name);
    return PP_OK;
}

static pp_status append(pp_graph *graph, const char *name, const pp__op *op, const pp_value *inputs,
                        const void *params) {
    PP_TRY(check_name(graph, name));
    if (!pp__op_is_built(op))
        return pp__fail(graph->engine, PP_ERROR_UNSUPPORTED,
                        "graph: node '%s' is a %s, which this build leaves out (CMake option "
                        "POCKETPROP_WITHOUT)",
                        name, op->name);
    PP_TRY(check_inputs(graph, name, op, inputs));
    PP_TRY(pp__grow(graph->engine, &graph->nodes, &graph->node_capacity, graph->node_count + 1,
                    sizeof *graph->nodes));
    pp__node node = {.op = op};
    for (size_t i = 0; i < op->input_count; i++) node.inputs[i] = inputs[i] - 1;
    PP_TRY(pp__copy_text(graph->engine, name, &node.name));
    if (op->params_bytes) {
        pp_status status = pp__allocate(graph->engine, 1, op->params_bytes, &node.params);
        if (status != PP_OK) {
            pp__release(graph->engine, node.name);
            return status;
        }
        memcpy(node.params, params, op->params_bytes);
    }
    graph->nodes[graph->node_count++] = node;
    return PP_OK;
}

/* The sticky front of every builder function. */
static pp_value add_node(pp_graph *graph, const char *name, const pp__op *op, pp_value first,
                         pp_value second, const void *params) {
    if (graph->status != PP_OK) return PP_NO_VALUE;
    const pp_value inputs[PP__OP_INPUTS] = {first, second};
    graph->status = append(graph, name, op, inputs, params);
    return graph->status == PP_OK ? (pp_value)graph->node_count : PP_NO_VALUE;
}

static uint32_t or_else(uint32_t value, uint32_t otherwise) {
    return value ? value : otherwise;
}

static pp_value missing_params(pp_graph *graph, const char *name) {
    if (graph->status == PP_OK)
        graph->status = pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT,
                                 "graph: node '%s' has no parameters (NULL)", name ? name : "");
    return PP_NO_VALUE;
}

pp_value pp_graph_input(pp_graph *graph, const char *name, uint32_t height, uint32_t width,
                        uint32_t channels) {
    pp__input_params p = {.height = height, .width = width, .channels = channels};
    return add_node(graph, name, &pp__op_input, PP_NO_VALUE, PP_NO_VALUE, &p);
}

pp_value pp_graph_input_bytes(pp_graph *graph, const char *name, uint32_t height, uint32_t width,
                              uint32_t channels, const pp_pixels *pixels) {
    if (!pixels) return missing_params(graph, name);
    pp__input_params p = {height, width, channels, true, *pixels};
    p.pixels.maximum = or_else(p.pixels.maximum, UINT8_MAX);
    for (size_t c = 0; c < PP_PIXEL_CHANNELS; c++)
        if (p.pixels.deviation[c] == 0) p.pixels.deviation[c] = 1;
    return add_node(graph, name, &pp__op_input, PP_NO_VALUE, PP_NO_VALUE, &p);
}

pp_value pp_graph_conv2d(pp_graph *graph, const char *name, pp_value input,
                         const pp_conv2d_params *params) {
    if (!params) return missing_params(graph, name);
    pp_conv2d_params p = *params;
    p.stride_h = or_else(p.stride_h, 1);
    p.stride_w = or_else(p.stride_w, 1);
    p.dilation_h = or_else(p.dilation_h, 1);
    p.dilation_w = or_else(p.dilation_w, 1);
    p.groups = or_else(p.groups, 1);
    return add_node(graph, name, &pp__op_conv2d, input, PP_NO_VALUE, &p);
}

pp_value pp_graph_dense(pp_graph *graph, const char *name, pp_value input,
                        const pp_dense_params *params) {
    if (!params) return missing_params(graph, name);
    return add_node(graph, name, &pp__op_dense, input, PP_NO_VALUE, params);
}

pp_value pp_graph_batchnorm(pp_graph *graph, const char *name, pp_value input,
                            const pp_batchnorm_params *params) {
    pp_batchnorm_params p = params ? *params : (pp_batchnorm_params){0};
    if (p.epsilon == 0) p.epsilon = 1e-5f;
    if (p.momentum == 0) p.momentum = 0.1f;
    return add_node(graph, name, &pp__op_batchnorm, input, PP_NO_VALUE, &p);
}

pp_value pp_graph_relu(pp_graph *graph, const char *name, pp_value input) {
    return add_node(graph, name, &pp__op_relu, input, PP_NO_VALUE, NULL);
}

pp_value pp_graph_add(pp_graph *graph, const char *name, pp_value a, pp_value b) {
    return add_node(graph, name, &pp__op_add, a, b, NULL);
}

pp_value pp_graph_shortcut(pp_graph *graph, const char *name, pp_value input,
                           const pp_shortcut_params *params) {
    if (!params) return missing_params(graph, name);
    pp_shortcut_params p = *params;
    p.stride = or_else(p.stride, 1);
    return add_node(graph, name, &pp__op_shortcut, input, PP_NO_VALUE, &p);
}

static pp_value add_pool(pp_graph *graph, const char *name, const pp__op *op, pp_value input,
                         const pp_pool_params *params) {
    if (!params) return missing_params(graph, name);
    pp_pool_params p = *params;
    p.stride_h = or_else(p.stride_h, p.kernel_h);
    p.stride_w = or_else(p.stride_w, p.kernel_w);
    return add_node(graph, name, op, input, PP_NO_VALUE, &p);
}

pp_value pp_graph_maxpool(pp_graph *graph, const char *name, pp_value input,
                          const pp_pool_params *params) {
    return add_pool(graph, name, &pp__op_maxpool, input, params);
}

pp_value pp_graph_avgpool(pp_graph *graph, const char *name, pp_value input,
                          const pp_pool_params *params) {
    return add_pool(graph, name, &pp__op_avgpool, input, params);
}

pp_value pp_graph_global_avgpool(pp_graph *graph, const char *name, pp_value input) {
    return add_node(graph, name, &pp__op_global_avgpool, input, PP_NO_VALUE, NULL);
}

pp_value pp_graph_dropout(pp_graph *graph, const char *name, pp_value input, float probability) {
    pp__dropout_params p = {probability};
    return add_node(graph, name, &pp__op_dropout, input, PP_NO_VALUE, &p);
}

pp_value pp_graph_softmax_cross_entropy(pp_graph *graph, const char *name, pp_value logits,
                                        float label_smoothing) {
    pp__cross_entropy_params p = {label_smoothing};
    return add_node(graph, name, &pp__op_softmax_cross_entropy, logits, PP_NO_VALUE, &p);
}

pp_value pp_graph_mse(pp_graph *graph, const char *name, pp_value prediction) {
    return add_node(graph, name, &pp__op_mse, prediction, PP_NO_VALUE, NULL);
}

/* Shapes of one sample, for people. */
static pp_status print_nodes(const pp_graph *graph, pp__shape *shapes, pp__text *text) {
    for (size_t i = 0; i < graph->node_count; i++) {
        const pp__node *node = &graph->nodes[i];
        pp__shape inputs[PP__OP_INPUTS] = {{1, 0, 0, 0}};
        for (size_t j = 0; j < node->op->input_count; j++) inputs[j] = shapes[node->inputs[j]];
        pp__op_shapes inferred = {0};
        PP_TRY(node->op->infer(graph->engine, node->name, node->params, inputs, &inferred));
        shapes[i] = inferred.output;
        pp__text_add(text, "%3zu %-22s %-28s [%" PRIu32 ", %" PRIu32 ", %" PRIu32 "]", i + 1,
                     node->op->name, node->name, shapes[i].h, shapes[i].w, shapes[i].c);
        for (size_t j = 0; j < node->op->input_count; j++)
            pp__text_add(text, "%s%s", j ? ", " : " <- ", graph->nodes[node->inputs[j]].name);
        pp__text_add(text, "\n");
    }
    return PP_OK;
}

pp_status pp_graph_print(const pp_graph *graph, char **text_out) {
    *text_out = NULL;
    PP_TRY(graph->status);
    pp__text text = {.engine = graph->engine};
    pp__shape *shapes;
    PP_TRY(pp__allocate(graph->engine, graph->node_count, sizeof *shapes, &shapes));
    pp_status status = print_nodes(graph, shapes, &text);
    pp__release(graph->engine, shapes);
    char *taken;
    pp_status took = pp__text_take(&text, &taken);
    if (status == PP_OK && took == PP_OK) {
        *text_out = taken;
        return PP_OK;
    }
    pp__release(graph->engine, taken);
    return status != PP_OK ? status : took;
}
