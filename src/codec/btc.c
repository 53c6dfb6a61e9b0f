/* btc: an exact sign plane and two block means of batch-norm's x-hat (METHODS D.3; formulas and
 * layout: cl/codec/btc.cl). One code gives x-hat for batch-norm, the ReLU's mask, and the next
 * layer's input.
 *
 *   |plane: 1 byte a pixel and octet|levels: 8 bytes a block and octet|    of one image
 */
#include <stdio.h>
#include <string.h>

#include "codec/codec.h"
#include "profile/profile.h"
#include "util/size.h"

enum { LEVEL_BYTES = 8 };

/* As many bits as an element takes, rounded up: what a value that this code cannot reproduce gets
 * from another codec. */
static uint32_t whole_bits(uint32_t window) {
    return 1 + pp__divide_up(LEVEL_BYTES, window * window);
}

/* "4". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out = "btc:W with a block side W of 2, 4 or 8: btc:4";
    if (!*parameters || !strchr("248", *parameters) || parameters[1]) return false;
    coding->window = (uint32_t)(*parameters - '0');
    coding->bits = whole_bits(coding->window);
    return true;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    snprintf(text, capacity, "btc:%u", (unsigned)coding->window);
}

/* Rows of blocks in one image, the short one at the border included. */
static uint32_t block_rows(const pp__coding *coding, pp__shape shape) {
    return pp__divide_up(shape.h, coding->window);
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    const size_t blocks =
        (size_t)block_rows(coding, shape) * pp__divide_up(shape.w, coding->window);
    return shape.n * ((size_t)shape.h * shape.w + LEVEL_BYTES * blocks) * pp__divide_up(shape.c, 8);
}

static void define(const pp__stored *stored, pp__launch *launch) {
    pp__launch_define(launch, "BTC_WINDOW", stored->coding.window);
    pp__launch_define(launch, "BTC_H", stored->shape.h);
    pp__launch_define(launch, "BTC_W", stored->shape.w);
}

static pp_status encode_xhat(const pp__stored *stored, pp__ref x, pp__stream *stream) {
    const pp__shape shape = stored->shape;
    const uint32_t across = pp__profile_u32(pp__stream_profile(stream), "common.octets");
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/btc_encode", "btc_encode");
    pp__stored_prefix(stored, &l);
    pp__launch_define(&l, "STORED_RELU", stored->relu);
    pp__launch_define(&l, "COMMON_WHOLE", shape.c % 8 == 0);
    pp__launch_tensor(&l, x, sizeof(float));
    pp__stored_arguments(stored, &l);
    pp__launch_u32(&l, shape.n);
    pp__launch_u32(&l, shape.c);
    return pp__launch_cover(&l, pp__divide_up(pp__divide_up(shape.c, 8), across),
                            (size_t)shape.n * block_rows(&stored->coding, shape), 1);
}

static const char *const menu[] = {"btc:2", "btc:4", "btc:8", NULL};

/* On white noise of N(0,1) with the threshold at 0 (METHODS B.5). */
static double error(const pp__stored *stored) {
    static const double squares[] = {[2] = 0.196, [4] = 0.320, [8] = 0.354};
    return squares[stored->coding.window];
}

const pp__codec pp__codec_btc = {
    .name = "btc",
    .file = "codec/btc",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .encode_xhat = encode_xhat,
    .menu = menu,
    .error = error,
    .views = {[PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_MASK | PP__VIEW_VALUE},
    .lossy = true,
    .blocks = true,
};
