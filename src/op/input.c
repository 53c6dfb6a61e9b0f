/* input: the network's input [n, height, width, channels]. The session writes it, so of float32
 * there is nothing to compute. Of bytes the session writes a staging buffer (codec/bytes.c), which
 * binding->inputs[0] is, and forward decodes:
 *
 *     y = (byte / maximum - mean) / deviation
 *
 * Nothing to save: a layer that needs its input in backward reads the same bytes again. */
#include <inttypes.h>
#include <math.h>

#include "op/op.h"
#include "op/params.h"

/* Far beyond what any image needs, and exact in cl/codec/bytes.cl. */
#define MOST_MEAN 16384.0f
#define LEAST_DEVIATION 1e-6f
#define MOST_DEVIATION 1e6f

static pp_status check_pixels(pp_engine *engine, const char *node, const pp__input_params *p) {
    const pp_pixels *pixels = &p->pixels;
    if (p->channels > PP_PIXEL_CHANNELS)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (input): %" PRIu32 " channels of bytes, expected at most %d",
                        node, p->channels, PP_PIXEL_CHANNELS);
    if (pixels->maximum > UINT8_MAX)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "node '%s' (input): %" PRIu32 " stands for 1, expected a byte", node,
                        pixels->maximum);
    for (uint32_t c = 0; c < p->channels; c++) {
        float mean = pixels->mean[c], deviation = pixels->deviation[c];
        if (!(fabsf(mean) <= MOST_MEAN) || !(deviation >= LEAST_DEVIATION) ||
            !(deviation <= MOST_DEVIATION))
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                            "node '%s' (input): channel %" PRIu32
                            " has mean %g and deviation %g, expected at most %g and %g to %g",
                            node, c, (double)mean, (double)deviation, (double)MOST_MEAN,
                            (double)LEAST_DEVIATION, (double)MOST_DEVIATION);
    }
    return PP_OK;
}

static pp_status infer(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out) {
    const pp__input_params *p = params;
    if (!p->height || !p->width || !p->channels)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "node '%s' (input): [%" PRIu32 ", %" PRIu32 ", %" PRIu32
                        "] has a zero extent",
                        node, p->height, p->width, p->channels);
    shapes_out->output = (pp__shape){inputs[0].n, p->height, p->width, p->channels};
    return p->bytes ? check_pixels(engine, node, p) : PP_OK;
}

static pp_status forward(const pp__op_binding *b) {
    const pp__input_params *p = b->q.params;
    const pp__stored stored = {.coding = {.codec = pp__codec_find("bytes")},
                               .subject = PP__SUBJECT_ACTIVATION,
                               .shape = b->q.output,
                               .code = b->inputs[0],
                               .pixels = &p->pixels};
    return pp__stored_decode(&stored, 0, b->q.output.n, b->output, b->stream);
}

/* A difference and two multiply-adds; a byte in, a float out. */
static pp__op_cost cost(const pp__op_query *q, pp__pass pass) {
    (void)pass;
    double elems = (double)pp__shape_pixels(q->output) * q->output.c;
    return (pp__op_cost){.flops = 5 * elems, .bytes = (1 + sizeof(float)) * elems};
}

const pp__op pp__op_input = {
    .name = "input",
    .params_bytes = sizeof(pp__input_params),
    .infer = infer,
    .forward = forward,
    .cost = cost,
    .traits = PP__OP_SOURCE | PP__OP_BANDS,
};
