/* Creating and destroying sessions, parameters in and out. Steps are run in step.c. */
#include "exec/session.h"

#include <string.h>

#include "device/opencl.h"
#include "util/rng.h"

/* Streams of the counter generator: initial weights use one per parameter. */
enum { RNG_WEIGHTS = 1 };

static void fill_initial(const pp__plan_parameter *parameter, uint64_t seed, size_t number,
                         float *values) {
    for (size_t i = 0; i < parameter->elems; i++)
        values[i] = parameter->spec.init == PP__INIT_ONE ? 1.0f : 0.0f;
    if (parameter->spec.init != PP__INIT_NORMAL) return;
    for (size_t i = 0; i < parameter->elems; i += 4) {
        pp__rng_block block = pp__rng(seed, (uint64_t)RNG_WEIGHTS << 48 | number, i / 4);
        float normal[4];
        pp__rng_normal(block.word[0], block.word[1], normal);
        pp__rng_normal(block.word[2], block.word[3], normal + 2);
        for (size_t j = 0; j < 4 && i + j < parameter->elems; j++)
            values[i + j] = normal[j] * parameter->spec.deviation;
    }
}

static pp_status write_zeros(pp_session *session, uint32_t buffer, const float *zeros) {
    if (buffer == PP__NONE) return PP_OK;
    return pp__write_now(session->device, pp__session_ref(session, buffer), zeros,
                         session->plan->buffers[buffer].bytes);
}

static pp_status write_initial(pp_session *session, float *values, float *zeros) {
    const pp_plan *plan = session->plan;
    for (size_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        fill_initial(parameter, session->seed, p, values);
        PP_TRY(pp__write_now(session->device, pp__session_ref(session, parameter->value), values,
                             parameter->elems * sizeof(float)));
        for (size_t m = 0; m < 2; m++) PP_TRY(write_zeros(session, parameter->moments[m], zeros));
    }
    PP_TRY(write_zeros(session, plan->metrics, zeros));
    uint32_t scalars[PP__SCALAR_WORDS] = {0};
    const float one = 1.0f;
    memcpy(&scalars[PP__SCALAR_CLIP], &one, sizeof one);
    return pp__write_now(session->device, pp__session_ref(session, plan->scalars), scalars,
                         sizeof scalars);
}

static pp_status initialise(pp_session *session) {
    size_t most = PP__SCALAR_WORDS;
    for (size_t p = 0; p < session->plan->parameter_count; p++)
        if (session->plan->parameters[p].elems > most) most = session->plan->parameters[p].elems;
    float *values = NULL, *zeros = NULL;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(session->engine, most, sizeof *values, &values), done);
    PP_TRY_GOTO(status, pp__allocate(session->engine, most, sizeof *zeros, &zeros), done);
    status = write_initial(session, values, zeros);
done:
    pp__release(session->engine, values);
    pp__release(session->engine, zeros);
    return status;
}

static pp_status make_arena(pp_session *session, const pp_session_options *options) {
    const pp_plan *plan = session->plan;
    const size_t chunk_count = plan->layout.chunk_count;
    return options->memory
               ? pp__arena_borrow(session->device, plan->chunk_bytes, chunk_count, options->memory,
                                  &session->arena)
               : pp__arena_create(session->device, plan->chunk_bytes, chunk_count, &session->arena);
}

pp_status pp__session_open(pp_device *device, const pp_plan *plan, const pp_profile *profile,
                           const pp_session_options *options, pp_session **session_out) {
    *session_out = NULL;
    if (options->memory || options->memory_count)
        PP_TRY(pp__memory_check(device, options->memory, options->memory_count, plan->chunk_bytes,
                                plan->layout.chunk_count, plan->alignment_bytes));
    pp_session *session;
    PP_TRY(pp__allocate(plan->engine, 1, sizeof *session, &session));
    session->engine = plan->engine;
    session->device = device;
    session->plan = plan;
    session->seed = options->seed;
    pp_status status;
    PP_TRY_GOTO(status, pp__session_vet(device, plan, profile), fail);
    PP_TRY_GOTO(status, make_arena(session, options), fail);
    PP_TRY_GOTO(status, initialise(session), fail);
    *session_out = session;
    return PP_OK;
fail:
    pp_session_destroy(session);
    return status;
}

pp_status pp_session_create(pp_device *device, const pp_plan *plan, const pp_profile *profile,
                            const pp_session_options *options, pp_session **session_out) {
    static const pp_session_options defaults = {0};
    if (!options) options = &defaults;
    PP_TRY(pp__session_open(device, plan, profile, options, session_out));
    const pp_status status = pp__session_record(*session_out, profile, options);
    if (status == PP_OK) return PP_OK;
    pp_session_destroy(*session_out);
    *session_out = NULL;
    return status;
}

void pp_session_destroy(pp_session *session) {
    if (!session) return;
    /* The device may still read batches and write the arena; a failure here leaves nothing to give
     * back or to wait for. */
    (void)pp_session_unmap_inputs(session);
    (void)pp__device_finish(session->device);
    pp__stream_destroy(session->first);
    pp__stream_destroy(session->next);
    pp__stream_destroy(session->update);
    pp__stream_destroy(session->inference);
    pp__arena_release(&session->arena);
    pp__release(session->engine, session);
}

pp_status pp__session_check_whole(const pp_session *session) {
    if (!session->torn) return PP_OK;
    return pp__fail(session->engine, PP_ERROR_DEVICE,
                    "session: the device failed in the middle of a step before, which left the "
                    "parameters undefined; load a state or a checkpoint to go on");
}

static pp_status check_parameter(const pp_session *session, size_t index, size_t elem_count) {
    const pp_plan *plan = session->plan;
    if (index >= plan->parameter_count)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT, "session: parameter %zu of %zu",
                        index, plan->parameter_count);
    if (elem_count != plan->parameters[index].elems)
        return pp__fail(session->engine, PP_ERROR_SHAPE,
                        "session: %zu elements for '%s', which has %zu", elem_count,
                        plan->parameters[index].name, plan->parameters[index].elems);
    return PP_OK;
}

pp_status pp_session_read_parameter(pp_session *session, size_t index, float *values,
                                    size_t elem_count) {
    PP_TRY(check_parameter(session, index, elem_count));
    PP_TRY(pp__session_check_whole(session));
    return pp__read_now(session->device,
                        pp__session_ref(session, session->plan->parameters[index].value), values,
                        elem_count * sizeof(float));
}

pp_status pp_session_write_parameter(pp_session *session, size_t index, const float *values,
                                     size_t elem_count) {
    PP_TRY(check_parameter(session, index, elem_count));
    return pp__write_now(session->device,
                         pp__session_ref(session, session->plan->parameters[index].value), values,
                         elem_count * sizeof(float));
}

pp_status pp_session_read_gradient(pp_session *session, size_t index, float *values,
                                   size_t elem_count) {
    PP_TRY(check_parameter(session, index, elem_count));
    const pp__plan_parameter *parameter = &session->plan->parameters[index];
    if (parameter->gradient == PP__NONE || !session->plan->updates_at_end)
        return pp__fail(session->engine, PP_ERROR_UNSUPPORTED,
                        "session: the gradient of '%s' does not outlive its step; plan with "
                        "clip_norm or accumulate",
                        parameter->name);
    PP_TRY(pp__session_check_whole(session));
    return pp__read_now(session->device, pp__session_ref(session, parameter->gradient), values,
                        elem_count * sizeof(float));
}

size_t pp_session_device_bytes(const pp_session *session) {
    return session->arena.bytes;
}

uint64_t pp_session_update_count(const pp_session *session) {
    return session->update_count;
}

const pp_plan *pp_session_plan(const pp_session *session) {
    return session->plan;
}

pp_engine *pp_session_engine(const pp_session *session) {
    return session->engine;
}
