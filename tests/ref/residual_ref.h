/* Reference of residual, the codec pool:W+residual:K: per image the means over blocks of side x side
 * pixels, per channel, as bfloat16, eight channels of a block together (the last ones short, 0
 * behind them), and behind them the code of group:K (group_ref.h) of what is left of the image
 * without its blocks' stored means, as of any values.
 *
 * A mean is the float32 sum of its pixels in reading order, divided by their number, and rounded to
 * the nearest bfloat16, ties to the even one; a NaN is 0x7FC0. */
#ifndef PP_REF_RESIDUAL_REF_H
#define PP_REF_RESIDUAL_REF_H

#include "ref/group_ref.h"

size_t ref_residual_bytes(const ref_group *group, size_t side, ref_shape shape);
void ref_residual_encode(const ref_group *group, size_t side, ref_shape shape, const float *x,
                         const ref_group_key *key, uint8_t *code);
void ref_residual_decode(const ref_group *group, size_t side, ref_shape shape, const uint8_t *code,
                         float *value);

#endif
