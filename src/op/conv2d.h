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

/* One pass of one layer with what it reads and writes; refs that the pass has no use for are
 * empty. */
typedef struct pp__conv2d_job {
    pp__pass pass;
    pp__conv2d_geometry g;
    pp__ref x, y;      /* forward */
    pp__ref moments;   /* forward, may be empty */
    pp__ref w, bias;   /* no weight gradient; forward, where `bias` may be empty */
    pp__stored stored; /* x, for the weight gradient */
    pp__ref dy, dx, dw;
    bool adds; /* to what dx or dw holds */
    pp__ref workspace;
} pp__conv2d_job;

/* With the refs of `b`, if it has any. */
pp__conv2d_job pp__conv2d_job_of(const pp__op_binding *b, pp__pass pass, pp__conv2d_geometry g);

/* Records the pass in the best way that profile and device allow (conv2d_pass.c), in a workspace
 * of pp__conv2d_pass_bytes, which asks for no ref. */
size_t pp__conv2d_pass_bytes(const pp__conv2d_job *job, const pp_profile *profile);
pp_status pp__conv2d_pass(pp__stream *stream, const pp__conv2d_job *job);
/* Splits of the moments that forward writes. */
uint32_t pp__conv2d_pass_splits(const pp__conv2d_geometry *g, const pp_profile *profile);

/* Compares that way with the plain loops, unless that was done. Of the job's refs only whether
 * there is a bias and moments are wanted matters. */
pp_status pp__conv2d_self_test(pp__stream *stream, const pp__conv2d_job *job);

/* The outputs along an axis; 0 where the window does not fit. */
uint32_t pp__conv2d_output_extent(uint32_t in, uint32_t window, uint32_t stride, uint32_t pad,
                                  uint32_t dilation);

/* The engine's own kernels.
 *
 * y = x * w + b; an empty `bias` adds none. `workspace` holds pp__conv2d_forward_bytes. Unless it is
 * empty, `moments` receives float32 [splits][3][k]: count, mean and sum of squared deviations of the
 * outputs of each split, of which there are pp__conv2d_moment_splits. */
uint32_t pp__conv2d_moment_splits(const pp__conv2d_geometry *g, const pp_profile *profile);
size_t pp__conv2d_forward_bytes(const pp__conv2d_geometry *g, const pp_profile *profile);
pp_status pp__conv2d_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x, pp__ref w,
                             pp__ref bias, pp__ref y, pp__ref moments, pp__ref workspace);

/* dx (+)= the data gradient. `workspace` holds pp__conv2d_backward_input_bytes. */
size_t pp__conv2d_backward_input_bytes(const pp__conv2d_geometry *g, const pp_profile *profile);
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

/* The same where the profile gives a scratch for it (conv2d_weight.scratch_bytes) and the geometry
 * fits: one launch that decodes as it loads. `workspace` holds pp__conv2d_weight_bytes. */
bool pp__conv2d_weight_fits(const pp__conv2d_geometry *g, const pp__stored *stored,
                            const pp_profile *profile);
size_t pp__conv2d_weight_bytes(const pp__conv2d_geometry *g, const pp__stored *stored,
                               const pp_profile *profile);
pp_status pp__conv2d_weight_backward(pp__stream *stream, const pp__conv2d_geometry *g,
                                     const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                     pp__ref workspace);

/* db (+)= the sum of dy over `pixels`. */
pp_status pp__conv2d_backward_bias(pp__stream *stream, uint32_t pixels, uint32_t k, pp__ref dy,
                                   pp__ref db, bool adds);

/* The passes as plain loops (cl/op/conv2d_plain.cl): any geometry, no scratch, no tunables. */
pp_status pp__conv2d_plain_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                   pp__ref w, pp__ref bias, pp__ref y);
/* What pp__conv2d_forward writes as moments, with its own splits: [splits][3][k] from y. */
pp_status pp__conv2d_plain_moments(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref y,
                                   pp__ref moments, uint32_t splits);
/* Mean and variance [2][k] from any splits. */
pp_status pp__conv2d_plain_merge(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref moments,
                                 uint32_t splits, pp__ref merged);
pp_status pp__conv2d_plain_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                          pp__ref w, pp__ref dy, pp__ref dx, bool adds);
pp_status pp__conv2d_plain_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                           const pp__stored *stored, pp__ref dy, pp__ref dw,
                                           bool adds);

/* 1x1 convolutions of stride 1 as a library's products of matrices (device/gemm.h), without
 * workspace. `fits`: the profile wants it (gemm.library) for a geometry as large as this, and the
 * build has it; the others are only for geometries that fit. */
bool pp__conv2d_library_fits(const pp__conv2d_geometry *g, const pp_profile *profile);
pp_status pp__conv2d_library_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                     pp__ref w, pp__ref bias, pp__ref y);
pp_status pp__conv2d_library_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                            pp__ref w, pp__ref dy, pp__ref dx, bool adds);
pp_status pp__conv2d_library_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                             pp__ref x, pp__ref dy, pp__ref dw, bool adds);

/* The passes on devices with local memory (cl/op/conv2d_tiled.cl), x as plain float32. `fits`: the
 * profile wants them (conv2d_tiled.rows), and its work-groups fit the device. `workspace` holds
 * pp__conv2d_tiled_bytes of the pass; all but `fits` is only for geometries that fit. */
bool pp__conv2d_tiled_fits(const pp__conv2d_geometry *g, const pp_profile *profile);
size_t pp__conv2d_tiled_bytes(const pp__conv2d_geometry *g, pp__pass pass,
                              const pp_profile *profile);
pp_status pp__conv2d_tiled_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                   pp__ref w, pp__ref bias, pp__ref y, pp__ref workspace);
pp_status pp__conv2d_tiled_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                          pp__ref w, pp__ref dy, pp__ref dx, bool adds,
                                          pp__ref workspace);
pp_status pp__conv2d_tiled_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                           pp__ref x, pp__ref dy, pp__ref dw, bool adds,
                                           pp__ref workspace);

/* Depthwise passes (cl/op/conv2d_depthwise.cl): each channel is a group, x as plain float32.
 * `workspace` holds pp__conv2d_depthwise_bytes of the pass; all but `fits` is only for geometries
 * that fit. */
bool pp__conv2d_depthwise_fits(const pp__conv2d_geometry *g, const pp_profile *profile);
size_t pp__conv2d_depthwise_bytes(const pp__conv2d_geometry *g, pp__pass pass,
                                  const pp_profile *profile);
pp_status pp__conv2d_depthwise_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                       pp__ref w, pp__ref bias, pp__ref y);
pp_status pp__conv2d_depthwise_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                              pp__ref w, pp__ref dy, pp__ref dx, bool adds);
pp_status pp__conv2d_depthwise_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                               pp__ref x, pp__ref dy, pp__ref dw, bool adds,
                                               pp__ref workspace);

/* Shared by the files that record the launches. */

/* How the rows (or columns) of one phase map to those of what is read; see cl/op/conv2d.cl. The
 * phases of the data gradient: inputs that lie a multiple of the stride apart. */
typedef struct pp__conv2d_axis {
    uint32_t count; /* outputs of this phase */
    uint32_t scale;
    int32_t base, step;
    uint32_t tap, tap_step, out_scale, phase;
} pp__conv2d_axis;
pp__conv2d_axis pp__conv2d_forward_axis(uint32_t count, uint32_t stride, uint32_t pad,
                                        uint32_t dilation);
pp__conv2d_axis pp__conv2d_phase_axis(uint32_t extent, uint32_t phase, uint32_t stride,
                                      uint32_t pad, uint32_t dilation, uint32_t window);

/* CONV2D_PART: the kernels of cl/op/conv2d.cl that a launch's program holds. */
typedef enum pp__conv2d_part {
    PP__CONV2D_GATHER = 1,
    PP__CONV2D_WEIGHT = 2,
    PP__CONV2D_SMALL = 3,
    PP__CONV2D_POINT = 4
} pp__conv2d_part;
void pp__conv2d_begin(pp__launch *l, pp__stream *stream, const char *kernel, pp__conv2d_part part);

uint32_t pp__conv2d_weight_elems(const pp__conv2d_geometry *g);

/* As many splits of a weight gradient as are wished, or as conv2d.partial_bytes has room for; their
 * partial sums are [splits] times the weights. */
uint32_t pp__conv2d_splits(const pp__conv2d_geometry *g, const pp_profile *profile, size_t wished);

/* Puts what decodes `stored` in front of a kernel (cl/codec/stored.cl) and appends code,
 * statistics, gamma and beta; of a pooled map the map itself. */
void pp__conv2d_append_stored(pp__launch *l, const pp__stored *stored);

/* dw (+)= the sum of `splits` partial gradients of `elems` elements, first split first. */
pp_status pp__conv2d_reduce(pp__stream *stream, pp__ref partial, pp__ref dw, uint32_t elems,
                            uint32_t splits, bool adds);

/* Channels of a vector: the profile's, or fewer where there are fewer. A last block that would be
 * short overlaps the one before (cl/op/conv2d.cl). */
uint32_t pp__conv2d_vector(const pp_profile *profile, uint32_t channels);

#endif
