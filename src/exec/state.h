/* A run's state in host memory. */
#ifndef PP_EXEC_STATE_H
#define PP_EXEC_STATE_H

#include <pocketprop/state.h>

#include "exec/session.h"

/* One tensor of a parameter; the bytes lie in pp_state.bytes, one tensor behind the other. */
typedef enum pp__state_tensor {
    PP__STATE_VALUE,
    PP__STATE_MOMENT1,
    PP__STATE_MOMENT2,
    PP__STATE_TENSORS
} pp__state_tensor;

typedef struct pp__state_parameter {
    char *name;
    size_t bytes[PP__STATE_TENSORS]; /* 0: there is none */
} pp__state_parameter;

struct pp_state {
    pp_engine *engine;
    pp_optimizer_kind optimizer;
    uint64_t seed, step_count, update_count, sample_count;
    float metrics[2];
    uint32_t counters[PP__SCALAR_COUNTERS];
    pp__state_parameter *parameters;
    size_t parameter_count;
    unsigned char *bytes;
};

/* Parameters and running statistics, seed and counts alone, into a session that may have no moments
 * or others. */
pp_status pp__state_load_values(const pp_state *state, pp_session *session);

#endif
