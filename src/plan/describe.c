/* What each step has to do: operations and bytes, whatever kernels do them; and what each layer's
 * backward reads, and how exact that leaves its gradients. */
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

/* Bytes of the moments of parameters first .. end - 1. */
static double moment_bytes(const pp_plan *plan, size_t first, size_t end) {
    double bytes = 0;
    for (size_t p = first; p < end; p++)
        for (size_t m = 0; m < 2; m++)
            if (plan->parameters[p].moments[m] != PP__NONE)
                bytes += (double)plan->buffers[plan->parameters[p].moments[m]].bytes;
    return bytes;
}

/* An update reads the gradient, and reads and writes the parameter and each of its moments; a
 * moment is a multiply-add, as is the step along it. */
static pp__op_cost cost_of_update(const pp_plan *plan, const pp__plan_step *step) {
    const pp__plan_node *last = &plan->nodes[step->index];
    double moments = plan->optimizer.kind == PP_OPTIMIZER_SGD ? plan->optimizer.momentum > 0 : 2;
    size_t first = plan->nodes[step->node].first_parameter,
           end = last->first_parameter + last->parameter_count;
    double elems = gradient_elems(plan, first, end);
    return (pp__op_cost){
        .flops = 2 * (1 + moments) * elems,
        .bytes = 3 * elems * sizeof(float) + 2 * moment_bytes(plan, first, end),
    };
}

static pp__op_cost cost_of_clipping(const pp_plan *plan) {
    double elems = gradient_elems(plan, 0, plan->parameter_count);
    return (pp__op_cost){.flops = 2 * elems, .bytes = elems * sizeof(float)};
}

static pp__op_cost cost_of_parking(const pp_plan *plan, const pp__plan_step *step) {
    double bytes = 0;
    const uint32_t buffers[] = {step->output_gradient, step->input_gradients[0]};
    for (size_t i = 0; i < 2; i++)
        bytes += (double)(plan->buffers[buffers[i]].bytes / plan->batch * step->image_count);
    return (pp__op_cost){.bytes = bytes};
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
        case PP__STEP_ENCODE:
        case PP__STEP_DECODE: return cost_of_encoding(plan, step);
        case PP__STEP_COPY_VALUE:
        case PP__STEP_COPY_GRADIENT: return cost_per_elem(plan, step, 0, 2);
        case PP__STEP_ADD_GRADIENT: return cost_per_elem(plan, step, 1, 3);
        case PP__STEP_PARK:
        case PP__STEP_FETCH: return cost_of_parking(plan, step);
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
        [PP__STEP_DECODE] = "decode",
        [PP__STEP_BACKWARD_PARAMETERS] = "backward weight",
        [PP__STEP_BACKWARD] = "backward",
        [PP__STEP_COPY_VALUE] = "copy",
        [PP__STEP_COPY_GRADIENT] = "copy gradient",
        [PP__STEP_ADD_GRADIENT] = "add gradient",
        [PP__STEP_PARK] = "park",
        [PP__STEP_FETCH] = "fetch",
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

/* Whether a float32 framework keeps the node's inputs for the node's own backward. */
static bool keeps_input(const pp__plan_node *node) {
    if (pp__plan_normalises(node) || node->op->traits & PP__OP_POOL_INPUT) return true;
    for (size_t s = 0; s < node->save_count; s++)
        if (node->saves[s].source == PP__SAVE_INPUT && !node->saves[s].exact) return true;
    return false;
}

/* Whether an earlier layer keeps the output of `source` already. */
static bool is_kept_before(const pp_plan *plan, uint32_t source, uint32_t number) {
    if (plan->nodes[source].wants_gradient && plan->nodes[source].op->traits & PP__OP_RELU_OUTPUT)
        return true;
    for (uint32_t i = source + 1; i < number; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        for (size_t k = 0; k < node->op->input_count; k++)
            if (node->inputs[k] == source && node->wants_gradient && keeps_input(node)) return true;
    }
    return false;
}

/* The tensors that pp__plan_framework_bytes counts, each at the layer that needs it first. */
static size_t framework_bytes(const pp_plan *plan, uint32_t number) {
    const pp__plan_node *node = &plan->nodes[number];
    const size_t own = pp__shape_bytes(node->shape);
    size_t bytes = node->op->traits & PP__OP_RELU_OUTPUT ? own : 0;
    if (node->op->traits & PP__OP_POOL_INPUT) bytes += own / sizeof(float) * sizeof(uint64_t);
    for (size_t k = 0; k < node->op->input_count && keeps_input(node); k++)
        if (!is_kept_before(plan, node->inputs[k], number))
            bytes += pp__shape_bytes(plan->nodes[node->inputs[k]].shape);
    return bytes;
}

static const char *view_name(pp__view view) {
    switch (view) {
        case PP__VIEW_VALUE: return "value";
        case PP__VIEW_MASK: return "mask";
        case PP__VIEW_XHAT: return "x-hat";
        case PP__VIEW_INDEX: return "index";
    }
    return "statistics";
}

static void describe_reads(const pp_plan *plan, const pp__plan_node *node, pp_plan_layer *layer) {
    for (size_t s = 0; s < node->save_count; s++) {
        const pp__saved *saved = node->saved[s] != PP__NONE ? &plan->saved[node->saved[s]] : NULL;
        const uint32_t buffer = saved ? saved->buffer : node->auxiliary[s];
        if (buffer == PP__NONE) continue;
        const pp__view view = node->saves[s].view;
        /* Codecs offer a mask or an index only where they give it back as it was. */
        const bool values = view == PP__VIEW_VALUE || view == PP__VIEW_XHAT;
        layer->reads[layer->read_count].view = saved ? view_name(view) : "statistics";
        layer->reads[layer->read_count].row = buffer;
        layer->reads[layer->read_count++].exact = !saved || !values || !saved->coding.codec->lossy;
    }
}

void pp_plan_read_layer(const pp_plan *plan, size_t index, pp_plan_layer *layer_out) {
    const pp__plan_node *node = &plan->nodes[index];
    *layer_out = (pp_plan_layer){.name = node->name, .operator_name = node->op->name};
    for (size_t p = 0; p < node->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        if (parameter->spec.trainable) layer_out->parameter_elems += parameter->elems;
    }
    if (plan->inference || !node->wants_gradient) return;
    layer_out->framework_bytes = framework_bytes(plan, (uint32_t)index);
    describe_reads(plan, node, layer_out);
    bool lossy = false;
    for (size_t r = 0; r < layer_out->read_count; r++) lossy |= !layer_out->reads[r].exact;

    /* Biases and betas gather the gradient alone; the first parameter's gradient multiplies it with
     * what was read. So does a batch-norm's data gradient, in one of its terms; every other layer's
     * takes the gradient, weights and masks. */
    const bool normalises = (node->op->traits & PP__OP_NORMALISES) != 0;
    const pp_gradient_term read = lossy ? PP_TERM_APPROXIMATE : PP_TERM_EXACT;
    pp_gradient_term terms[2] = {PP_TERM_ABSENT, PP_TERM_ABSENT};
    for (size_t p = 0; p < node->parameter_count && p < 2; p++)
        if (plan->parameters[node->first_parameter + p].spec.trainable)
            terms[p] = p == 0 ? read : PP_TERM_EXACT;
    *(normalises ? &layer_out->gamma : &layer_out->weight) = terms[0];
    *(normalises ? &layer_out->beta : &layer_out->bias) = terms[1];
    for (size_t k = 0; k < node->op->input_count; k++)
        if (plan->nodes[node->inputs[k]].wants_gradient)
            layer_out->input = pp__plan_normalises(node) ? read : PP_TERM_EXACT;
}

size_t pp_plan_layer_count(const pp_plan *plan) {
    return plan->node_count;
}
