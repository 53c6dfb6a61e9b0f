/* What stands in for winograd.c in a build without Winograd's form (POCKETPROP_WITHOUT): they fit
 * no geometry, so that conv2d's own kernels take over, and the rest is never called. */
#include "op/winograd.h"

static pp_status refuse(pp__stream *stream) {
    return pp__fail(pp__stream_engine(stream), PP_ERROR_INTERNAL,
                    "a pass of winograd was recorded, which this build leaves out");
}

bool pp__winograd_fits(const pp__conv2d_geometry *g, pp__pass pass, const pp_profile *profile) {
    (void)g, (void)pass, (void)profile;
    return false;
}

pp_status pp__winograd_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                               pp__ref w, pp__ref bias, pp__ref y, pp__ref moments) {
    (void)g, (void)x, (void)w, (void)bias, (void)y, (void)moments;
    return refuse(stream);
}

uint32_t pp__winograd_moment_splits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    (void)g, (void)profile;
    return 0;
}

pp_status pp__winograd_backward_input(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref w,
                                      pp__ref dy, pp__ref dx, bool adds) {
    (void)g, (void)w, (void)dy, (void)dx, (void)adds;
    return refuse(stream);
}

size_t pp__winograd_partial_bytes(const pp__conv2d_geometry *g, const pp_profile *profile) {
    (void)g, (void)profile;
    return 0;
}

bool pp__winograd_reads(const pp__conv2d_geometry *g, const pp__stored *stored,
                        const pp_profile *profile) {
    (void)g, (void)stored, (void)profile;
    return false;
}

pp_status pp__winograd_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                       const pp__stored *stored, pp__ref dy, pp__ref dw, bool adds,
                                       pp__ref workspace) {
    (void)g, (void)stored, (void)dy, (void)dw, (void)adds, (void)workspace;
    return refuse(stream);
}
