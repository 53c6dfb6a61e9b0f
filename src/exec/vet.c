/* Self-tests of what a session is about to record, before it has memory, so that a device never
 * holds more than the plan's peak and the tests' own little at once. */
#include "device/self_test.h"
#include "exec/session.h"

/* What the operator would be bound to, without memory. `adds`: to parameter gradients. */
static pp_status vet_node(const pp_plan *plan, const pp__plan_step *step, pp__pass pass,
                          bool training, bool adds, const pp_profile *profile, pp__stream *stream) {
    const pp__plan_node *node = &plan->nodes[step->node];
    if (!node->op->self_test) return PP_OK;
    pp__op_binding b = {.stream = stream, .parameter_gradients_add = adds};
    pp__stored stored[PP__OP_SAVES];
    pp__plan_query_band(plan, step->node, step->image_count, profile, &b.q, stored);
    b.q.training = training;
    for (uint32_t p = 0; p < node->parameter_count; p++) b.parameters[p] = pp__probe_ref(stream);
    if (training && pass == PP__PASS_FORWARD && node->moment_splits && !node->moments_apart &&
        !step->repeated)
        b.output_moments = pp__probe_ref(stream);
    for (size_t j = 0; j < PP__OP_INPUTS; j++) b.input_gradient_adds[j] = step->adds[j];
    return node->op->self_test(&b, pass);
}

static pp_status vet_step(const pp_plan *plan, const pp__plan_step *step, const pp_profile *profile,
                          pp__stream *stream) {
    switch (step->kind) {
        case PP__STEP_FORWARD:
            PP_TRY(vet_node(plan, step, PP__PASS_FORWARD, false, false, profile, stream));
            if (plan->inference) return PP_OK;
            return vet_node(plan, step, PP__PASS_FORWARD, true, false, profile, stream);
        case PP__STEP_BACKWARD_PARAMETERS:
            PP_TRY(
                vet_node(plan, step, PP__PASS_BACKWARD_PARAMETERS, true, false, profile, stream));
            if (plan->accumulate == 1 && step->image_count == plan->batch) return PP_OK;
            return vet_node(plan, step, PP__PASS_BACKWARD_PARAMETERS, true, true, profile, stream);
        case PP__STEP_BACKWARD:
            return vet_node(plan, step, PP__PASS_BACKWARD, true, false, profile, stream);
        default: return PP_OK;
    }
}

pp_status pp__session_vet(pp_device *device, const pp_plan *plan, const pp_profile *profile) {
    pp__stream *stream;
    PP_TRY(pp__stream_create(device, profile, &stream));
    pp_status status = pp__stream_label(stream, "self-test");
    for (size_t s = 0; s < plan->step_count && status == PP_OK; s++)
        status = vet_step(plan, &plan->steps[s], profile, stream);
    pp__stream_destroy(stream);
    return status;
}
