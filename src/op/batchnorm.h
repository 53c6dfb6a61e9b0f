/* Batch normalisation's functions, shared by batchnorm and batchnorm_relu: they differ in the ReLU
 * alone, which their saves and traits declare. Formulas: cl/op/batchnorm.cl.
 *
 * Save 0 is x-hat, save 1 the statistics, save 2 (with a ReLU) the mask. Parameters are gamma,
 * beta, running mean, running variance. */
#ifndef PP_OP_BATCHNORM_H
#define PP_OP_BATCHNORM_H

#include "op/op.h"

enum { PP__BATCHNORM_XHAT, PP__BATCHNORM_STATISTICS, PP__BATCHNORM_MASK };

pp_status pp__batchnorm_infer(pp_engine *engine, const char *node, const void *params,
                              const pp__shape *inputs, pp__op_shapes *shapes_out);
size_t pp__batchnorm_save(const pp__op_query *q, pp__save saves[PP__OP_SAVES], bool relu);
size_t pp__batchnorm_workspace(const pp__op_query *q, pp__pass pass);
pp_status pp__batchnorm_forward(const pp__op_binding *b, bool relu);
pp_status pp__batchnorm_backward(const pp__op_binding *b, bool relu);
uint32_t pp__batchnorm_input_splits(const pp__op_query *q);
pp_status pp__batchnorm_input_moments(const pp__op_binding *b);
pp_status pp__batchnorm_statistics(const pp__op_binding *b);
pp_status pp__batchnorm_backward_sums(const pp__op_binding *b);
pp_status pp__batchnorm_backward_totals(const pp__op_binding *b);
pp__op_cost pp__batchnorm_cost(const pp__op_query *q, pp__pass pass);

#endif
