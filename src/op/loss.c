#include "op/loss.h"

pp_status pp__loss_forward(const pp__op_binding *b, pp__ref hits) {
    pp__launch l;
    pp__launch_begin(&l, b->stream, "op/loss", "loss_forward");
    pp__launch_tensor(&l, b->output, sizeof(float));
    pp__launch_tensor(&l, hits, sizeof(float));
    pp__launch_tensor(&l, b->metrics, sizeof(float));
    pp__launch_tensor(&l, b->scalars, sizeof(uint32_t));
    pp__launch_u32(&l, b->q.output.n);
    pp__launch_u32(&l, hits.memory != NULL);
    return pp__launch_cover(&l, 1, 1, 1);
}
