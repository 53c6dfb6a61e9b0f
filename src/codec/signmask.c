/* signmask: one bit per element, set where the value is positive.
 *
 *     octet o of pixel p: the byte at p * ceil(c / 8) + o
 *     bit      7    6    5    4    3    2    1    0
 *     channel  8o+7 ...                 8o+1 8o
 *
 * Bits behind the last channel are 0. */
#include "codec/codec.h"
#include "codec/transcode.h"
#include "util/size.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    (void)coding;
    return pp__shape_pixels(shape) * pp__divide_up(shape.c, 8);
}

const pp__codec pp__codec_signmask = {
    .name = "signmask",
    .file = "codec/signmask",
    .stored_bytes = stored_bytes,
    .encode = pp__transcode_encode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_MASK, [PP__SUBJECT_BITS] = PP__VIEW_MASK},
};
