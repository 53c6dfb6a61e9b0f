/* input: the network's input [n, height, width, channels]. The session writes it; there is nothing
 * to compute and nothing to save. */
#include <inttypes.h>

#include "op/op.h"
#include "op/params.h"

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp__input_params *p = params;
    if (!p->height || !p->width || !p->channels)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (input): [%" PRIu32 ", %" PRIu32 ", %" PRIu32
                        "] has a zero extent",
                        node, p->height, p->width, p->channels);
    shapes_out->output = (pp__shape){inputs[0].n, p->height, p->width, p->channels};
    return PP_OK;
}

const pp__op pp__op_input = {
    .name = "input",
    .params_bytes = sizeof(pp__input_params),
    .infer = infer,
    .traits = PP__OP_SOURCE,
};
