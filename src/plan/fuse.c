/* Rewrites: a node whose only reader is a ReLU becomes one operator with it. The pairs are a table;
 * each fused operator has its own file in src/op. The first node's name and parameters stay. */
#include "plan/plan.h"

static const struct {
    const pp__op *first, *second, *fused;
} pairs[] = {
    {&pp__op_batchnorm, &pp__op_relu, &pp__op_batchnorm_relu},
    {&pp__op_add, &pp__op_relu, &pp__op_add_relu},
};

static const pp__op *fused_op(const pp_plan *plan, const pp__plan_node *second) {
    if (second->op->input_count != 1) return NULL;
    const pp__plan_node *first = &plan->nodes[second->inputs[0]];
    if (first->consumer_count != 1) return NULL;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (first->op == pairs[i].first && second->op == pairs[i].second &&
            pp__op_is_built(pairs[i].fused))
            return pairs[i].fused;
    return NULL;
}

/* Takes node `gone` out; whoever read it reads `instead`. */
static void remove_node(pp_plan *plan, uint32_t gone, uint32_t instead) {
    pp__release(plan->engine, plan->nodes[gone].name);
    pp__release(plan->engine, plan->nodes[gone].params);
    for (size_t i = gone; i + 1 < plan->node_count; i++) plan->nodes[i] = plan->nodes[i + 1];
    plan->node_count--;
    for (size_t i = gone; i < plan->node_count; i++)
        for (size_t j = 0; j < plan->nodes[i].op->input_count; j++) {
            uint32_t *input = &plan->nodes[i].inputs[j];
            if (*input == gone)
                *input = instead;
            else if (*input > gone)
                --*input;
        }
}

pp_status pp__plan_fuse(pp_plan *plan) {
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const pp__op *fused = fused_op(plan, &plan->nodes[i]);
        if (!fused) continue;
        uint32_t first = plan->nodes[i].inputs[0];
        plan->nodes[first].op = fused;
        plan->nodes[first].consumer_count = plan->nodes[i].consumer_count;
        remove_node(plan, i, first);
        i--;
    }
    return pp__plan_infer(plan);
}
