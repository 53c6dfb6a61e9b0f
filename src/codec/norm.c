/* norm: sign-preserving fixed point on batch-norm's x-hat (METHODS A.10; formulas and layout:
 * cl/codec/norm.cl). One code gives x-hat for batch-norm, the ReLU's mask, and the next layer's
 * input. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "util/size.h"

/* The clip that minimises the error on N(0,1), by bits (METHODS A.9); 0: there is no such code. One
 * bit's levels, +-clip/2, are the means of the two halves. */
static const float default_clips[] = {
    [1] = 1.596f, [2] = 1.99f, [3] = 2.34f, [4] = 2.69f, [5] = 3.01f, [6] = 3.33f, [8] = 3.84f};
enum { MOST_BITS = sizeof default_clips / sizeof *default_clips - 1 };

/* The number behind "clip=". */
static bool read_clip(const char *text, float *clip_out) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    float clip = strtof(text, &end);
    if (*end || !(clip >= 0.01f) || clip > 100) return false;
    *clip_out = clip;
    return true;
}

/* "4", "2,clip=1.9", "3,lloyd". */
static bool read(const char *parameters, pp__coding *coding, const char **expected_out) {
    *expected_out =
        "norm:K with K = 1, 2, 3, 4, 5, 6 or 8, and for K > 1 an optional clip from 0.01 to 100 "
        "or, up to 4, lloyd: norm:4, norm:2,clip=1.9, norm:3,lloyd";
    if (*parameters < '1' || *parameters > '0' + MOST_BITS) return false;
    coding->bits = (uint32_t)(*parameters - '0');
    coding->clip = default_clips[coding->bits];
    if (coding->clip == 0) return false;
    const char *option = parameters + 1;
    if (!*option) return true;
    static const char clip[] = ",clip=";
    if (coding->bits > 1 && !strncmp(option, clip, sizeof clip - 1))
        return read_clip(option + sizeof clip - 1, &coding->clip);
    coding->lloyd = coding->bits >= 2 && coding->bits <= 4 && !strcmp(option, ",lloyd");
    return coding->lloyd;
}

static void print(const pp__coding *coding, char *text, size_t capacity) {
    if (coding->lloyd)
        snprintf(text, capacity, "norm:%u,lloyd", (unsigned)coding->bits);
    else if (coding->clip == default_clips[coding->bits])
        snprintf(text, capacity, "norm:%u", (unsigned)coding->bits);
    else
        snprintf(text, capacity, "norm:%u,clip=%g", (unsigned)coding->bits, (double)coding->clip);
}

static size_t stored_bytes(const pp__coding *coding, pp__shape shape) {
    return pp__shape_pixels(shape) * pp__divide_up(shape.c, 8) * coding->bits;
}

static void define(const pp__stored *stored, pp__launch *launch) {
    const pp__coding *coding = &stored->coding;
    pp__launch_define(launch, "NORM_BITS", coding->bits);
    pp__launch_define(launch, "NORM_LLOYD", coding->lloyd);
    if (coding->lloyd) return;
    float levels = (float)(1u << coding->bits), step = 2 * coding->clip / levels;
    pp__launch_define_f32(launch, "NORM_STEP", step);
    pp__launch_define_f32(launch, "NORM_INVERSE_STEP", 1.0f / step);
}

static const char *const menu[] = {"norm:8", "norm:6", "norm:5", "norm:4",
                                   "norm:3", "norm:2", "norm:1", NULL};

/* On N(0,1), which is what x-hat is like, with the clips above (METHODS A.9). */
static double error(const pp__stored *stored) {
    static const double rms[] = {[1] = 0.6028, [2] = 0.3447, [3] = 0.1935, [4] = 0.1074,
                                 [5] = 0.0591, [6] = 0.0322, [8] = 0.0094};
    return rms[stored->coding.bits] * rms[stored->coding.bits];
}

const pp__codec pp__codec_norm = {
    .name = "norm",
    .file = "codec/norm",
    .read = read,
    .print = print,
    .stored_bytes = stored_bytes,
    .define = define,
    .menu = menu,
    .error = error,
    .views = {[PP__SUBJECT_NORMALISED] = PP__VIEW_XHAT | PP__VIEW_MASK | PP__VIEW_VALUE},
    .lossy = true,
};
