/* btc_encode.cl: writes the code that btc.cl draws, which stands in front, from a batch-norm's
 * input and statistics. A mean is the sum of x-hat - t over a block's pixels, row by row, by their
 * number. A work-item owns COMMON_OCTETS octets of a row of blocks.
 */

#ifdef BTC_LEVELS
/* The levels of one side: `count` elements, negated, with this sum. */
static inline int8 btc_level8(float8 sum, int8 count, float8 step) {
    const float8 mean = sum / convert_float8(max(-count, (int8)(1)));
    /* Clamped as floats: a conversion to int is defined only within its range. A NaN ends up at
     * level 0. */
    return convert_int8(fmin(fmax(mean * (1.0f / step), (float8)(0.0f)), (float8)(BTC_LEVELS - 1)));
}

__kernel void btc_encode(__global const float *restrict x, uint x_offset,
                         __global uchar *restrict code, uint code_offset,
                         __global const float *restrict statistics, uint statistics_offset,
                         __global const float *restrict gamma, uint gamma_offset,
                         __global const float *restrict beta, uint beta_offset, uint images,
                         uint channels) {
    const common_share s = common_share_of(1, images * BTC_ROWS, channels);
    if (s.octets == 0 || s.p0 >= s.p1) return;
    TENSOR(x);
    TENSOR(code);
    TENSOR(statistics);
    TENSOR(gamma);
    TENSOR(beta);
    const uint image = (uint)s.p0 / BTC_ROWS, i = (uint)s.p0 % BTC_ROWS;
    const uint h0 = i * BTC_WINDOW, h1 = min(h0 + BTC_WINDOW, (uint)BTC_H);
    for (uint o = 0; o < s.octets; o++) {
        const uint c = s.c0 + 8 * o, count = channels - c;
        const float8 mean = load8(statistics + c, count);
        const float8 inverse = load8(statistics + channels + c, count);
        const float8 g = load8(gamma + c, count), b = load8(beta + c, count);
        const codec_channels k = codec_channel8(mean, inverse, g, b);
        for (uint j = 0; j < BTC_COLUMNS; j++) {
            const uint w0 = j * BTC_WINDOW, w1 = min(w0 + BTC_WINDOW, (uint)BTC_W);
            float8 set_sum = (float8)(0.0f), clear_sum = (float8)(0.0f);
            int8 set_count = (int8)(0);
            for (uint h = h0; h < h1; h++) {
                for (uint w = w0; w < w1; w++) {
                    const uint pixel = (image * BTC_H + h) * BTC_W + w;
                    const float8 xhat =
                        (load8(x + (size_t)pixel * channels + c, count) - mean) * inverse;
                    const float8 distance = xhat - k.threshold;
                    int8 set = xhat > 0.0f;
#if STORED_RELU
                    set = select(set, fma(g, xhat, b) > 0.0f, k.follows);
#endif
                    set_sum += select((float8)(0.0f), distance, set);
                    clear_sum += select(distance, (float8)(0.0f), set);
                    set_count += set;
                    code[btc_plane_at(image, pixel, c, channels)] = pack_mask8(set);
                }
            }
            const int8 clear_count = -(int8)((int)((h1 - h0) * (w1 - w0))) - set_count;
            const int8 levels = btc_level8(set_sum, set_count, k.set_step) << 4 |
                                btc_level8(clear_sum, clear_count, k.clear_step);
            vstore8(convert_uchar8(levels), 0, code + btc_levels_at(image, i, j, c, channels));
        }
    }
}
#endif
