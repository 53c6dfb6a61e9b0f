/* bitmap_decode.cl: whole images of the code that bitmap.cl draws, which stands in front, into
 * float32.
 *
 *     images of image_octets each -> y [images, pixels, channels]
 *
 * A work-item owns blocks one behind the other, as in bitmap_encode.cl. It counts
 * a block's values as it goes, where codec_value8 counts the bits in front of every octet anew.
 */

#ifdef BITMAP_OCTETS
static inline void bitmap_put8(float8 v, __global float *y, uint image, uint o, uint image_octets,
                               uint channels) {
#if COMMON_WHOLE
    vstore8(v, (size_t)image * image_octets + o, y);
#else
    const uint octets = (channels + 7) / 8, c = o % octets * 8;
    const size_t pixel = (size_t)image * (image_octets / octets) + o / octets;
    store8(v, y + pixel * channels + c, channels - c);
#endif
}

__kernel void bitmap_decode(__global const uchar *restrict code, uint code_offset,
                            __global float *restrict y, uint y_offset, uint image_octets,
                            uint capacity, uint images, uint channels) {
    TENSOR(code);
    TENSOR(y);
    const bitmap_share s = bitmap_share_of(image_octets, images);
    for (size_t g = s.begin; g < s.end; g++) {
        const uint image = (uint)(g / s.image_blocks), block = (uint)(g % s.image_blocks);
        const uint o0 = block * BITMAP_OCTETS, octets = min(image_octets - o0, (uint)BITMAP_OCTETS);
        __global const uchar *base = code + image * bitmap_image_bytes(image_octets, capacity);
        __global const uchar *at = base + BITMAP_HEADER_BYTES + (size_t)block * BITMAP_BLOCK_BYTES;
        __global const uchar *values =
            base + bitmap_values_at(image_octets) + *(__global const uint *)at;
        __global const uint *header = (__global const uint *)base;
        const float8 zero = (float8)(as_float(header[3]));
        const uint width = header[1];
        const float step = as_float(header[2]);
        uint rank = 0;
        for (uint o = 0; o < octets; o++) {
            const uint bits = at[BITMAP_START_BYTES + o];
            const float8 v = bits ? bitmap_gather8(values, width, step, bits, rank, zero) : zero;
            bitmap_put8(v, y, image, o0 + o, image_octets, channels);
            rank += popcount(bits);
        }
    }
}
#endif
