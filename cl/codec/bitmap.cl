/* bitmap.cl: what a ReLU let pass, as a mask of its positive elements and those elements behind one
 * another in float32 (after Jain et al., "Gist", ISCA 2018, and BitTrain, 2021; METHODS C.2).
 * Encoding: bitmap_encode.cl; decoding of whole images: bitmap_decode.cl.
 *
 * There is room for `capacity` float32 values an image. An image with more of them keeps all in as
 * many bits as fit: 32 bits, else 16, 8, 4 or 2, for the whole image. The mask is exact always.
 *
 * One image of O octets, which stand in line as everywhere (README.md), in B = ceil(O / 32) blocks:
 *
 *   |header  |block 0 |block 1 | ... |values          |
 *    16 bytes 36 bytes 36             4 * capacity
 *
 *   header |values, uint|bits of one, uint|step, float|zero, float|
 *   block  |start, uint |octet 0|octet 1|...|octet 31|     octet: 1 byte, the first channel lowest
 *
 * A block's values begin `start` bytes into the values, at whole bytes, and stand in the order of
 * their bits: the value of a bit is found by counting those before it in its block. Bits behind the
 * last channel and behind the last octet are 0. Behind the last value the bytes mean nothing.
 *
 *   32 bits   float32, the value itself
 *   16 bits   binary16 as half.cl writes it: at most 65504, at least 2^-24
 *    K bits   q of 8, 4 or 2 bits, the first in the lowest: value = (q + 0.5) * step
 *   no bit    zero: 0; NaN in an image that has one, so that a diverging network shows
 */

/* Octets of an image. */
#ifndef BITMAP_IMAGE
#define BITMAP_IMAGE 32
#endif
/* Values in float32 that an image has room for. */
#ifndef BITMAP_CAPACITY
#define BITMAP_CAPACITY 128
#endif

#define CODEC_VALUE
#define CODEC_MASK

#define BITMAP_OCTETS 32
#define BITMAP_HEADER_BYTES 16
#define BITMAP_BLOCK_BYTES 36
#define BITMAP_START_BYTES 4

/* Bytes in front of an image's values. */
static inline uint bitmap_values_at(uint image_octets) {
    const uint blocks = (image_octets + BITMAP_OCTETS - 1) / BITMAP_OCTETS;
    return BITMAP_HEADER_BYTES + blocks * BITMAP_BLOCK_BYTES;
}

/* For kernels over whole tensors, which get extents as arguments. */
static inline size_t bitmap_image_bytes(uint image_octets, uint capacity) {
    return bitmap_values_at(image_octets) + 4 * (size_t)capacity;
}

/* A work-item's blocks, counted from the first image's first. */
typedef struct {
    size_t begin, end;
    uint image_blocks;
} bitmap_share;

static inline bitmap_share bitmap_share_of(uint image_octets, uint images) {
    const uint height = max(COMMON_CHUNK / BITMAP_OCTETS, 1);
    bitmap_share s;
    s.image_blocks = (image_octets + BITMAP_OCTETS - 1) / BITMAP_OCTETS;
    s.begin = get_global_id(0) * height;
    s.end = min(s.begin + height, (size_t)images * s.image_blocks);
    return s;
}

/* How the lanes of a block's octets come to lie behind one another, bit by bit as in its mask: each
 * goes down by the number of lanes below it that are left out, first by one, then by two, then by
 * four, so that none meets another on its way (Warren, "Hacker's Delight", 7-4). The other direction
 * is the way back. */
typedef struct {
    uchar by1[BITMAP_OCTETS], by2[BITMAP_OCTETS], by4[BITMAP_OCTETS];
} bitmap_moves;

/* Where an odd number of the lanes below are in `out`. */
static inline uchar16 bitmap_odd16(uchar16 out) {
    uchar16 odd = out << (uchar16)(1);
    odd ^= odd << (uchar16)(1);
    odd ^= odd << (uchar16)(2);
    return odd ^ odd << (uchar16)(4);
}

static inline void bitmap_moves_of(__global const uchar *mask, bitmap_moves *moves) {
    for (uint part = 0; part < BITMAP_OCTETS / 16; part++) {
        uchar16 in = vload16(part, mask), out = ~in, odd = bitmap_odd16(out), move = odd & in;
        vstore16(move, part, moves->by1);
        in = (in ^ move) | move >> (uchar16)(1);
        /* Of every two left out, the second. */
        out &= odd;
        odd = bitmap_odd16(out);
        move = odd & in;
        vstore16(move, part, moves->by2);
        in = (in ^ move) | move >> (uchar16)(2);
        out &= odd;
        vstore16(bitmap_odd16(out) & in, part, moves->by4);
    }
}

/* Where octet `o` of a line of images lies. */
typedef struct {
    __global const uchar *image, *block;
    uint octet; /* in its block */
} bitmap_place;

static inline bitmap_place bitmap_place_of(__global const uchar *code, size_t o) {
    const size_t image_bytes = bitmap_values_at(BITMAP_IMAGE) + 4 * (size_t)BITMAP_CAPACITY;
    const uint in_image = (uint)(o % BITMAP_IMAGE);
    bitmap_place at;
    at.image = code + o / BITMAP_IMAGE * image_bytes;
    at.block =
        at.image + BITMAP_HEADER_BYTES + (size_t)(in_image / BITMAP_OCTETS) * BITMAP_BLOCK_BYTES;
    at.octet = in_image % BITMAP_OCTETS;
    return at;
}

/* Values of the block in front of an octet's own. */
static inline uint bitmap_rank(__global const uchar *mask, uint octet) {
    const uchar16 lane = (uchar16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const uchar16 none = (uchar16)(0), bound = (uchar16)((uchar)octet);
    const uchar16 sum16 = select(none, popcount(vload16(0, mask)), lane < bound) +
                          select(none, popcount(vload16(1, mask)), lane + (uchar16)(16) < bound);
    const uchar8 sum8 = sum16.lo + sum16.hi;
    const uchar4 sum4 = sum8.lo + sum8.hi;
    const uchar2 sum2 = sum4.lo + sum4.hi;
    return (uint)sum2.x + sum2.y;
}

/* The values of an octet's `bits`, of which `rank` lie in front in the block; `bits` is not 0. */
static inline float8 bitmap_gather8(__global const uchar *from, uint width, float step, uint bits,
                                    uint rank, float8 zero) {
    const uint8 before = popcount((uint8)(bits) & (uint8)(0, 1, 3, 7, 15, 31, 63, 127));
    /* A lane without a value reads one of the octet's. */
    const uint8 last = (uint8)(popcount(bits) - 1u);
    const uint8 index = min(before, last) + (uint8)(rank);
    uint i[8];
    float v[8];
    vstore8(index, 0, i);
    if (width == 32) {
        _Pragma("unroll") for (uint k = 0; k < 8; k++) v[k] = ((__global const float *)from)[i[k]];
    } else if (width == 16) {
        for (uint k = 0; k < 8; k++) v[k] = vload_half(i[k], (__global const half *)from);
    } else {
        for (uint k = 0; k < 8; k++) {
            const uint bit = i[k] * width, q = from[bit / 8] >> bit % 8 & ((1u << width) - 1u);
            v[k] = ((float)q + 0.5f) * step;
        }
    }
    return select(zero, vload8(0, v), unpack_mask8((uchar)bits));
}

static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    const bitmap_place at = bitmap_place_of(code, pixel * ((channels + 7) / 8) + c0 / 8);
    __global const uint *header = (__global const uint *)at.image;
    __global const uchar *values = at.image + bitmap_values_at(BITMAP_IMAGE);
    const float8 zero = (float8)(as_float(header[3]));
    const uint bits = at.block[BITMAP_START_BYTES + at.octet];
    if (bits == 0) return zero;
    return bitmap_gather8(values + *(__global const uint *)at.block, header[1], as_float(header[2]),
                          bits, bitmap_rank(at.block + BITMAP_START_BYTES, at.octet), zero);
}

static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    const bitmap_place at = bitmap_place_of(code, pixel * ((channels + 7) / 8) + c0 / 8);
    return unpack_mask8(at.block[BITMAP_START_BYTES + at.octet]);
}
