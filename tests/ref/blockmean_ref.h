/* Reference of blockmean, the codec avgpool:W: an activation's means over blocks of side x side
 * pixels, per channel. Stored as float32 [n, ceil(h / side), ceil(w / side), c]; here in double.
 * Blocks at the border hold fewer pixels and are divided by their true count.
 *
 * Backward never needs the expanded map (METHODS B.3). With m the block means, G = dy and X~ the
 * nearest expansion,
 *
 *     dw[r, s, c, k] = sum_{n, oy, ox} X~[n, iy(oy, r), ix(ox, s), c] * G[n, oy, ox, k]
 *                    = sum_{n, by, bx} m[n, by, bx, c] * S_rs[n, by, bx, k]
 *
 * where S_rs[n, by, bx, k] is the sum of G[n, oy, ox, k] over the outputs whose tap (r, s) lands in
 * block (by, bx), and taps in the padding land nowhere.
 */
#ifndef PP_REF_BLOCKMEAN_REF_H
#define PP_REF_BLOCKMEAN_REF_H

#include "ref/conv2d_ref.h"
#include "ref/ref.h"

/* The shape of the means. */
ref_shape ref_blockmean_shape(ref_shape value, size_t side);

/* Stored bytes: four per mean. */
size_t ref_blockmean_bytes(ref_shape value, size_t side);

void ref_blockmean_encode(ref_shape value, size_t side, const double *x, double *means);

/* x: the value's shape, constant in every block. */
void ref_blockmean_decode(ref_shape value, size_t side, const double *means, double *x);

/* dw of a convolution whose input is stored as `means`, by the second line above. */
void ref_blockmean_backward_weight(const ref_conv2d *g, size_t side, const double *means,
                                   const double *dy, double *dw);

#endif
