/* What max and average pooling share: the window's geometry, its check, its kernel arguments. */
#ifndef PP_OP_POOL_H
#define PP_OP_POOL_H

#include <pocketprop/graph.h>

#include "device/launch.h"
#include "tensor/tensor.h"
#include "util/engine.h"

/* The output's shape, or one precise sentence. `op` and `node` are names. */
pp_status pp__pool_infer(pp_engine *engine, const char *op, const char *node,
                         const pp_pool_params *params, pp__shape input, pp__shape *output_out);

/* Appends h, w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w. */
void pp__pool_arguments(pp__launch *launch, const pp_pool_params *params, pp__shape input,
                        pp__shape output);

#endif
