/* The forward steps and a buffer for every value.
 *
 * A value may overwrite its operator's input in place when the operator's traits allow it, nobody
 * else reads the input afterwards, and the input is not itself kept for backward. */
#include "plan/plan.h"

typedef struct forward_pass {
    pp_plan *plan;
    uint32_t *pending; /* per buffer: readers of its present value that are still to come */
    bool *kept;        /* per node: its float32 value stays for backward */
} forward_pass;

uint32_t pp__plan_kept_node(const pp_plan *plan, const pp__saved *saved) {
    if (!saved->coding.codec->stores_itself) return PP__NONE;
    return saved->subject == PP__SUBJECT_NORMALISED ? plan->nodes[saved->node].inputs[0]
                                                    : saved->node;
}

static bool may_overwrite(const forward_pass *f, uint32_t number, size_t input) {
    const pp_plan *plan = f->plan;
    const pp__plan_node *node = &plan->nodes[number];
    if (!(node->op->traits & (input ? PP__OP_IN_PLACE_SECOND : PP__OP_IN_PLACE)) &&
        !pp__plan_runs_alone(plan, number))
        return false;
    uint32_t source = node->inputs[input];
    const pp__plan_node *from = &plan->nodes[source];
    if (f->kept[source] || from->value == plan->input) return false;
    return f->pending[from->value] == 1 && pp__shape_equal(from->shape, node->shape);
}

/* Where the branches of a run of bands meet, the last pass computes all of them again from the run's
 * input. In a place of its own the output then grows as that input goes. */
static bool joins_branches(const pp_plan *plan, uint32_t number) {
    const pp__plan_node *node = &plan->nodes[number];
    if (node->op->input_count < 2 || !pp__plan_ends_run(plan, number)) return false;
    for (size_t j = 0; j < node->op->input_count; j++)
        if (!pp__plan_same_run(plan, number, node->inputs[j])) return false;
    return true;
}

/* The input whose place the output takes, or PP__NONE. One from outside of a run of bands comes
 * first: it is whole anyway. */
static uint32_t overwritten_input(const forward_pass *f, uint32_t number) {
    const pp__plan_node *node = &f->plan->nodes[number];
    uint32_t found = PP__NONE;
    if (joins_branches(f->plan, number)) return PP__NONE;
    for (size_t j = 0; j < node->op->input_count; j++) {
        if (!may_overwrite(f, number, j)) continue;
        if (!pp__plan_same_run(f->plan, number, node->inputs[j])) return node->inputs[j];
        if (found == PP__NONE) found = node->inputs[j];
    }
    return found;
}

static pp_status place_output(forward_pass *f, uint32_t number) {
    pp_plan *plan = f->plan;
    pp__plan_node *node = &plan->nodes[number];
    uint32_t input = overwritten_input(f, number);
    if (input != PP__NONE) {
        node->value = plan->nodes[input].value;
        f->pending[node->value] = node->consumer_count;
        return PP_OK;
    }
    pp_memory_class memory_class = f->kept[number] ? PP_MEMORY_SAVED : PP_MEMORY_TRANSIENT;
    size_t bytes = pp__shape_bytes(node->shape);
    PP_TRY(pp__plan_add_buffer(plan, node->name, NULL, memory_class, bytes, bytes, &node->value));
    plan->buffers[node->value].images = plan->batch;
    f->pending[node->value] = node->consumer_count;
    return PP_OK;
}

/* Buffers that the operator's own kernels write for backward: codes of x-hat, pool indices,
 * statistics. */
static pp_status place_operator_saves(pp_plan *plan, uint32_t number) {
    pp__plan_node *node = &plan->nodes[number];
    for (size_t s = 0; s < node->save_count; s++) {
        const pp__save *save = &node->saves[s];
        if (node->saved[s] == PP__NONE) {
            if (!save->bytes) continue;
            PP_TRY(pp__plan_add_buffer(plan, node->name, "statistics", PP_MEMORY_SAVED, save->bytes,
                                       save->bytes, &node->auxiliary[s]));
            continue;
        }
        pp__saved *saved = &plan->saved[node->saved[s]];
        bool by_operator =
            saved->subject != PP__SUBJECT_ACTIVATION && !saved->coding.codec->stores_itself;
        if (!by_operator || saved->node != number || saved->buffer != PP__NONE) continue;
        size_t raw = pp__shape_bytes(saved->shape);
        PP_TRY(pp__plan_add_buffer(
            plan, node->name, saved->subject == PP__SUBJECT_BITS ? "index" : "x-hat",
            PP_MEMORY_SAVED, raw, pp__coding_bytes(&saved->coding, saved->shape), &saved->buffer));
        plan->buffers[saved->buffer].saved = node->saved[s];
        plan->buffers[saved->buffer].images = plan->batch;
    }
    return PP_OK;
}

/* Training needs the moments of what is normalised: who makes it writes them where it can. */
static void want_moments(pp_plan *plan) {
    for (uint32_t i = 0; i < plan->node_count; i++) {
        plan->nodes[i].moments = PP__NONE;
        if (plan->inference || !pp__plan_normalises(&plan->nodes[i])) continue;
        uint32_t source = plan->nodes[i].inputs[0];
        const pp__op *op = plan->nodes[source].op;
        if (!op->moments) continue;
        pp__op_query q;
        pp__stored stored[PP__OP_SAVES];
        pp__plan_query(plan, source, plan->profile, &q, stored);
        plan->nodes[source].moment_splits = op->moments(&q);
    }
}

static pp_status place_moments(pp_plan *plan, uint32_t number) {
    pp__plan_node *node = &plan->nodes[number];
    if (!node->moment_splits) return PP_OK;
    size_t bytes = (size_t)node->moment_splits * PP__OP_MOMENTS * node->shape.c * sizeof(float);
    return pp__plan_add_buffer(plan, node->name, "moments", PP_MEMORY_WORKSPACE, bytes, bytes,
                               &node->moments);
}

static pp_status add_encode_steps(pp_plan *plan, uint32_t number) {
    for (size_t i = 0; i < plan->saved_count; i++) {
        pp__saved *saved = &plan->saved[i];
        if (saved->node != number || !saved->own_step) continue;
        pp__plan_step *step;
        PP_TRY(pp__plan_add_step(plan, PP__STEP_ENCODE, number, "encode", &step));
        step->index = (uint32_t)i;
        PP_TRY(pp__plan_add_buffer(plan, plan->nodes[number].name,
                                   saved->kind == PP__SAVED_MASK ? "mask" : "code", PP_MEMORY_SAVED,
                                   pp__shape_bytes(saved->shape),
                                   pp__coding_bytes(&saved->coding, saved->shape), &saved->buffer));
        plan->buffers[saved->buffer].saved = (uint32_t)i;
        plan->buffers[saved->buffer].images = plan->batch;
    }
    return PP_OK;
}

static pp_status add_forward_step(forward_pass *f, uint32_t number) {
    pp_plan *plan = f->plan;
    pp__plan_node *node = &plan->nodes[number];
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_FORWARD, number, "forward", &step));
    /* The output is placed while its inputs still count as unread, so that only the last reader
     * overwrites. */
    uint32_t before[PP__OP_INPUTS];
    for (size_t j = 0; j < node->op->input_count; j++)
        before[j] = plan->nodes[node->inputs[j]].value;
    PP_TRY(place_output(f, number));
    for (size_t j = 0; j < node->op->input_count; j++)
        if (before[j] != node->value && f->pending[before[j]]) f->pending[before[j]]--;
    PP_TRY(place_operator_saves(plan, number));
    PP_TRY(place_moments(plan, number));
    return pp__plan_add_workspace(plan, number, PP__PASS_FORWARD, step);
}

/* Kept float32 tensors: the record's buffer is the value's own; bytes stay where they arrived. */
static void point_at_kept_values(pp_plan *plan) {
    for (size_t i = 0; i < plan->saved_count; i++) {
        uint32_t node = pp__plan_kept_node(plan, &plan->saved[i]);
        if (plan->saved[i].coding.codec->staged)
            plan->saved[i].buffer = plan->input;
        else if (node != PP__NONE)
            plan->saved[i].buffer = plan->nodes[node].value;
        else
            continue;
        pp__plan_buffer *buffer = &plan->buffers[plan->saved[i].buffer];
        if (buffer->saved == PP__NONE) buffer->saved = (uint32_t)i;
        if (plan->saved[i].buffer != plan->input) buffer->memory_class = PP_MEMORY_SAVED;
    }
    for (size_t i = 0; i < plan->saved_count; i++)
        plan->buffers[plan->saved[i].buffer].views |= plan->saved[i].views;
}

static pp_status walk(forward_pass *f) {
    pp_plan *plan = f->plan;
    for (size_t i = 0; i < plan->saved_count; i++) {
        uint32_t node = pp__plan_kept_node(plan, &plan->saved[i]);
        if (node != PP__NONE) f->kept[node] = true;
    }
    want_moments(plan);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i].op->traits & PP__OP_SOURCE && !plan->pixels) {
            plan->nodes[i].value = plan->input;
            f->pending[plan->input] = plan->nodes[i].consumer_count;
        } else {
            PP_TRY(add_forward_step(f, i));
        }
        PP_TRY(add_encode_steps(plan, i));
    }
    point_at_kept_values(plan);
    return PP_OK;
}

pp_status pp__plan_forward(pp_plan *plan) {
    forward_pass f = {.plan = plan};
    pp_status status = PP_OK;
    /* A node makes at most one buffer for its output, one for its moments, one per save, one per
     * encoding and one workspace. */
    size_t most =
        plan->buffer_count + plan->node_count * (3 + 2 * PP__OP_SAVES) + plan->saved_count;
    PP_TRY_GOTO(status, pp__allocate(plan->engine, most, sizeof *f.pending, &f.pending), done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->node_count, sizeof *f.kept, &f.kept),
                done);
    PP_TRY_GOTO(status, walk(&f), done);
done:
    pp__release(plan->engine, f.pending);
    pp__release(plan->engine, f.kept);
    return status;
}
