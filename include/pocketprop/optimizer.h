/* optimizer.h: update rules and learning-rate schedules.
 *
 *     pp_optimizer optimizer = {.kind = PP_OPTIMIZER_SGD, .momentum = 0.9f, .weight_decay = 1e-4f};
 *     pp_schedule schedule = {.kind = PP_SCHEDULE_COSINE, .base = 0.1f, .total_steps = 1000};
 *     float rate = pp_schedule_rate(&schedule, step);
 *
 * Update rules follow PyTorch's formulas. Weight decay applies to convolution and dense weights
 * only, unless `decay_all` is set. The optimizer is part of the plan, because its moments take
 * memory.
 */
#ifndef POCKETPROP_OPTIMIZER_H
#define POCKETPROP_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include <pocketprop/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pp_optimizer_kind {
    PP_OPTIMIZER_SGD,
    PP_OPTIMIZER_ADAM,
    PP_OPTIMIZER_ADAMW
} pp_optimizer_kind;

typedef struct pp_optimizer {
    pp_optimizer_kind kind;
    float momentum;     /* SGD: 0 keeps no moment in memory */
    bool nesterov;      /* SGD; needs momentum */
    float beta1, beta2; /* Adam: 0 stands for 0.9 and 0.999 */
    float epsilon;      /* Adam: 0 stands for 1e-8 */
    float weight_decay; /* L2 for SGD and Adam, decoupled for AdamW (Loshchilov & Hutter 2019) */
    bool decay_all;     /* biases and batch-norm's gamma and beta too */
    /* Scale gradients so that their global L2 norm is at most this; 0: off. Keeps every gradient
     * until the end of the step. */
    float clip_norm;
    /* Of a moment's element: 0 or 32 for float32, or 8, in blocks with a float32 scale each
     * (Dettmers et al. 2022) and with stochastic rounding. Moments of small parameters, biases and
     * batch-norm's above all, stay in float32: of fewer elements than the profile's
     * update.moment_least. */
    uint32_t state_bits;
} pp_optimizer;

/* "sgd", "adam", "adamw". False: no such name. */
PP_API bool pp_optimizer_kind_read(const char *name, pp_optimizer_kind *kind_out);
PP_API const char *pp_optimizer_kind_name(pp_optimizer_kind kind);

typedef enum pp_schedule_kind {
    PP_SCHEDULE_CONSTANT,
    PP_SCHEDULE_STEP,
    PP_SCHEDULE_COSINE
} pp_schedule_kind;

typedef struct pp_schedule {
    pp_schedule_kind kind;
    float base;            /* the rate after warm-up */
    uint64_t total_steps;  /* cosine reaches 0 here */
    uint64_t warmup_steps; /* linear from base/warmup_steps to base */
    /* PP_SCHEDULE_STEP: multiply by `gamma` every so many steps; 0: at 1/2 and 3/4. */
    uint64_t step_every;
    float gamma; /* 0 stands for 0.1 */
} pp_schedule;

/* "constant", "step", "cosine". */
PP_API bool pp_schedule_kind_read(const char *name, pp_schedule_kind *kind_out);

/* The rate for the update number `step`, counted from 0. */
PP_API float pp_schedule_rate(const pp_schedule *schedule, uint64_t step);

#ifdef __cplusplus
}
#endif

#endif
