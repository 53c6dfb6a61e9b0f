/* Reference of the codec btc:W: x-hat of a batch-norm as an exact sign plane and two means per
 * block of W x W pixels and channel (METHODS D.3). Layout: one image after another, each
 *
 *     plane    [h, w, octets]                   one bit a channel, the first in the lowest bit
 *     levels   [blocks_h, blocks_w, octets, 8]  one byte a channel: high half set, low half clear
 *
 * All arithmetic is float32, one rounding per written operation, in this order:
 *
 *     channel  t = -beta / gamma;  follows = relu and |t| <= 2.7 (a NaN does not);  else t = 0
 *              side = follows and gamma < 0 ? -1 : 1
 *              range(set) = max(2.4, 1.6 - side * t), range(clear) = max(2.4, 1.6 + side * t)
 *              step(set) = side * range(set) / 16,    step(clear) = -side * range(clear) / 16
 *     element  set = follows ? fma(gamma, x-hat, beta) > 0 : x-hat > 0
 *     block    sum(set), sum(clear): x-hat - t added up, row by row;  mean = sum / number
 *              level = clamp(mean * (1 / step), 0, 15), cut to a whole number; without elements 0
 *     mask     follows ? set : beta > 0
 *     x-hat~   fma(level, step, fma(step, 0.5, t))
 *     value    mask ? fma(gamma, x-hat~, beta) : 0; without a ReLU always the former
 *
 * A NaN is clear and makes its block's clear level 0. What norm_ref.h says of t on devices whose
 * division rounds otherwise holds here too; the mask never depends on it. */
#ifndef PP_REF_BTC_REF_H
#define PP_REF_BTC_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ref/ref.h"

typedef struct ref_btc {
    size_t side; /* W */
    bool relu;   /* a ReLU follows */
} ref_btc;

/* The thresholds that the plane is split at. */
#define REF_BTC_REACH 2.7f

size_t ref_btc_bytes(const ref_btc *btc, ref_shape shape);

/* xhat, mask, value: of `shape`; gamma, beta: [c]; code: ref_btc_bytes. The mask is 0 or 1 and asks
 * for relu. Decoding fills in whichever of the three is not NULL. */
void ref_btc_encode(const ref_btc *btc, ref_shape shape, const float *xhat, const float *gamma,
                    const float *beta, uint8_t *code);
void ref_btc_decode(const ref_btc *btc, ref_shape shape, const uint8_t *code, const float *gamma,
                    const float *beta, float *xhat, uint8_t *mask, float *value);

#endif
