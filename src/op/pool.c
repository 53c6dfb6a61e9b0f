#include "op/pool.h"

#include <inttypes.h>
#include <stdio.h>

enum { EXTENT_TEXT = 32 };

/* "1" for equal numbers, else "1x2". */
static void print_padding(const pp_pool_params *params, char text[EXTENT_TEXT]) {
    if (params->pad_h == params->pad_w)
        snprintf(text, EXTENT_TEXT, "%" PRIu32, params->pad_h);
    else
        snprintf(text, EXTENT_TEXT, "%" PRIu32 "x%" PRIu32, params->pad_h, params->pad_w);
}

pp_status pp__pool_infer(pp_engine *engine, const char *op, const char *node,
                         const pp_pool_params *params, pp__shape input, pp__shape *output_out) {
    char shape[PP__SHAPE_TEXT], padding[EXTENT_TEXT];
    pp__shape_print(input, shape);
    print_padding(params, padding);
    if (!params->kernel_h || !params->kernel_w || !params->stride_h || !params->stride_w)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (%s): window %" PRIu32 "x%" PRIu32 " with stride %" PRIu32
                        "x%" PRIu32 " has a zero extent",
                        node, op, params->kernel_h, params->kernel_w, params->stride_h,
                        params->stride_w);
    if (params->pad_h >= params->kernel_h || params->pad_w >= params->kernel_w)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (%s): padding %s is not smaller than the window %" PRIu32
                        "x%" PRIu32,
                        node, op, padding, params->kernel_h, params->kernel_w);
    uint64_t padded_h = (uint64_t)input.h + 2 * (uint64_t)params->pad_h;
    uint64_t padded_w = (uint64_t)input.w + 2 * (uint64_t)params->pad_w;
    /* Kernels keep positions in the padded input as int. */
    if (padded_h < params->kernel_h || padded_w < params->kernel_w || padded_h > INT32_MAX ||
        padded_w > INT32_MAX)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (%s): window %" PRIu32 "x%" PRIu32
                        " with padding %s does not fit input %s",
                        node, op, params->kernel_h, params->kernel_w, padding, shape);
    *output_out = (pp__shape){
        .n = input.n,
        .h = (uint32_t)(padded_h - params->kernel_h) / params->stride_h + 1,
        .w = (uint32_t)(padded_w - params->kernel_w) / params->stride_w + 1,
        .c = input.c,
    };
    return PP_OK;
}

void pp__pool_arguments(pp__launch *launch, const pp_pool_params *params, pp__shape input,
                        pp__shape output) {
    pp__launch_u32(launch, input.h);
    pp__launch_u32(launch, input.w);
    pp__launch_u32(launch, output.h);
    pp__launch_u32(launch, output.w);
    pp__launch_u32(launch, params->kernel_h);
    pp__launch_u32(launch, params->kernel_w);
    pp__launch_u32(launch, params->stride_h);
    pp__launch_u32(launch, params->stride_w);
    pp__launch_u32(launch, params->pad_h);
    pp__launch_u32(launch, params->pad_w);
}
