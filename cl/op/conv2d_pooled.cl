/* conv2d_pooled.cl: the gradient summed over the blocks of a pooled map.
 *
 * The weight gradient from a block-mean map m of the input (METHODS B.3) needs no expansion of m:
 *
 *   dw[r,s,c,k] = sum_{n,by,bx} m[n,by,bx,c] * S_rs[n,by,bx,k]
 *   S_rs[n,by,bx,k] = sum of dy[n,oh,ow,k] over outputs whose tap (r, s) falls into block (by, bx)
 *
 * This kernel makes S for one tap; the sum over blocks is conv2d_backward_weight with a 1x1 window.
 * A work-item owns eight output channels of CONV2D_POOLED_CHUNK blocks.
 */

/* Blocks of one work-item. */
#ifndef CONV2D_POOLED_CHUNK
#define CONV2D_POOLED_CHUNK 16
#endif

/* The first output whose tap lies at or behind `edge`: ceil((edge - shift) / stride) or 0. */
static inline int first_output(int edge, int shift, int stride) {
    const int distance = edge - shift;
    return distance <= 0 ? 0 : (distance + stride - 1) / stride;
}

__kernel void conv2d_pooled_gradient(__global const float *restrict dy, uint dy_offset,
                                     __global float *restrict sums, uint sums_offset, int in_h,
                                     int in_w, int out_h, int out_w, int k_total, int stride_h,
                                     int stride_w, int shift_h, int shift_w, int window,
                                     int blocks_h, int blocks_w, int batch) {
    const int k0 = (int)get_global_id(0) * 8;
    const int begin = (int)get_global_id(1) * CONV2D_POOLED_CHUNK,
              blocks = batch * blocks_h * blocks_w;
    if (k0 >= k_total || begin >= blocks) return;
    TENSOR(dy);
    TENSOR(sums);
    const uint count = (uint)min(8, k_total - k0);
    const int end = min(blocks, begin + CONV2D_POOLED_CHUNK);
    for (int i = begin; i < end; i++) {
        const int bx = i % blocks_w, by = i / blocks_w % blocks_h, n = i / (blocks_w * blocks_h);
        const int oh0 = first_output(by * window, shift_h, stride_h);
        const int oh1 = min(out_h, first_output(min(in_h, (by + 1) * window), shift_h, stride_h));
        const int ow0 = first_output(bx * window, shift_w, stride_w);
        const int ow1 = min(out_w, first_output(min(in_w, (bx + 1) * window), shift_w, stride_w));
        float8 sum = (float8)(0.0f);
        for (int oh = oh0; oh < oh1; oh++)
            for (int ow = ow0; ow < ow1; ow++)
                sum +=
                    load8(dy + ((long)((long)n * out_h + oh) * out_w + ow) * k_total + k0, count);
        store8(sum, sums + (long)i * k_total + k0, count);
    }
}
