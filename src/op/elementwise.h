/* The launch shapes that elementwise kernels share. */
#ifndef PP_OP_ELEMENTWISE_H
#define PP_OP_ELEMENTWISE_H

#include "device/launch.h"
#include "profile/profile.h"
#include "tensor/tensor.h"
#include "util/size.h"

/* Work-items across a pixel: each owns common.octets octets side by side (cl/common.cl). */
static inline uint32_t pp__octet_groups(const pp_profile *profile, uint32_t channels) {
    return pp__divide_up(pp__divide_up(channels, 8), pp__profile_u32(profile, "common.octets"));
}

/* Appends a tensor's pixels and channels and covers its octets. */
static inline pp_status pp__launch_cover_pixels(pp__launch *launch, pp__shape shape) {
    return pp__launch_cover_octets(launch, pp__shape_pixels(shape), shape.c);
}

/* Appends a tensor's elements and covers them as one line. */
static inline pp_status pp__launch_cover_line(pp__launch *launch, pp__shape shape) {
    return pp__launch_cover_elems(launch, pp__shape_pixels(shape) * shape.c);
}

#endif
