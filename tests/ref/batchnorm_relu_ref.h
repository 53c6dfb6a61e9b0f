/* Reference of batchnorm_relu: batchnorm (ref/batchnorm_ref.h), then ReLU.
 *
 *     y = max(0, gamma * xhat + beta)        mask = gamma * xhat + beta > 0
 *
 * Backward is batchnorm's with dy where the mask holds and 0 elsewhere. Both x-hat and mask are
 * arguments, so that what a lossy code decodes to can be fed to it.
 */
#ifndef PP_REF_BATCHNORM_RELU_REF_H
#define PP_REF_BATCHNORM_RELU_REF_H

#include <stddef.h>
#include <stdint.h>

/* xhat: [pixels, channels], gamma, beta: [channels]; y, mask (0 or 1, may be NULL): [pixels,
 * channels]. */
void ref_batchnorm_relu_forward(size_t pixels, size_t channels, const double *xhat,
                                const double *gamma, const double *beta, double *y, uint8_t *mask);

/* dx: [pixels, channels], dgamma, dbeta: [channels]. */
void ref_batchnorm_relu_backward(size_t pixels, size_t channels, const double *dy,
                                 const double *xhat, const uint8_t *mask, const double *gamma,
                                 const double *inverse_deviation, double *dx, double *dgamma,
                                 double *dbeta);

#endif
