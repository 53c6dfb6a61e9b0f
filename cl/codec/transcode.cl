/* transcode.cl: whole tensors to and from a code, with the codec's file in front. Octets
 * (common.cl).
 *
 *     encode: value [n, h, w, c] -> code
 *     decode: pixels first..first+pixels-1 of the code -> y [pixels, c]
 */
#ifdef CODEC_STORE
__kernel void transcode_encode(__global const float *value, uint value_offset, __global uchar *code,
                               uint code_offset, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(value);
    TENSOR(code);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++)
        codec_store8(code, p, c0, channels, load8(value + p * channels + c0, channels - c0));
}
#endif

#ifdef CODEC_VALUE
__kernel void transcode_decode(__global const uchar *code, uint code_offset, __global float *y,
                               uint y_offset, uint first, uint pixels, uint channels) {
    uint c0 = 8 * (uint)get_global_id(0);
    size_t p = COMMON_CHUNK * get_global_id(1);
    if (c0 >= channels || p >= pixels) return;
    TENSOR(code);
    TENSOR(y);
    for (size_t end = min(p + COMMON_CHUNK, (size_t)pixels); p < end; p++)
        store8(codec_value8(code, first + p, c0, channels), y + p * channels + c0, channels - c0);
}
#endif
