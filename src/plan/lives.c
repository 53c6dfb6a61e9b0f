/* What each step reads and writes, and from that the lives of all buffers. This file and
 * exec/bind.c look at a step in the same way: what is bound here is visited there. */
#include "plan/plan.h"

typedef struct walk {
    const pp_plan *plan;
    pp__use_visitor *visit;
    void *user;
} walk;

static void reads(const walk *w, uint32_t buffer) {
    if (buffer != PP__NONE) w->visit(w->user, buffer, true, false);
}
static void writes(const walk *w, uint32_t buffer) {
    if (buffer != PP__NONE) w->visit(w->user, buffer, false, true);
}
static void changes(const walk *w, uint32_t buffer) {
    if (buffer != PP__NONE) w->visit(w->user, buffer, true, true);
}

/* What a normalising operator keeps besides its code: its statistics. */
static void visit_statistics(const walk *w, const pp__plan_node *node,
                             void (*use)(const walk *w, uint32_t buffer)) {
    for (size_t s = 0; s < node->save_count; s++) use(w, node->auxiliary[s]);
}

static void visit_forward(const walk *w, const pp__plan_step *step) {
    const pp__plan_node *node = &w->plan->nodes[step->node];
    if (node->op->traits & PP__OP_SOURCE) reads(w, w->plan->input);
    for (size_t j = 0; j < node->op->input_count; j++)
        reads(w, w->plan->nodes[node->inputs[j]].value);
    if (pp__plan_normalises(node) && !step->divided)
        reads(w, w->plan->nodes[node->inputs[0]].moments);
    visit_statistics(w, node, step->divided ? reads : writes);
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) continue;
        const pp__saved *saved = &w->plan->saved[node->saved[s]];
        if (saved->node == step->node && saved->subject != PP__SUBJECT_ACTIVATION &&
            !saved->coding.codec->stores_itself)
            writes(w, saved->buffer);
    }
    writes(w, step->scratch != PP__NONE ? step->scratch : node->value);
    if (!step->repeated && !node->moments_apart) writes(w, node->moments);
    if (node->op->traits & PP__OP_LOSS) reads(w, w->plan->labels);
}

static void visit_saved(const walk *w, const pp__plan_node *node) {
    visit_statistics(w, node, reads);
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) continue;
        const pp__saved *saved = &w->plan->saved[node->saved[s]];
        reads(w, saved->buffer);
        if (saved->subject == PP__SUBJECT_NORMALISED)
            visit_statistics(w, &w->plan->nodes[saved->node], reads);
    }
}

static void visit_parameter_gradients(const walk *w, uint32_t first_node, uint32_t last_node,
                                      void (*use)(const walk *w, uint32_t buffer)) {
    const pp__plan_node *last = &w->plan->nodes[last_node];
    for (uint32_t p = w->plan->nodes[first_node].first_parameter;
         p < last->first_parameter + last->parameter_count; p++)
        use(w, w->plan->parameters[p].gradient);
}

static void visit_backward(const walk *w, const pp__plan_step *step) {
    const pp__plan_node *node = &w->plan->nodes[step->node];
    reads(w, step->output_gradient);
    visit_saved(w, node);
    if (step->kind == PP__STEP_BACKWARD) {
        for (size_t j = 0; j < PP__OP_INPUTS; j++)
            (step->adds[j] ? changes : writes)(w, step->input_gradients[j]);
        if (node->op->traits & PP__OP_LOSS) reads(w, w->plan->labels);
    }
    if (step->kind == PP__STEP_BACKWARD_SUMS || step->divided) return;
    if ((step->kind == PP__STEP_BACKWARD) == !node->op->backward_parameters)
        visit_parameter_gradients(w, step->node, step->node, writes);
}

static void visit_decode(const walk *w, const pp__plan_step *step) {
    const pp__saved *saved = &w->plan->saved[step->index];
    reads(w, saved->buffer);
    if (saved->subject == PP__SUBJECT_NORMALISED)
        visit_statistics(w, &w->plan->nodes[saved->node], reads);
    writes(w, w->plan->nodes[step->node].value);
}

void pp__plan_visit_step(const pp_plan *plan, const pp__plan_step *step, pp__use_visitor *visit,
                         void *user) {
    const walk w = {plan, visit, user};
    const pp__plan_node *node = &plan->nodes[step->node];
    switch (step->kind) {
        case PP__STEP_FORWARD: visit_forward(&w, step); break;
        case PP__STEP_MOMENTS:
            reads(&w, plan->nodes[node->inputs[0]].value);
            writes(&w, plan->nodes[node->inputs[0]].moments);
            break;
        case PP__STEP_STATISTICS:
            reads(&w, plan->nodes[node->inputs[0]].moments != PP__NONE
                          ? plan->nodes[node->inputs[0]].moments
                          : plan->nodes[node->inputs[0]].value);
            visit_statistics(&w, node, writes);
            break;
        case PP__STEP_ENCODE:
            reads(&w, node->value);
            writes(&w, plan->saved[step->index].buffer);
            break;
        case PP__STEP_DECODE: visit_decode(&w, step); break;
        case PP__STEP_BACKWARD_SUMS:
        case PP__STEP_BACKWARD_PARAMETERS:
        case PP__STEP_BACKWARD: visit_backward(&w, step); break;
        case PP__STEP_BACKWARD_TOTALS:
            visit_parameter_gradients(&w, step->node, step->node, writes);
            break;
        case PP__STEP_COPY_VALUE:
            reads(&w, step->scratch);
            writes(&w, node->value);
            break;
        case PP__STEP_PARK:
        case PP__STEP_FETCH:
        case PP__STEP_COPY_GRADIENT:
            reads(&w, step->output_gradient);
            writes(&w, step->input_gradients[0]);
            break;
        case PP__STEP_ADD_GRADIENT:
            reads(&w, step->output_gradient);
            changes(&w, step->input_gradients[0]);
            break;
        case PP__STEP_CLIP: break;
        case PP__STEP_UPDATE: visit_parameter_gradients(&w, step->node, step->index, reads); break;
    }
    changes(&w, step->workspace);
}

typedef struct question {
    uint32_t buffer;
    pp__plan_use use;
} question;

static void answer(void *user, uint32_t buffer, bool reads_it, bool writes_it) {
    question *q = user;
    if (buffer != q->buffer) return;
    q->use.reads |= reads_it;
    q->use.writes |= writes_it;
}

pp__plan_use pp__plan_use_of(const pp_plan *plan, const pp__plan_step *step, uint32_t buffer) {
    question q = {.buffer = buffer};
    pp__plan_visit_step(plan, step, answer, &q);
    return q.use;
}

/* Lengthens a life by one step. */
typedef struct lengthening {
    pp_plan *plan;
    size_t step;
} lengthening;

static void touch(pp_plan *plan, uint32_t buffer, size_t step) {
    pp__plan_buffer *b = &plan->buffers[buffer];
    if (b->first == SIZE_MAX || step < b->first) b->first = step;
    if (step > b->last) b->last = step;
}

static void lengthen(void *user, uint32_t buffer, bool reads_it, bool writes_it) {
    (void)reads_it, (void)writes_it;
    const lengthening *l = user;
    touch(l->plan, buffer, l->step);
}

static void keep_whole_step(pp_plan *plan, uint32_t buffer) {
    if (buffer == PP__NONE) return;
    touch(plan, buffer, 0);
    touch(plan, buffer, plan->step_count - 1);
}

/* The batch arrives in front of the step. Parameters, moments, scalars, metrics and the update's
 * table live through the whole step. So do gradients that micro-steps add up; those that wait for
 * the step's end live to the very end, where applications may read them. */
static void keep_persistent(pp_plan *plan) {
    touch(plan, plan->input, 0);
    if (plan->labels != PP__NONE) touch(plan, plan->labels, 0);
    keep_whole_step(plan, plan->scalars);
    keep_whole_step(plan, plan->metrics);
    keep_whole_step(plan, plan->update_table);
    for (size_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        keep_whole_step(plan, parameter->value);
        for (size_t m = 0; m < 2; m++) keep_whole_step(plan, parameter->moments[m]);
        if (plan->inference || parameter->gradient == PP__NONE) continue;
        if (plan->updates_at_end) touch(plan, parameter->gradient, plan->step_count - 1);
        if (plan->accumulate > 1) touch(plan, parameter->gradient, 0);
    }
}

void pp__plan_lives(pp_plan *plan) {
    for (size_t i = 0; i < plan->buffer_count; i++) {
        plan->buffers[i].first = SIZE_MAX;
        plan->buffers[i].last = 0;
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        lengthening l = {plan, s};
        pp__plan_visit_step(plan, &plan->steps[s], lengthen, &l);
    }
    keep_persistent(plan);
    for (size_t i = 0; i < plan->buffer_count; i++) /* scratch that bands do without */
        if (plan->buffers[i].first == SIZE_MAX) {
            plan->buffers[i].first = 0;
            plan->buffers[i].bytes = plan->buffers[i].raw_bytes = 0;
        }
}
