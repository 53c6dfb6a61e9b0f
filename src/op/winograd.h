/* Winograd's form of 3x3 convolutions of stride 1, in all three passes, for devices whose
 * work-groups are one work-item with a core's caches to itself. Formulas, layouts and the size of
 * the rounding error: cl/op/winograd.cl. Its twin is the plain convolution of op/conv2d.h. */
#ifndef PP_OP_WINOGRAD_H
#define PP_OP_WINOGRAD_H

#include "op/conv2d.h"

/* The most that a rounding error is larger than that of plain loops (tests/op/test_winograd.c). */
#define PP__WINOGRAD_NOISE 8.2f

/* True where the kernels can compute this pass under the profile and, by its winograd.* numbers,
 * are worth it. False for every geometry where winograd.scratch_bytes is 0. */
bool pp__winograd_fits(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile);

/* The passes, each only where it fits. They need no workspace but for the weight gradient, whose
 * `workspace` holds pp__winograd_partial_bytes. */
pp_status pp__winograd_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                               pp__ref w, pp__ref bias, pp__ref y, pp__ref moments);
/* Splits of `moments`, as pp__conv2d_forward has them; 0 where the pass does not fit. */
uint32_t pp__winograd_moment_splits(const pp__conv2d_geometry *g, const pp_profile *profile);

/* dx (+)= the data gradient. */
pp_status pp__winograd_backward_input(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref w,
                                      pp__ref dy, pp__ref dx, bool adds);

/* dw (+)= the weight gradient. */
size_t pp__winograd_partial_bytes(const pp__conv2d_geometry *g, const pp_profile *profile);
/* True where it can read x as it is stored: decoded while it is loaded. */
bool pp__winograd_reads(const pp__conv2d_geometry *g, const pp__stored *stored,
                        const pp_profile *profile);
pp_status pp__winograd_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                       const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                       pp__ref workspace);

#endif
