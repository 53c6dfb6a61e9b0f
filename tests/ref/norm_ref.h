/* Reference of the norm codec: x-hat of a batch-norm in K bits, on a grid whose level boundary
 * falls on the ReLU's threshold (METHODS A.10). Packed as ref/packed_ref.h draws it.
 *
 * All arithmetic is float32, one rounding per written operation, in this order, so that a kernel
 * built without fast-math options gives the same codes for the same x-hat, gamma and beta:
 *
 *     once     n = 2^K,  step = 2 * clip / n,  inverse_step = 1 / step    on the host
 *     channel  t = -beta / gamma
 *              j = rint(t * inverse_step) + n / 2                  rint: ties to even
 *     K >= 4   0 <= j <= n:  s = j,               o = fma(-step, s - n / 2, t)
 *              otherwise:    s = clamp(j, 0, n),  o = 0
 *     K <= 3   |t| <= 2.7:   s = clamp(j, 1, n - 1),  o = fma(-step, s - n / 2, t)
 *              otherwise:    s = t > 0 ? n : 0,       o = 0
 *     encode   q = clamp(floor((x-hat - o) * inverse_step) + n / 2, 0, n - 1)
 *              and where 1 <= s <= n - 1:
 *              above = (fma(gamma, x-hat, beta) > 0) xor (gamma < 0)
 *              q = above ? max(q, s) : min(q, s - 1)
 *     mask     (q >= s) xor (gamma < 0)
 *     x-hat~   fma(q - (n / 2 - 0.5), step, o)
 *     value    mask ? fma(gamma, x-hat~, beta) : 0
 *
 * K == 1 decodes to the means of N(0,1) on either side of t, as polynomials of v = o * o:
 *
 *     x-hat~   fma(q - 0.5, width, centre)
 *     centre   o * fma(v, -0.0102126, 0.623752)
 *     width    fma(fma(v, -0.0037775, 0.222777), v, step)
 *
 * With lloyd, b[i] are the boundaries of Lloyd and Max's quantiser, b[0] = 0:
 *
 *     channel  |t| <= 2.7:  i = the largest with |t| >= (b[i - 1] + b[i]) / 2, or 0
 *                           s = n / 2 +- i,  o = t -+ b[i]         the upper signs for t >= 0
 *              otherwise:   s = t > 0 ? n : 0,  o = 0
 *     encode   d = x-hat - o,  m = the largest with |d| >= b[m], at most n / 2 - 1
 *              q = d < 0 ? n / 2 - 1 - m : n / 2 + m, then as above
 *     x-hat~   u = q - (n / 2 - 0.5):  fma(u, slope, o), slope a polynomial of u * u by Horner, fma
 *
 * gamma == 0: o = 0, and the mask is beta > 0 for the whole channel (s = 0 or n). A small gamma
 * sends t far outside or to infinity, which the clamp takes care of. Without a ReLU behind the
 * batch-norm: o = 0, q is not moved, there is no mask, and value = fma(gamma, x-hat~, beta). A NaN
 * is level 0, with lloyd level n / 2.
 *
 * The mask and the forward pass. Forward computes y = max(0, fma(gamma, x-hat, beta)), one
 * rounding. In exact arithmetic q >= s says x-hat >= t, so floor alone gives a mask that differs
 * from y > 0 only where x-hat == t, or where rounding carries the quotient over the boundary. Such
 * a q is moved to the side that forward took. So for 1 <= s <= n - 1, which is |t| < clip - step/2
 * from 4 bits on and |t| <= 2.7 below and with lloyd, the mask is y > 0 exactly, whatever rounding
 * did to t. With s = 0 or n the threshold lies at or beyond the window's edge: all of the channel
 * passes or none of it does, and the tails that should not are wrong (at most 0.4 % of N(0,1),
 * METHODS A.8 item 5 and E.11). Where the mask is set, value is positive; where it is clear, 0.
 *
 * What is not bit-exact: OpenCL's full profile allows a division 2.5 ulp, so t, and o with it, may
 * differ by that on some devices; and o differs where a compiler rounds the product that this order
 * writes as fma. An x-hat within a few ulp of a level boundary may then take the neighbouring code,
 * but never the wrong mask. A test that compares bits skips elements so close to a boundary, or
 * asks for a device that agrees on o. Decoding may round the product too: allow
 * 2^-22 * (clip + |o|) on x-hat~.
 */
#ifndef PP_REF_NORM_REF_H
#define PP_REF_NORM_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ref_norm {
    unsigned bits; /* K */
    float clip;    /* the grid spans -clip .. clip before it is shifted */
    bool relu;     /* a ReLU follows */
    bool lloyd;    /* Lloyd and Max's levels, of 2, 3 or 4 bits; the clip means nothing */
} ref_norm;

/* The thresholds that a boundary follows, below 4 bits and with lloyd. */
#define REF_NORM_REACH 2.7f

/* The range that fits N(0,1) best (METHODS A.9), for 1, 2, 3, 4, 5, 6 and 8 bits; 0 for any other.
 */
float ref_norm_clip(unsigned bits);

/* What depends on the channel alone. */
typedef struct ref_norm_channel {
    float gamma, beta;
    float origin;  /* o */
    int boundary;  /* s */
    bool inverted; /* gamma < 0 */
} ref_norm_channel;
ref_norm_channel ref_norm_channel_of(const ref_norm *norm, float gamma, float beta);

/* One element. */
unsigned ref_norm_quantise(const ref_norm *norm, const ref_norm_channel *channel, float xhat);

size_t ref_norm_bytes(const ref_norm *norm, size_t pixels, size_t channels);

/* xhat, mask, value: [pixels, channels]; gamma, beta: [channels]; code: ref_norm_bytes. The mask is
 * 0 or 1 and asks for relu. */
void ref_norm_encode(const ref_norm *norm, size_t pixels, size_t channels, const float *xhat,
                     const float *gamma, const float *beta, uint8_t *code);
void ref_norm_decode_xhat(const ref_norm *norm, size_t pixels, size_t channels, const uint8_t *code,
                          const float *gamma, const float *beta, float *xhat);
void ref_norm_decode_mask(const ref_norm *norm, size_t pixels, size_t channels, const uint8_t *code,
                          const float *gamma, const float *beta, uint8_t *mask);
void ref_norm_decode_value(const ref_norm *norm, size_t pixels, size_t channels,
                           const uint8_t *code, const float *gamma, const float *beta,
                           float *value);

#endif
