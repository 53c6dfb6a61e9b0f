/* bitmap_encode.cl: writes the code that bitmap.cl draws, which stands in front, in three launches
 * whose results depend on no order among work-items:
 *
 *   mask   each block's mask; how many values it has, in place of its start, and BITMAP_BROKEN with
 *          a NaN; the largest of them as float number `block` of the values, which are free yet:
 *          there are never more blocks than capacity
 *   scan   per image: the bits of a value, and each block's start
 *   pack   each block's values
 *
 *   bits   32 where all values of the image fit into 4 * capacity bytes in float32, else the largest
 *          of 16, 8, 4 and 2 in which they do, each block's in whole bytes
 *   step   largest / 2^bits, at least 2^-100, so that no level is 0 or subnormal
 *   q      value * (1 / step), cut to a whole number, at most 2^bits - 1
 *
 * A work-item owns blocks one behind the other, COMMON_CHUNK octets where those are more than one;
 * a work-item of scan owns an image.
 */

#ifdef BITMAP_OCTETS
#define BITMAP_ELEMS (8 * BITMAP_OCTETS)
#define BITMAP_BROKEN 0x80000000u

/* The octet `o` of an image. */
static inline float8 bitmap_load8(__global const float *value, uint image, uint o,
                                  uint image_octets, uint channels) {
#if COMMON_WHOLE
    return vload8((size_t)image * image_octets + o, value);
#else
    const uint octets = (channels + 7) / 8, c = o % octets * 8;
    const size_t pixel = (size_t)image * (image_octets / octets) + o / octets;
    return load8(value + pixel * channels + c, channels - c);
#endif
}

/* Images of image_octets each -> masks, counts, maxima. */
__kernel void bitmap_encode_mask(__global const float *restrict value, uint value_offset,
                                 __global uchar *restrict code, uint code_offset, uint image_octets,
                                 uint capacity, uint images, uint channels) {
    TENSOR(value);
    TENSOR(code);
    const bitmap_share s = bitmap_share_of(image_octets, images);
    for (size_t g = s.begin; g < s.end; g++) {
        const uint image = (uint)(g / s.image_blocks), block = (uint)(g % s.image_blocks);
        const uint o0 = block * BITMAP_OCTETS, count = min(image_octets - o0, (uint)BITMAP_OCTETS);
        __global uchar *base = code + image * bitmap_image_bytes(image_octets, capacity);
        __global uchar *to = base + BITMAP_HEADER_BYTES + (size_t)block * BITMAP_BLOCK_BYTES;
        float8 most8 = (float8)(0.0f);
        int8 broken = (int8)(0);
        uint total = 0;
        for (uint o = 0; o < BITMAP_OCTETS; o++) {
            uchar bits = 0;
            if (o < count) {
                const float8 v = bitmap_load8(value, image, o0 + o, image_octets, channels);
                bits = pack_mask8(v > 0.0f);
                most8 = select(most8, v, v > most8);
                broken = select(broken, (int8)(-1), isnan(v));
            }
            to[BITMAP_START_BYTES + o] = bits;
            total += popcount(bits);
        }
        const float4 most4 = fmax(most8.lo, most8.hi);
        const float2 most2 = fmax(most4.lo, most4.hi);
        *(__global uint *)to = any(broken) ? total | BITMAP_BROKEN : total;
        ((__global float *)(base + bitmap_values_at(image_octets)))[block] = fmax(most2.x, most2.y);
    }
}

__kernel void bitmap_encode_scan(__global uchar *restrict code, uint code_offset, uint image_octets,
                                 uint capacity, uint images) {
    TENSOR(code);
    if (get_global_id(0) >= images) return;
    code += get_global_id(0) * bitmap_image_bytes(image_octets, capacity);
    __global uint *header = (__global uint *)code;
    __global uint *blocks = header + BITMAP_HEADER_BYTES / 4;
    __global const float *maxima = (__global const float *)(code + bitmap_values_at(image_octets));
    const uint block_count = (image_octets + BITMAP_OCTETS - 1) / BITMAP_OCTETS;
    uint count = 0, pairs = 0, broken = 0;
    float most = 0.0f;
    for (uint b = 0; b < block_count; b++) {
        const uint own = blocks[b * (BITMAP_BLOCK_BYTES / 4)] & ~BITMAP_BROKEN;
        broken |= blocks[b * (BITMAP_BLOCK_BYTES / 4)] & BITMAP_BROKEN;
        count += own;
        pairs += (own + 1) / 2;
        most = fmax(most, maxima[b]);
    }
    uint width = 2;
    if (pairs <= 4 * capacity) width = 4;
    if (count <= 4 * capacity) width = 8;
    if (count <= 2 * capacity) width = 16;
    if (count <= capacity) width = 32;
    uint start = 0;
    for (uint b = 0; b < block_count; b++) {
        const uint own = blocks[b * (BITMAP_BLOCK_BYTES / 4)] & ~BITMAP_BROKEN;
        blocks[b * (BITMAP_BLOCK_BYTES / 4)] = start;
        start += (own * width + 7) / 8;
    }
    header[0] = count;
    header[1] = width;
    header[2] = width > 8 ? 0 : as_uint(fmax(most * (1.0f / (float)(1u << width)), 0x1p-100f));
    header[3] = broken ? 0x7FC00000u : 0;
}

/* The lanes of octet `o` that have values behind one another; what follows means nothing. */
static inline float8 bitmap_compress8(float8 v, const bitmap_moves *moves, uint o) {
    const uint by1 = moves->by1[o], by2 = moves->by2[o], by4 = moves->by4[o];
    v = select(v, v.s12345677, unpack_mask8((uchar)(by1 >> 1)));
    v = select(v, v.s23456777, unpack_mask8((uchar)(by2 >> 2)));
    return select(v, v.s45677777, unpack_mask8((uchar)(by4 >> 4)));
}

/* Positive numbers in binary16. Below 2^-14 that is a multiple of 2^-24, to which the sum with 0.5
 * rounds; above, 13 bits of the fraction go, and what is taken from the exponent. */
static inline ushort8 bitmap_half8(float8 v) {
    v = clamp(v, (float8)(0x1p-24f), (float8)(65504.0f));
    const uint8 bits = as_uint8(v), odd = bits >> (uint8)(13) & (uint8)(1);
    const uint8 normal = (bits + odd + (uint8)(0xFFFu - (112u << 23))) >> (uint8)(13);
    const uint8 subnormal = as_uint8(v + 0.5f) - as_uint8((float8)(0.5f));
    return convert_ushort8(select(normal, subnormal, v < 0x1p-14f));
}

__kernel void bitmap_encode_pack(__global const float *restrict value, uint value_offset,
                                 __global uchar *restrict code, uint code_offset, uint image_octets,
                                 uint capacity, uint images, uint channels) {
    TENSOR(value);
    TENSOR(code);
    const bitmap_share s = bitmap_share_of(image_octets, images);
    for (size_t g = s.begin; g < s.end; g++) {
        const uint image = (uint)(g / s.image_blocks), block = (uint)(g % s.image_blocks);
        const uint o0 = block * BITMAP_OCTETS, octets = min(image_octets - o0, (uint)BITMAP_OCTETS);
        __global uchar *base = code + image * bitmap_image_bytes(image_octets, capacity);
        __global const uchar *from =
            base + BITMAP_HEADER_BYTES + (size_t)block * BITMAP_BLOCK_BYTES;
        __global const uint *header = (__global const uint *)base;
        __global uchar *to = base + bitmap_values_at(image_octets) + *(__global const uint *)from;
        bitmap_moves moves;
        bitmap_moves_of(from + BITMAP_START_BYTES, &moves);
        float packed[BITMAP_ELEMS + 8]; /* what is behind the last value is written over */
        uint count = 0;
        for (uint o = 0; o < octets; o++) {
            const float8 v = bitmap_load8(value, image, o0 + o, image_octets, channels);
            vstore8(bitmap_compress8(v, &moves, o), 0, packed + count);
            count += popcount((uint)from[BITMAP_START_BYTES + o]);
        }
        const uint width = header[1];
        if (width == 32) {
            for (uint i = 0; i < count; i++) ((__global float *)to)[i] = packed[i];
        } else if (width == 16) {
            uint i = 0;
            for (; i + 8 <= count; i += 8)
                vstore8(bitmap_half8(vload8(0, packed + i)), 0, (__global ushort *)to + i);
            for (; i < count; i++)
                vstore_half_rte(clamp(packed[i], 0x1p-24f, 65504.0f), i, (__global half *)to);
        } else {
            const float inverse = 1.0f / as_float(header[2]), top = (float)((1u << width) - 1u);
            const uint bytes = (count * width + 7) / 8, share = 8 / width;
            for (uint k = 0; k < bytes; k++) {
                uint word = 0;
                for (uint i = 0; i < share && k * share + i < count; i++) {
                    const float t = packed[k * share + i] * inverse;
                    word |= (uint)(t < top ? t : top) << i * width;
                }
                to[k] = (uchar)word;
            }
        }
    }
}
#endif
