/* session.h: a plan bound to a device: memory, programs, parameters, optimizer state.
 *
 *     pp_session *session = NULL;
 *     pp_session_create(device, plan, profile, &(pp_session_options){.seed = 1}, &session);
 *     while (more) {
 *         pp_session_step(session, &batch, rate);
 *     }
 *     pp_metrics metrics;
 *     pp_session_read_metrics(session, &metrics);   // waits for the device
 *
 * A session serves an application that brings one batch at a time, and predicts in between:
 *
 *     pp_plan_summarize(plan, &summary);                        // summary.peak_bytes, all of it,
 *     if (summary.peak_bytes > limit) return;                   // before anything is created
 *     pp_session_create(device, plan, profile, NULL, &session);
 *     for (;;) {
 *         pp_batch frame = {.inputs = next_frame(), .count = 1};
 *         pp_session_predict(session, &frame, logits);          // any count up to the plan's batch
 *         if (collect(&frame, ask_user(logits)) == 32)
 *             pp_session_step(session, &collected, rate);       // exactly the plan's batch
 *     }
 *
 * Creating a session allocates the plan's whole arena, builds the programs and prepares every
 * launch. A step then allocates nothing on host or device; it enqueues the prepared launches and
 * returns. It waits only while two batches are still on their way to the device.
 */
#ifndef POCKETPROP_SESSION_H
#define POCKETPROP_SESSION_H

#include <pocketprop/device.h>
#include <pocketprop/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_session pp_session;

/* Told that `done` of `total` launches are prepared; the next one may take a while, since its
 * program may have to be built. */
typedef void pp_session_progress(void *user, size_t done, size_t total);

/* Zeroed members are the defaults. */
typedef struct pp_session_options {
    uint64_t seed;                 /* of the initial weights and of dropout */
    pp_session_progress *progress; /* called while the session is created; may be NULL */
    void *progress_user;
    /* Memory of the application's to live in (opencl.h), a block for each of the plan's chunks
     * (pp_plan_read_chunk), in their order; NULL: the session allocates its own. What the blocks
     * held is lost; what lies where in them is the plan's to say. The blocks, not the array, are
     * borrowed until the session is destroyed, one session a block. A device that meets a fast
     * kernel for the first time tests it in small buffers of its own, which are gone before the
     * session is there; the program cache keeps what was found. */
    pp_memory *const *memory;
    size_t memory_count;
} pp_session_options;

/* The caller owns *session_out; device and plan must outlive it. `profile` must be the plan's (its
 * tunables are compiled into the kernels) and is borrowed during the call. `options` may be NULL.
 * PP_ERROR_OUT_OF_MEMORY; PP_ERROR_DEVICE (with the build log where there is one);
 * PP_ERROR_INVALID_ARGUMENT: another profile, with which kernels need more scratch than planned; and
 * of memory, before anything is created: more or fewer blocks than chunks, a block that is too
 * small, begins at another multiple than the chunk's alignment_bytes, lies beyond the first 4 GiB of
 * its buffer, was made for reading or writing only or without access for the host, overlaps another
 * or has a session in it. */
PP_API pp_status pp_session_create(pp_device *device, const pp_plan *plan,
                                   const pp_profile *profile, const pp_session_options *options,
                                   pp_session **session_out);
PP_API void pp_session_destroy(pp_session *session); /* waits for the device; accepts NULL */

/* One batch, borrowed. `count` may be less than the plan's batch in evaluate and predict, never in
 * step. Host memory must stay as it is until the second next call with a batch, until a call that
 * waits, or until a call with it has failed.
 *
 * Inputs and labels, or one of both, may lie in the application's device memory in place of host
 * memory, in the same form: they are copied on the device, in the order of its queue (opencl.h).
 * The host does not see such labels; one that is no class has no finite loss (pp_session_step). */
typedef struct pp_batch {
    const float *inputs;   /* [count, height, width, channels] */
    const uint8_t *pixels; /* the same as bytes, where the graph's input is pp_graph_input_bytes */
    const int32_t *labels; /* [count], for softmax cross entropy */
    const float *targets;  /* [count, ...], for the mean squared error */
    uint32_t count;
    pp_place device_inputs; /* in place of `inputs` or `pixels` */
    pp_place device_labels; /* in place of `labels` or `targets` */
} pp_batch;

/* Lets the host write a batch's inputs where the device reads them, so that nobody copies them:
 *
 *     void *inputs;
 *     pp_session_map_inputs(session, &inputs);     // waits for the device
 *     make_samples(inputs);                        // [batch, height, width, channels]
 *     pp_session_step(session, &(pp_batch){.inputs = inputs, .labels = labels, .count = 32}, rate);
 *
 * The next call with a batch takes the memory back: with *inputs_out as its `inputs` (or `pixels`)
 * it finds them in place, with other inputs it drops what was written. Until then no other call may
 * touch what is on the device: calls that would fail with PP_ERROR_INVALID_ARGUMENT. Unwritten
 * samples are undefined. Mapping again before that gives the same memory. No bit of a result
 * differs from a batch that is copied.
 *
 * Worth it on a device that shares the host's memory (pp_device_info.shares_memory) for an
 * application that makes each batch itself and then. A device with memory of its own copies as
 * always; and since the device waits while the host writes, batches made ahead by other threads
 * (pp_loader) are better copied. PP_ERROR_DEVICE, PP_ERROR_OUT_OF_MEMORY: the driver's refusals. */
PP_API pp_status pp_session_map_inputs(pp_session *session, void **inputs_out);
PP_API pp_status
pp_session_unmap_inputs(pp_session *session); /* drops what was written, if anything was */

/* Forward, backward and, on the last micro-step of an accumulation, update. `learning_rate` is read
 * in the micro-step that updates. PP_ERROR_INVALID_ARGUMENT: a batch that is not the plan's size,
 * lacks labels or targets, or has a label that is no class, or a rate that is not finite; nothing has
 * been done then. PP_ERROR_UNSUPPORTED: a plan for inference. PP_ERROR_DEVICE,
 * PP_ERROR_OUT_OF_MEMORY: the device's refusals.
 *
 * What a step learns is always finite. Where the loss of a sample is not, or with clip_norm the
 * gradients' norm, the whole update is left out: parameters and moments stay as they are to the bit,
 * running statistics in those channels that are not finite. Where the loss is finite and a gradient
 * is not, without clip_norm, the elements it concerns stay as they are. The device sees to that by
 * itself, the call succeeds, and pp_session_read_metrics counts what happened; to stop training at
 * it, look there every few steps. Adam's corrections count updates that are left out.
 *
 * A refusal in the middle of a step may leave some parameters updated and others not, so nothing is
 * made of them any more: from then on every call with a batch, pp_session_read_parameter,
 * pp_session_read_gradient and pp_state_save, and with these pp_weights_save and pp_checkpoint_save,
 * return PP_ERROR_DEVICE and change nothing. pp_state_load and pp_checkpoint_load replace all that a
 * step changes; where the device takes that, the session goes on. A command that the device accepts
 * and fails at later is reported by the first call that waits; the application then does the same. */
PP_API pp_status pp_session_step(pp_session *session, const pp_batch *batch, float learning_rate);

/* Forward in inference mode (running statistics, no dropout); loss and hits are added to the
 * metrics. PP_ERROR_INVALID_ARGUMENT as above, and for a graph without a loss. */
PP_API pp_status pp_session_evaluate(pp_session *session, const pp_batch *batch);

/* Forward in inference mode; writes the loss's input, [count, height, width, channels] of it, to
 * `outputs`; of a graph without a loss the last node's output. Labels are not read. Waits. */
PP_API pp_status pp_session_predict(pp_session *session, const pp_batch *batch, float *outputs);

/* The same into device memory of the application's, with room for as much, in the order of the
 * device's queue. Does not wait. PP_ERROR_INVALID_ARGUMENT: too little room, or another device's. */
PP_API pp_status pp_session_predict_to(pp_session *session, const pp_batch *batch,
                                       pp_place outputs);

/* Sums since the last reset; divide by `count`. The device adds them up in float32, so reset them
 * at least every 2^24 samples. Both calls wait for the device. */
typedef struct pp_metrics {
    double loss_sum;  /* of the samples' losses */
    uint64_t correct; /* samples whose largest logit is the label's */
    uint64_t count;   /* samples, without the following */
    /* Samples whose loss is NaN or infinite, in training and evaluation; no sum has them. */
    uint64_t not_finite;
    uint64_t skipped_updates; /* of pp_session_step, left out since loss or norm was not finite */
    uint64_t kept_elems;      /* of parameters, in all updates: left as they were */
} pp_metrics;
PP_API pp_status pp_session_read_metrics(pp_session *session, pp_metrics *metrics_out);
PP_API pp_status pp_session_reset_metrics(pp_session *session);

/* Parameters and running statistics by their number in the plan (pp_plan_read_parameter gives name,
 * order and size). `elem_count` must be the parameter's. Both wait. */
PP_API pp_status pp_session_read_parameter(pp_session *session, size_t index, float *values,
                                           size_t elem_count);
PP_API pp_status pp_session_write_parameter(pp_session *session, size_t index, const float *values,
                                            size_t elem_count);

/* The gradient that the last step left, unclipped, for tests and experiments: only plans that keep
 * gradients to the end of the step have it (clip_norm or accumulate), and only until the next call
 * with a batch. PP_ERROR_UNSUPPORTED otherwise. Waits. */
PP_API pp_status pp_session_read_gradient(pp_session *session, size_t index, float *values,
                                          size_t elem_count);

/* Waits until the device has done everything that was enqueued. */
PP_API pp_status pp_session_finish(pp_session *session);

/* Device memory that this session holds, in bytes, its own or the application's: equal to the plan's
 * peak_bytes. */
PP_API size_t pp_session_device_bytes(const pp_session *session);

/* Updates done so far. */
PP_API uint64_t pp_session_update_count(const pp_session *session);

/* What the session was created with; borrowed. */
PP_API const pp_plan *pp_session_plan(const pp_session *session);
PP_API pp_engine *pp_session_engine(const pp_session *session);

#ifdef __cplusplus
}
#endif

#endif
