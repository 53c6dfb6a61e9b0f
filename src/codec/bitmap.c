/* bitmap: what a ReLU let pass, lossless: a mask of the positive elements, and those behind one
 * another in float32 (formulas and layout: cl/codec/bitmap.cl, cl/codec/bitmap_encode.cl; METHODS
 * C.2). The plan makes room for a share of an image's elements, the density:
 *
 *   |header: 16 bytes|block: 36 bytes|...|values: 4 bytes each, ceil(density * elements)|
 *
 * with a block for every 32 octets. An image with more values than that keeps all of them in 16, 8,
 * 4 or 2 bits, whichever fit; its mask stays exact. At the least density, 0.1, 2 bits fit always:
 * with every one of e elements positive they take e/4 bytes, and the blocks, at most e/32 + 1, which
 * begin at whole bytes, at most 3/4 each besides; there is room for 0.4 e, which is more from e = 6
 * on, and for 4 bytes at least, where fewer take 2.
 *
 * Half of what lies evenly round 0 passes a ReLU, more or less of it in one image or the next:
 * room for exactly half would be too little for every second image, so the default is 0.6.
 *
 * A planner under a budget does not choose it: it knows harm as that of typical values, and whether
 * a bitmap does any depends on the data; group:8 takes less than half the bytes for next to none.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "profile/profile.h"
#include "util/size.h"

enum {
    BLOCK_OCTETS = 32,
    BLOCK_BYTES = 36,
    HEADER_BYTES = 16,
    UNITS = 10000, /* of density 1: capacities are exact in whole numbers */
    LEAST_UNITS = UNITS / 10,
    DEFAULT_UNITS = 6 * UNITS / 10
};

static long units_of(const pp__coding *coding) {
    return lround((double)coding->density * UNITS);
}

/* "", ",density=0.6". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out =
        "bitmap with an optional share of non-zeros to make room for, from 0.1 to 1, which is "
        "0.6 where not stated: bitmap,density=0.5";
    coding->density = (float)DEFAULT_UNITS / UNITS;
    if (!*parameters) return true;
    static const char option[] = ",density=";
    if (strncmp(parameters, option, sizeof option - 1) != 0) return false;
    const char *number = parameters + sizeof option - 1;
    char *end;
    if (*number < '0' || *number > '9') return false;
    const float density = strtof(number, &end);
    if (*end || !(density <= 1)) return false;
    coding->density = density;
    const long units = units_of(coding);
    coding->density = (float)units / UNITS;
    return units >= LEAST_UNITS;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    if (units_of(coding) == DEFAULT_UNITS)
        snprintf(text, capacity, "bitmap");
    else
        snprintf(text, capacity, "bitmap,density=%g", (double)coding->density);
}

static uint32_t image_octets(pp__shape shape) {
    return shape.h * shape.w * pp__divide_up(shape.c, 8);
}

/* Values of one image that there is room for in float32. */
static uint32_t capacity_of(const pp__coding *coding, pp__shape shape) {
    const uint64_t elems = (uint64_t)shape.h * shape.w * shape.c;
    return (uint32_t)((elems * (uint64_t)units_of(coding) + UNITS - 1) / UNITS);
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    return shape.n *
           (HEADER_BYTES + (size_t)pp__divide_up(image_octets(shape), BLOCK_OCTETS) * BLOCK_BYTES +
            (size_t)capacity_of(coding, shape) * sizeof(float));
}

static void define(const pp__stored *stored, pp__launch *launch) {
    pp__launch_define(launch, "BITMAP_IMAGE", image_octets(stored->shape));
    pp__launch_define(launch, "BITMAP_CAPACITY", capacity_of(&stored->coding, stored->shape));
}

/* The extents are arguments here, so that values of all shapes share programs. */
static void begin(const pp__stored *stored, const char *file, const char *kernel,
                  pp__stream *stream, pp__launch *launch) {
    pp__launch_begin(launch, stream, file, kernel);
    pp__launch_prefix(launch, stored->coding.codec->file);
    pp__launch_define(launch, "COMMON_WHOLE", stored->shape.c % 8 == 0);
}

static void append_extents(const pp__stored *stored, uint32_t images, pp__launch *launch) {
    pp__launch_u32(launch, image_octets(stored->shape));
    pp__launch_u32(launch, capacity_of(&stored->coding, stored->shape));
    pp__launch_u32(launch, images);
}

/* A work-item for so many blocks, behind extents and channels. */
static pp_status cover_blocks(const pp__stored *stored, uint32_t images, pp__stream *stream,
                              pp__launch *launch) {
    const uint32_t chunk = pp__profile_u32(pp__stream_profile(stream), "common.chunk");
    const size_t blocks = (size_t)images * pp__divide_up(image_octets(stored->shape), BLOCK_OCTETS);
    const size_t share = chunk > BLOCK_OCTETS ? chunk / BLOCK_OCTETS : 1;
    append_extents(stored, images, launch);
    pp__launch_u32(launch, stored->shape.c);
    return pp__launch_cover(launch, (blocks + share - 1) / share, 1, 1);
}

static pp_status encode_blocks(const pp__stored *stored, const char *kernel, pp__ref value,
                               pp__stream *stream) {
    pp__launch l;
    begin(stored, "codec/bitmap_encode", kernel, stream, &l);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_tensor(&l, stored->code, 1);
    return cover_blocks(stored, stored->shape.n, stream, &l);
}

static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    PP_TRY(encode_blocks(stored, "bitmap_encode_mask", value, stream));
    pp__launch l;
    begin(stored, "codec/bitmap_encode", "bitmap_encode_scan", stream, &l);
    pp__launch_tensor(&l, stored->code, 1);
    append_extents(stored, stored->shape.n, &l);
    PP_TRY(pp__launch_cover(&l, stored->shape.n, 1, 1));
    return encode_blocks(stored, "bitmap_encode_pack", value, stream);
}

static pp_status decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                        pp__ref value, pp__stream *stream) {
    pp__ref code = stored->code;
    code.offset_bytes +=
        first_image * (stored_bytes(&stored->coding, stored->shape) / stored->shape.n);
    pp__launch l;
    begin(stored, "codec/bitmap_decode", "bitmap_decode", stream, &l);
    pp__launch_tensor(&l, code, 1);
    pp__launch_tensor(&l, value, sizeof(float));
    return cover_blocks(stored, image_count, stream, &l);
}

const pp__codec pp__codec_bitmap = {
    .name = "bitmap",
    .file = "codec/bitmap",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .encode = encode,
    .decode = decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK},
    .lossy = true,
    .dear = true, /* nothing may be called exact that an image beyond the density changes */
    .behind_relu = true,
};
