/* Running a session's streams: nothing here allocates, builds or waits, but for the calls that say
 * so. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "device/opencl.h"
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

/* Labels that are on the device already are looked at by kernels alone. */
static pp_status check_labels(const pp_session *session, const pp_batch *batch) {
    const pp_plan *plan = session->plan;
    if (batch->device_labels.memory) {
        if (batch->labels || batch->targets)
            return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                            "session: the batch has labels or targets both in host memory and on "
                            "the device");
        return pp__place_check(session->device, "session: the batch's labels", batch->device_labels,
                               plan->label_bytes / plan->batch * batch->count);
    }
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

static size_t input_bytes(const pp_plan *plan, uint32_t count) {
    return plan->buffers[plan->input].bytes / plan->batch * count;
}

static pp_status check_inputs(const pp_session *session, const pp_batch *batch) {
    const pp_plan *plan = session->plan;
    const bool on_host = inputs_of(plan, batch) != NULL,
               on_device = batch->device_inputs.memory != NULL;
    if (!on_host && (batch->inputs || batch->pixels))
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the batch has %s; the network's input '%s' takes %s",
                        plan->pixels ? "float32 inputs" : "bytes",
                        plan->nodes[plan->input_node].name,
                        plan->pixels ? "bytes (pp_batch.pixels)" : "float32 (pp_batch.inputs)");
    if (on_host && on_device)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the batch has inputs both in host memory and on the device");
    if ((!on_host && !on_device) || !batch->count || batch->count > plan->batch)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: a batch of %" PRIu32 " samples%s; the plan's batch is %" PRIu32,
                        batch->count, on_host || on_device ? "" : " without inputs", plan->batch);
    if (!on_device) return PP_OK;
    return pp__place_check(session->device, "session: the batch's inputs", batch->device_inputs,
                           input_bytes(plan, batch->count));
}

static pp_status check_batch(const pp_session *session, const pp_batch *batch, bool labelled) {
    PP_TRY(check_inputs(session, batch));
    PP_TRY(pp__session_check_whole(session));
    if (!labelled) return PP_OK;
    if (!loss_of(session->plan))
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: the network has no loss");
    return check_labels(session, batch);
}

static void fill_scalars(const pp_session *session, uint32_t *words, uint32_t labelled_count,
                         uint32_t first_step, double rate) {
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
    words[PP__SCALAR_FIRST_STEP] = first_step;
}

/* From host memory, unless the host wrote them where they belong, or from the device. */
static pp_status transfer_inputs(pp_session *session, const pp_batch *batch, uint64_t *ticket) {
    const pp_plan *plan = session->plan;
    const pp__ref staged = pp__session_ref(session, plan->input);
    const size_t bytes = input_bytes(plan, batch->count);
    const void *inputs = inputs_of(plan, batch);
    const bool in_place = session->mapped && inputs == session->mapped;
    PP_TRY(pp_session_unmap_inputs(session));
    if (in_place) return PP_OK;
    return inputs ? pp__write(session->device, staged, inputs, bytes, ticket)
                  : pp__copy(session->device, pp__place_ref(batch->device_inputs), staged, bytes);
}

static pp_status transfer_labels(pp_session *session, const pp_batch *batch, uint32_t count,
                                 uint64_t *ticket) {
    const pp_plan *plan = session->plan;
    const pp__ref staged = pp__session_ref(session, plan->labels);
    const size_t bytes = plan->label_bytes / plan->batch * count;
    if (batch->device_labels.memory)
        return pp__copy(session->device, pp__place_ref(batch->device_labels), staged, bytes);
    const void *labels =
        wants_targets(plan) ? (const void *)batch->targets : (const void *)batch->labels;
    return pp__write(session->device, staged, labels, bytes, ticket);
}

/* Transfers a batch and the scalars. Waits only for the transfer before the last, so that the host
 * is at most two steps ahead; that is what pp_batch promises its caller. */
static pp_status transfer(pp_session *session, const pp_batch *batch, uint32_t labelled_count,
                          uint32_t first_step, double rate) {
    size_t place = session->batch_count % PP__SESSION_IN_FLIGHT;
    if (session->batch_count >= PP__SESSION_IN_FLIGHT)
        PP_TRY(pp__wait_write(session->device, session->tickets[place]));
    uint64_t ticket;
    PP_TRY(transfer_inputs(session, batch, &ticket));
    if (labelled_count) PP_TRY(transfer_labels(session, batch, labelled_count, &ticket));
    fill_scalars(session, session->scalars[place], labelled_count, first_step, rate);
    PP_TRY(pp__write(session->device, pp__session_ref(session, session->plan->scalars),
                     session->scalars[place], PP__SCALAR_HOST_WORDS * sizeof(uint32_t), &ticket));
    session->tickets[place] = ticket;
    session->batch_count++;
    return PP_OK;
}

pp_status pp_session_map_inputs(pp_session *session, void **inputs_out) {
    const pp_plan *plan = session->plan;
    if (!session->mapped)
        PP_TRY(pp__map(session->device, pp__session_ref(session, plan->input),
                       input_bytes(plan, plan->batch), &session->mapped));
    *inputs_out = session->mapped;
    return PP_OK;
}

pp_status pp_session_unmap_inputs(pp_session *session) {
    if (!session->mapped) return PP_OK;
    session->mapped = NULL;
    return pp__unmap(session->device, pp__session_ref(session, session->plan->input));
}

pp_status pp__session_transfer(pp_session *session, const pp_batch *batch) {
    PP_TRY(check_batch(session, batch, true));
    return transfer(session, batch, batch->count, PP__NOT_TRAINING, 0);
}

/* A call that was refused half-way waits for what it had enqueued, which may still read the caller's
 * batch. */
static pp_status settle(const pp_session *session, pp_status status) {
    if (status != PP_OK) pp__device_settle(session->device);
    return status;
}

/* One micro-step on a batch that was checked. */
static pp_status run_step(pp_session *session, const pp_batch *batch, double rate) {
    const uint32_t first_step = (uint32_t)(session->step_count - session->micro_step);
    PP_TRY(transfer(session, batch, batch->count, first_step, rate));
    PP_TRY(pp__stream_run(session->micro_step ? session->next : session->first));
    const bool is_last = session->micro_step + 1 == session->plan->accumulate;
    return is_last && session->plan->updates_at_end ? pp__stream_run(session->update) : PP_OK;
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
    if (!isfinite(learning_rate))
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: a learning rate of %g", (double)learning_rate);
    session->torn = true;
    PP_TRY(settle(session, run_step(session, batch, (double)learning_rate)));
    session->torn = false;
    session->step_count++;
    session->sample_count += batch->count;
    if (++session->micro_step < plan->accumulate) return PP_OK;
    session->micro_step = 0;
    session->update_count++;
    return PP_OK;
}

/* Forward on a batch that was checked. */
static pp_status run_inference(pp_session *session, const pp_batch *batch,
                               uint32_t labelled_count) {
    PP_TRY(transfer(session, batch, labelled_count, PP__NOT_TRAINING, 0));
    return pp__stream_run(session->inference);
}

pp_status pp_session_evaluate(pp_session *session, const pp_batch *batch) {
    PP_TRY(check_batch(session, batch, true));
    PP_TRY(settle(session, run_inference(session, batch, batch->count)));
    session->sample_count += batch->count;
    return PP_OK;
}

/* Forward on a batch that was checked; where the result lies. */
static pp_status predict(pp_session *session, const pp_batch *batch, pp__ref *result_out) {
    PP_TRY(settle(session, run_inference(session, batch, 0)));
    *result_out =
        pp__session_ref(session, session->plan->nodes[pp__plan_prediction(session->plan)].value);
    return PP_OK;
}

static size_t prediction_bytes(const pp_plan *plan, uint32_t count) {
    return pp__shape_bytes(plan->nodes[pp__plan_prediction(plan)].shape) / plan->batch * count;
}

pp_status pp_session_predict(pp_session *session, const pp_batch *batch, float *outputs) {
    pp__ref result;
    PP_TRY(check_batch(session, batch, false));
    PP_TRY(predict(session, batch, &result));
    return pp__read_now(session->device, result, outputs,
                        prediction_bytes(session->plan, batch->count));
}

pp_status pp_session_predict_to(pp_session *session, const pp_batch *batch, pp_place outputs) {
    if (!outputs.memory)
        return pp__fail(session->engine, PP_ERROR_INVALID_ARGUMENT,
                        "session: no memory for the predictions was given");
    PP_TRY(check_batch(session, batch, false));
    const size_t bytes = prediction_bytes(session->plan, batch->count);
    PP_TRY(pp__place_check(session->device, "session: the room for predictions", outputs, bytes));
    pp__ref result;
    PP_TRY(predict(session, batch, &result));
    PP_TRY(pp__copy(session->device, result, pp__place_ref(outputs), bytes));
    return pp__device_flush(session->device);
}

pp_status pp_session_read_metrics(pp_session *session, pp_metrics *metrics_out) {
    float sums[2];
    PP_TRY(pp__read_now(session->device, pp__session_ref(session, session->plan->metrics), sums,
                        sizeof sums));
    uint32_t counters[PP__SCALAR_COUNTERS];
    PP_TRY(pp__read_now(session->device, pp__session_scalars(session, PP__SCALAR_NOT_FINITE),
                        counters, sizeof counters));
    const uint32_t not_finite = counters[0];
    *metrics_out = (pp_metrics){.loss_sum = (double)sums[0],
                                .correct = (uint64_t)sums[1],
                                .count = session->sample_count - not_finite,
                                .not_finite = not_finite,
                                .skipped_updates = counters[1],
                                .kept_elems = counters[2]};
    return PP_OK;
}

pp_status pp_session_reset_metrics(pp_session *session) {
    static const float zeros[2] = {0};
    static const uint32_t no_counts[PP__SCALAR_COUNTERS] = {0};
    session->sample_count = 0;
    PP_TRY(pp__write_now(session->device, pp__session_ref(session, session->plan->metrics), zeros,
                         sizeof zeros));
    return pp__write_now(session->device, pp__session_scalars(session, PP__SCALAR_NOT_FINITE),
                         no_counts, sizeof no_counts);
}

pp_status pp_session_finish(pp_session *session) {
    return pp__device_finish(session->device);
}
