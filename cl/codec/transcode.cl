/* transcode.cl: whole tensors to and from a code, with the codec's file in front. Octets
 * (common.cl).
 *
 *     encode: value [n, h, w, c] -> code
 *     decode: pixels first..first+pixels-1 of the code -> y [pixels, c]
 */
#ifdef CODEC_STORE
__kernel void transcode_encode(__global const float *restrict value, uint value_offset,
                               __global uchar *restrict code, uint code_offset, uint pixels,
                               uint channels) {
    TENSOR(value);
    TENSOR(code);
    const common_share s = common_octets(pixels, channels);
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            codec_store8(code, p, c, channels, load8(value + p * channels + c, channels - c));
        }
    }
}
#endif

#ifdef CODEC_VALUE
__kernel void transcode_decode(__global const uchar *restrict code, uint code_offset,
                               __global float *restrict y, uint y_offset, uint first, uint pixels,
                               uint channels) {
    TENSOR(code);
    TENSOR(y);
    const common_share s = common_octets(pixels, channels);
    for (size_t p = s.p0; p < s.p1; p++) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            store8(codec_value8(code, first + p, c, channels), y + p * channels + c, channels - c);
        }
    }
}
#endif

/* Elements first..first+elems-1 of a code whose elements lie behind one another. */
#ifdef CODEC_DENSE
__kernel void transcode_decode_line(__global const uchar *restrict code, uint code_offset,
                                    __global float *restrict y, uint y_offset, uint first,
                                    uint elems) {
    TENSOR(code);
    TENSOR(y);
    const common_line line = common_line_of(elems);
    size_t i = line.begin;
    for (; i + 8 <= line.end; i += 8) vstore8(codec_dense8(code, first + i), 0, y + i);
    for (; i < line.end; i++) y[i] = codec_dense1(code, first + i);
}
#endif
