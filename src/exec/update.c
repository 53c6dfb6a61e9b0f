#include "exec/update.h"

#include "util/size.h"

enum { ELEMS_PER_ITEM = 64 }; /* UPDATE_ELEMS in the kernels */

static pp_status record_sgd(pp__stream *stream, const pp_optimizer *optimizer,
                            const pp__update *update, float decay, pp__ref scalars) {
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/update", "update_sgd");
    pp__launch_define_f32(&l, "UPDATE_DECAY", decay);
    pp__launch_define_f32(&l, "UPDATE_MOMENTUM", optimizer->momentum);
    pp__launch_define(&l, "UPDATE_HAS_MOMENT", optimizer->momentum > 0);
    pp__launch_define(&l, "UPDATE_NESTEROV", optimizer->nesterov);
    pp__launch_tensor(&l, update->value, sizeof(float));
    pp__launch_tensor(&l, update->gradient, sizeof(float));
    pp__launch_tensor(&l, update->moments[0], sizeof(float));
    pp__launch_tensor(&l, scalars, sizeof(float));
    pp__launch_u32(&l, update->elems);
    return pp__launch_cover(&l, pp__divide_up(update->elems, ELEMS_PER_ITEM), 1, 1);
}

static pp_status record_adam(pp__stream *stream, const pp_optimizer *optimizer,
                             const pp__update *update, float decay, pp__ref scalars) {
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/update", "update_adam");
    pp__launch_define_f32(&l, "UPDATE_DECAY", decay);
    pp__launch_define_f32(&l, "UPDATE_BETA1", optimizer->beta1);
    pp__launch_define_f32(&l, "UPDATE_BETA2", optimizer->beta2);
    pp__launch_define_f32(&l, "UPDATE_EPSILON", optimizer->epsilon);
    pp__launch_define(&l, "UPDATE_DECOUPLED", optimizer->kind == PP_OPTIMIZER_ADAMW);
    pp__launch_tensor(&l, update->value, sizeof(float));
    pp__launch_tensor(&l, update->gradient, sizeof(float));
    pp__launch_tensor(&l, update->moments[0], sizeof(float));
    pp__launch_tensor(&l, update->moments[1], sizeof(float));
    pp__launch_tensor(&l, scalars, sizeof(float));
    pp__launch_u32(&l, update->elems);
    return pp__launch_cover(&l, pp__divide_up(update->elems, ELEMS_PER_ITEM), 1, 1);
}

pp_status pp__update_record(pp__stream *stream, const pp_optimizer *optimizer,
                            const pp__update *update, pp__ref scalars) {
    float decay = update->decayed ? optimizer->weight_decay : 0.0f;
    return optimizer->kind == PP_OPTIMIZER_SGD
               ? record_sgd(stream, optimizer, update, decay, scalars)
               : record_adam(stream, optimizer, update, decay, scalars);
}

pp_status pp__update_record_squares(pp__stream *stream, pp__ref gradient, uint32_t elems,
                                    pp__ref squares, size_t index) {
    squares.offset_bytes += index * sizeof(float);
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/update", "update_squares");
    pp__launch_tensor(&l, gradient, sizeof(float));
    pp__launch_tensor(&l, squares, sizeof(float));
    pp__launch_u32(&l, elems);
    return pp__launch_cover(&l, 1, 1, 1);
}

pp_status pp__update_record_clip(pp__stream *stream, pp__ref squares, uint32_t count, float bound,
                                 pp__ref scalars) {
    pp__launch l;
    pp__launch_begin(&l, stream, "exec/update", "update_clip");
    pp__launch_tensor(&l, squares, sizeof(float));
    pp__launch_tensor(&l, scalars, sizeof(float));
    pp__launch_u32(&l, count);
    pp__launch_f32(&l, bound);
    return pp__launch_cover(&l, 1, 1, 1);
}
