/* dense: y = x W + b, the input flattened in h, w, c order, weights [in, out]. The kernels are
 * conv2d's: a 1x1 convolution over one image whose row of pixels is the batch.
 *
 * Saved for backward: the input, lossy allowed, unless the weights are frozen. */
#include <inttypes.h>
#include <math.h>

#include "op/conv2d.h"
#include "op/cost.h"
#include "op/params.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp_dense_params *p = params;
    const pp__shape in = inputs[0];
    uint64_t features = (uint64_t)in.h * in.w * in.c, limit = 1u << 30;
    if (!p->out_features || p->out_features > limit || features > limit) {
        char text[PP__SHAPE_TEXT];
        pp__shape_print(in, text);
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (dense): %" PRIu32
                        " output features for input %s; both lie in 1 to 2^30",
                        node, p->out_features, text);
    }
    shapes_out->output = (pp__shape){in.n, 1, 1, p->out_features};
    shapes_out->parameters[0] =
        (pp__parameter_spec){.suffix = "weight",
                             .shape = {1, 1, (uint32_t)features, p->out_features},
                             .axis_count = 2,
                             .init = PP__INIT_NORMAL,
                             .deviation = (float)sqrt(1.0 / (double)features),
                             .trainable = true,
                             .decayed = true};
    shapes_out->parameters[1] = (pp__parameter_spec){.suffix = "bias",
                                                     .shape = {1, 1, 1, p->out_features},
                                                     .axis_count = 1,
                                                     .init = PP__INIT_ZERO,
                                                     .trainable = true};
    shapes_out->parameter_count = p->bias ? 2 : 1;
    return PP_OK;
}

/* The order of the parameters. */
enum { WEIGHT, BIAS };

static size_t save(const pp__op_query *q, pp__save saves[PP__OP_SAVES]) {
    if (q->frozen[WEIGHT]) return 0;
    saves[0] = (pp__save){.source = PP__SAVE_INPUT, .view = PP__VIEW_VALUE};
    return 1;
}

static uint32_t features_of(const pp__op_query *q) {
    return q->inputs[0].h * q->inputs[0].w * q->inputs[0].c;
}

/* The batch as one row of pixels. */
static pp__conv2d_geometry row_geometry(const pp__op_query *q) {
    uint32_t n = q->inputs[0].n;
    return (pp__conv2d_geometry){1, 1, n, features_of(q), 1, n, q->output.c, 1, 1, 1, 1, 0, 0,
                                 1, 1, 1};
}

/* The batch as images of one pixel: what the weight gradient splits and decodes by. */
static pp__conv2d_geometry image_geometry(const pp__op_query *q) {
    return (pp__conv2d_geometry){
        q->inputs[0].n, 1, 1, features_of(q), 1, 1, q->output.c, 1, 1, 1, 1, 0, 0, 1, 1, 1};
}

static pp__conv2d_job job_of(const pp__op_binding *b, pp__pass pass) {
    return pp__conv2d_job_of(
        b, pass,
        pass == PP__PASS_BACKWARD_PARAMETERS ? image_geometry(&b->q) : row_geometry(&b->q));
}

static size_t workspace(const pp__op_query *q, pp__pass pass) {
    if (pass == PP__PASS_BACKWARD_PARAMETERS && q->frozen[WEIGHT]) return 0;
    const pp__op_binding b = {.q = *q};
    const pp__conv2d_job job = job_of(&b, pass);
    return pp__conv2d_pass_bytes(&job, q->profile);
}

static pp_status self_test(const pp__op_binding *b, pp__pass pass) {
    if (pass == PP__PASS_BACKWARD_PARAMETERS && b->q.frozen[WEIGHT]) return PP_OK;
    const pp__conv2d_job job = job_of(b, pass);
    return pp__conv2d_self_test(b->stream, &job);
}

static pp_status forward(const pp__op_binding *b) {
    const pp__conv2d_job job = job_of(b, PP__PASS_FORWARD);
    return pp__conv2d_pass(b->stream, &job);
}

static pp_status backward_parameters(const pp__op_binding *b) {
    const pp_dense_params *p = b->q.params;
    const pp__conv2d_job job = job_of(b, PP__PASS_BACKWARD_PARAMETERS);
    if (!b->q.frozen[WEIGHT]) PP_TRY(pp__conv2d_pass(b->stream, &job));
    if (!p->bias || b->q.frozen[BIAS]) return PP_OK;
    return pp__conv2d_backward_bias(b->stream, job.g.n * job.g.oh * job.g.ow, job.g.k, job.dy,
                                    b->parameter_gradients[BIAS], job.adds);
}

static pp_status backward(const pp__op_binding *b) {
    const pp__conv2d_job job = job_of(b, PP__PASS_BACKWARD);
    return pp__conv2d_pass(b->stream, &job);
}

static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    double in = (double)q->inputs[0].n * features_of(q), out = (double)q->inputs[0].n * q->output.c;
    double weights = (double)features_of(q) * q->output.c, x = in * sizeof(float);
    if (pass == PP__PASS_BACKWARD_PARAMETERS && q->stored[0]) x = pp__cost_stored(q, 0);
    return (pp__op_cost){.flops = 2 * in * q->output.c,
                         .bytes = x + (out + weights) * sizeof(float),
                         .is_product = true};
}

const pp__op pp__op_dense = {
    .name = "dense",
    .params_bytes = sizeof(pp_dense_params),
    .input_count = 1,
    .infer = infer,
    .save = save,
    .workspace = workspace,
    .self_test = self_test,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward = backward,
    .cost = cost,
};
