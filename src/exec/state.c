/* Copies between a session's arena and the host. */
#include "exec/state.h"

#include <string.h>

#include "util/size.h"

static uint32_t buffer_of(const pp__plan_parameter *parameter, int tensor) {
    return tensor == PP__STATE_VALUE ? parameter->value
                                     : parameter->moments[tensor - PP__STATE_MOMENT1];
}

/* What the plan stores of a tensor, without padding behind a value. */
static size_t bytes_of(const pp_plan *plan, const pp__plan_parameter *parameter, int tensor) {
    const uint32_t buffer = buffer_of(parameter, tensor);
    if (buffer == PP__NONE) return 0;
    return tensor == PP__STATE_VALUE ? parameter->elems * sizeof(float)
                                     : plan->buffers[buffer].bytes;
}

static pp_status describe(const pp_plan *plan, pp_state *state, size_t *bytes_out) {
    *bytes_out = 0;
    PP_TRY(pp__allocate(state->engine, plan->parameter_count, sizeof *state->parameters,
                        &state->parameters));
    state->parameter_count = plan->parameter_count;
    for (size_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        PP_TRY(pp__copy_text(state->engine, parameter->name, &state->parameters[p].name));
        for (int t = 0; t < PP__STATE_TENSORS; t++) {
            state->parameters[p].bytes[t] = bytes_of(plan, parameter, t);
            *bytes_out += state->parameters[p].bytes[t];
        }
    }
    return pp__allocate(state->engine, *bytes_out, 1, &state->bytes);
}

static pp_status read_all(const pp_session *session, pp_state *state) {
    const pp_plan *plan = session->plan;
    unsigned char *to = state->bytes;
    for (size_t p = 0; p < plan->parameter_count; p++)
        for (int t = 0; t < PP__STATE_TENSORS; t++) {
            const size_t bytes = state->parameters[p].bytes[t];
            if (!bytes) continue;
            PP_TRY(pp__read_now(session->device,
                                pp__session_ref(session, buffer_of(&plan->parameters[p], t)), to,
                                bytes));
            to += bytes;
        }
    PP_TRY(pp__read_now(session->device, pp__session_ref(session, plan->metrics), state->metrics,
                        sizeof state->metrics));
    return pp__read_now(session->device, pp__session_scalars(session, PP__SCALAR_NOT_FINITE),
                        state->counters, sizeof state->counters);
}

pp_status pp_state_create(const pp_plan *plan, pp_state **state_out) {
    *state_out = NULL;
    pp_state *state;
    PP_TRY(pp__allocate(plan->engine, 1, sizeof *state, &state));
    state->engine = plan->engine;
    state->optimizer = plan->optimizer.kind;
    size_t bytes;
    const pp_status status = describe(plan, state, &bytes);
    if (status == PP_OK)
        *state_out = state;
    else
        pp_state_destroy(state);
    return status;
}

pp_status pp_state_save(pp_session *session, pp_state **state_out) {
    *state_out = NULL;
    PP_TRY(pp__session_check_whole(session));
    if (session->micro_step)
        return pp__fail(session->engine, PP_ERROR_UNSUPPORTED,
                        "state: %u of %u micro-steps of an update are done, and their gradients "
                        "are no part of a state",
                        (unsigned)session->micro_step, (unsigned)session->plan->accumulate);
    pp_state *state;
    PP_TRY(pp_state_create(session->plan, &state));
    state->seed = session->seed;
    state->step_count = session->step_count;
    state->update_count = session->update_count;
    state->sample_count = session->sample_count;
    const pp_status status = read_all(session, state);
    if (status == PP_OK)
        *state_out = state;
    else
        pp_state_destroy(state);
    return status;
}

static const char *const tensor_names[] = {"the value", "the first moment", "the second moment"};

/* `tensors`: so many of each parameter are wanted. */
static pp_status check(const pp_state *state, const pp_session *session, int tensors) {
    const pp_plan *plan = session->plan;
    if (state->parameter_count != plan->parameter_count)
        return pp__fail(session->engine, PP_ERROR_SHAPE,
                        "state: %zu parameters and running statistics; the session's network has "
                        "%zu",
                        state->parameter_count, plan->parameter_count);
    /* Adam's moments fit AdamW's, and mean something else: the decay is in them. */
    if (tensors > PP__STATE_MOMENT1 && state->optimizer != plan->optimizer.kind)
        return pp__fail(session->engine, PP_ERROR_SHAPE,
                        "state: the moments are %s's; the session's optimizer is %s",
                        pp_optimizer_kind_name(state->optimizer),
                        pp_optimizer_kind_name(plan->optimizer.kind));
    for (size_t p = 0; p < plan->parameter_count; p++) {
        const pp__state_parameter *have = &state->parameters[p];
        const pp__plan_parameter *parameter = &plan->parameters[p];
        if (strcmp(have->name, parameter->name) != 0)
            return pp__fail(session->engine, PP_ERROR_SHAPE,
                            "state: '%s' where the session's network has '%s'", have->name,
                            parameter->name);
        for (int t = 0; t < tensors; t++)
            if (have->bytes[t] != bytes_of(plan, parameter, t))
                return pp__fail(session->engine, PP_ERROR_SHAPE,
                                "state: %zu bytes for %s of '%s', which takes %zu in the session",
                                have->bytes[t], tensor_names[t], have->name,
                                bytes_of(plan, parameter, t));
    }
    return PP_OK;
}

/* Steps are counted anew, so no fault is known of any. */
static pp_status write(const pp_state *state, pp_session *session, int tensors) {
    static const uint32_t no_fault = 0;
    const pp_plan *plan = session->plan;
    const unsigned char *from = state->bytes;
    session->torn = true;
    for (size_t p = 0; p < plan->parameter_count; p++)
        for (int t = 0; t < PP__STATE_TENSORS; t++) {
            const size_t bytes = state->parameters[p].bytes[t];
            if (bytes && t < tensors)
                PP_TRY(pp__write_now(session->device,
                                     pp__session_ref(session, buffer_of(&plan->parameters[p], t)),
                                     from, bytes));
            from += bytes;
        }
    PP_TRY(pp__write_now(session->device, pp__session_scalars(session, PP__SCALAR_FAULT_STEP),
                         &no_fault, sizeof no_fault));
    session->seed = state->seed;
    session->step_count = state->step_count;
    session->update_count = state->update_count;
    session->micro_step = 0;
    session->torn = false;
    return PP_OK;
}

pp_status pp__state_load_values(const pp_state *state, pp_session *session) {
    PP_TRY(check(state, session, PP__STATE_MOMENT1));
    return write(state, session, PP__STATE_MOMENT1);
}

pp_status pp_state_load(const pp_state *state, pp_session *session) {
    PP_TRY(check(state, session, PP__STATE_TENSORS));
    PP_TRY(write(state, session, PP__STATE_TENSORS));
    session->sample_count = state->sample_count;
    PP_TRY(pp__write_now(session->device, pp__session_ref(session, session->plan->metrics),
                         state->metrics, sizeof state->metrics));
    return pp__write_now(session->device, pp__session_scalars(session, PP__SCALAR_NOT_FINITE),
                         state->counters, sizeof state->counters);
}

void pp_state_destroy(pp_state *state) {
    if (!state) return;
    for (size_t p = 0; state->parameters && p < state->parameter_count; p++)
        pp__release(state->engine, state->parameters[p].name);
    pp__release(state->engine, state->parameters);
    pp__release(state->engine, state->bytes);
    pp__release(state->engine, state);
}

size_t pp_state_parameter_count(const pp_state *state) {
    return state->parameter_count;
}

void pp_state_read_tensor(const pp_state *state, size_t parameter, pp_state_part part,
                          pp_state_tensor *tensor_out) {
    unsigned char *data = state->bytes;
    for (size_t p = 0; p < parameter; p++)
        for (int t = 0; t < PP__STATE_TENSORS; t++) data += state->parameters[p].bytes[t];
    for (int t = 0; t < (int)part; t++) data += state->parameters[parameter].bytes[t];
    *tensor_out = (pp_state_tensor){.name = state->parameters[parameter].name,
                                    .bytes = state->parameters[parameter].bytes[part],
                                    .data = data};
}

void pp_state_read_counts(const pp_state *state, pp_state_counts *counts_out) {
    *counts_out = (pp_state_counts){.optimizer = state->optimizer,
                                    .seed = state->seed,
                                    .steps = state->step_count,
                                    .updates = state->update_count,
                                    .samples = state->sample_count,
                                    .loss_sum = state->metrics[0],
                                    .hits = state->metrics[1],
                                    .not_finite = state->counters[0],
                                    .skipped_updates = state->counters[1],
                                    .kept_elems = state->counters[2]};
}

void pp_state_write_counts(pp_state *state, const pp_state_counts *counts) {
    state->optimizer = counts->optimizer;
    state->seed = counts->seed;
    state->step_count = counts->steps;
    state->update_count = counts->updates;
    state->sample_count = counts->samples;
    state->metrics[0] = counts->loss_sum;
    state->metrics[1] = counts->hits;
    state->counters[0] = counts->not_finite;
    state->counters[1] = counts->skipped_updates;
    state->counters[2] = counts->kept_elems;
}
