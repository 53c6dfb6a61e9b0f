/* Copies a graph into the plan and fills in shapes and parameters. */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"
#include "util/size.h"

pp_status pp__plan_copy_graph(pp_plan *plan, const pp_graph *graph) {
    if (graph->status != PP_OK) return graph->status;
    if (!graph->node_count || !(graph->nodes[0].op->traits & PP__OP_SOURCE))
        return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: the graph's first node is not an input");
    PP_TRY(pp__allocate(plan->engine, graph->node_count, sizeof *plan->nodes, &plan->nodes));
    for (size_t i = 0; i < graph->node_count; i++) {
        const pp__node *from = &graph->nodes[i];
        pp__plan_node *to = &plan->nodes[i];
        to->op = from->op;
        to->number = (uint32_t)i;
        memcpy(to->inputs, from->inputs, sizeof to->inputs);
        plan->node_count = i + 1;
        PP_TRY(pp__copy_text(plan->engine, from->name, &to->name));
        if (from->params) {
            PP_TRY(pp__allocate(plan->engine, 1, from->op->params_bytes, &to->params));
            memcpy(to->params, from->params, from->op->params_bytes);
        }
    }
    return PP_OK;
}

static pp_status infer_node(pp_plan *plan, pp__plan_node *node, pp__op_shapes *shapes) {
    pp__shape inputs[PP__OP_INPUTS] = {{plan->batch, 0, 0, 0}};
    for (size_t i = 0; i < node->op->input_count; i++)
        inputs[i] = plan->nodes[node->inputs[i]].shape;
    memset(shapes, 0, sizeof *shapes);
    PP_TRY(node->op->infer(plan->engine, node->name, node->params, inputs, shapes));
    PP_TRY(pp__plan_apply_rules(plan, node, shapes));
    for (size_t p = 0; p < shapes->parameter_count; p++)
        if (node->frozen[p]) shapes->parameters[p].trainable = false;
    size_t elems;
    if (!pp__shape_elems(shapes->output, &elems) || elems > UINT32_MAX) {
        char text[PP__SHAPE_TEXT];
        pp__shape_print(shapes->output, text);
        return pp__fail(plan->engine, PP_ERROR_SHAPE,
                        "node '%s': output %s has more than 2^32 elements; take a smaller batch",
                        node->name, text);
    }
    return PP_OK;
}

pp_status pp__plan_infer(pp_plan *plan) {
    plan->loss_node = PP__NONE;
    for (size_t i = 0; i < plan->node_count; i++) plan->nodes[i].consumer_count = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        pp__plan_node *node = &plan->nodes[i];
        pp__op_shapes shapes;
        PP_TRY(infer_node(plan, node, &shapes));
        node->shape = shapes.output;
        node->wants_gradient = false;
        for (size_t p = 0; p < shapes.parameter_count; p++)
            node->wants_gradient |= shapes.parameters[p].trainable;
        for (size_t j = 0; j < node->op->input_count; j++) {
            plan->nodes[node->inputs[j]].consumer_count++;
            node->wants_gradient |= plan->nodes[node->inputs[j]].wants_gradient;
        }
        pp__plan_freeze_statistics(plan, node);
        if (node->op->traits & PP__OP_LOSS) plan->loss_node = (uint32_t)i;
    }
    return PP_OK;
}

/* A framework keeps, in float32 and once each: inputs of layers with weights, inputs of batch-norm,
 * outputs of ReLUs, inputs of max-pools, and 64-bit pool indices, of what takes part in backward.
 * Asked of the plan before fusing. */
size_t pp__plan_framework_bytes(const pp_plan *plan) {
    size_t bytes = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        bool kept = node->wants_gradient && node->op->traits & PP__OP_RELU_OUTPUT;
        for (size_t j = i + 1; j < plan->node_count && !kept; j++) {
            const pp__plan_node *reader = &plan->nodes[j];
            for (size_t k = 0; k < reader->op->input_count; k++) {
                if (reader->inputs[k] != i || !reader->wants_gradient) continue;
                pp__op_query q;
                pp__stored stored[PP__OP_SAVES];
                pp__plan_query(plan, (uint32_t)j, plan->profile, &q, stored);
                pp__save saves[PP__OP_SAVES] = {0};
                size_t count = reader->op->save ? reader->op->save(&q, saves) : 0;
                for (size_t s = 0; s < count; s++)
                    kept |= saves[s].source == PP__SAVE_INPUT && !saves[s].exact;
                kept |= pp__plan_normalises(reader) || reader->op->traits & PP__OP_POOL_INPUT;
            }
        }
        if (kept) bytes += pp__shape_bytes(node->shape);
        if (node->wants_gradient && node->op->traits & PP__OP_POOL_INPUT)
            bytes += pp__shape_bytes(node->shape) / sizeof(float) * sizeof(uint64_t);
    }
    return bytes;
}

static pp_status add_parameter(pp_plan *plan, uint32_t number, const pp__parameter_spec *spec) {
    pp__plan_node *node = &plan->nodes[number];
    PP_TRY(pp__grow(plan->engine, &plan->parameters, &plan->parameter_capacity,
                    plan->parameter_count + 1, sizeof *plan->parameters));
    pp__plan_parameter *parameter = &plan->parameters[plan->parameter_count];
    *parameter = (pp__plan_parameter){.node = number,
                                      .spec = *spec,
                                      .rate = node->rates[node->parameter_count],
                                      .value = PP__NONE,
                                      .gradient = PP__NONE,
                                      .moments = {PP__NONE, PP__NONE}};
    if (!pp__shape_elems(spec->shape, &parameter->elems) || parameter->elems > UINT32_MAX)
        return pp__fail(plan->engine, PP_ERROR_SHAPE,
                        "node '%s': its %s has more than 2^32 elements", node->name, spec->suffix);
    size_t bytes = strlen(node->name) + strlen(spec->suffix) + 2;
    PP_TRY(pp__allocate(plan->engine, bytes, 1, &parameter->name));
    snprintf(parameter->name, bytes, "%s.%s", node->name, spec->suffix);
    plan->parameter_count++;
    node->parameter_count++;
    PP_TRY(pp__plan_add_buffer(plan, parameter->name, NULL, PP_MEMORY_PARAMETERS,
                               parameter->elems * sizeof(float), parameter->elems * sizeof(float),
                               &parameter->value));
    return PP_OK;
}

pp_status pp__plan_parameters(pp_plan *plan) {
    for (size_t i = 0; i < plan->node_count; i++) {
        pp__plan_node *node = &plan->nodes[i];
        pp__op_shapes shapes;
        PP_TRY(infer_node(plan, node, &shapes));
        pp__plan_freeze_statistics(plan, node);
        node->first_parameter = (uint32_t)plan->parameter_count;
        for (size_t p = 0; p < shapes.parameter_count; p++)
            PP_TRY(add_parameter(plan, (uint32_t)i, &shapes.parameters[p]));
    }
    return pp__plan_check_rules(plan);
}
