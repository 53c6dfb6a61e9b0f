/* blockmean.cl: the codec avgpool:W, means over W x W blocks of each image (Barley & Froening 2024;
 * METHODS B.3).
 *
 * code = float32 [n, ceil(h/W), ceil(w/W), c], or those means as another codec stores them, whose
 * file then stands in front (group.cl). Blocks at the right and bottom borders are short and
 * divide by their true count. Decoding repeats a mean over its block: the orthogonal projection
 * onto block-constant maps. Weight gradients do not decode (cl/op/conv2d_pooled.cl).
 */

/* Side of a block. */
#ifndef BLOCKMEAN_WINDOW
#define BLOCKMEAN_WINDOW 2
#endif

/* The mean of the octet at channel c over block `at` of x [n, in_h, in_w, channels]. */
static inline float8 blockmean_mean8(__global const float *x, common_place at, uint in_h, uint in_w,
                                     uint c, uint channels) {
    const uint h0 = at.i * BLOCKMEAN_WINDOW, h1 = min(in_h, h0 + BLOCKMEAN_WINDOW);
    const uint w0 = at.j * BLOCKMEAN_WINDOW, w1 = min(in_w, w0 + BLOCKMEAN_WINDOW);
    float8 sum = (float8)(0.0f);
    for (uint h = h0; h < h1; h++)
        for (uint w = w0; w < w1; w++)
            sum += load8(x + (((size_t)at.n * in_h + h) * in_w + w) * channels + c, channels - c);
    return sum / (float)((h1 - h0) * (w1 - w0));
}

/* Octets of the code. */
__kernel void blockmean_encode(__global const float *restrict x, uint x_offset,
                               __global float *restrict code, uint code_offset, uint in_h,
                               uint in_w, uint blocks_h, uint blocks_w, uint blocks,
                               uint channels) {
    TENSOR(x);
    TENSOR(code);
    const common_share s = common_octets(blocks, channels);
    common_place at = common_place_of(s.p0, blocks_h, blocks_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, blocks_h, blocks_w)) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(blockmean_mean8(x, at, in_h, in_w, c, channels), code + p * channels + c,
                   channels - c);
        }
    }
}

#ifdef CODEC_VALUE
/* `first` images of the code are skipped. Octets of x. */
__kernel void blockmean_decode(__global const uchar *restrict code, uint code_offset,
                               __global float *restrict x, uint x_offset, uint first, uint in_h,
                               uint in_w, uint blocks_h, uint blocks_w, uint pixels,
                               uint channels) {
    TENSOR(code);
    TENSOR(x);
    const common_share s = common_octets(pixels, channels);
    common_place at = common_place_of(s.p0, in_h, in_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, in_h, in_w)) {
        const size_t block =
            ((size_t)(first + at.n) * blocks_h + at.i / BLOCKMEAN_WINDOW) * blocks_w +
            at.j / BLOCKMEAN_WINDOW;
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(codec_value8(code, block, c, channels), x + p * channels + c, channels - c);
        }
    }
}
#endif
