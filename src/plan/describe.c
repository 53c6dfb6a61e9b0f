/* What each step has to do: operations and bytes, whatever kernels do them. */
#include "plan/plan.h"

/* Of the step's images. */
static double value_bytes(const pp_plan *plan, const pp__plan_step *step, uint32_t node) {
    pp__shape shape = plan->nodes[node].shape;
    shape.n = step->image_count;
    return (double)pp__shape_bytes(shape);
}

/* The operator's own answer, and the old gradients that a backward step adds to. */
static pp__op_cost cost_of_pass(const pp_plan *plan, const pp__plan_step *step, pp__pass pass) {
    const pp__plan_node *node = &plan->nodes[step->node];
    pp__op_query q;
    pp__stored stored[PP__OP_SAVES];
    pp__plan_query_band(plan, step->node, step->image_count, NULL, &q, stored);
    pp__op_cost cost = node->op->cost(&q, pass);
    for (size_t j = 0; j < node->op->input_count; j++)
        if (step->adds[j]) cost.bytes += value_bytes(plan, step, node->inputs[j]);
    return cost;
}

static pp__op_cost cost_of_encoding(const pp_plan *plan, const pp__plan_step *step) {
    const pp__saved *saved = &plan->saved[step->index];
    pp__shape shape = saved->shape;
    shape.n = step->image_count;
    double code = (double)pp__coding_bytes(&saved->coding, shape);
    return (pp__op_cost){.bytes = value_bytes(plan, step, saved->node) + code};
}

/* `transfers` reads and writes of a whole value, `flops` operations per element. */
static pp__op_cost cost_per_elem(const pp_plan *plan, const pp__plan_step *step, double flops,
                                 double transfers) {
    double bytes = value_bytes(plan, step, step->node);
    return (pp__op_cost){.flops = flops * bytes / sizeof(float), .bytes = transfers * bytes};
}

/* Elements of the gradients of parameters first .. end - 1. */
static double gradient_elems(const pp_plan *plan, size_t first, size_t end) {
    double elems = 0;
    for (size_t p = first; p < end; p++)
        if (plan->parameters[p].gradient != PP__NONE) elems += (double)plan->parameters[p].elems;
    return elems;
}

/* An update reads the gradient, and reads and writes the parameter and each of its moments; a
 * moment is a multiply-add, as is the step along it. */
static pp__op_cost cost_of_update(const pp_plan *plan, const pp__plan_step *step) {
    const pp__plan_node *last = &plan->nodes[step->index];
    double moments = plan->optimizer.kind == PP_OPTIMIZER_SGD ? plan->optimizer.momentum > 0 : 2;
    double elems = gradient_elems(plan, plan->nodes[step->node].first_parameter,
                                  last->first_parameter + last->parameter_count);
    return (pp__op_cost){.flops = 2 * (1 + moments) * elems,
                         .bytes = (3 + 2 * moments) * elems * sizeof(float)};
}

static pp__op_cost cost_of_clipping(const pp_plan *plan) {
    double elems = gradient_elems(plan, 0, plan->parameter_count);
    return (pp__op_cost){.flops = 2 * elems, .bytes = elems * sizeof(float)};
}

static pp__op_cost cost_of(const pp_plan *plan, const pp__plan_step *step) {
    switch (step->kind) {
        case PP__STEP_FORWARD: return cost_of_pass(plan, step, PP__PASS_FORWARD);
        case PP__STEP_BACKWARD_PARAMETERS:
            return cost_of_pass(plan, step, PP__PASS_BACKWARD_PARAMETERS);
        case PP__STEP_BACKWARD_SUMS:
        case PP__STEP_BACKWARD: return cost_of_pass(plan, step, PP__PASS_BACKWARD);
        case PP__STEP_MOMENTS: return cost_per_elem(plan, step, 3, 1);
        case PP__STEP_STATISTICS:
        case PP__STEP_BACKWARD_TOTALS: return (pp__op_cost){0}; /* a few numbers per channel */
        case PP__STEP_ENCODE: return cost_of_encoding(plan, step);
        case PP__STEP_COPY_GRADIENT: return cost_per_elem(plan, step, 0, 2);
        case PP__STEP_ADD_GRADIENT: return cost_per_elem(plan, step, 1, 3);
        case PP__STEP_CLIP: return cost_of_clipping(plan);
        case PP__STEP_UPDATE: return cost_of_update(plan, step);
    }
    return (pp__op_cost){0};
}

void pp_plan_describe_step(const pp_plan *plan, size_t step, pp_plan_step_info *info_out) {
    static const char *const passes[] = {
        [PP__STEP_FORWARD] = "forward",
        [PP__STEP_MOMENTS] = "moments",
        [PP__STEP_STATISTICS] = "statistics",
        [PP__STEP_BACKWARD_SUMS] = "backward sums",
        [PP__STEP_BACKWARD_TOTALS] = "backward totals",
        [PP__STEP_ENCODE] = "encode",
        [PP__STEP_BACKWARD_PARAMETERS] = "backward weight",
        [PP__STEP_BACKWARD] = "backward",
        [PP__STEP_COPY_GRADIENT] = "copy gradient",
        [PP__STEP_ADD_GRADIENT] = "add gradient",
        [PP__STEP_CLIP] = "gradient norm",
        [PP__STEP_UPDATE] = "update",
    };
    const pp__plan_step *s = &plan->steps[step];
    const pp__op_cost cost = cost_of(plan, s);
    *info_out = (pp_plan_step_info){
        .name = s->name,
        .node = plan->nodes[s->node].name,
        .operator_name = plan->nodes[s->node].op->name,
        .pass = passes[s->kind],
        .flops = cost.flops,
        .bytes = cost.bytes,
        .is_product = cost.is_product,
    };
}
