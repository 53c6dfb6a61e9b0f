/* norm: sign-preserving fixed point on batch-norm's x-hat (METHODS A.10; formulas and layout:
 * cl/codec/norm.cl). One code gives x-hat for batch-norm, the ReLU's mask, and the next layer's
 * input. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "util/size.h"

/* The clip that minimises the error on N(0,1), by bits (METHODS A.9). */
static float default_clip(uint32_t bits) {
    return bits == 8 ? 3.84f : 2.69f;
}

/* "4", "8", "4,clip=3". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out = "norm:4 or norm:8, with an optional clip from 0.01 to 100: norm:4,clip=3";
    if (*parameters != '4' && *parameters != '8') return false;
    coding->bits = (uint32_t)(*parameters - '0');
    coding->clip = default_clip(coding->bits);
    if (!parameters[1]) return true;
    static const char option[] = ",clip=";
    if (strncmp(parameters + 1, option, sizeof option - 1) != 0) return false;
    const char *number = parameters + sizeof option;
    char *end;
    float clip = strtof(number, &end);
    if (end == number || *end || !(clip >= 0.01f) || clip > 100) return false;
    coding->clip = clip;
    return true;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    if (coding->clip == default_clip(coding->bits))
        snprintf(text, capacity, "norm:%u", (unsigned)coding->bits);
    else
        snprintf(text, capacity, "norm:%u,clip=%g", (unsigned)coding->bits, (double)coding->clip);
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    return pp__shape_pixels(shape) * pp__divide_up(shape.c, 8) * coding->bits;
}

static void define(const pp__stored *stored, pp__launch *launch) {
    const pp__coding *coding = &stored->coding;
    float levels = (float)(1u << coding->bits), step = 2 * coding->clip / levels;
    pp__launch_define(launch, "NORM_BITS", coding->bits);
    pp__launch_define_f32(launch, "NORM_STEP", step);
    pp__launch_define_f32(launch, "NORM_INVERSE_STEP", 1.0f / step);
}

const pp__codec pp__codec_norm = {
    .name = "norm",
    .file = "codec/norm",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .views = {[PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_MASK | PP__VIEW_VALUE},
    .lossy = true,
};
