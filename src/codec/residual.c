/* residual: the codec pool:W+residual:K, block means in bfloat16 and the rest in the code of group:K
 * (formulas and layout: cl/codec/residual.cl; METHODS C.1). A published scheme, here to be compared
 * with: it stands in no menu. */
#include <stdio.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/group.h"
#include "codec/transcode.h"
#include "util/size.h"

enum { MEAN_OCTET_BYTES = 16 };

/* "8+residual:2". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    static const char residual[] = "+residual:";
    *expected_out =
        "pool:W+residual:K with a block side W of 2, 4 or 8 and K of 1, 2, 3, 4 or 8 bits: "
        "pool:8+residual:2";
    if (!*parameters || !strchr("248", *parameters) ||
        strncmp(parameters + 1, residual, sizeof residual - 1) != 0)
        return false;
    const char *own = *expected_out;
    bool good = pp__group_read(parameters + sizeof residual, coding, expected_out);
    *expected_out = own;
    coding->window = (uint32_t)(*parameters - '0');
    return good;
}

/* The residual's own coding. */
static pp__coding coding_of_rest(const pp__coding *coding) {
    return (pp__coding){
        .codec = pp__codec_find("group"), .bits = coding->bits, .group = coding->group};
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    char rest[PP__CODING_TEXT] = "";
    const pp__coding of_rest = coding_of_rest(coding);
    of_rest.codec->print(&of_rest, rest, sizeof rest);
    snprintf(text, capacity, "pool:%u+residual%s", (unsigned)coding->window, strchr(rest, ':'));
}

static uint32_t blocks_h(const pp__stored *stored) {
    return pp__divide_up(stored->shape.h, stored->coding.window);
}
static uint32_t blocks_w(const pp__stored *stored) {
    return pp__divide_up(stored->shape.w, stored->coding.window);
}

static size_t mean_bytes(const pp__coding *coding, pp__shape shape) {
    return (size_t)pp__divide_up(shape.h, coding->window) * pp__divide_up(shape.w, coding->window) *
           pp__divide_up(shape.c, 8) * MEAN_OCTET_BYTES;
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    const pp__coding of_rest = coding_of_rest(coding);
    return shape.n * mean_bytes(coding, shape) + pp__coding_bytes(&of_rest, shape);
}

/* Behind group.cl. */
static void define(const pp__stored *stored, pp__launch *launch) {
    const pp__shape shape = stored->shape;
    pp__launch_prefix(launch, "codec/residual");
    pp__launch_define(launch, "GROUP_BITS", stored->coding.bits);
    pp__launch_define(launch, "GROUP_OCTETS", stored->coding.group / 8);
    pp__launch_define(launch, "GROUP_IMAGE", shape.h * shape.w * pp__divide_up(shape.c, 8));
    pp__launch_define(launch, "GROUP_LEAD", (uint32_t)mean_bytes(&stored->coding, shape));
    pp__launch_define(launch, "RESIDUAL_WINDOW", stored->coding.window);
    pp__launch_define(launch, "RESIDUAL_H", shape.h);
    pp__launch_define(launch, "RESIDUAL_W", shape.w);
}

static pp_status encode_means(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    pp__shape image = stored->shape;
    image.n = 1;
    const uint32_t high = blocks_h(stored), wide = blocks_w(stored);
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/residual_encode", "residual_encode_means");
    pp__stored_prefix(stored, &l);
    pp__launch_prefix(&l, "codec/blockmean");
    pp__launch_define(&l, "BLOCKMEAN_WINDOW", stored->coding.window);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_tensor(&l, stored->code, 1);
    pp__launch_u32(&l, (uint32_t)stored_bytes(&stored->coding, image));
    pp__launch_u32(&l, high);
    pp__launch_u32(&l, wide);
    return pp__launch_cover_octets(&l, (size_t)stored->shape.n * high * wide, stored->shape.c);
}

static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    PP_TRY(encode_means(stored, value, stream));
    const pp__group_source source = {.value = value, .residual = true};
    return pp__group_encode(stored, &source, stream);
}

const pp__codec pp__codec_residual = {
    .name = "pool",
    .file = "codec/group",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .encode = encode,
    .decode = pp__transcode_decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE},
    .lossy = true,
    .dear = true,
    .apart = true,
};
