#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "op/params.h"
#include "op/scalars.h"
#include "plan/budget.h"
#include "plan/policy_text.h"
#include "profile/profile.h"
#include "util/size.h"

pp_status pp__plan_name(const pp_plan *plan, const char *owner, const char *what, char **name_out) {
    size_t length = strlen(owner) + (what ? strlen(what) + 1 : 0) + 1;
    PP_TRY(pp__allocate(plan->engine, length, 1, name_out));
    snprintf(*name_out, length, "%s%s%s", owner, what ? " " : "", what ? what : "");
    return PP_OK;
}

pp_status pp__plan_find_node(const pp_plan *plan, const char *what, const char *name,
                             uint32_t *node_out) {
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (!strcmp(plan->nodes[i].name, name)) {
            *node_out = i;
            return PP_OK;
        }
    return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                    "plan: %s of '%s': the plan has no node of that name (a batch-norm or sum "
                    "and the ReLU behind it are one node, called as the first)",
                    what, name);
}

pp_status pp__plan_add_buffer(pp_plan *plan, const char *owner, const char *what,
                              pp_memory_class memory_class, size_t raw_bytes, size_t bytes,
                              uint32_t *buffer_out) {
    PP_TRY(pp__grow(plan->engine, &plan->buffers, &plan->buffer_capacity, plan->buffer_count + 1,
                    sizeof *plan->buffers));
    pp__plan_buffer *buffer = &plan->buffers[plan->buffer_count];
    *buffer = (pp__plan_buffer){.memory_class = memory_class,
                                .raw_bytes = raw_bytes,
                                .bytes = bytes,
                                .first = SIZE_MAX,
                                .saved = PP__NONE};
    PP_TRY(pp__plan_name(plan, owner, what, &buffer->name));
    *buffer_out = (uint32_t)plan->buffer_count++;
    return PP_OK;
}

pp_status pp__plan_add_step(pp_plan *plan, pp__step_kind kind, uint32_t node, const char *what,
                            pp__plan_step **step_out) {
    PP_TRY(pp__grow(plan->engine, &plan->steps, &plan->step_capacity, plan->step_count + 1,
                    sizeof *plan->steps));
    pp__plan_step *step = &plan->steps[plan->step_count];
    *step = (pp__plan_step){.kind = kind,
                            .node = node,
                            .index = PP__NONE,
                            .output_gradient = PP__NONE,
                            .input_gradients = {PP__NONE, PP__NONE},
                            .workspace = PP__NONE,
                            .scratch = PP__NONE,
                            .image_count = plan->batch};
    PP_TRY(pp__plan_name(plan, plan->nodes[node].name, what, &step->name));
    plan->step_count++;
    *step_out = step;
    return PP_OK;
}

pp__stored pp__plan_stored(const pp_plan *plan, const pp__saved *saved) {
    return (pp__stored){.coding = saved->coding,
                        .subject = saved->subject,
                        .shape = saved->shape,
                        .relu = (plan->nodes[saved->node].op->traits & PP__OP_RELU_OUTPUT) != 0,
                        .pixels = plan->pixels};
}

void pp__plan_query(const pp_plan *plan, uint32_t number, const pp_profile *profile,
                    pp__op_query *q, pp__stored stored[PP__OP_SAVES]) {
    pp__plan_query_band(plan, number, plan->batch, profile, q, stored);
}

void pp__plan_query_band(const pp_plan *plan, uint32_t number, uint32_t image_count,
                         const pp_profile *profile, pp__op_query *q,
                         pp__stored stored[PP__OP_SAVES]) {
    const pp__plan_node *node = &plan->nodes[number];
    *q = (pp__op_query){.params = node->params,
                        .profile = profile,
                        .input_count = node->op->input_count,
                        .output = node->shape,
                        .training = !plan->inference,
                        .bands = plan->batch / image_count};
    q->output.n = image_count;
    if (pp__plan_normalises(node)) q->input_moments = plan->nodes[node->inputs[0]].moment_splits;
    for (size_t j = 0; j < node->op->input_count; j++) {
        q->inputs[j] = plan->nodes[node->inputs[j]].shape;
        q->inputs[j].n = image_count;
        q->input_gradient[j] = plan->nodes[node->inputs[j]].wants_gradient;
    }
    memcpy(q->frozen, node->frozen, sizeof q->frozen);
    for (size_t s = 0; s < PP__OP_SAVES; s++) {
        memset(&stored[s], 0, sizeof stored[s]);
        q->stored[s] = NULL;
        if (s >= node->save_count || node->saved[s] == PP__NONE) continue;
        stored[s] = pp__plan_stored(plan, &plan->saved[node->saved[s]]);
        stored[s].shape.n = image_count;
        q->stored[s] = &stored[s];
    }
}

pp_status pp__plan_add_workspace(pp_plan *plan, uint32_t number, pp__pass pass,
                                 pp__plan_step *step) {
    const pp__plan_node *node = &plan->nodes[number];
    if (!node->op->workspace) return PP_OK;
    pp__op_query q;
    pp__stored stored[PP__OP_SAVES];
    pp__plan_query(plan, number, plan->profile, &q, stored);
    size_t bytes = node->op->workspace(&q, pass);
    if (!bytes) return PP_OK;
    return pp__plan_add_buffer(plan, node->name, "workspace", PP_MEMORY_WORKSPACE, bytes, bytes,
                               &step->workspace);
}

static pp_status check_options(pp_engine *engine, const pp_plan_options *options) {
    if (!options->batch && !options->budget_bytes)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: a batch of 0 samples; at least 1 is expected");
    const pp_optimizer *o = &options->optimizer;
    if (o->nesterov && o->momentum <= 0)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "optimizer: Nesterov's form needs a momentum above 0");
    if (!(o->momentum >= 0 && o->momentum < 1) || !(o->beta1 >= 0 && o->beta1 < 1) ||
        !(o->beta2 >= 0 && o->beta2 < 1) || !(o->epsilon >= 0) || !(o->weight_decay >= 0) ||
        !(o->clip_norm >= 0))
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "optimizer: momentum, beta1, beta2 lie in [0, 1); epsilon, weight decay "
                        "and clip norm are "
                        "not negative; found %g, %g, %g, %g, %g, %g",
                        (double)o->momentum, (double)o->beta1, (double)o->beta2, (double)o->epsilon,
                        (double)o->weight_decay, (double)o->clip_norm);
    if (o->state_bits != 0 && o->state_bits != 8 && o->state_bits != 32)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "optimizer: moments of %" PRIu32 " bits; 8 or 32 are expected",
                        o->state_bits);
    if (options->transient_bits != 0 && options->transient_bits != 16 &&
        options->transient_bits != 32)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: activations and gradients that wait in %" PRIu32
                        " bits; 16 or 32 are expected",
                        options->transient_bits);
    return PP_OK;
}

static pp_optimizer with_defaults(pp_optimizer o) {
    if (o.beta1 == 0) o.beta1 = 0.9f;
    if (o.beta2 == 0) o.beta2 = 0.999f;
    if (o.epsilon == 0) o.epsilon = 1e-8f;
    return o;
}

static pp_status add_staging(pp_plan *plan) {
    const pp__plan_node *source = &plan->nodes[0];
    const pp__input_params *params = source->params;
    const size_t raw_bytes = pp__shape_bytes(source->shape);
    plan->input_node = 0;
    plan->pixels = params->bytes ? &params->pixels : NULL;
    PP_TRY(pp__plan_add_buffer(
        plan, source->name, params->bytes ? "bytes" : NULL, PP_MEMORY_STAGING, raw_bytes,
        params->bytes ? raw_bytes / sizeof(float) : raw_bytes, &plan->input));
    plan->buffers[plan->input].images = plan->batch;
    plan->labels = PP__NONE;
    if (plan->loss_node != PP__NONE) {
        const pp__plan_node *loss = &plan->nodes[plan->loss_node];
        plan->label_bytes = loss->op->traits & PP__OP_TARGETS
                                ? pp__shape_bytes(plan->nodes[loss->inputs[0]].shape)
                                : plan->batch * sizeof(int32_t);
        PP_TRY(pp__plan_add_buffer(plan, "labels", NULL, PP_MEMORY_STAGING, plan->label_bytes,
                                   plan->label_bytes, &plan->labels));
    }
    size_t scalar_bytes = PP__SCALAR_WORDS * sizeof(uint32_t), metric_bytes = 2 * sizeof(float);
    PP_TRY(pp__plan_add_buffer(plan, "scalars", NULL, PP_MEMORY_STAGING, scalar_bytes, scalar_bytes,
                               &plan->scalars));
    plan->update_table = PP__NONE;
    return pp__plan_add_buffer(plan, "metrics", NULL, PP_MEMORY_STAGING, metric_bytes, metric_bytes,
                               &plan->metrics);
}

static size_t moment_count(const pp_optimizer *optimizer) {
    return optimizer->kind == PP_OPTIMIZER_SGD ? optimizer->momentum > 0 : 2;
}

/* What a moment takes: float32, or, of enough elements, octets of 8-bit codes behind the float32
 * scales of their blocks (cl/exec/update.cl). */
static size_t moment_bytes(const pp_plan *plan, size_t elems) {
    enum { OCTET = 8 };
    const size_t raw_bytes = elems * sizeof(float);
    if (plan->optimizer.state_bits != 8 ||
        elems < pp__profile_u32(plan->profile, "update.moment_least"))
        return raw_bytes;
    const uint32_t octets = pp__divide_up((uint32_t)elems, OCTET);
    const size_t blocks =
        pp__divide_up(octets, pp__profile_u32(plan->profile, "update.moment_octets"));
    const size_t bytes = blocks * sizeof(float) + (size_t)octets * OCTET;
    return bytes < raw_bytes ? bytes : raw_bytes;
}

static pp_status add_moments(pp_plan *plan) {
    static const char *const names[] = {"first moment", "second moment"};
    for (size_t p = 0; p < plan->parameter_count; p++) {
        pp__plan_parameter *parameter = &plan->parameters[p];
        if (!parameter->spec.trainable) continue;
        for (size_t m = 0; m < moment_count(&plan->optimizer); m++) {
            PP_TRY(pp__plan_add_buffer(plan, parameter->name, names[m], PP_MEMORY_OPTIMIZER,
                                       parameter->elems * sizeof(float),
                                       moment_bytes(plan, parameter->elems),
                                       &parameter->moments[m]));
        }
    }
    return PP_OK;
}

static pp_status build(pp_plan *plan, const pp_graph *graph, const pp_plan_options *options) {
    PP_TRY(pp__copy_text(plan->engine, options->codec ? options->codec : "raw", &plan->codec));
    PP_TRY(pp__plan_copy_graph(plan, graph));
    PP_TRY(pp__plan_infer(plan));
    plan->saved_raw_bytes = pp__plan_framework_bytes(plan);
    PP_TRY(pp__plan_fuse(plan));
    PP_TRY(pp__plan_parameters(plan));
    PP_TRY(add_staging(plan));
    PP_TRY(pp__plan_read_runs(plan, options));
    PP_TRY(pp__plan_read_recomputed(plan, options));
    PP_TRY(pp__plan_saved(plan, options));
    PP_TRY(pp__plan_forward(plan));
    if (!plan->inference) {
        PP_TRY(add_moments(plan));
        PP_TRY(pp__plan_backward(plan));
    }
    if (!plan->step_count)
        return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: the graph computes nothing");
    PP_TRY(pp__plan_bands(plan));
    PP_TRY(pp__plan_share_bands(plan));
    PP_TRY(pp__plan_park(plan));
    pp__plan_lives(plan);
    PP_TRY(pp__plan_pieces(plan));
    return pp__profile_status(plan->profile);
}

static pp_status create_by_policy(const pp_graph *graph, const pp_profile *profile,
                                  const pp_plan_options *options, pp_plan **plan_out) {
    pp__policy_text text;
    pp_plan_options read;
    pp_status status = pp__policy_text_read(graph->engine, options, &text, &read);
    if (status == PP_OK) status = pp_plan_create(graph, profile, &read, plan_out);
    pp__policy_text_release(&text);
    return status;
}

pp_status pp__plan_make(const pp_graph *graph, const pp_profile *profile,
                        const pp_plan_options *options, bool places, pp_plan **plan_out) {
    pp_plan *plan;
    *plan_out = NULL;
    PP_TRY(pp__allocate(graph->engine, 1, sizeof *plan, &plan));
    plan->engine = graph->engine;
    plan->profile = profile;
    plan->optimizer = with_defaults(options->optimizer);
    plan->rules = options->rules;
    plan->rule_count = options->rule_count;
    plan->batch = options->batch;
    plan->accumulate = options->accumulate ? options->accumulate : 1;
    plan->transient_bits = options->transient_bits;
    plan->inference = options->inference;
    plan->updates_at_end = plan->accumulate > 1 || plan->optimizer.clip_norm > 0;
    pp_status status = build(plan, graph, options);
    if (status == PP_OK) status = pp__plan_measure(plan);
    if (status == PP_OK && places) status = pp__plan_place(plan, profile, 0, 1);
    plan->profile = NULL;
    plan->rules = NULL;
    if (status != PP_OK) {
        pp_plan_destroy(plan);
        return status;
    }
    *plan_out = plan;
    return PP_OK;
}

pp_status pp_plan_create(const pp_graph *graph, const pp_profile *profile,
                         const pp_plan_options *options, pp_plan **plan_out) {
    *plan_out = NULL;
    PP_TRY(check_options(graph->engine, options));
    if (options->policy) return create_by_policy(graph, profile, options, plan_out);
    if (options->budget_bytes && !options->inference)
        return pp__plan_within_budget(graph, profile, options, plan_out);
    return pp__plan_make(graph, profile, options, true, plan_out);
}

void pp_plan_destroy(pp_plan *plan) {
    if (!plan) return;
    pp_engine *engine = plan->engine;
    for (size_t i = 0; i < plan->node_count; i++) {
        pp__release(engine, plan->nodes[i].name);
        pp__release(engine, plan->nodes[i].params);
    }
    for (size_t i = 0; i < plan->parameter_count; i++)
        pp__release(engine, plan->parameters[i].name);
    for (size_t i = 0; i < plan->buffer_count; i++) pp__release(engine, plan->buffers[i].name);
    for (size_t i = 0; i < plan->step_count; i++) pp__release(engine, plan->steps[i].name);
    pp__release(engine, plan->nodes);
    pp__release(engine, plan->parameters);
    pp__release(engine, plan->saved);
    pp__release(engine, plan->buffers);
    pp__release(engine, plan->pieces);
    pp__release(engine, plan->steps);
    pp__release(engine, plan->runs);
    pp__release(engine, plan->recomputed);
    pp__release(engine, plan->codec);
    pp__release(engine, plan->chunk_bytes);
    pp__release(engine, plan->live_bytes);
    pp__release(engine, plan);
}
