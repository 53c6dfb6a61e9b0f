/* Binds the plan's steps to memory and records their launches, once per session. */
#include <string.h>

#include "exec/session.h"
#include "exec/update.h"
#include "profile/profile.h"

pp__ref pp__session_ref(const pp_session *session, uint32_t buffer) {
    if (buffer == PP__NONE) return (pp__ref){0};
    const pp__plan_buffer *b = &session->plan->buffers[buffer];
    return (pp__ref){session->arena.chunks[b->chunk], b->offset_bytes};
}

static void bind_stored(const pp_session *session, const pp__saved *saved, pp__stored *stored) {
    const pp_plan *plan = session->plan;
    stored->code = pp__session_ref(session, saved->buffer);
    if (saved->subject != PP__SUBJECT_NORMALISED) return;
    const pp__plan_node *root = &plan->nodes[saved->node];
    for (size_t s = 0; s < root->save_count; s++)
        if (root->auxiliary[s] != PP__NONE)
            stored->statistics = pp__session_ref(session, root->auxiliary[s]);
    stored->gamma = pp__session_ref(session, plan->parameters[root->first_parameter].value);
    stored->beta = pp__session_ref(session, plan->parameters[root->first_parameter + 1].value);
}

typedef struct recording {
    const pp_session *session;
    const pp_profile *profile;
    pp__stream *stream;
    bool training;
    bool adds; /* parameter gradients are added to */
} recording;

/* A profile that is not the plan's may ask for more scratch than there is; kernels would write over
 * other values. */
static pp_status check_workspace(const recording *r, const pp__plan_step *step,
                                 const pp__op_query *q, pp__pass pass) {
    const pp_plan *plan = r->session->plan;
    const pp__op *op = plan->nodes[step->node].op;
    size_t planned = step->workspace == PP__NONE ? 0 : plan->buffers[step->workspace].bytes;
    size_t wanted = op->workspace ? op->workspace(q, pass) : 0;
    if (wanted <= planned) return PP_OK;
    return pp__fail(r->session->engine, PP_ERROR_INVALID_ARGUMENT,
                    "session: with profile '%s', '%s' needs %zu bytes of scratch; the plan was "
                    "made for another profile and has %zu",
                    pp_profile_name(r->profile), step->name, wanted, planned);
}

static pp_status bind_node(const recording *r, const pp__plan_step *step, pp__pass pass,
                           pp__op_binding *b, pp__stored stored[PP__OP_SAVES]) {
    const pp_session *session = r->session;
    const pp_plan *plan = session->plan;
    const pp__plan_node *node = &plan->nodes[step->node];
    memset(b, 0, sizeof *b);
    pp__plan_query(plan, step->node, r->profile, &b->q, stored);
    b->q.training = r->training;
    PP_TRY(check_workspace(r, step, &b->q, pass));
    b->stream = r->stream;
    b->node_number = node->number;
    b->output = pp__session_ref(session, node->value);
    for (size_t j = 0; j < node->op->input_count; j++)
        b->inputs[j] = pp__session_ref(session, plan->nodes[node->inputs[j]].value);
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) {
            b->auxiliary[s] = pp__session_ref(session, node->auxiliary[s]);
        } else {
            bind_stored(session, &plan->saved[node->saved[s]], &stored[s]);
            b->auxiliary[s] = stored[s].code;
        }
    }
    for (uint32_t p = 0; p < node->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        b->parameters[p] = pp__session_ref(session, parameter->value);
        b->parameter_gradients[p] = pp__session_ref(session, parameter->gradient);
    }
    b->parameter_gradients_add = r->adds;
    b->output_gradient = pp__session_ref(session, step->output_gradient);
    for (size_t j = 0; j < PP__OP_INPUTS; j++) {
        b->input_gradients[j] = pp__session_ref(session, step->input_gradients[j]);
        b->input_gradient_adds[j] = step->adds[j];
    }
    b->workspace = pp__session_ref(session, step->workspace);
    b->labels = pp__session_ref(session, plan->labels);
    b->metrics = pp__session_ref(session, plan->metrics);
    b->scalars = pp__session_ref(session, plan->scalars);
    return PP_OK;
}

static pp_status record_encode(const recording *r, const pp__plan_step *step) {
    const pp__saved *saved = &r->session->plan->saved[step->index];
    pp__stored stored = {.coding = saved->coding, .subject = saved->subject, .shape = saved->shape};
    bind_stored(r->session, saved, &stored);
    pp__ref value = pp__session_ref(r->session, r->session->plan->nodes[saved->node].value);
    return saved->coding.codec->encode(&stored, value, r->stream);
}

/* input_gradients[0] += output_gradient, with the add operator's kernel in place. */
static pp_status record_add(const recording *r, const pp__plan_step *step) {
    pp__op_binding b = {.stream = r->stream};
    b.q.output = r->session->plan->nodes[step->node].shape;
    b.q.inputs[0] = b.q.inputs[1] = b.q.output;
    b.q.input_count = 2;
    b.q.profile = r->profile;
    b.inputs[0] = b.output = pp__session_ref(r->session, step->input_gradients[0]);
    b.inputs[1] = pp__session_ref(r->session, step->output_gradient);
    return pp__op_add.forward(&b);
}

static pp_status record_copy(const recording *r, const pp__plan_step *step) {
    return pp__stream_copy(r->stream, pp__session_ref(r->session, step->output_gradient),
                           pp__session_ref(r->session, step->input_gradients[0]),
                           pp__shape_bytes(r->session->plan->nodes[step->node].shape));
}

static pp_status record_clip(const recording *r, const pp__plan_step *step) {
    const pp_plan *plan = r->session->plan;
    pp__ref squares = pp__session_ref(r->session, step->workspace);
    uint32_t count = 0;
    for (size_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        if (parameter->gradient == PP__NONE) continue;
        PP_TRY(pp__update_record_squares(r->stream,
                                         pp__session_ref(r->session, parameter->gradient),
                                         (uint32_t)parameter->elems, squares, count++));
    }
    return pp__update_record_clip(r->stream, squares, count, plan->optimizer.clip_norm,
                                  pp__session_ref(r->session, plan->scalars));
}

static pp_status record_update(const recording *r, const pp__plan_step *step) {
    const pp_session *session = r->session;
    const pp_plan *plan = session->plan;
    const pp__plan_node *node = &plan->nodes[step->node];
    for (uint32_t p = 0; p < node->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        if (parameter->gradient == PP__NONE) continue;
        pp__update update = {
            .value = pp__session_ref(session, parameter->value),
            .gradient = pp__session_ref(session, parameter->gradient),
            .moments = {pp__session_ref(session, parameter->moments[0]),
                        pp__session_ref(session, parameter->moments[1])},
            .elems = (uint32_t)parameter->elems,
            .decayed = parameter->spec.decayed || plan->optimizer.decay_all,
        };
        PP_TRY(pp__update_record(r->stream, &plan->optimizer, &update,
                                 pp__session_ref(session, plan->scalars)));
    }
    return PP_OK;
}

static pp_status record_step(const recording *r, const pp__plan_step *step) {
    pp__op_binding b;
    pp__stored stored[PP__OP_SAVES];
    const pp__op *op = r->session->plan->nodes[step->node].op;
    PP_TRY(pp__stream_label(r->stream, step->name));
    switch (step->kind) {
        case PP__STEP_FORWARD:
            PP_TRY(bind_node(r, step, PP__PASS_FORWARD, &b, stored));
            return op->forward(&b);
        case PP__STEP_BACKWARD_PARAMETERS:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD_PARAMETERS, &b, stored));
            return op->backward_parameters(&b);
        case PP__STEP_BACKWARD:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD, &b, stored));
            return op->backward(&b);
        case PP__STEP_ENCODE: return record_encode(r, step);
        case PP__STEP_COPY_GRADIENT: return record_copy(r, step);
        case PP__STEP_ADD_GRADIENT: return record_add(r, step);
        case PP__STEP_CLIP: return record_clip(r, step);
        case PP__STEP_UPDATE: return record_update(r, step);
    }
    return PP_OK;
}

static bool is_update(const pp__plan_step *step) {
    return step->kind == PP__STEP_UPDATE || step->kind == PP__STEP_CLIP;
}

/* Which steps a stream holds. */
typedef bool selection(const pp_plan *plan, const pp__plan_step *step);

static bool in_training(const pp_plan *plan, const pp__plan_step *step) {
    return !plan->updates_at_end || !is_update(step);
}
static bool in_update(const pp_plan *plan, const pp__plan_step *step) {
    (void)plan;
    return is_update(step);
}
static bool in_inference(const pp_plan *plan, const pp__plan_step *step) {
    (void)plan;
    return step->kind == PP__STEP_FORWARD;
}

static pp_status record(pp_session *session, const pp_profile *profile, selection *selects,
                        bool training, bool adds, pp__stream **stream_out) {
    PP_TRY(pp__stream_create(session->device, profile, stream_out));
    recording r = {session, profile, *stream_out, training, adds};
    for (size_t s = 0; s < session->plan->step_count; s++)
        if (selects(session->plan, &session->plan->steps[s]))
            PP_TRY(record_step(&r, &session->plan->steps[s]));
    return PP_OK;
}

pp_status pp__session_record(pp_session *session, const pp_profile *profile) {
    const pp_plan *plan = session->plan;
    PP_TRY(record(session, profile, in_inference, false, false, &session->inference));
    if (plan->inference) return pp__profile_status(profile);
    PP_TRY(record(session, profile, in_training, true, false, &session->first));
    if (plan->accumulate > 1)
        PP_TRY(record(session, profile, in_training, true, true, &session->next));
    if (plan->updates_at_end)
        PP_TRY(record(session, profile, in_update, true, false, &session->update));
    return pp__profile_status(profile);
}
