/* A session in memory: the plan's arena on a device, and its steps as recorded streams. */
#ifndef PP_EXEC_SESSION_H
#define PP_EXEC_SESSION_H

#include <pocketprop/session.h>

#include "memory/arena.h"
#include "op/scalars.h"
#include "plan/plan.h"

/* Batches whose transfer may still be pending, and so copies of the scalars that are kept. */
enum { PP__SESSION_IN_FLIGHT = 2 };

struct pp_session {
    pp_engine *engine;
    pp_device *device;   /* borrowed */
    const pp_plan *plan; /* borrowed */
    pp__arena arena;
    void *mapped; /* the staged input, while the host writes it; NULL: it does not */
    /* Forward and backward, parameter gradients overwritten; updates where they follow at once. */
    pp__stream *first;
    /* The same with gradients added, for later micro-steps. NULL without accumulation. */
    pp__stream *next;
    /* Clipping and updates at the end of the step. NULL when they follow at once. */
    pp__stream *update;
    /* Forward without saving. */
    pp__stream *inference;
    uint64_t seed;
    uint64_t step_count, update_count; /* forward passes in training; updates */
    uint32_t micro_step;
    uint64_t sample_count; /* behind the metrics */
    uint64_t batch_count;  /* calls that transferred a batch */
    bool torn;             /* a step or a load failed half-way: what is learnt is undefined */
    uint64_t tickets[PP__SESSION_IN_FLIGHT];
    uint32_t scalars[PP__SESSION_IN_FLIGHT][PP__SCALAR_WORDS];
};

/* Where a buffer of the plan lies; an empty ref for PP__NONE. */
pp__ref pp__session_ref(const pp_session *session, uint32_t buffer);

/* The scalars from this one on (op/scalars.h). */
pp__ref pp__session_scalars(const pp_session *session, uint32_t first);

/* PP_ERROR_DEVICE where the session is torn. */
pp_status pp__session_check_whole(const pp_session *session);

/* Tests on the device what the session would record, unless that was done (vet.c). */
pp_status pp__session_vet(pp_device *device, const pp_plan *plan, const pp_profile *profile);

/* A session with memory and initial values, and without streams. */
pp_status pp__session_open(pp_device *device, const pp_plan *plan, const pp_profile *profile,
                           const pp_session_options *options, pp_session **session_out);

/* Checks a labelled batch and transfers it with the scalars of the next step (step.c). */
pp_status pp__session_transfer(pp_session *session, const pp_batch *batch);

/* Records one step of the plan in training, but for updates (bind.c). */
pp_status pp__session_record_step(const pp_session *session, const pp_profile *profile,
                                  const pp__plan_step *step, pp__stream *stream);

/* A record with its memory, for all images. */
pp__stored pp__session_stored(const pp_session *session, const pp__saved *saved);

/* Records the session's streams (bind.c). */
pp_status pp__session_record(pp_session *session, const pp_profile *profile,
                             const pp_session_options *options);

#endif
