/* Blocks that are computed again for backward (checkpointing): nothing that lies between a block's
 * nodes is kept from forward to backward, but only the block's input, which is needed anyway. In
 * front of the block's backward steps its forward steps run once more, from that input as it was
 * stored, with the statistics of the first time, and leave the codes that backward reads.
 *
 * With an exact input the second time gives what the first gave, bit for bit. */
#include <string.h>

#include "plan/plan.h"

static pp_status fail_block(const pp_plan *plan, const pp__plan_run *run, const char *why,
                            const char *name) {
    return pp__fail(plan->engine, PP_ERROR_UNSUPPORTED,
                    "plan: '%s' to '%s' cannot be computed again: %s '%s'",
                    plan->nodes[run->first].name, plan->nodes[run->last].name, why, name);
}

static bool overlap(const pp__plan_run *a, const pp__plan_run *b) {
    return a->first <= b->last && b->first <= a->last;
}

static pp_status check_apart(const pp_plan *plan, const pp__plan_run *run) {
    for (size_t i = 0; i < plan->recomputed_count; i++)
        if (overlap(run, &plan->recomputed[i]))
            return fail_block(plan, run, "it overlaps with that of",
                              plan->nodes[plan->recomputed[i].first].name);
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan->runs[i].images < plan->batch && overlap(run, &plan->runs[i]))
            return fail_block(plan, run, "it overlaps with the bands of",
                              plan->nodes[plan->runs[i].first].name);
    return PP_OK;
}

pp_status pp__plan_read_recomputed(pp_plan *plan, const pp_plan_options *options) {
    if (plan->inference) return PP_OK;
    PP_TRY(pp__allocate(plan->engine, options->recompute_count, sizeof *plan->recomputed,
                        &plan->recomputed));
    for (size_t i = 0; i < options->recompute_count; i++) {
        const pp_span *span = &options->recompute[i];
        pp__plan_run run = {.images = plan->batch};
        PP_TRY(pp__plan_find_node(plan, "computing again", span->first, &run.first));
        PP_TRY(pp__plan_find_node(plan, "computing again", span->last, &run.last));
        if (run.first > run.last)
            return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "plan: computing '%s' to '%s' again: the former comes behind the "
                            "latter",
                            span->first, span->last);
        PP_TRY(check_apart(plan, &run));
        plan->recomputed[plan->recomputed_count++] = run;
    }
    return PP_OK;
}

/* Its own output and codes are kept from forward: the last node's, and those of nodes outside. */
static bool is_inside(const pp__plan_run *run, uint32_t node) {
    return node >= run->first && node < run->last;
}

/* Only the last node's output is read behind the block, and what is kept of it. */
static pp_status check_block(const pp_plan *plan, const pp__plan_run *run) {
    for (uint32_t i = run->last + 1; i < plan->node_count; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        for (size_t j = 0; j < node->op->input_count; j++)
            if (is_inside(run, node->inputs[j]))
                return fail_block(plan, run, "its inside is read by", node->name);
        for (size_t s = 0; s < node->save_count; s++)
            if (node->saved[s] != PP__NONE && is_inside(run, plan->saved[node->saved[s]].node))
                return fail_block(plan, run, "its inside is read in backward by", node->name);
    }
    return PP_OK;
}

/* The nodes that make what backward reads, and those that they need. */
static void find_wanted(const pp_plan *plan, const pp__plan_run *run, bool *wanted) {
    for (size_t r = 0; r < plan->saved_count; r++) {
        const uint32_t kept = pp__plan_kept_node(plan, &plan->saved[r]);
        const uint32_t maker = kept != PP__NONE ? kept : plan->saved[r].node;
        if (is_inside(run, maker)) wanted[maker] = true;
    }
    for (uint32_t i = run->last; i-- > run->first;)
        for (size_t j = 0; wanted[i] && j < plan->nodes[i].op->input_count; j++)
            if (is_inside(run, plan->nodes[i].inputs[j])) wanted[plan->nodes[i].inputs[j]] = true;
}

static pp_status add_copy(pp_plan *plan, size_t original, const char *what,
                          pp__plan_step **step_out) {
    const pp__plan_step from = plan->steps[original];
    PP_TRY(pp__plan_add_step(plan, from.kind, from.node, what, step_out));
    (*step_out)->index = from.index;
    (*step_out)->recomputed = (*step_out)->training_only = true;
    return PP_OK;
}

static pp_status compute_again(pp_plan *plan, size_t original) {
    const uint32_t number = plan->steps[original].node;
    pp__plan_step *step;
    PP_TRY(add_copy(plan, original, "recompute", &step));
    step->divided = pp__plan_normalises(&plan->nodes[number]);
    step->repeated = true;
    return pp__plan_add_workspace(plan, number, PP__PASS_FORWARD, step);
}

/* The record that gives a node's output back, or PP__NONE. */
static uint32_t find_form(const pp_plan *plan, uint32_t number) {
    for (uint32_t i = number + 1; i < plan->node_count; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        for (size_t s = 0; s < node->save_count; s++)
            if (node->saved[s] != PP__NONE && node->saves[s].source == PP__SAVE_INPUT &&
                node->saves[s].view == PP__VIEW_VALUE && node->inputs[0] == number)
                return node->saved[s];
    }
    return PP__NONE;
}

static bool is_kept(const pp_plan *plan, uint32_t number) {
    for (size_t r = 0; r < plan->saved_count; r++)
        if (pp__plan_kept_node(plan, &plan->saved[r]) == number) return true;
    return plan->nodes[number].value == plan->input;
}

static bool can_decode(const pp__saved *saved) {
    return saved->subject == PP__SUBJECT_NORMALISED || saved->coding.codec->decode;
}

/* Puts the output of a node outside of the block back in its place. */
static pp_status restore(pp_plan *plan, const pp__plan_run *run, uint32_t number) {
    if (is_kept(plan, number)) return PP_OK;
    if (plan->nodes[number].op->traits & PP__OP_SOURCE) {
        for (size_t s = 0; s < plan->step_count; s++)
            if (plan->steps[s].kind == PP__STEP_FORWARD && plan->steps[s].node == number)
                return compute_again(plan, s);
    }
    const uint32_t record = find_form(plan, number);
    if (record == PP__NONE || !can_decode(&plan->saved[record]))
        return fail_block(plan, run, "backward keeps no form of what it begins with,",
                          plan->nodes[number].name);
    for (size_t i = 0; i < plan->recomputed_count; i++)
        if (is_inside(&plan->recomputed[i], plan->saved[record].node))
            return fail_block(plan, run, "what it begins with is computed again itself,",
                              plan->nodes[number].name);
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, PP__STEP_DECODE, number, "decode", &step));
    step->index = record;
    step->recomputed = step->training_only = true;
    return PP_OK;
}

static pp_status restore_inputs(pp_plan *plan, const pp__plan_run *run, const bool *wanted) {
    for (uint32_t number = 0; number < run->first; number++) {
        bool read = false;
        for (uint32_t i = run->first; i < run->last; i++)
            for (size_t j = 0; wanted[i] && j < plan->nodes[i].op->input_count; j++)
                read |= plan->nodes[i].inputs[j] == number;
        if (read) PP_TRY(restore(plan, run, number));
    }
    return PP_OK;
}

/* What follows a node's forward step belongs to it. Codes are made the second time alone. */
static pp_status repeat_steps(pp_plan *plan, const pp__plan_run *run, const bool *wanted) {
    const size_t end = plan->step_count;
    pp__plan_step *step;
    for (size_t s = 0; s < end; s++) {
        if (plan->steps[s].recomputed || !is_inside(run, plan->steps[s].node)) continue;
        const pp__step_kind kind = plan->steps[s].kind;
        if (kind == PP__STEP_FORWARD && wanted[plan->steps[s].node])
            PP_TRY(compute_again(plan, s));
        else if (kind == PP__STEP_ENCODE) {
            PP_TRY(add_copy(plan, s, "encode", &step));
            plan->steps[s].superseded = true;
        }
    }
    return PP_OK;
}

pp_status pp__plan_recompute(pp_plan *plan, uint32_t last) {
    for (size_t i = 0; i < plan->recomputed_count; i++) {
        const pp__plan_run *run = &plan->recomputed[i];
        if (run->last != last) continue;
        bool *wanted;
        PP_TRY(check_block(plan, run));
        PP_TRY(pp__allocate(plan->engine, plan->node_count, sizeof *wanted, &wanted));
        find_wanted(plan, run, wanted);
        pp_status status = restore_inputs(plan, run, wanted);
        if (status == PP_OK) status = repeat_steps(plan, run, wanted);
        pp__release(plan->engine, wanted);
        return status;
    }
    return PP_OK;
}

void pp__plan_drop_superseded(pp_plan *plan) {
    size_t kept = 0;
    for (size_t s = 0; s < plan->step_count; s++)
        if (plan->steps[s].superseded)
            pp__release(plan->engine, plan->steps[s].name);
        else
            plan->steps[kept++] = plan->steps[s];
    plan->step_count = kept;
}
