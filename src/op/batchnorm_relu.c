/* batchnorm_relu: batch normalisation and the ReLU behind it as one pass over memory; plan/fuse.c
 * introduces it. Formulas: cl/op/batchnorm.cl with STORED_RELU.
 *
 * Saved for backward: batchnorm's saves, and the ReLU's mask, exact, which codecs of x-hat offer as
 * a view. */
#include "op/batchnorm.h"
#include "op/params.h"

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    return pp__batchnorm_save(q, saves, true);
}
static pp_status forward(const pp__op_binding *b) {
    return pp__batchnorm_forward(b, true);
}
static pp_status backward(const pp__op_binding *b) {
    return pp__batchnorm_backward(b, true);
}

const pp__op pp__op_batchnorm_relu = {
    .name = "batchnorm_relu",
    .params_bytes = sizeof(pp_batchnorm_params),
    .input_count = 1,
    .infer = pp__batchnorm_infer,
    .save = save,
    .workspace = pp__batchnorm_workspace,
    .forward = forward,
    .backward = backward,
    .input_splits = pp__batchnorm_input_splits,
    .input_moments = pp__batchnorm_input_moments,
    .statistics = pp__batchnorm_statistics,
    .backward_sums = pp__batchnorm_backward_sums,
    .backward_totals = pp__batchnorm_backward_totals,
    .cost = pp__batchnorm_cost,
    .traits = PP__OP_IN_PLACE | PP__OP_GRADIENT_IN_PLACE | PP__OP_NORMALISES | PP__OP_RELU_OUTPUT |
              PP__OP_BANDS,
};
