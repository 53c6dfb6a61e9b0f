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

/* The code follows the elements without regard to pixels, so that any shape of as many elements
 * gives the same bytes: whole octets, and many side by side, are written fastest. */
static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    pp__stored line = *stored;
    size_t elems = pp__shape_pixels(stored->shape) * stored->shape.c;
    uint32_t width = 8;
    while (width < 512 && elems % (2 * width) == 0) width *= 2;
    if (elems % width == 0) line.shape = (pp__shape){1, 1, (uint32_t)(elems / width), width};
    return pp__transcode_encode(&line, value, stream);
}

const pp__codec pp__codec_half = {
    .name = "half",
    .file = "codec/half",
    .stored_bytes = stored_bytes,
    .encode = encode,
    .decode = pp__transcode_decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK,
              [PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_VALUE},
    .lossy = true,
};
