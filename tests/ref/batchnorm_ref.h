/* Reference of batchnorm. Per channel, over the p = n * h * w pixels:
 *
 *     mean = sum(x) / p
 *     inverse_deviation = 1 / sqrt(sum((x - mean)^2) / p + epsilon)
 *     xhat = (x - mean) * inverse_deviation
 *     y = gamma * xhat + beta
 *
 *     dgamma = sum(dy * xhat)    dbeta = sum(dy)
 *     dx = gamma * inverse_deviation * (dy - dbeta / p - xhat * dgamma / p)
 *
 * Backward takes xhat as an argument, so that the decoded x-hat of a lossy code can be fed to it.
 */
#ifndef PP_REF_BATCHNORM_REF_H
#define PP_REF_BATCHNORM_REF_H

#include <stddef.h>

/* Batch statistics of x [pixels, channels]; mean, inverse_deviation: [channels]. Updates the
 * running statistics [channels] in place unless they are NULL: running += momentum * (batch -
 * running), with the unbiased variance (divided by pixels - 1), as PyTorch does. With one pixel the
 * unbiased variance is not defined (PyTorch refuses); here the biased one, 0, stands in. */
void ref_batchnorm_statistics(size_t pixels, size_t channels, const double *x, double epsilon,
                              double *mean, double *inverse_deviation, double momentum,
                              double *running_mean, double *running_variance);

/* xhat: [pixels, channels] from x and statistics of that layout above. */
void ref_batchnorm_normalise(size_t pixels, size_t channels, const double *x, const double *mean,
                             const double *inverse_deviation, double *xhat);

/* y = gamma * xhat + beta; gamma, beta: [channels]. */
void ref_batchnorm_affine(size_t pixels, size_t channels, const double *xhat, const double *gamma,
                          const double *beta, double *y);

/* y from the running statistics. */
void ref_batchnorm_inference(size_t pixels, size_t channels, const double *x,
                             const double *running_mean, const double *running_variance,
                             double epsilon, const double *gamma, const double *beta, double *y);

/* dx: [pixels, channels], dgamma, dbeta: [channels]. dx may be dy. */
void ref_batchnorm_backward(size_t pixels, size_t channels, const double *dy, const double *xhat,
                            const double *gamma, const double *inverse_deviation, double *dx,
                            double *dgamma, double *dbeta);

#endif
