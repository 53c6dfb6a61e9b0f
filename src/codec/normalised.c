#include "codec/normalised.h"

pp_status pp__batchnorm_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                               pp__ref value, pp__stream *stream) {
    uint32_t image_pixels = stored->shape.h * stored->shape.w, pixels = image_count * image_pixels;
    bool gives_mask = stored->coding.codec->views[PP__SUBJECT_NORMALISED] & PP__VIEW_MASK;
    pp__launch l;
    pp__launch_begin(&l, stream, "op/batchnorm", "batchnorm_decode");
    pp__stored_prefix(stored, &l);
    pp__launch_define(&l, "STORED_RELU", stored->relu);
    pp__launch_define(&l, "BATCHNORM_SEPARATE_MASK", !gives_mask);
    pp__stored_arguments(stored, &l);
    pp__launch_tensor(&l, value, sizeof(float));
    pp__launch_u32(&l, first_image * image_pixels);
    return pp__launch_cover_octets(&l, pixels, stored->shape.c);
}
