/* blockmean: the codec avgpool:W, means over blocks of W x W pixels (formulas:
 * cl/codec/blockmean.cl). The weight gradient is taken from the means themselves, which equals
 * expanding them first (METHODS B.3). */
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "util/size.h"

static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out = "avgpool:W with a block side W from 2 to 64: avgpool:2";
    char *end;
    if (*parameters < '0' || *parameters > '9') return false;
    unsigned long window = strtoul(parameters, &end, 10);
    if (*end || window < 2 || window > 64) return false;
    coding->window = (uint32_t)window;
    return true;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    snprintf(text, capacity, "avgpool:%u", (unsigned)coding->window);
}

/* Blocks of one image, the short ones at the border included. */
static pp__shape block_shape(const pp__coding *coding, pp__shape shape) {
    return (pp__shape){shape.n, pp__divide_up(shape.h, coding->window),
                       pp__divide_up(shape.w, coding->window), shape.c};
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    return pp__shape_bytes(block_shape(coding, shape));
}

static void define(const pp__stored *stored, pp__launch *launch) {
    pp__launch_define(launch, "BLOCKMEAN_WINDOW", stored->coding.window);
}

static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    const pp__shape blocks = block_shape(&stored->coding, stored->shape);
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/blockmean", "blockmean_encode");
    define(stored, &l);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_tensor(&l, stored->code, sizeof(float));
    pp__launch_u32(&l, stored->shape.h);
    pp__launch_u32(&l, stored->shape.w);
    pp__launch_u32(&l, blocks.h);
    pp__launch_u32(&l, blocks.w);
    return pp__launch_cover_octets(&l, pp__shape_pixels(blocks), blocks.c);
}

static pp_status decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                        pp__ref value, pp__stream *stream) {
    const pp__shape blocks = block_shape(&stored->coding, stored->shape);
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/blockmean", "blockmean_decode");
    define(stored, &l);
    pp__launch_tensor(&l, stored->code, sizeof(float));
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_u32(&l, first_image);
    pp__launch_u32(&l, stored->shape.h);
    pp__launch_u32(&l, stored->shape.w);
    pp__launch_u32(&l, blocks.h);
    pp__launch_u32(&l, blocks.w);
    return pp__launch_cover_octets(&l, (size_t)image_count * stored->shape.h * stored->shape.w,
                                   stored->shape.c);
}

const pp__codec pp__codec_blockmean = {
    .name = "avgpool",
    .file = "codec/blockmean",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .encode = encode,
    .decode = decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE},
    .lossy = true,
    .pooled = true,
};
