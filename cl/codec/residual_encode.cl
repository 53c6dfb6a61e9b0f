/* residual_encode.cl: the means of residual.cl, which stands in front with blockmean.cl. A NaN stays
 * one. */
#ifdef RESIDUAL_BLOCKS_W
/* Octets of blocks of x [n, in_h, in_w, channels]; images of image_bytes each. */
__kernel void residual_encode_means(__global const float *restrict x, uint x_offset,
                                    __global uchar *restrict code, uint code_offset,
                                    uint image_bytes, uint blocks_h, uint blocks_w, uint blocks,
                                    uint channels) {
    TENSOR(x);
    TENSOR(code);
    const common_share s = common_octets(blocks, channels);
    const uint octets = (channels + 7) / 8;
    common_place at = common_place_of(s.p0, blocks_h, blocks_w);
    for (size_t p = s.p0; p < s.p1; p++, common_step(&at, blocks_h, blocks_w)) {
        for (uint o = 0; o < s.octets; o++) {
            const uint c = s.c0 + 8 * o;
            const float8 mean = blockmean_mean8(x, at, RESIDUAL_H, RESIDUAL_W, c, channels);
            const uint8 bits = as_uint8(mean);
            uint8 rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
            rounded = select(rounded, (uint8)(0x7FC0u), mean != mean);
            uchar16 bytes;
            bytes.even = convert_uchar8(rounded & 255u);
            bytes.odd = convert_uchar8(rounded >> 8);
            __global uchar *image = code + (size_t)at.n * image_bytes;
            vstore16(bytes, (at.i * blocks_w + at.j) * octets + c / 8, image);
        }
    }
}
#endif
