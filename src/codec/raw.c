/* raw: the float32 tensor itself, kept alive.
 *
 *     element i of [pixel][channel]: 4 bytes at 4 * i
 *
 * Of a batch-norm it keeps the input x: x-hat, the mask and the activation are computed again as in
 * forward, bit for bit (cl/codec/raw.cl). */
#include "codec/codec.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    (void)coding;
    return pp__shape_bytes(shape);
}

static const char *const menu[] = {"raw", NULL};

const pp__codec pp__codec_raw = {
    .name = "raw",
    .file = "codec/raw",
    .stored_bytes = stored_bytes,
    .menu = menu,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK,
              [PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_VALUE | PP__VIEW_MASK},
    .stores_itself = true,
};
