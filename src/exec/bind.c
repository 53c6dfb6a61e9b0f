/* Binds the plan's steps to memory and records their launches, once per session. */
#include <string.h>

#include "exec/session.h"
#include "exec/update.h"
#include "profile/profile.h"

static pp__ref piece_ref(const pp_session *session, const pp__plan_piece *piece) {
    pp__ref ref = session->arena.chunks[piece->chunk];
    ref.offset_bytes += piece->offset_bytes;
    return ref;
}

pp__ref pp__session_ref(const pp_session *session, uint32_t buffer) {
    if (buffer == PP__NONE) return (pp__ref){0};
    const pp_plan *plan = session->plan;
    return piece_ref(session, &plan->pieces[plan->buffers[buffer].first_piece]);
}

pp__ref pp__session_scalars(const pp_session *session, uint32_t first) {
    pp__ref scalars = pp__session_ref(session, session->plan->scalars);
    scalars.offset_bytes += first * sizeof(uint32_t);
    return scalars;
}

/* The step's images in a buffer; one that holds a band alone begins with them. */
static pp__ref image_ref(const pp_session *session, const pp__plan_step *step, uint32_t buffer) {
    if (buffer == PP__NONE) return (pp__ref){0};
    const pp__plan_buffer *b = &session->plan->buffers[buffer];
    if (b->images != session->plan->batch) return pp__session_ref(session, buffer);
    const pp__plan_piece *piece = pp__plan_piece_of(
        session->plan, buffer, (size_t)(step - session->plan->steps), step->first_image);
    pp__ref ref = piece_ref(session, piece);
    ref.offset_bytes += b->bytes / b->images * (step->first_image - piece->first_image);
    return ref;
}

static void bind_stored(const pp_session *session, const pp__plan_step *step,
                        const pp__saved *saved, pp__stored *stored) {
    const pp_plan *plan = session->plan;
    stored->code = image_ref(session, step, saved->buffer);
    stored->scalars = pp__session_ref(session, plan->scalars);
    stored->number = plan->nodes[saved->node].number;
    stored->first_image = step->first_image;
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
    const pp__updates *updates;
    const pp_profile *profile;
    pp__stream *stream;
    bool training;
    bool adds; /* parameter gradients are added to */
} recording;

/* A profile that is not the plan's may ask for more scratch than there is; kernels would write over
 * other values. */
static pp_status check_workspace(const recording *r, const pp__plan_step *step, size_t wanted) {
    const pp_plan *plan = r->session->plan;
    size_t planned = step->workspace == PP__NONE ? 0 : plan->buffers[step->workspace].bytes;
    if (wanted <= planned) return PP_OK;
    return pp__fail(r->session->engine, PP_ERROR_INVALID_ARGUMENT,
                    "session: with profile '%s', '%s' needs %zu bytes of scratch; the plan was "
                    "made for another profile and has %zu",
                    pp_profile_name(r->profile), step->name, wanted, planned);
}

static pp_status fail_splits(const recording *r, const pp__plan_step *step) {
    return pp__fail(r->session->engine, PP_ERROR_INVALID_ARGUMENT,
                    "session: with profile '%s', '%s' splits its moments in another way than in "
                    "the plan, which was made for another profile",
                    pp_profile_name(r->profile), step->name);
}

/* Inference takes the running statistics. */
static pp_status bind_moments(const recording *r, const pp__plan_step *step, pp__op_binding *b) {
    const pp_plan *plan = r->session->plan;
    const pp__plan_node *node = &plan->nodes[step->node];
    if (!r->training) b->q.input_moments = 0;
    if (!r->training || (step->kind != PP__STEP_FORWARD && step->kind != PP__STEP_STATISTICS))
        return PP_OK;
    if (b->q.input_moments)
        b->input_moments = pp__session_ref(r->session, plan->nodes[node->inputs[0]].moments);
    if (!node->moment_splits || node->moments_apart || step->repeated) return PP_OK;
    const uint32_t splits = node->op->moments(&b->q);
    b->output_moments = pp__session_ref(r->session, node->moments);
    b->output_moments.offset_bytes +=
        (size_t)b->band * splits * PP__OP_MOMENTS * node->shape.c * sizeof(float);
    return splits * b->q.bands == node->moment_splits ? PP_OK : fail_splits(r, step);
}

static pp_status bind_node(const recording *r, const pp__plan_step *step, pp__pass pass,
                           pp__op_binding *b, pp__stored stored[PP__OP_SAVES]) {
    const pp_session *session = r->session;
    const pp_plan *plan = session->plan;
    const pp__plan_node *node = &plan->nodes[step->node];
    memset(b, 0, sizeof *b);
    pp__plan_query_band(plan, step->node, step->image_count, r->profile, &b->q, stored);
    b->q.training = r->training;
    b->divided = step->divided;
    b->band = step->first_image / step->image_count;
    if (node->op->workspace && step->kind != PP__STEP_MOMENTS)
        PP_TRY(check_workspace(r, step, node->op->workspace(&b->q, pass)));
    b->stream = r->stream;
    b->node_number = node->number;
    b->output = image_ref(session, step, step->scratch != PP__NONE ? step->scratch : node->value);
    if (node->op->traits & PP__OP_SOURCE) b->inputs[0] = image_ref(session, step, plan->input);
    for (size_t j = 0; j < node->op->input_count; j++)
        b->inputs[j] = image_ref(session, step, plan->nodes[node->inputs[j]].value);
    PP_TRY(bind_moments(r, step, b));
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) {
            b->auxiliary[s] = pp__session_ref(session, node->auxiliary[s]);
        } else {
            bind_stored(session, step, &plan->saved[node->saved[s]], &stored[s]);
            b->auxiliary[s] = stored[s].code;
        }
    }
    for (uint32_t p = 0; p < node->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[node->first_parameter + p];
        b->parameters[p] = pp__session_ref(session, parameter->value);
        b->parameter_gradients[p] = pp__session_ref(session, parameter->gradient);
    }
    b->parameter_gradients_add = r->adds || step->first_image;
    b->output_gradient = image_ref(session, step, step->output_gradient);
    for (size_t j = 0; j < PP__OP_INPUTS; j++) {
        b->input_gradients[j] = image_ref(session, step, step->input_gradients[j]);
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
    pp__stored stored = pp__plan_stored(r->session->plan, saved);
    stored.shape.n = step->image_count;
    bind_stored(r->session, step, saved, &stored);
    pp__ref value = image_ref(r->session, step, r->session->plan->nodes[saved->node].value);
    return saved->coding.codec->encode(&stored, value, r->stream);
}

static pp_status record_decode(const recording *r, const pp__plan_step *step) {
    const pp__saved *saved = &r->session->plan->saved[step->index];
    pp__stored stored = pp__plan_stored(r->session->plan, saved);
    bind_stored(r->session, step, saved, &stored);
    pp__ref value = image_ref(r->session, step, r->session->plan->nodes[step->node].value);
    return pp__stored_decode(&stored, 0, stored.shape.n, value, r->stream);
}

/* input_gradients[0] += output_gradient, with the add operator's kernel in place. */
static pp_status record_add(const recording *r, const pp__plan_step *step) {
    pp__op_binding b = {.stream = r->stream};
    b.q.output = r->session->plan->nodes[step->node].shape;
    b.q.output.n = step->image_count;
    b.q.inputs[0] = b.q.inputs[1] = b.q.output;
    b.q.input_count = 2;
    b.q.profile = r->profile;
    b.inputs[0] = b.output = image_ref(r->session, step, step->input_gradients[0]);
    b.inputs[1] = image_ref(r->session, step, step->output_gradient);
    return pp__op_add.forward(&b);
}

/* Buffers with the node's output, or its gradient. */
static pp_status record_copy(const recording *r, const pp__plan_step *step, uint32_t from,
                             uint32_t to) {
    pp__shape shape = r->session->plan->nodes[step->node].shape;
    shape.n = step->image_count;
    return pp__stream_copy(r->stream, image_ref(r->session, step, from),
                           image_ref(r->session, step, to), pp__shape_bytes(shape));
}

/* The elements are a line: one pixel after the other, whatever the tensor's shape. */
static pp_status record_parking(const recording *r, const pp__plan_step *step) {
    const pp_plan *plan = r->session->plan;
    const bool parks = step->kind == PP__STEP_PARK;
    const uint32_t from = step->output_gradient, to = step->input_gradients[0];
    const pp__plan_buffer *code = &plan->buffers[parks ? to : from];
    const pp__ref value = image_ref(r->session, step, parks ? from : to);
    const uint32_t elems = (uint32_t)(code->raw_bytes / sizeof(float) / plan->batch);
    uint32_t width = 1;
    while (width < 512 && elems % (2 * width) == 0) width *= 2;
    const pp__stored stored = {.coding = code->parked,
                               .subject = PP__SUBJECT_ACTIVATION,
                               .shape = {step->image_count, 1, elems / width, width},
                               .code = image_ref(r->session, step, parks ? to : from)};
    if (parks) return stored.coding.codec->encode(&stored, value, r->stream);
    return pp__stored_decode(&stored, 0, stored.shape.n, value, r->stream);
}

static pp_status record_clip(const recording *r, const pp__plan_step *step) {
    const size_t squares = pp__plan_square_count(r->session->plan, r->profile);
    PP_TRY(check_workspace(r, step, squares * sizeof(float)));
    return pp__update_record_clip(r->stream, r->updates,
                                  pp__session_ref(r->session, step->workspace));
}

/* Rows of the update's table in front of a parameter. */
static size_t rows_before(const pp_plan *plan, uint32_t parameter) {
    size_t rows = 0;
    for (uint32_t p = 0; p < parameter; p++) rows += plan->parameters[p].gradient != PP__NONE;
    return rows;
}

static pp_status record_update(const recording *r, const pp__plan_step *step) {
    const pp_plan *plan = r->session->plan;
    const pp__plan_node *last = &plan->nodes[step->index];
    const size_t first_row = rows_before(plan, plan->nodes[step->node].first_parameter);
    const size_t end_row = rows_before(plan, last->first_parameter + last->parameter_count);
    return pp__update_record(r->stream, r->updates, first_row, end_row - first_row);
}

/* A band's moments of a normalising operator's input. */
static pp_status record_input_moments(const recording *r, const pp__plan_step *step) {
    const pp_plan *plan = r->session->plan;
    const pp__plan_node *node = &plan->nodes[step->node], *source = &plan->nodes[node->inputs[0]];
    pp__op_binding b;
    pp__stored stored[PP__OP_SAVES];
    PP_TRY(bind_node(r, step, PP__PASS_FORWARD, &b, stored));
    const uint32_t splits = node->op->input_splits(&b.q);
    b.workspace = pp__session_ref(r->session, source->moments);
    b.workspace.offset_bytes +=
        (size_t)b.band * splits * PP__OP_MOMENTS * node->shape.c * sizeof(float);
    if (splits * b.q.bands == source->moment_splits) return node->op->input_moments(&b);
    return fail_splits(r, step);
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
        case PP__STEP_MOMENTS: return record_input_moments(r, step);
        case PP__STEP_STATISTICS:
            PP_TRY(bind_node(r, step, PP__PASS_FORWARD, &b, stored));
            return op->statistics(&b);
        case PP__STEP_BACKWARD_PARAMETERS:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD_PARAMETERS, &b, stored));
            return op->backward_parameters(&b);
        case PP__STEP_BACKWARD_SUMS:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD, &b, stored));
            return op->backward_sums(&b);
        case PP__STEP_BACKWARD_TOTALS:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD, &b, stored));
            return op->backward_totals(&b);
        case PP__STEP_BACKWARD:
            PP_TRY(bind_node(r, step, PP__PASS_BACKWARD, &b, stored));
            return op->backward(&b);
        case PP__STEP_ENCODE: return record_encode(r, step);
        case PP__STEP_DECODE: return record_decode(r, step);
        case PP__STEP_COPY_VALUE:
            return record_copy(r, step, step->scratch, r->session->plan->nodes[step->node].value);
        case PP__STEP_COPY_GRADIENT:
            return record_copy(r, step, step->output_gradient, step->input_gradients[0]);
        case PP__STEP_ADD_GRADIENT: return record_add(r, step);
        case PP__STEP_PARK:
        case PP__STEP_FETCH: return record_parking(r, step);
        case PP__STEP_CLIP: return record_clip(r, step);
        case PP__STEP_UPDATE: return record_update(r, step);
    }
    return PP_OK;
}

pp_status pp__session_record_step(const pp_session *session, const pp_profile *profile,
                                  const pp__plan_step *step, pp__stream *stream) {
    const recording r = {session, NULL, profile, stream, true, false};
    return record_step(&r, step);
}

pp__stored pp__session_stored(const pp_session *session, const pp__saved *saved) {
    static const pp__plan_step whole = {.first_image = 0};
    pp__stored stored = pp__plan_stored(session->plan, saved);
    bind_stored(session, &whole, saved, &stored);
    return stored;
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
    return (step->kind == PP__STEP_FORWARD || step->kind == PP__STEP_COPY_VALUE ||
            step->kind == PP__STEP_PARK || step->kind == PP__STEP_FETCH) &&
           !step->training_only;
}

/* One of the session's streams. */
typedef struct stream_kind {
    selection *selects;
    bool training, adds;
    pp__stream **stream;
} stream_kind;

/* Those that the session has; returns how many. */
static size_t list_streams(pp_session *session, stream_kind kinds[4]) {
    const pp_plan *plan = session->plan;
    size_t count = 0;
    kinds[count++] = (stream_kind){in_inference, false, false, &session->inference};
    if (plan->inference) return count;
    kinds[count++] = (stream_kind){in_training, true, false, &session->first};
    if (plan->accumulate > 1)
        kinds[count++] = (stream_kind){in_training, true, true, &session->next};
    if (plan->updates_at_end)
        kinds[count++] = (stream_kind){in_update, true, false, &session->update};
    return count;
}

static size_t count_steps(const pp_plan *plan, const stream_kind *kind) {
    size_t count = 0;
    for (size_t s = 0; s < plan->step_count; s++) count += kind->selects(plan, &plan->steps[s]);
    return count;
}

static pp_status record_streams(pp_session *session, const pp_profile *profile,
                                const pp__updates *updates, const pp_session_options *options) {
    const pp_plan *plan = session->plan;
    stream_kind kinds[4];
    const size_t kind_count = list_streams(session, kinds);
    size_t done = 0, total = 0;
    for (size_t k = 0; k < kind_count; k++) total += count_steps(plan, &kinds[k]);
    for (size_t k = 0; k < kind_count; k++) {
        PP_TRY(pp__stream_create(session->device, profile, kinds[k].stream));
        const recording r = {session,          updates,           profile,
                             *kinds[k].stream, kinds[k].training, kinds[k].adds};
        for (size_t s = 0; s < plan->step_count; s++) {
            if (!kinds[k].selects(plan, &plan->steps[s])) continue;
            if (options->progress) options->progress(options->progress_user, done++, total);
            PP_TRY(record_step(&r, &plan->steps[s]));
        }
    }
    return pp__profile_status(profile);
}

/* float32 is never the smaller form of a moment that has codes. */
static bool coded_moments(const pp_plan *plan, const pp__plan_parameter *parameter) {
    if (parameter->moments[0] == PP__NONE) return false;
    const pp__plan_buffer *moment = &plan->buffers[parameter->moments[0]];
    return moment->bytes < moment->raw_bytes;
}

static pp__update update_of(const pp_session *session, const pp__plan_parameter *parameter) {
    return (pp__update){
        .value = pp__session_ref(session, parameter->value),
        .gradient = pp__session_ref(session, parameter->gradient),
        .moments = {pp__session_ref(session, parameter->moments[0]),
                    pp__session_ref(session, parameter->moments[1])},
        .elems = (uint32_t)parameter->elems,
        .rate = parameter->rate,
        .decayed = parameter->spec.decayed || session->plan->optimizer.decay_all,
        .coded = coded_moments(session->plan, parameter),
    };
}

pp_status pp__session_record(pp_session *session, const pp_profile *profile,
                             const pp_session_options *options) {
    const pp_plan *plan = session->plan;
    pp__updates updates = {.table = pp__session_ref(session, plan->update_table),
                           .scalars = pp__session_ref(session, plan->scalars),
                           .optimizer = &plan->optimizer};
    pp_status status;
    PP_TRY_GOTO(
        status,
        pp__allocate(session->engine, plan->parameter_count, sizeof *updates.rows, &updates.rows),
        done);
    for (size_t p = 0; p < plan->parameter_count; p++)
        if (plan->parameters[p].gradient != PP__NONE)
            updates.rows[updates.count++] = update_of(session, &plan->parameters[p]);
    for (size_t i = 0; i < updates.count; i++) updates.coded |= updates.rows[i].coded;
    PP_TRY_GOTO(status, pp__update_write_table(session->device, profile, &updates), done);
    status = record_streams(session, profile, &updates, options);
done:
    pp__release(session->engine, updates.rows);
    return status;
}
