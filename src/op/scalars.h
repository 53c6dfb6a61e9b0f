/* The step's scalars: 32-bit words that the session writes before each step and kernels read
 * (cl/common.cl names the same words). */
#ifndef PP_OP_SCALARS_H
#define PP_OP_SCALARS_H

enum {
    PP__SCALAR_SEED_LOW,
    PP__SCALAR_SEED_HIGH,
    PP__SCALAR_STEP,        /* counts forward passes in training; part of the dropout key */
    PP__SCALAR_COUNT,       /* samples of this batch that are real */
    PP__SCALAR_LOSS_SCALE,  /* float: the loss gradient's factor, 1 / (batch * micro-steps) */
    PP__SCALAR_RATE,        /* float: learning rate */
    PP__SCALAR_CORRECTION1, /* float: Adam, 1 / (1 - beta1^t) */
    PP__SCALAR_CORRECTION2, /* float: Adam, 1 / sqrt(1 - beta2^t) */
    PP__SCALAR_HOST_WORDS,  /* the words up to here are written by the host before each step */
    PP__SCALAR_CLIP =
        PP__SCALAR_HOST_WORDS, /* float: what gradients are multiplied by; kernels write it */
    PP__SCALAR_WORDS = 16
};

#endif
