/* The ReLU's backward launch, shared by relu and add_relu. Formulas: cl/op/relu.cl. */
#ifndef PP_OP_RELU_H
#define PP_OP_RELU_H

#include "op/op.h"

/* input_gradients[0] (+)= output_gradient where `mask` is set, else 0. */
pp_status pp__relu_backward(const pp__op_binding *b, const pp__stored *mask);

#endif
