/* bytes: the network's input as the application hands it over, one unsigned byte an element.
 *
 *     element i of [pixel][channel]: the byte at i
 *
 * The session's staging buffer is the code: nothing is encoded, and it is kept alive until backward
 * has read it. Lossless: forward reads the same decoded values (cl/codec/bytes.cl). */
#include <math.h>
#include <stdio.h>

#include "codec/codec.h"

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    (void)coding;
    return pp__shape_pixels(shape) * shape.c;
}

/* Below 2^9, and a multiple of 2^-13, so that its difference from a byte has no more than 24 bits;
 * larger ones have fewer fractional bits, and at least none. */
static double coarse(double value) {
    int exponent;
    frexp(value, &exponent);
    double unit = ldexp(1, (exponent > 9 ? exponent : 9) - 22);
    return nearbyint(value / unit) * unit;
}

static void define_channel(const pp_pixels *pixels, uint32_t channel, pp__launch *launch) {
    double maximum = pixels->maximum;
    double middle = (double)pixels->mean[channel] * maximum, centre = coarse(middle);
    double scale = 1 / (maximum * (double)pixels->deviation[channel]);
    const struct {
        const char *name;
        float value;
    } constants[] = {{"CENTRE", (float)centre},
                     {"SCALE", (float)scale},
                     {"LOW", (float)(scale - (double)(float)scale)},
                     {"SHIFT", (float)((centre - middle) * scale)}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        char name[24];
        snprintf(name, sizeof name, "BYTES_%s%u", constants[i].name, (unsigned)channel);
        pp__launch_define_f32(launch, name, constants[i].value);
    }
}

static void define(const pp__stored *stored, pp__launch *launch) {
    pp__launch_define(launch, "BYTES_CHANNELS", stored->shape.c);
    for (uint32_t c = 0; c < stored->shape.c; c++) define_channel(stored->pixels, c, launch);
}

/* Pixels have less than an octet of channels, so the images are decoded as one line. */
static pp_status decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                        pp__ref value, pp__stream *stream) {
    size_t image_elems = (size_t)stored->shape.h * stored->shape.w * stored->shape.c;
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/transcode", "transcode_decode_line");
    pp__stored_prefix(stored, &l);
    pp__launch_tensor(&l, stored->code, 1);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_u32(&l, (uint32_t)(first_image * image_elems));
    return pp__launch_cover_elems(&l, image_count * image_elems);
}

const pp__codec pp__codec_bytes = {
    .name = "bytes",
    .file = "codec/bytes",
    .stored_bytes = stored_bytes,
    .define = define,
    .decode = decode,
    .views = {[PP__SUBJECT_ACTIVATION] = PP__VIEW_VALUE},
    .staged = true,
};
