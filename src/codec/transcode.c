#include "codec/transcode.h"

pp_status pp__transcode_encode(const pp__stored *stored, pp__ref value, pp__stream *stream) {
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/transcode", "transcode_encode");
    pp__stored_prefix(stored, &l);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_tensor(&l, stored->code, 1);
    return pp__launch_cover_octets(&l, pp__shape_pixels(stored->shape), stored->shape.c);
}

pp_status pp__transcode_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                               pp__ref value, pp__stream *stream) {
    size_t image_pixels = (size_t)stored->shape.h * stored->shape.w;
    pp__launch l;
    pp__launch_begin(&l, stream, "codec/transcode", "transcode_decode");
    pp__stored_prefix(stored, &l);
    pp__launch_tensor(&l, stored->code, 1);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_u32(&l, (uint32_t)(first_image * image_pixels));
    return pp__launch_cover_octets(&l, image_count * image_pixels, stored->shape.c);
}
