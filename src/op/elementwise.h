/* The launch shape that all elementwise kernels share. */
#ifndef PP_OP_ELEMENTWISE_H
#define PP_OP_ELEMENTWISE_H

#include "device/launch.h"
#include "tensor/tensor.h"

/* Appends a tensor's pixels and channels and covers its octets. */
static inline pp_status pp__launch_cover_pixels(pp__launch *launch, pp__shape shape) {
    return pp__launch_cover_octets(launch, pp__shape_pixels(shape), shape.c);
}

#endif
