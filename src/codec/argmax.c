/* argmax: a max-pool's choices, K = 1, 2, 4 or 8 bits each; the pool's kernels write and read it.
 *
 *     octet o of pixel p: the K bytes at (p * ceil(c / 8) + o) * K
 *
 * The first channel lies in the lowest bits, and bits behind the last channel are 0. For K = 2:
 *
 *     byte     0                          1
 *     bits     7..6  5..4  3..2  1..0     7..6  5..4  3..2  1..0
 *     channel  8o+3  8o+2  8o+1  8o       8o+7  8o+6  8o+5  8o+4
 *
 * K follows from the pool's window and is not part of the codec's text. */
#include "codec/codec.h"
#include "util/size.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    return pp__shape_pixels(shape) * pp__divide_up(shape.c, 8) * coding->bits;
}

static void define(const pp__stored *stored, pp__launch *launch) {
    pp__launch_define(launch, "ARGMAX_BITS", stored->coding.bits);
}

const pp__codec pp__codec_argmax = {
    .name = "argmax",
    .file = "codec/argmax",
    .stored_bytes = stored_bytes,
    .define = define,
    .views = {[PP__SUBJECT_BITS] = PP__VIEW_INDEX},
};
