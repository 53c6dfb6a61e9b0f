/* bitmap_decode.cl: whole images of the code that bitmap.cl draws, which stands in front, into
 * float32.
 *
 *     images of image_octets each -> y [images, pixels, channels]
 *
 * A work-item owns blocks one behind the other, as in bitmap_encode.cl. It counts a block's values
 * as it goes, where codec_value8 counts the bits in front of every octet anew.
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

/* The first of `v` in the lanes of octet `o`; the others mean nothing. */
static inline float8 bitmap_expand8(float8 v, const bitmap_moves *moves, uint o) {
    const uchar by1 = moves->by1[o], by2 = moves->by2[o], by4 = moves->by4[o];
    v = select(v, v.s01230123, unpack_mask8(by4));
    v = select(v, v.s01012345, unpack_mask8(by2));
    return select(v, v.s00123456, unpack_mask8(by1));
}

/* Eight values from number `first` on, of 32 or 16 bits. Those of 16 bits are never negative, and at
 * most 65504. */
static inline float8 bitmap_load_values8(__global const uchar *values, uint width, uint first) {
    if (width == 32) return vload8(0, (__global const float *)values + first);
    const uint8 w = convert_uint8(vload8(0, (__global const ushort *)values + first));
    const float8 normal = as_float8((w << (uint8)(13)) + (uint8)(112u << 23));
    return select(normal, convert_float8(w) * 0x1p-24f, w < (uint8)(0x400));
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
        const uint start = *(__global const uint *)at;
        __global const uchar *values = base + bitmap_values_at(image_octets) + start;
        __global const uint *header = (__global const uint *)base;
        const float8 zero = (float8)(as_float(header[3]));
        const uint width = header[1];
        const float step = as_float(header[2]);
        const uint room = width < 16 ? 0 : (4 * capacity - start) / (width / 8);
        bitmap_moves moves;
        bitmap_moves_of(at + BITMAP_START_BYTES, &moves);
        uint rank = 0;
        for (uint o = 0; o < octets; o++) {
            const uint bits = at[BITMAP_START_BYTES + o];
            float8 v = zero;
            if (rank + 8 <= room) /* eight values follow, the octet's among them */
                v = select(zero,
                           bitmap_expand8(bitmap_load_values8(values, width, rank), &moves, o),
                           unpack_mask8((uchar)bits));
            else if (bits)
                v = bitmap_gather8(values, width, step, bits, rank, zero);
            bitmap_put8(v, y, image, o0 + o, image_octets, channels);
            rank += popcount(bits);
        }
    }
}
#endif
