/* half: float16, rounded to nearest even.
 *
 *     element i of [pixel][channel]: 2 bytes at 2 * i
 *
 * Values are clamped to +-65504, and positive ones never become 0, so an activation's mask is
 * exact. The mask of a batch-norm is not offered: it is the sign of gamma * x-hat + beta, which
 * rounding x-hat can flip. */
#include "codec/codec.h"
#include "codec/transcode.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    (void)coding;
    return pp__shape_bytes(shape) / 2;
}

const pp__codec pp__codec_half = {
    .name = "half",
    .file = "codec/half",
    .stored_bytes = stored_bytes,
    .encode = pp__transcode_encode,
    .decode = pp__transcode_decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK,
              [PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_VALUE},
    .lossy = true,
};
