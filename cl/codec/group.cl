/* group.cl: K bits per element for values of any distribution: each group of elements has a grid of
 * its own, and values round to one of the two levels beside them at random, so that the mean of
 * what comes back is the value (after Chen et al., "ActNN", ICML 2021; METHODS C.1). Encoding:
 * group_encode.cl.
 *
 * The octets of an image stand in line, as everywhere (README.md), and GROUP_OCTETS of them share a
 * header; the last group of an image may be shorter, and the next image begins a new one:
 *
 *   |header|octet 0|octet 1|...|octet GROUP_OCTETS-1|header|octet GROUP_OCTETS|...
 *    4      K bytes
 *
 *   header, the low byte first: |lo, bfloat16|step, bfloat16|
 *   octet: element i in bits i*K .. i*K+K-1, counted from the first byte's lowest bit
 *
 * So octet o of an image lies at byte 4 * (o / GROUP_OCTETS + 1) + o * K, and its header at
 * (4 + GROUP_OCTETS * K) * (o / GROUP_OCTETS). With n = 2^K levels q:
 *
 *   any values         value = lo + q * step
 *   behind a ReLU      value = 0 where q = 0, else lo + (q - 1) * step; q > 0 is the mask, exact
 *     ... and K = 1    the header is one float32, the mean of the group's positive elements
 *
 * Products q * step need no rounding. The grid of a group with a NaN, an infinity or a range beyond
 * float32 is lo = NaN: all of its elements come back as NaN, so that a diverging network shows,
 * while other groups, and the mask, are what they are without it.
 */

/* Bits per element: 1, 2, 3, 4 or 8. */
#ifndef GROUP_BITS
#define GROUP_BITS 4
#endif
/* Octets of a group. */
#ifndef GROUP_OCTETS
#define GROUP_OCTETS 32
#endif
/* Octets of an image where they are no whole number of groups; 0: they are. */
#ifndef GROUP_IMAGE
#define GROUP_IMAGE 0
#endif
/* 1: the value went through a ReLU. */
#ifndef GROUP_RELU
#define GROUP_RELU 0
#endif

/* Bytes of an image in front of its groups, where this is one layer of another codec, whose file
 * follows: residual.cl. */
#ifndef GROUP_LEAD
#define GROUP_LEAD 0
#endif

#if GROUP_LEAD
#define GROUP_VALUE8 group_value8
#else
#define GROUP_VALUE8 codec_value8
#define CODEC_VALUE
#if GROUP_RELU
#define CODEC_MASK
#endif
#endif

#define GROUP_HEADER_BYTES 4
#define GROUP_LEVELS (1 << GROUP_BITS)
#define GROUP_SHIFTS                                                                        \
    ((uint8)(0, GROUP_BITS, 2 * GROUP_BITS, 3 * GROUP_BITS, 4 * GROUP_BITS, 5 * GROUP_BITS, \
             6 * GROUP_BITS, 7 * GROUP_BITS))

/* Where octet `o` of a line of images has its header and its levels. */
typedef struct {
    __global const uchar *header, *levels;
} group_place;

static inline group_place group_place_of(__global const uchar *code, uint o) {
#if GROUP_IMAGE
    const uint image_groups = (GROUP_IMAGE + GROUP_OCTETS - 1) / GROUP_OCTETS;
    code += GROUP_LEAD +
            o / GROUP_IMAGE *
                (GROUP_LEAD + image_groups * GROUP_HEADER_BYTES + GROUP_IMAGE * GROUP_BITS);
    o %= GROUP_IMAGE;
#endif
    const uint group = o / GROUP_OCTETS;
    group_place at;
    at.header = code + group * (GROUP_HEADER_BYTES + GROUP_OCTETS * GROUP_BITS);
    at.levels = code + (group + 1) * GROUP_HEADER_BYTES + o * GROUP_BITS;
    return at;
}

static inline int8 group_load_levels(__global const uchar *p) {
#if GROUP_BITS == 8
    return convert_int8(vload8(0, p));
#else
    uint word = p[0];
#if GROUP_BITS > 1
    word |= (uint)p[1] << 8;
#endif
#if GROUP_BITS > 2
    word |= (uint)p[2] << 16;
#endif
#if GROUP_BITS > 3
    word |= (uint)p[3] << 24;
#endif
    return convert_int8((uint8)word >> GROUP_SHIFTS & (uint8)(GROUP_LEVELS - 1));
#endif
}

static inline float8 GROUP_VALUE8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    const group_place at = group_place_of(code, (uint)pixel * ((channels + 7) / 8) + c0 / 8);
    __global const uchar *h = at.header;
    const uint header = h[0] | (uint)h[1] << 8 | (uint)h[2] << 16 | (uint)h[3] << 24;
    const int8 q = group_load_levels(at.levels);
#if GROUP_RELU && GROUP_BITS == 1
    return convert_float8(q) * as_float(header);
#else
    const float lo = as_float(header << 16), step = as_float(header & 0xFFFF0000u);
#if GROUP_RELU
    /* lo * 0 is a NaN's NaN and else 0. */
    return select((float8)(lo * 0.0f), fma(convert_float8(q - 1), (float8)(step), (float8)(lo)),
                  q > 0);
#else
    return fma(convert_float8(q), (float8)(step), (float8)(lo));
#endif
#endif
}

#if GROUP_RELU
static inline int8 codec_mask8(__global const uchar *code, size_t pixel, uint c0, uint channels) {
    const group_place at = group_place_of(code, (uint)pixel * ((channels + 7) / 8) + c0 / 8);
#if GROUP_BITS == 1
    return unpack_mask8(*at.levels);
#else
    return group_load_levels(at.levels) > 0;
#endif
}
#endif
