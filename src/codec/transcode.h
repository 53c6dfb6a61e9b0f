/* Encoding and decoding of whole tensors by the functions that an activation codec's cl file
 * defines (cl/codec/transcode.cl): the encode and decode slots of codecs without kernels of their
 * own. */
#ifndef PP_CODEC_TRANSCODE_H
#define PP_CODEC_TRANSCODE_H

#include "codec/codec.h"

pp_status pp__transcode_encode(const pp__stored *stored, pp__ref value, pp__stream *stream);
pp_status pp__transcode_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                               pp__ref value, pp__stream *stream);

#endif
