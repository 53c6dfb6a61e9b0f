/* state.h: what a training run is made of besides its plan, on the host, to go on with in another
 * session.
 *
 *     pp_state *state = NULL;
 *     pp_state_save(session, &state);
 *     pp_session_destroy(session);                  // its memory is free for the next one
 *     pp_session_create(device, other_plan, profile, NULL, &session);
 *     pp_state_load(state, session);                // ... which goes on where the first one was
 *     pp_state_destroy(state);
 *
 * A state holds parameters, running statistics, the optimizer's moments as they are stored (float32
 * or 8 bits), the metrics, the counts of steps and updates, and the seed: dropout and random
 * rounding draw from (seed, step), so they draw what they would have drawn. It does not depend on
 * codecs, bands or the batch: two plans of one network, optimizer and profile take each other's.
 */
#ifndef POCKETPROP_STATE_H
#define POCKETPROP_STATE_H

#include <pocketprop/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_state pp_state;

/* Waits for the device; the session is as before. The caller owns *state_out, which outlives session
 * and plan, not the engine. PP_ERROR_UNSUPPORTED: between two micro-steps of an accumulation, whose
 * gradients so far would be lost; PP_ERROR_OUT_OF_MEMORY; PP_ERROR_DEVICE, also after a
 * step that failed half-way (pp_session_step). */
PP_API pp_status pp_state_save(pp_session *session, pp_state **state_out);

/* Replaces everything in the session that a state holds. Waits. PP_ERROR_SHAPE: another network,
 * optimizer or width of the moments; the session is then as before. PP_ERROR_DEVICE. */
PP_API pp_status pp_state_load(const pp_state *state, pp_session *session);

PP_API void pp_state_destroy(pp_state *state); /* accepts NULL */

/* What a state is made of, to write it down and to read it back (checkpoint.h does both). */

/* A state of zeros for sessions of this plan, to be filled in. PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_state_create(const pp_plan *plan, pp_state **state_out);

typedef enum pp_state_part { PP_STATE_VALUE, PP_STATE_MOMENT1, PP_STATE_MOMENT2 } pp_state_part;
enum { PP_STATE_PARTS = 3 };

/* A part of a parameter by its number in the plan. `bytes` is 0 where there is no such part, of
 * running statistics and what rules freeze. Elements are float32 in the device's order, as many as
 * the parameter has; fewer bytes than that are 8-bit codes, which mean something only as a whole. */
typedef struct pp_state_tensor {
    const char *name; /* the parameter's */
    size_t bytes;
    void *data; /* the state's own memory, to read and to write */
} pp_state_tensor;
PP_API size_t pp_state_parameter_count(const pp_state *state);
PP_API void pp_state_read_tensor(const pp_state *state, size_t parameter, pp_state_part part,
                                 pp_state_tensor *tensor_out);

/* Everything else. */
typedef struct pp_state_counts {
    pp_optimizer_kind optimizer; /* whose moments they are */
    uint64_t seed, steps, updates;
    uint64_t samples;     /* behind the metrics, with those that have no finite loss */
    float loss_sum, hits; /* the metrics, and below */
    uint32_t not_finite, skipped_updates, kept_elems;
} pp_state_counts;
PP_API void pp_state_read_counts(const pp_state *state, pp_state_counts *counts_out);
PP_API void pp_state_write_counts(pp_state *state, const pp_state_counts *counts);

#ifdef __cplusplus
}
#endif

#endif
