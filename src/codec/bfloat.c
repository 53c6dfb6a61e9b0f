/* bfloat: the upper half of a float32, rounded to nearest even.
 *
 *     element i of [pixel][channel]: 2 bytes at 2 * i
 *
 * It has float32's range at 8 significant bits, for gradients, which fall below float16's range.
 * Numbers above the largest are clamped to it, and positive ones never become 0. */
#include "codec/codec.h"
#include "codec/transcode.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    (void)coding;
    return pp__shape_bytes(shape) / 2;
}

const pp__codec pp__codec_bfloat = {
    .name = "bfloat",
    .file = "codec/bfloat",
    .stored_bytes = stored_bytes,
    .encode = pp__transcode_encode,
    .decode = pp__transcode_decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK,
              [PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_VALUE},
    .lossy = true,
};
