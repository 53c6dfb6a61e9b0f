/* Running a session's streams: nothing here allocates, builds or waits, but for the calls that say
 * so. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/session.h"

static uint32_t float_bits(double value) {
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static const pp__plan_node *loss_of(const pp_plan *plan) {
    return plan->loss_node == PP__NONE ? NULL : &plan->nodes[plan->loss_node];
}

static bool wants_targets(const pp_plan *plan) {
    return loss_of(plan) && loss_of(plan)->op->traits & PP__OP_TARGETS;
}

static pp_status check_labels(const pp_session *session, const pp_batch *batch) {
    const pp_plan *plan = session->plan;
    if (wants_targets(plan))
        return batch->targets ? PP_OK
                              : pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                                         "session: the batch has no targets");
    if (!batch->labels)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the batch has no labels");
    uint32_t classes = plan->nodes[loss_of(plan)->inputs[0]].shape.c;
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->labels[i] < 0 || (uint32_t)batch->labels[i] >= classes)
            return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                            "session: label %" PRId32 " of sample %" PRIu32
                            "; the network has %" PRIu32 " classes",
                            batch->labels[i], i, classes);
    return PP_OK;
}

/* What the batch holds of what the network's input arrives as. */
static const void *inputs_of(const pp_plan *plan, const pp_batch *batch) {
    return plan->pixels ? (const void *)batch->pixels : (const void *)batch->inputs;
}

static pp_status check_batch(const pp_session *session, const pp_batch *batch, bool labelled) {
    const pp_plan *plan = session->plan;
    const bool has_inputs = inputs_of(plan, batch) != NULL;
    if (!has_inputs && (batch->inputs || batch->pixels))
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the batch has %s; the network's input '%s' takes %s",
                        plan->pixels ? "float32 inputs" : "bytes",
                        plan->nodes[plan->input_node].name,
                        plan->pixels ? "bytes (pp_batch.pixels)" : "float32 (pp_batch.inputs)");
    if (!has_inputs || !batch->count || batch->count > plan->batch)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: a batch of %" PRIu32 " samples%s; the plan's batch is %" PRIu32,
                        batch->count, has_inputs ? "" : " without inputs", plan->batch);
    if (!labelled) return PP_OK;
    if (!loss_of(session->plan))
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the network has no loss");
    return check_labels(session, batch);
}

static void fill_scalars(const pp_session *session, uint32_t *words, uint32_t labelled_count,
                         double rate) {
    const pp_plan *plan = session->plan;
    const pp_optimizer *o = &plan->optimizer;
    double updates = (double)session->update_count + 1;
    words[PP__SCALAR_SEED_LOW] = (uint32_t)session->seed;
    words[PP__SCALAR_SEED_HIGH] = (uint32_t)(session->seed >> 32);
    words[PP__SCALAR_STEP] = (uint32_t)session->step_count;
    words[PP__SCALAR_COUNT] = labelled_count;
    words[PP__SCALAR_LOSS_SCALE] = float_bits(1.0 / ((double)plan->batch * plan->accumulate));
    words[PP__SCALAR_RATE] = float_bits(rate);
    words[PP__SCALAR_CORRECTION1] = float_bits(1.0 / (1.0 - pow((double)o->beta1, updates)));
    words[PP__SCALAR_CORRECTION2] = float_bits(1.0 / sqrt(1.0 - pow((double)o->beta2, updates)));
}

/* Transfers a batch and the scalars. Waits only for the transfer before the last, so that the host
 * is at most two steps ahead; that is what pp_batch promises its caller. */
static pp_status transfer(pp_session *session, const pp_batch *batch, uint32_t labelled_count,
                          double rate) {
    const pp_plan *plan = session->plan;
    size_t place = session->batch_count % PP__SESSION_IN_FLIGHT;
    if (session->batch_count >= PP__SESSION_IN_FLIGHT)
        PP_TRY(pp__wait_write(session->device, session->tickets[place]));
    uint64_t ticket;
    PP_TRY(pp__write(session->device, pp__session_ref(session, plan->input), inputs_of(plan, batch),
                     plan->buffers[plan->input].bytes / plan->batch * batch->count, &ticket));
    if (labelled_count) {
        const void *labels =
            wants_targets(plan) ? (const void *)batch->targets : (const void *)batch->labels;
        PP_TRY(pp__write(session->device, pp__session_ref(session, plan->labels), labels,
                         plan->label_bytes / plan->batch * labelled_count, &ticket));
    }
    fill_scalars(session, session->scalars[place], labelled_count, rate);
    PP_TRY(pp__write(session->device, pp__session_ref(session, plan->scalars),
                     session->scalars[place], PP__SCALAR_HOST_WORDS * sizeof(uint32_t), &ticket));
    session->tickets[place] = ticket;
    session->batch_count++;
    return PP_OK;
}

pp_status pp__session_transfer(pp_session *session, const pp_batch *batch) {
    PP_TRY(check_batch(session, batch, true));
    return transfer(session, batch, batch->count, 0);
}

pp_status pp_session_step(pp_session *session, const pp_batch *batch, float learning_rate) {
    const pp_plan *plan = session->plan;
    if (plan->inference)
        return pp__fail(session->engine, PP_ERROR_UNSUPPORTED,
                        "session: a plan for inference cannot train");
    PP_TRY(check_batch(session, batch, true));
    if (batch->count != plan->batch)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: a training batch of %" PRIu32
                        " samples; the plan's batch is %" PRIu32,
                        batch->count, plan->batch);
    PP_TRY(transfer(session, batch, batch->count, (double)learning_rate));
    PP_TRY(pp__stream_run(session->micro_step ? session->next : session->first));
    session->step_count++;
    session->sample_count += batch->count;
    if (++session->micro_step < plan->accumulate) return PP_OK;
    session->micro_step = 0;
    session->update_count++;
    return plan->updates_at_end ? pp__stream_run(session->update) : PP_OK;
}

pp_status pp_session_evaluate(pp_session *session, const pp_batch *batch) {
    PP_TRY(check_batch(session, batch, true));
    PP_TRY(transfer(session, batch, batch->count, 0));
    PP_TRY(pp__stream_run(session->inference));
    session->sample_count += batch->count;
    return PP_OK;
}

pp_status pp_session_predict(pp_session *session, const pp_batch *batch, float *outputs) {
    const pp_plan *plan = session->plan;
    PP_TRY(check_batch(session, batch, false));
    PP_TRY(transfer(session, batch, 0, 0));
    PP_TRY(pp__stream_run(session->inference));
    const pp__plan_node *last = &plan->nodes[pp__plan_prediction(plan)];
    return pp__read_now(session->device, pp__session_ref(session, last->value), outputs,
                        pp__shape_bytes(last->shape) / plan->batch * batch->count);
}

pp_status pp_session_read_metrics(pp_session *session, pp_metrics *metrics_out) {
    float sums[2];
    PP_TRY(pp__read_now(session->device, pp__session_ref(session, session->plan->metrics), sums,
                        sizeof sums));
    *metrics_out = (pp_metrics){(double)sums[0], (uint64_t)sums[1], session->sample_count};
    return PP_OK;
}

pp_status pp_session_reset_metrics(pp_session *session) {
    static const float zeros[2] = {0};
    session->sample_count = 0;
    return pp__write_now(session->device, pp__session_ref(session, session->plan->metrics), zeros,
                         sizeof zeros);
}

pp_status pp_session_finish(pp_session *session) {
    return pp__device_finish(session->device);
}
