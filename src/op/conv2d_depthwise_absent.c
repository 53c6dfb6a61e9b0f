/* What stands in for conv2d_depthwise.c in a build without the depthwise passes (POCKETPROP_WITHOUT): they fit
 * no geometry, so that conv2d's own kernels take over, and the rest is never called. */
#include "op/conv2d.h"

static pp_status refuse(pp__stream *stream) {
    return pp__fail(pp__stream_engine(stream), PP_ERROR_INTERNAL,
                    "a pass of conv2d_depthwise was recorded, which this build leaves out");
}

bool pp__conv2d_depthwise_fits(const pp__conv2d_geometry *g, const pp_profile *profile) {
    (void)g, (void)profile;
    return false;
}

size_t pp__conv2d_depthwise_bytes(const pp__conv2d_geometry *g, pp__pass pass,
                                  const pp_profile *profile) {
    (void)g, (void)pass, (void)profile;
    return 0;
}

pp_status pp__conv2d_depthwise_forward(pp__stream *stream, const pp__conv2d_geometry *g, pp__ref x,
                                       pp__ref w, pp__ref bias, pp__ref y) {
    (void)g, (void)x, (void)w, (void)bias, (void)y;
    return refuse(stream);
}

pp_status pp__conv2d_depthwise_backward_input(pp__stream *stream, const pp__conv2d_geometry *g,
                                              pp__ref w, pp__ref dy, pp__ref dx, bool adds) {
    (void)g, (void)w, (void)dy, (void)dx, (void)adds;
    return refuse(stream);
}

pp_status pp__conv2d_depthwise_backward_weight(pp__stream *stream, const pp__conv2d_geometry *g,
                                               pp__ref x, pp__ref dy, pp__ref dw, bool adds,
                                               pp__ref workspace) {
    (void)g, (void)x, (void)dy, (void)dw, (void)adds, (void)workspace;
    return refuse(stream);
}
