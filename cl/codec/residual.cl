/* residual.cl: the codec pool:W+residual:K, a value in two layers (after Wang et al., "DIVISION", ICML
 * 2023; METHODS C.1): its means over W x W blocks in bfloat16, and what is left without them as
 * group:K stores it. group.cl stands in front, with GROUP_LEAD for the means.
 *
 *   |means: 16 bytes a block and octet|the residual's groups|    of one image
 *
 *   mean    over the pixels that a block has, rounded to the nearest bfloat16, ties to even
 *   value   mean + residual
 *
 * Zeros come back as anything near them: there is no mask.
 */

#ifdef GROUP_LEVELS
/* An image's extents. */
#ifndef RESIDUAL_H
#define RESIDUAL_H 1
#endif
#ifndef RESIDUAL_W
#define RESIDUAL_W 1
#endif
/* Side of a block. */
#ifndef RESIDUAL_WINDOW
#define RESIDUAL_WINDOW 8
#endif

#define CODEC_VALUE

#define RESIDUAL_BLOCKS_W ((RESIDUAL_W + RESIDUAL_WINDOW - 1) / RESIDUAL_WINDOW)

/* The mean, as stored in `image`, of the block that pixel `place` of the image lies in. */
static inline float8 residual_mean8(__global const uchar *image, uint place, uint c0,
                                    uint channels) {
    const uint block = place / RESIDUAL_W / RESIDUAL_WINDOW * RESIDUAL_BLOCKS_W +
                       place % RESIDUAL_W / RESIDUAL_WINDOW;
    const uchar16 bytes = vload16(block * ((channels + 7) / 8) + c0 / 8, image);
    /* A bfloat16 is the upper half of a float32 (the low byte first, as devices have it). */
    return as_float8(convert_uint8(as_ushort8(bytes)) << (uint8)(16));
}

static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    const uint pixels = RESIDUAL_H * RESIDUAL_W, octets = (channels + 7) / 8;
    const uint image_octets = pixels * octets;
    const uint groups = (image_octets + GROUP_OCTETS - 1) / GROUP_OCTETS;
    const size_t image_bytes = GROUP_LEAD + groups * GROUP_HEADER_BYTES + image_octets * GROUP_BITS;
    const uint place = (uint)(pixel % pixels);
    return residual_mean8(code + pixel / pixels * image_bytes, place, c0, channels) +
           group_value8(code, pixel, c0, channels);
}
#endif
