/* blockmean.cl: the codec avgpool:W, means over W x W blocks of each image (Barley & Froening 2024;
 * METHODS B.3).
 *
 * code = float32 [n, ceil(h/W), ceil(w/W), c]. Blocks at the right and bottom borders are short and
 * divide by their true count. Decoding repeats a mean over its block: the orthogonal projection
 * onto block-constant maps. Weight gradients do not decode (cl/op/conv2d_pooled.cl).
 */

/* Side of a block. */
#ifndef BLOCKMEAN_WINDOW
#define BLOCKMEAN_WINDOW 2
#endif

/* A work-item owns eight channels of COMMON_CHUNK blocks. */
__kernel void blockmean_encode(__global const float *restrict x, uint x_offset,
                               __global float *restrict code, uint code_offset, uint in_h,
                               uint in_w, uint blocks_h, uint blocks_w, uint blocks,
                               uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, begin = (uint)get_global_id(1) * COMMON_CHUNK;
    if (c0 >= channels || begin >= blocks) return;
    TENSOR(x);
    TENSOR(code);
    const uint count = channels - c0, end = min(blocks, begin + COMMON_CHUNK);
    for (uint i = begin; i < end; i++) {
        const uint bx = i % blocks_w, by = i / blocks_w % blocks_h, n = i / (blocks_w * blocks_h);
        const uint h1 = min(in_h, (by + 1) * BLOCKMEAN_WINDOW),
                   w1 = min(in_w, (bx + 1) * BLOCKMEAN_WINDOW);
        float8 sum = (float8)(0.0f);
        for (uint h = by * BLOCKMEAN_WINDOW; h < h1; h++)
            for (uint w = bx * BLOCKMEAN_WINDOW; w < w1; w++)
                sum += load8(x + (((size_t)n * in_h + h) * in_w + w) * channels + c0, count);
        const uint area = (h1 - by * BLOCKMEAN_WINDOW) * (w1 - bx * BLOCKMEAN_WINDOW);
        store8(sum / (float)area, code + (size_t)i * channels + c0, count);
    }
}

/* `first` images of the code are skipped. A work-item owns an octet of COMMON_CHUNK pixels. */
__kernel void blockmean_decode(__global const float *restrict code, uint code_offset,
                               __global float *restrict x, uint x_offset, uint first, uint in_h,
                               uint in_w, uint blocks_h, uint blocks_w, uint pixels,
                               uint channels) {
    const uint c0 = (uint)get_global_id(0) * 8, begin = (uint)get_global_id(1) * COMMON_CHUNK;
    if (c0 >= channels || begin >= pixels) return;
    TENSOR(code);
    TENSOR(x);
    const uint count = channels - c0, end = min(pixels, begin + COMMON_CHUNK);
    for (uint p = begin; p < end; p++) {
        const uint w = p % in_w, h = p / in_w % in_h, n = first + p / (in_w * in_h);
        const size_t block =
            ((size_t)n * blocks_h + h / BLOCKMEAN_WINDOW) * blocks_w + w / BLOCKMEAN_WINDOW;
        store8(load8(code + block * channels + c0, count), x + (size_t)p * channels + c0, count);
    }
}
