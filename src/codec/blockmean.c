/* blockmean: the codec avgpool:W, means over blocks of W x W pixels (formulas:
 * cl/codec/blockmean.cl), in float32, or as avgpool:W+group:K in the code of group:K. The weight
 * gradient is taken from the means themselves, which equals expanding them first (METHODS B.3). */
#include "codec/blockmean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/group.h"
#include "util/size.h"

/* "2", "2+group:4". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    static const char group[] = "+group:";
    *expected_out =
        "avgpool:W with a block side W from 2 to 64, optionally with its means as "
        "group:K: avgpool:2, avgpool:2+group:4";
    char *end;
    if (*parameters < '0' || *parameters > '9') return false;
    unsigned long window = strtoul(parameters, &end, 10);
    if (window < 2 || window > 64) return false;
    coding->window = (uint32_t)window;
    if (!*end) return true;
    if (strncmp(end, group, sizeof group - 1) != 0) return false;
    return pp__group_read(end + sizeof group - 1, coding, expected_out);
}

/* How the means themselves are stored. A coding without bits is not that of group. */
static pp__coding coding_of_means(const pp__coding *coding) {
    return (pp__coding){.codec = pp__codec_find(coding->bits ? "group" : "raw"),
                        .bits = coding->bits,
                        .group = coding->group};
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    char means[PP__CODING_TEXT] = "";
    const pp__coding of_means = coding_of_means(coding);
    if (coding->bits) of_means.codec->print(&of_means, means, sizeof means);
    snprintf(text, capacity, "avgpool:%u%s%s", (unsigned)coding->window, coding->bits ? "+" : "",
             means);
}

/* Blocks of one image, the short ones at the border included. */
static pp__shape block_shape(const pp__coding *coding, pp__shape shape) {
    return (pp__shape){shape.n, pp__divide_up(shape.h, coding->window),
                       pp__divide_up(shape.w, coding->window), shape.c};
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    const pp__coding of_means = coding_of_means(coding);
    return pp__coding_bytes(&of_means, block_shape(coding, shape));
}

pp__stored pp__blockmean_means(const pp__stored *stored) {
    pp__stored means = *stored;
    means.coding = coding_of_means(&stored->coding);
    means.shape = block_shape(&stored->coding, stored->shape);
    means.relu = false; /* no mask is kept, and all levels are free for the means */
    return means;
}

static pp_status encode_plain(const pp__stored *stored, const pp__stored *means, pp__ref value,
                              pp__stream *stream) {
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/blockmean", "blockmean_encode");
    pp__launch_define(&l, "BLOCKMEAN_WINDOW", stored->coding.window);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_tensor(&l, stored->code, sizeof(float));
    pp__launch_u32(&l, stored->shape.h);
    pp__launch_u32(&l, stored->shape.w);
    pp__launch_u32(&l, means->shape.h);
    pp__launch_u32(&l, means->shape.w);
    return pp__launch_cover_octets(&l, pp__shape_pixels(means->shape), means->shape.c);
}

static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    const pp__stored means = pp__blockmean_means(stored);
    if (pp__stored_is_plain(&means)) return encode_plain(stored, &means, value, stream);
    const pp__group_source source = {.value = value,
                                     .window = stored->coding.window,
                                     .in_h = stored->shape.h,
                                     .in_w = stored->shape.w};
    return pp__group_encode(&means, &source, stream);
}

static pp_status decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                        pp__ref value, pp__stream *stream) {
    const pp__stored means = pp__blockmean_means(stored);
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/blockmean", "blockmean_decode");
    pp__stored_prefix(&means, &l);
    pp__launch_define(&l, "BLOCKMEAN_WINDOW", stored->coding.window);
    pp__launch_tensor(&l, stored->code, 1);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_u32(&l, first_image);
    pp__launch_u32(&l, stored->shape.h);
    pp__launch_u32(&l, stored->shape.w);
    pp__launch_u32(&l, means.shape.h);
    pp__launch_u32(&l, means.shape.w);
    return pp__launch_cover_octets(&l, (size_t)image_count * stored->shape.h * stored->shape.w,
                                   stored->shape.c);
}

const pp__codec pp__codec_blockmean = {
    .name = "avgpool",
    .file = "codec/blockmean",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .encode = encode,
    .decode = decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE},
    .lossy = true,
    .pooled = true,
};
