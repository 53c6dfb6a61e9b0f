/* The step's scalars: 32-bit words that the session writes before each step and kernels read
 * (cl/common.cl names the same words). */
#ifndef PP_OP_SCALARS_H
#define PP_OP_SCALARS_H

#include <stdint.h>

enum {
    PP__SCALAR_SEED_LOW,
    PP__SCALAR_SEED_HIGH,
    PP__SCALAR_STEP,        /* counts forward passes in training; part of the dropout key */
    PP__SCALAR_COUNT,       /* samples of this batch that are real */
    PP__SCALAR_LOSS_SCALE,  /* float: the loss gradient's factor, 1 / (batch * micro-steps) */
    PP__SCALAR_RATE,        /* float: learning rate */
    PP__SCALAR_CORRECTION1, /* float: Adam, 1 / (1 - beta1^t) */
    PP__SCALAR_CORRECTION2, /* float: Adam, 1 / sqrt(1 - beta2^t) */
    /* The step that the running update began with; PP__NOT_TRAINING where nothing is learnt. */
    PP__SCALAR_FIRST_STEP,
    PP__SCALAR_HOST_WORDS, /* the words up to here are written by the host before each step */

    /* Kernels write the others. */
    PP__SCALAR_CLIP = PP__SCALAR_HOST_WORDS, /* float: what gradients are multiplied by */
    /* 1 + the last step whose loss or gradient norm was not finite: an update that began before it
     * is left out. */
    PP__SCALAR_FAULT_STEP,
    /* Counted since the metrics were reset, as pp_metrics names them. */
    PP__SCALAR_NOT_FINITE,
    PP__SCALAR_SKIPPED,
    PP__SCALAR_KEPT,
    PP__SCALAR_COUNTERS_END,
    PP__SCALAR_COUNTERS = PP__SCALAR_COUNTERS_END - PP__SCALAR_NOT_FINITE,
    PP__SCALAR_WORDS = 16
};

#define PP__NOT_TRAINING UINT32_MAX

#endif
