/* The backward and update steps, and a buffer for every gradient.
 *
 * Nodes are taken in reverse. The first reader of a value that comes by overwrites the value's
 * gradient, later ones add to it, so nothing is ever filled with zeros. Where an operator passes
 * its gradient on unchanged (add), its inputs' gradients *are* that buffer; a shared buffer is
 * copied only before somebody adds to it while another value's gradient still lies there.
 *
 * A parameter's gradient waits for its update until there are enough of them for one launch. What
 * waits is bounded by the profile and by a small share of what a step holds anyway, so it costs
 * next to no memory: the gradients of small layers wait for one another, those of large ones for
 * nobody. */
#include "plan/plan.h"

#include "profile/profile.h"
#include "util/size.h"

/* A buffer with a gradient. */
typedef struct place {
    uint32_t sharers; /* values whose pending gradient lies there */
    uint32_t maker;   /* the node whose backward step wrote it first */
} place;

typedef struct backward_pass {
    pp_plan *plan;
    uint32_t number;    /* of the node at hand */
    uint32_t *gradient; /* per node: the buffer of its output's gradient, or PP__NONE so far */
    place *places;      /* per buffer */
    size_t place_capacity;
    uint32_t waiting_last, waiting_first; /* the nodes whose updates wait; last PP__NONE: none */
    size_t waiting_bytes, most_waiting_bytes;
} backward_pass;

/* Gradients may wait as long as they are less than one part in so many of what is live. */
enum { WAITING_SHARE = 128 };

static pp_status new_gradient(backward_pass *b, uint32_t node, uint32_t *buffer_out) {
    pp_plan *plan = b->plan;
    size_t bytes = pp__shape_bytes(plan->nodes[node].shape);
    PP_TRY(pp__plan_add_buffer(plan, plan->nodes[node].name, "gradient", PP_MEMORY_TRANSIENT, bytes,
                               bytes, buffer_out));
    plan->buffers[*buffer_out].images = plan->batch;
    PP_TRY(pp__grow(plan->engine, &b->places, &b->place_capacity, plan->buffer_count,
                    sizeof *b->places));
    b->places[*buffer_out].maker = b->number;
    return PP_OK;
}

static void set_gradient(backward_pass *b, uint32_t node, uint32_t buffer) {
    b->gradient[node] = buffer;
    b->places[buffer].sharers++;
}

/* Before adding to a node's gradient: make its buffer its own. */
static pp_status make_exclusive(backward_pass *b, uint32_t node) {
    uint32_t shared = b->gradient[node], own;
    if (b->places[shared].sharers == 1) return PP_OK;
    PP_TRY(new_gradient(b, node, &own));
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(b->plan, PP__STEP_COPY_GRADIENT, node, "copy gradient", &step));
    step->output_gradient = shared;
    step->input_gradients[0] = own;
    b->places[shared].sharers--;
    set_gradient(b, node, own);
    return PP_OK;
}

/* Input `node` receives the gradient in `buffer` unchanged. */
static pp_status share_gradient(backward_pass *b, uint32_t node, uint32_t buffer) {
    if (!b->plan->nodes[node].wants_gradient) return PP_OK;
    if (b->gradient[node] == PP__NONE) {
        set_gradient(b, node, buffer);
        return PP_OK;
    }
    PP_TRY(make_exclusive(b, node));
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(b->plan, PP__STEP_ADD_GRADIENT, node, "add gradient", &step));
    step->output_gradient = buffer;
    step->input_gradients[0] = b->gradient[node];
    return PP_OK;
}

static pp_status share_with_inputs(backward_pass *b, const pp__plan_node *node, uint32_t buffer) {
    for (size_t j = 0; j < node->op->input_count; j++)
        PP_TRY(share_gradient(b, node->inputs[j], buffer));
    return PP_OK;
}

static pp_status place_parameter_gradients(pp_plan *plan, const pp__plan_node *node) {
    for (uint32_t p = 0; p < node->parameter_count; p++) {
        pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        if (!parameter->spec.trainable) continue;
        size_t bytes = parameter->elems * sizeof(float);
        PP_TRY(pp__plan_add_buffer(plan, parameter->name, "gradient", PP_MEMORY_GRADIENTS, bytes,
                                   bytes, &parameter->gradient));
    }
    return PP_OK;
}

static bool has_gradients(const pp_plan *plan, const pp__plan_node *node) {
    for (uint32_t p = 0; p < node->parameter_count; p++)
        if (plan->parameters[node->first_parameter + p].spec.trainable) return true;
    return false;
}

static pp_status add_parameter_step(backward_pass *b, uint32_t number, uint32_t output_gradient) {
    pp_plan *plan = b->plan;
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_BACKWARD_PARAMETERS, number, "backward weight", &step));
    step->output_gradient = output_gradient;
    PP_TRY(pp__plan_add_workspace(plan, number, PP__PASS_BACKWARD_PARAMETERS, step));
    return place_parameter_gradients(plan, &plan->nodes[number]);
}

/* In bands, what comes from outside of the run is read again by every pass over them. */
static bool may_overwrite(const backward_pass *b, uint32_t number, uint32_t output_gradient) {
    if (pp__plan_runs_alone(b->plan, number)) return true;
    return b->plan->nodes[number].op->traits & PP__OP_GRADIENT_IN_PLACE &&
           pp__plan_same_run(b->plan, number, b->places[output_gradient].maker);
}

/* Where backward writes the gradient of input j, and whether it adds. */
static pp_status place_input_gradient(backward_pass *b, uint32_t number, size_t j,
                                      uint32_t output_gradient, uint32_t *buffer_out,
                                      bool *adds_out) {
    pp_plan *plan = b->plan;
    const pp__plan_node *node = &plan->nodes[number];
    uint32_t input = node->inputs[j];
    *adds_out = b->gradient[input] != PP__NONE;
    if (*adds_out) {
        PP_TRY(make_exclusive(b, input));
    } else {
        uint32_t buffer = output_gradient;
        bool in_place = j == 0 && output_gradient != PP__NONE &&
                        may_overwrite(b, number, output_gradient) &&
                        b->places[output_gradient].sharers == 1 &&
                        pp__shape_equal(plan->nodes[input].shape, node->shape);
        if (!in_place) PP_TRY(new_gradient(b, input, &buffer));
        set_gradient(b, input, buffer);
    }
    *buffer_out = b->gradient[input];
    return PP_OK;
}

/* add_relu and its like: one gradient for all inputs, written to a buffer that the inputs then
 * share. */
static pp_status add_common_step(backward_pass *b, uint32_t number, uint32_t output_gradient) {
    pp_plan *plan = b->plan;
    uint32_t buffer = output_gradient;
    bool in_place =
        plan->nodes[number].op->traits & PP__OP_GRADIENT_IN_PLACE && b->places[buffer].sharers == 1;
    if (!in_place) PP_TRY(new_gradient(b, number, &buffer));
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_BACKWARD, number, "backward", &step));
    step->output_gradient = output_gradient;
    step->input_gradients[0] = buffer;
    PP_TRY(pp__plan_add_workspace(plan, number, PP__PASS_BACKWARD, step));
    b->places[output_gradient].sharers--;
    b->places[buffer].sharers++;
    PP_TRY(share_with_inputs(b, &plan->nodes[number], buffer));
    b->places[buffer].sharers--;
    return PP_OK;
}

static pp_status add_backward_step(backward_pass *b, uint32_t number, uint32_t output_gradient) {
    pp_plan *plan = b->plan;
    pp__plan_node *node = &plan->nodes[number];
    uint32_t buffers[PP__OP_INPUTS];
    bool adds[PP__OP_INPUTS] = {false},
         any = has_gradients(plan, node) && !node->op->backward_parameters;
    for (size_t j = 0; j < PP__OP_INPUTS; j++) buffers[j] = PP__NONE;
    for (size_t j = 0; j < node->op->input_count; j++) {
        if (!plan->nodes[node->inputs[j]].wants_gradient) continue;
        PP_TRY(place_input_gradient(b, number, j, output_gradient, &buffers[j], &adds[j]));
        any = true;
    }
    if (!any) return PP_OK;
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_BACKWARD, number, "backward", &step));
    step->output_gradient = output_gradient;
    for (size_t j = 0; j < PP__OP_INPUTS; j++) {
        step->input_gradients[j] = buffers[j];
        step->adds[j] = adds[j];
    }
    PP_TRY(pp__plan_add_workspace(plan, number, PP__PASS_BACKWARD, step));
    return node->op->backward_parameters ? PP_OK : place_parameter_gradients(plan, node);
}

/* Parameters, moments and saved values all live when backward begins. */
static size_t most_waiting_bytes(const pp_plan *plan) {
    if (plan->updates_at_end) return SIZE_MAX;
    size_t kept = 0, most = pp__profile_bytes(plan->profile, "update.wait_bytes");
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        if (b->memory_class == PP_MEMORY_PARAMETERS || b->memory_class == PP_MEMORY_OPTIMIZER ||
            b->memory_class == PP_MEMORY_SAVED || b->saved != PP__NONE)
            kept += b->bytes;
    }
    return kept / WAITING_SHARE < most ? kept / WAITING_SHARE : most;
}

/* One step for all that waits. */
static pp_status add_update_step(backward_pass *b) {
    pp_plan *plan = b->plan;
    if (b->waiting_last == PP__NONE) return PP_OK;
    const uint32_t first = b->waiting_first, last = b->waiting_last;
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_UPDATE, first, first == last ? "update" : "updates",
                             &step));
    step->index = last;
    b->waiting_last = PP__NONE;
    b->waiting_bytes = 0;
    return PP_OK;
}

static pp_status await_update(backward_pass *b, uint32_t number) {
    const pp_plan *plan = b->plan;
    const pp__plan_node *node = &plan->nodes[number];
    size_t bytes = 0;
    for (uint32_t p = 0; p < node->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        if (parameter->gradient != PP__NONE) bytes += parameter->elems * sizeof(float);
    }
    if (!bytes) return PP_OK;
    if (b->waiting_last == PP__NONE) b->waiting_last = number;
    b->waiting_first = number;
    b->waiting_bytes += bytes;
    return b->waiting_bytes < b->most_waiting_bytes ? PP_OK : add_update_step(b);
}

static pp_status add_node_steps(backward_pass *b, uint32_t number) {
    pp_plan *plan = b->plan;
    b->number = number;
    PP_TRY(pp__plan_recompute(plan, number));
    const pp__plan_node *node = &plan->nodes[number];
    uint32_t output_gradient = b->gradient[number];
    bool is_loss = number == plan->loss_node;
    if (!node->wants_gradient || (output_gradient == PP__NONE && !is_loss)) return PP_OK;
    if (node->op->traits & PP__OP_GRADIENT_SHARED) {
        PP_TRY(share_with_inputs(b, node, output_gradient));
    } else if (node->op->traits & PP__OP_GRADIENT_COMMON) {
        return add_common_step(b, number, output_gradient);
    } else {
        if (node->op->backward_parameters && has_gradients(plan, node))
            PP_TRY(add_parameter_step(b, number, output_gradient));
        PP_TRY(add_backward_step(b, number, output_gradient));
    }
    if (!is_loss) b->places[output_gradient].sharers--;
    return await_update(b, number);
}

size_t pp__plan_square_count(const pp_plan *plan, const pp_profile *profile) {
    const uint32_t block = pp__profile_u32(profile, "update.block");
    size_t count = 0;
    for (size_t p = 0; p < plan->parameter_count; p++)
        if (plan->parameters[p].gradient != PP__NONE)
            count += pp__divide_up((uint32_t)plan->parameters[p].elems, block);
    return count;
}

static pp_status add_final_updates(backward_pass *b) {
    pp_plan *plan = b->plan;
    if (plan->optimizer.clip_norm > 0) {
        pp__plan_step *step;
        PP_TRY(pp__plan_add_step(plan, PP__STEP_CLIP, plan->loss_node, "gradient norm", &step));
        size_t now = plan->step_count - 1,
               bytes = pp__plan_square_count(plan, plan->profile) * sizeof(float);
        PP_TRY(pp__plan_add_buffer(plan, "gradient norm", "workspace", PP_MEMORY_WORKSPACE, bytes,
                                   bytes, &plan->steps[now].workspace));
    }
    return add_update_step(b);
}

static pp_status add_update_table(pp_plan *plan) {
    size_t rows = 0;
    for (size_t p = 0; p < plan->parameter_count; p++)
        rows += plan->parameters[p].gradient != PP__NONE;
    if (!rows) return PP_OK;
    const size_t bytes = rows * PP__UPDATE_ROW_WORDS * sizeof(uint32_t);
    return pp__plan_add_buffer(plan, "update table", NULL, PP_MEMORY_STAGING, bytes, bytes,
                               &plan->update_table);
}

pp_status pp__plan_backward(pp_plan *plan) {
    if (plan->loss_node == PP__NONE)
        return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: the graph has no loss; add one, or plan for inference");
    if (plan->rule_count && !plan->nodes[plan->loss_node].wants_gradient)
        return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: the rules freeze all %zu parameters; one at least is to be trained",
                        plan->parameter_count);
    backward_pass b = {
        .plan = plan, .waiting_last = PP__NONE, .most_waiting_bytes = most_waiting_bytes(plan)};
    pp_status status = PP_OK;
    PP_TRY_GOTO(status,
                pp__allocate(plan->engine, plan->node_count, sizeof *b.gradient, &b.gradient),
                done);
    for (size_t i = 0; i < plan->node_count; i++) b.gradient[i] = PP__NONE;
    PP_TRY_GOTO(
        status,
        pp__grow(plan->engine, &b.places, &b.place_capacity, plan->buffer_count, sizeof *b.places),
        done);
    for (uint32_t i = (uint32_t)plan->node_count; i-- > 0;)
        PP_TRY_GOTO(status, add_node_steps(&b, i), done);
    PP_TRY_GOTO(status, plan->updates_at_end ? add_final_updates(&b) : add_update_step(&b), done);
    PP_TRY_GOTO(status, add_update_table(plan), done);
    pp__plan_drop_superseded(plan);
done:
    pp__release(plan->engine, b.gradient);
    pp__release(plan->engine, b.places);
    return status;
}
