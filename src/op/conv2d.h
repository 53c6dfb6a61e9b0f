/* The convolution kernels' launches, shared by conv2d and dense (a dense layer is a 1x1 convolution
 * whose row of pixels is the batch). Formulas and layouts: cl/op/conv2d.cl. */
#ifndef PP_OP_CONV2D_H
#define PP_OP_CONV2D_H

#include "op/op.h"

typedef struct pp__conv2d_geometry {
    uint32_t n, h, w, c; /* input */
    uint32_t oh, ow, k;  /* output */
    uint32_t r, s;       /* window */
    uint32_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
} pp__conv2d_geometry;

/* y = x * w + b; an empty `bias` adds none. */
pp_status pp__conv2d_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x, pp__ref w,
                             pp__ref bias, pp__ref y);

/* dx (+)= the data gradient. `workspace` holds pp__conv2d_transposed_bytes. */
size_t pp__conv2d_transposed_bytes(const pp__conv2d_geometry *g);
pp_status pp__conv2d_backward_input(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref w,
                                    pp__ref dy, pp__ref dx, bool adds, pp__ref workspace);

/* dw (+)= the weight gradient. `workspace` holds pp__conv2d_partial_bytes. */
size_t pp__conv2d_partial_bytes(const pp__conv2d_geometry *g, const pp_profile *profile);
pp_status pp__conv2d_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                     pp__ref dy, pp__ref dw, bool adds, pp__ref workspace);

/* The same from the stored form of x: straight from memory where it lies there in float32, band of
 * images by band through a scratch of conv2d.band_bytes where it has to be decoded, or in the
 * pooled domain. */
size_t pp__conv2d_stored_bytes(const pp__conv2d_geometry *g, const pp__stored *stored,
                               const pp_profile *profile);
pp_status pp__conv2d_backward_weight_stored(pp__stream *stream, const pp__conv2d_geometry *g,
                                            const pp__stored *stored, pp__ref dy, pp__ref dw,
                                            bool adds, pp__ref workspace);

/* db (+)= the sum of dy over `pixels`. */
pp_status pp__conv2d_backward_bias(pp__stream *stream, uint32_t pixels, uint32_t k, pp__ref dy,
                                   pp__ref db, bool adds);

#endif
