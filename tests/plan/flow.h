/* Runs a plan with symbols in place of numbers.
 *
 * Every buffer holds a 64-bit symbol of what was last written to it; a write wipes out whatever
 * overlaps it in memory. Each step must find what it is meant to read: the value of that node and
 * no other, the code of that record, the complete gradient. A gradient's symbol is the sum of its
 * terms' symbols, one term per reader, so a term that is missing, added twice or read too early
 * shows. This knows the operators' traits and nothing of how the plan places its buffers. */
#ifndef PP_TEST_PLAN_FLOW_H
#define PP_TEST_PLAN_FLOW_H

#include <stdlib.h>

#include "plan/plan.h"
#include "support/support.h"

typedef enum flow_what {
    FLOW_VALUE = 1,
    FLOW_CODE,
    FLOW_AUXILIARY,
    FLOW_PARAMETER,
    FLOW_UPDATED,
    FLOW_SUM_SO_FAR, /* of earlier micro-steps' gradients */
    FLOW_PARAMETER_GRADIENT,
    FLOW_TERM, /* what one reader adds to a gradient */
    FLOW_STAGED,
    FLOW_WORKSPACE
} flow_what;

static inline uint64_t flow_symbol(flow_what what, uint64_t first, uint64_t second) {
    uint64_t x = (uint64_t)what * 0x9e3779b97f4a7c15u + first * 0xbf58476d1ce4e5b9u +
                 (second + 1) * 0x94d049bb133111ebu;
    for (int i = 0; i < 3; i++) x = (x ^ (x >> 29)) * 0xd6e8feb86659fd93u;
    return x;
}

typedef struct flow {
    const pp_plan *plan;
    uint64_t *holds;    /* per buffer; 0: nothing known */
    uint64_t *expected; /* per node: its output's complete gradient; 0: it has none */
    size_t step;
} flow;

static inline void flow_check_life(const flow *f, uint32_t buffer) {
    const pp__plan_buffer *b = &f->plan->buffers[buffer];
    ck_assert_msg(b->first <= f->step && f->step <= b->last,
                  "step %zu (%s) uses '%s', which lives in steps %zu to %zu", f->step,
                  f->plan->steps[f->step].name, b->name, b->first, b->last);
}

static inline void flow_read(const flow *f, uint32_t buffer, uint64_t symbol, const char *what) {
    const char *step = f->plan->steps[f->step].name;
    ck_assert_msg(buffer != PP__NONE, "step %zu (%s) has no %s", f->step, step, what);
    flow_check_life(f, buffer);
    ck_assert_msg(f->holds[buffer] == symbol, "step %zu (%s): '%s' does not hold the %s it reads",
                  f->step, step, f->plan->buffers[buffer].name, what);
}

static inline bool flow_overlap(const pp__plan_buffer *a, const pp__plan_buffer *b) {
    return a->bytes && b->bytes && a->chunk == b->chunk &&
           a->offset_bytes < b->offset_bytes + b->bytes &&
           b->offset_bytes < a->offset_bytes + a->bytes;
}

static inline void flow_write(flow *f, uint32_t buffer, uint64_t symbol) {
    if (buffer == PP__NONE) return;
    const pp__plan_buffer *written = &f->plan->buffers[buffer];
    flow_check_life(f, buffer);
    for (size_t i = 0; i < f->plan->buffer_count; i++)
        if (f->holds[i] && i != buffer && flow_overlap(written, &f->plan->buffers[i]))
            f->holds[i] = 0;
    f->holds[buffer] = symbol;
}

/* Buffers that one step reads and writes lie apart, unless they are one and the same. */
static inline void flow_apart(const flow *f, uint32_t written, uint32_t read) {
    if (written == PP__NONE || read == PP__NONE || written == read) return;
    ck_assert_msg(!flow_overlap(&f->plan->buffers[written], &f->plan->buffers[read]),
                  "step %zu (%s) writes '%s' over '%s'", f->step, f->plan->steps[f->step].name,
                  f->plan->buffers[written].name, f->plan->buffers[read].name);
}

static inline void flow_read_parameters(const flow *f, uint32_t number) {
    const pp__plan_node *node = &f->plan->nodes[number];
    for (uint32_t p = node->first_parameter; p < node->first_parameter + node->parameter_count; p++)
        flow_read(f, f->plan->parameters[p].value, flow_symbol(FLOW_PARAMETER, p, 0), "parameter");
}

static inline void flow_read_auxiliaries(const flow *f, uint32_t number) {
    const pp__plan_node *node = &f->plan->nodes[number];
    for (size_t s = 0; s < node->save_count; s++)
        if (node->saved[s] == PP__NONE)
            flow_read(f, node->auxiliary[s], flow_symbol(FLOW_AUXILIARY, number, s), "statistics");
}

/* What a record's buffer holds: a code, or the float32 tensor that is kept in its place. */
static inline uint64_t flow_record_symbol(const flow *f, uint32_t record) {
    const pp__saved *saved = &f->plan->saved[record];
    if (!saved->coding.codec->stores_itself) return flow_symbol(FLOW_CODE, record, 0);
    bool normalised = saved->subject == PP__SUBJECT_NORMALISED;
    return flow_symbol(FLOW_VALUE, normalised ? f->plan->nodes[saved->node].inputs[0] : saved->node,
                       0);
}

/* Everything a backward step of a node reads besides the gradient. A view of x-hat's code needs
 * that batch-norm's statistics, gamma and beta as they were in forward. */
static inline void flow_read_saves(const flow *f, uint32_t number, uint32_t written) {
    const pp__plan_node *node = &f->plan->nodes[number];
    flow_read_parameters(f, number);
    flow_read_auxiliaries(f, number);
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) continue;
        const pp__saved *saved = &f->plan->saved[node->saved[s]];
        uint32_t view = (uint32_t)node->saves[s].view;
        ck_assert_uint_eq(saved->coding.codec->views[saved->subject] & view, view);
        ck_assert(!node->saves[s].exact || saved->coding.codec->stores_itself);
        flow_read(f, saved->buffer, flow_record_symbol(f, node->saved[s]), "stored value");
        flow_apart(f, written, saved->buffer);
        if (saved->subject != PP__SUBJECT_NORMALISED) continue;
        flow_read_parameters(f, saved->node);
        flow_read_auxiliaries(f, saved->node);
    }
}

static inline void flow_write_beside_inputs(flow *f, uint32_t number, uint32_t buffer,
                                            uint64_t symbol) {
    const pp__plan_node *node = &f->plan->nodes[number];
    for (size_t j = 0; j < node->op->input_count; j++)
        flow_apart(f, buffer, f->plan->nodes[node->inputs[j]].value);
    flow_write(f, buffer, symbol);
}

static inline void flow_forward(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    static const uint32_t in_place[PP__OP_INPUTS] = {PP__OP_IN_PLACE, PP__OP_IN_PLACE_SECOND};
    flow_read_parameters(f, step->node);
    for (size_t j = 0; j < node->op->input_count; j++) {
        uint32_t input = f->plan->nodes[node->inputs[j]].value;
        flow_read(f, input, flow_symbol(FLOW_VALUE, node->inputs[j], 0), "input");
        flow_apart(f, node->value, input);
        if (node->value == input) ck_assert(node->op->traits & in_place[j]);
    }
    if (node->op->traits & PP__OP_LOSS)
        flow_read(f, f->plan->labels, flow_symbol(FLOW_STAGED, 0, 0), "labels");
    flow_write_beside_inputs(f, step->node, step->workspace, flow_symbol(FLOW_WORKSPACE, 0, 0));
    flow_write(f, node->value, flow_symbol(FLOW_VALUE, step->node, 0));
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) {
            flow_write_beside_inputs(f, step->node, node->auxiliary[s],
                                     flow_symbol(FLOW_AUXILIARY, step->node, s));
            continue;
        }
        const pp__saved *saved = &f->plan->saved[node->saved[s]];
        if (saved->node == step->node && !saved->own_step && !saved->coding.codec->stores_itself)
            flow_write_beside_inputs(f, step->node, saved->buffer,
                                     flow_record_symbol(f, node->saved[s]));
    }
    /* The workspace is scratch to the end of the step, so nothing else may lie there. */
    if (step->workspace != PP__NONE) flow_apart(f, step->workspace, node->value);
}

static inline void flow_encode(flow *f, const pp__plan_step *step) {
    const pp__saved *saved = &f->plan->saved[step->index];
    uint32_t value = f->plan->nodes[saved->node].value;
    flow_read(f, value, flow_symbol(FLOW_VALUE, saved->node, 0), "value to encode");
    flow_apart(f, saved->buffer, value);
    flow_write(f, saved->buffer, flow_record_symbol(f, step->index));
}

static inline void flow_write_parameter_gradients(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    for (uint32_t p = node->first_parameter; p < node->first_parameter + node->parameter_count;
         p++) {
        const pp__plan_parameter *parameter = &f->plan->parameters[p];
        if (!parameter->spec.trainable) continue;
        if (f->plan->accumulate > 1)
            flow_read(f, parameter->gradient, flow_symbol(FLOW_SUM_SO_FAR, p, 0), "sum so far");
        flow_apart(f, parameter->gradient, step->output_gradient);
        flow_apart(f, parameter->gradient, step->workspace);
        flow_write(f, parameter->gradient, flow_symbol(FLOW_PARAMETER_GRADIENT, p, 0));
    }
}

static inline void flow_read_gradient(flow *f, const pp__plan_step *step) {
    if (f->plan->nodes[step->node].op->traits & PP__OP_LOSS)
        flow_read(f, f->plan->labels, flow_symbol(FLOW_STAGED, 0, 0), "labels");
    else
        flow_read(f, step->output_gradient, f->expected[step->node], "complete gradient");
    flow_read_saves(f, step->node, step->workspace);
    flow_apart(f, step->workspace, step->output_gradient);
    flow_write(f, step->workspace, flow_symbol(FLOW_WORKSPACE, 0, 0));
}

static inline void flow_backward(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    flow_read_gradient(f, step);
    for (size_t j = 0; j < PP__OP_INPUTS; j++) {
        uint32_t written = step->input_gradients[j];
        if (written == PP__NONE) continue;
        flow_read_saves(f, step->node, written);
        flow_apart(f, written, step->output_gradient);
        if (written == step->output_gradient)
            ck_assert(j == 0 && !step->adds[j] && node->op->traits & PP__OP_GRADIENT_IN_PLACE);
        uint64_t before = step->adds[j] ? f->holds[written] : 0;
        ck_assert(!step->adds[j] || before);
        flow_write(f, written, before + flow_symbol(FLOW_TERM, step->node, j));
    }
    if (!node->op->backward_parameters) flow_write_parameter_gradients(f, step);
}

static inline void flow_move_gradient(flow *f, const pp__plan_step *step, bool adds) {
    uint64_t from = f->holds[step->output_gradient], to = f->holds[step->input_gradients[0]];
    flow_read(f, step->output_gradient, from, "gradient to move");
    flow_apart(f, step->input_gradients[0], step->output_gradient);
    ck_assert(from && (!adds || to));
    ck_assert_uint_ne(step->input_gradients[0], step->output_gradient);
    flow_write(f, step->input_gradients[0], adds ? to + from : from);
}

/* The parameters of the nodes step->node to step->index; a node that the loss does not depend on
 * lies between them at most. */
static inline void flow_update(flow *f, const pp__plan_step *step) {
    ck_assert_uint_le(step->node, step->index);
    flow_read(f, f->plan->update_table, flow_symbol(FLOW_STAGED, 1, 0), "table");
    for (uint32_t p = 0; p < f->plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &f->plan->parameters[p];
        if (parameter->node < step->node || parameter->node > step->index) continue;
        if (!parameter->spec.trainable || !f->expected[parameter->node]) continue;
        flow_read(f, parameter->gradient, flow_symbol(FLOW_PARAMETER_GRADIENT, p, 0), "gradient");
        flow_read(f, parameter->value, flow_symbol(FLOW_PARAMETER, p, 0), "parameter");
        flow_write(f, parameter->value, flow_symbol(FLOW_UPDATED, p, 0));
    }
}

static inline void flow_clip(flow *f, const pp__plan_step *step) {
    for (uint32_t p = 0; p < f->plan->parameter_count; p++) {
        uint32_t gradient = f->plan->parameters[p].gradient;
        if (gradient == PP__NONE) continue;
        flow_read(f, gradient, flow_symbol(FLOW_PARAMETER_GRADIENT, p, 0), "gradient");
        flow_apart(f, step->workspace, gradient);
    }
    flow_write(f, step->workspace, flow_symbol(FLOW_WORKSPACE, 0, 0));
}

/* The complete gradient of each node's output: a term per reader, or what an addition's own output
 * has. */
static inline void flow_expect(flow *f) {
    for (size_t r = f->plan->node_count; r-- > 0;) {
        const pp__plan_node *reader = &f->plan->nodes[r];
        bool has = reader->op->traits & PP__OP_LOSS || f->expected[r];
        if (!reader->wants_gradient || !has) continue;
        for (size_t j = 0; j < reader->op->input_count; j++) {
            uint32_t input = reader->inputs[j];
            if (!f->plan->nodes[input].wants_gradient) continue;
            size_t term = reader->op->traits & PP__OP_GRADIENT_COMMON ? 0 : j;
            f->expected[input] += reader->op->traits & PP__OP_GRADIENT_SHARED
                                      ? f->expected[r]
                                      : flow_symbol(FLOW_TERM, r, term);
        }
    }
}

static inline void flow_begin(flow *f) {
    const pp_plan *plan = f->plan;
    f->holds[plan->input] = flow_symbol(FLOW_VALUE, plan->input_node, 0);
    f->holds[plan->scalars] = f->holds[plan->metrics] = flow_symbol(FLOW_STAGED, 1, 0);
    if (plan->update_table != PP__NONE)
        f->holds[plan->update_table] = flow_symbol(FLOW_STAGED, 1, 0);
    if (plan->labels != PP__NONE) f->holds[plan->labels] = flow_symbol(FLOW_STAGED, 0, 0);
    for (uint32_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        f->holds[parameter->value] = flow_symbol(FLOW_PARAMETER, p, 0);
        for (size_t m = 0; m < 2; m++)
            if (parameter->moments[m] != PP__NONE)
                f->holds[parameter->moments[m]] = flow_symbol(FLOW_STAGED, 1, 0);
        if (plan->accumulate > 1 && parameter->gradient != PP__NONE)
            f->holds[parameter->gradient] = flow_symbol(FLOW_SUM_SO_FAR, p, 0);
    }
    if (!plan->inference) flow_expect(f);
}

/* Every parameter that the loss depends on was updated once, nothing persistent was written over,
 * and gradients that live to the end are still there. */
static inline void flow_end(flow *f) {
    const pp_plan *plan = f->plan;
    f->step = plan->step_count - 1;
    flow_read(f, plan->scalars, flow_symbol(FLOW_STAGED, 1, 0), "scalars");
    flow_read(f, plan->metrics, flow_symbol(FLOW_STAGED, 1, 0), "metrics");
    if (plan->update_table != PP__NONE)
        flow_read(f, plan->update_table, flow_symbol(FLOW_STAGED, 1, 0), "table");
    for (uint32_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        bool updated = parameter->spec.trainable && f->expected[parameter->node];
        flow_read(f, parameter->value, flow_symbol(updated ? FLOW_UPDATED : FLOW_PARAMETER, p, 0),
                  updated ? "updated parameter" : "parameter");
        for (size_t m = 0; m < 2; m++)
            if (parameter->moments[m] != PP__NONE)
                flow_read(f, parameter->moments[m], flow_symbol(FLOW_STAGED, 1, 0), "moment");
        if (updated && plan->updates_at_end)
            flow_read(f, parameter->gradient, flow_symbol(FLOW_PARAMETER_GRADIENT, p, 0),
                      "gradient");
    }
}

static inline void flow_check(const pp_plan *plan) {
    flow f = {.plan = plan};
    f.holds = calloc(plan->buffer_count, sizeof *f.holds);
    f.expected = calloc(plan->node_count, sizeof *f.expected);
    ck_assert(f.holds && f.expected);
    flow_begin(&f);
    for (f.step = 0; f.step < plan->step_count; f.step++) {
        const pp__plan_step *step = &plan->steps[f.step];
        switch (step->kind) {
            case PP__STEP_FORWARD: flow_forward(&f, step); break;
            case PP__STEP_ENCODE: flow_encode(&f, step); break;
            case PP__STEP_BACKWARD_PARAMETERS:
                flow_read_gradient(&f, step);
                flow_write_parameter_gradients(&f, step);
                break;
            case PP__STEP_BACKWARD: flow_backward(&f, step); break;
            case PP__STEP_COPY_GRADIENT: flow_move_gradient(&f, step, false); break;
            case PP__STEP_ADD_GRADIENT: flow_move_gradient(&f, step, true); break;
            case PP__STEP_CLIP: flow_clip(&f, step); break;
            case PP__STEP_UPDATE: flow_update(&f, step); break;
            default: ck_abort_msg("a step of bands");
        }
    }
    flow_end(&f);
    free(f.holds);
    free(f.expected);
}

#endif
