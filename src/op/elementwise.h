/* The launch shape that all elementwise kernels share: octets across, chunks of pixels down
 * (cl/common.cl). */
#ifndef PP_OP_ELEMENTWISE_H
#define PP_OP_ELEMENTWISE_H

#include "device/launch.h"
#include "profile/profile.h"
#include "tensor/tensor.h"
#include "util/size.h"

/* Appends pixels and channels as the kernel's last two arguments and covers (octets, pixel
 * chunks). */
static inline pp_status pp__launch_cover_pixels(pp__launch *launch, pp__shape shape) {
    uint32_t chunk = pp__profile_u32(pp__stream_profile(launch->stream), "common.chunk");
    size_t pixels = pp__shape_pixels(shape);
    pp__launch_u32(launch, (uint32_t)pixels);
    pp__launch_u32(launch, shape.c);
    return pp__launch_cover(launch, pp__divide_up(shape.c, 8), (pixels + chunk - 1) / chunk, 1);
}

#endif
