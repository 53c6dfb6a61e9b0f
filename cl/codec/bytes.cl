/* bytes.cl: an image's bytes as the application hands them over, [pixel][channel], one byte an
 * element without padding. Each stands for (byte / maximum - mean) / deviation of its channel.
 *
 * A channel has four constants that the host makes in double (src/codec/bytes.c):
 *
 *     centre + low = mean * maximum        scale + scale_low = 1 / (maximum * deviation)
 *     shift        = -low * scale
 *
 * centre is rounded so coarsely that `byte - centre` is exact. Then
 *
 *     value = fma(byte - centre, scale, fma(byte - centre, scale_low, shift))
 *
 * rounds once what is within 2^-44 of it but next to 0: at most one unit in the last place.
 */
#define CODEC_VALUE
#define CODEC_DENSE

/* Channels, up to 4, and the constants of each. */
#ifndef BYTES_CHANNELS
#define BYTES_CHANNELS 1
#define BYTES_CENTRE0 0.0f
#define BYTES_SCALE0 0x1.010102p-8f
#define BYTES_LOW0 -0x1.fdfdfep-33f
#define BYTES_SHIFT0 0.0f
#endif

/* The channels' constants, from whichever of them an octet begins with. */
#if BYTES_CHANNELS == 1
#define BYTES_CYCLE(k) k##0
#elif BYTES_CHANNELS == 2
#define BYTES_CYCLE(k) k##0, k##1
#elif BYTES_CHANNELS == 3
#define BYTES_CYCLE(k) k##0, k##1, k##2
#else
#define BYTES_CYCLE(k) k##0, k##1, k##2, k##3
#endif
#define BYTES_ROW(k)                                                                    \
    {                                                                                   \
        BYTES_CYCLE(k), BYTES_CYCLE(k), BYTES_CYCLE(k), BYTES_CYCLE(k), BYTES_CYCLE(k), \
            BYTES_CYCLE(k), BYTES_CYCLE(k), BYTES_CYCLE(k)                              \
    }
__constant float bytes_centre[] = BYTES_ROW(BYTES_CENTRE);
__constant float bytes_scale[] = BYTES_ROW(BYTES_SCALE);
__constant float bytes_low[] = BYTES_ROW(BYTES_LOW);
__constant float bytes_shift[] = BYTES_ROW(BYTES_SHIFT);

/* Eight elements behind one another, the first of them of channel c. */
static inline float8 bytes_values(uchar8 bytes, uint c) {
    const float8 d = convert_float8(bytes) - vload8(0, bytes_centre + c);
    return fma(d, vload8(0, bytes_scale + c),
               fma(d, vload8(0, bytes_low + c), vload8(0, bytes_shift + c)));
}

static inline float bytes_value(uchar byte, uint c) {
    const float d = convert_float(byte) - bytes_centre[c];
    return fma(d, bytes_scale[c], fma(d, bytes_low[c], bytes_shift[c]));
}

static inline float codec_dense1(__global const uchar *code, size_t elem) {
    return bytes_value(code[elem], (uint)(elem % BYTES_CHANNELS));
}
static inline float8 codec_dense8(__global const uchar *code, size_t elem) {
    return bytes_values(vload8(0, code + elem), (uint)(elem % BYTES_CHANNELS));
}

/* A pixel has less than an octet: zeros behind its channels. */
static inline float8 codec_value8(__global const uchar *code, size_t pixel, uint c0,
                                  uint channels) {
    float t[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint i = 0; i < min(channels - c0, 8u); i++)
        t[i] = bytes_value(code[pixel * channels + c0 + i], c0 + i);
    return vload8(0, t);
}
