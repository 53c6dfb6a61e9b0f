/* group: for values of any distribution, K bits per element on a grid that a group of elements
 * shares, with random rounding that leaves the mean as it is (formulas and layout:
 * cl/codec/group.cl, cl/codec/group_encode.cl; METHODS C.1). Behind a ReLU zeros come back as
 * zeros, so the code holds the ReLU's mask too.
 *
 *   |header|octet 0|octet 1|...|header|octet 32|...    of one image; 32 = group / 8
 *    4      K bytes             4
 */
#include "codec/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/transcode.h"
#include "profile/profile.h"
#include "util/size.h"

enum { DEFAULT_GROUP = 256, MOST_GROUP = 1024, HEADER_BYTES = 4 };

bool pp__group_read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out =
        "group:K with K of 1, 2, 3, 4 or 8, and an optional size of the groups, a "
        "multiple of 8 up to 1024: group:4,size=128";
    if (!*parameters || !strchr("12348", *parameters)) return false;
    coding->bits = (uint32_t)(*parameters - '0');
    coding->group = DEFAULT_GROUP;
    if (!parameters[1]) return true;
    static const char option[] = ",size=";
    if (strncmp(parameters + 1, option, sizeof option - 1) != 0) return false;
    const char *number = parameters + sizeof option;
    char *end;
    if (*number < '0' || *number > '9') return false;
    unsigned long size = strtoul(number, &end, 10);
    if (*end || !size || size % 8 || size > MOST_GROUP) return false;
    coding->group = (uint32_t)size;
    return true;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    if (coding->group == DEFAULT_GROUP)
        snprintf(text, capacity, "group:%u", (unsigned)coding->bits);
    else
        snprintf(text, capacity, "group:%u,size=%u", (unsigned)coding->bits,
                 (unsigned)coding->group);
}

static uint32_t image_octets(pp__shape shape) {
    return shape.h * shape.w * pp__divide_up(shape.c, 8);
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    const uint32_t octets = image_octets(shape);
    return shape.n * ((size_t)pp__divide_up(octets, coding->group / 8) * HEADER_BYTES +
                      (size_t)octets * coding->bits);
}

/* Images of whole groups follow each other as one line would: they need no define of their size and
 * share programs. */
static void define(const pp__stored *stored, pp__launch *launch) {
    const uint32_t octets = image_octets(stored->shape), group = stored->coding.group / 8;
    pp__launch_define(launch, "GROUP_BITS", stored->coding.bits);
    pp__launch_define(launch, "GROUP_OCTETS", group);
    pp__launch_define(launch, "GROUP_IMAGE", octets % group ? octets : 0);
    pp__launch_define(launch, "GROUP_RELU", stored->relu);
}

pp_status pp__group_encode(const pp__stored *stored, const pp__group_source *source,
                           pp__stream *stream) {
    const pp__shape shape = stored->shape;
    const uint32_t group = stored->coding.group / 8, octets = image_octets(shape);
    const uint32_t chunk = pp__profile_u32(pp__stream_profile(stream), "common.chunk");
    const uint32_t groups = shape.n * pp__divide_up(octets, group);
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/group_encode", "group_encode");
    pp__launch_prefix(&l, "rng");
    pp__stored_prefix(stored, &l);
    if (source->window) {
        pp__launch_prefix(&l, "codec/blockmean");
        pp__launch_define(&l, "BLOCKMEAN_WINDOW", source->window);
    }
    pp__launch_define(&l, "GROUP_WINDOW", source->window);
    pp__launch_define(&l, "GROUP_RESIDUAL", source->residual);
    pp__launch_define(&l, "COMMON_WHOLE", shape.c % 8 == 0);
    pp__launch_tensor(&l, source->value, sizeof(float));
    pp__launch_tensor(&l, stored->scalars, sizeof(uint32_t));
    pp__launch_tensor(&l, stored->code, 1);
    /* Images draw as if none lay before them. */
    const uint32_t first = stored->first_image * pp__divide_up(octets, group);
    const uint32_t arguments[] = {stored->number, first,  source->in_h, source->in_w,
                                  shape.w,        octets, shape.n,      shape.c};
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        pp__launch_u32(&l, arguments[i]);
    return pp__launch_cover(&l, pp__divide_up(groups, chunk > group ? chunk / group : 1), 1, 1);
}

static pp_status encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    const pp__group_source source = {.value = value};
    return pp__group_encode(stored, &source, stream);
}

static const char *const menu[] = {"group:8", "group:4", "group:3", "group:2", "group:1", NULL};

/* Of random rounding on N(0,1), whose groups of 256 span 5.65 standard deviations, and behind a
 * ReLU on the half that passes, 2.82: a sixth of the step squared. One bit behind a ReLU gives the
 * mean of what passes. */
static double error(const pp__stored *stored) {
    const uint32_t bits = stored->coding.bits;
    if (stored->relu && bits == 1) return 0.363;
    const double levels = (double)(1u << bits) - stored->relu;
    const double step = (stored->relu ? 2.82 : 5.65) / (levels - 1);
    return step * step / 6;
}

const pp__codec pp__codec_group = {
    .name = "group",
    .file = "codec/group",
    .read = pp__group_read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .encode = encode,
    .decode = pp__transcode_decode,
    .menu = menu,
    .error = error,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE | PP__VIEW_MASK},
    .lossy = true,
};
