/* Reading back what lies behind a stored x-hat. */
#ifndef PP_CODEC_NORMALISED_H
#define PP_CODEC_NORMALISED_H

#include "codec/codec.h"

/* Records the decoding of the activation max(0, gamma * x-hat~ + beta) (without the ReLU where none
 * follows) of images first..first+count-1 into float32 at `value`; kernel batchnorm_decode. */
pp_status pp__batchnorm_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                               pp__ref value, pp__stream *stream);

#endif
