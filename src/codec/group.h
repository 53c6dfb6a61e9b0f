/* What group:K and the codecs that it composes with share. */
#ifndef PP_CODEC_GROUP_H
#define PP_CODEC_GROUP_H

#include "codec/codec.h"

/* What group:K is made from: the value itself where window is 0, or [n, in_h, in_w, c] whose means
 * over window x window blocks (codec/blockmean) are the value stored. `residual`: what is left of
 * the value without the means that lie in front of each image's code (codec/residual). */
typedef struct pp__group_source {
    pp__ref value;
    uint32_t window, in_h, in_w;
    bool residual;
} pp__group_source;

/* Records the encoding of `stored`, a code of group:K, in one launch. */
pp_status pp__group_encode(const pp__stored *stored, const pp__group_source *source,
                           pp__stream *stream);

/* Reads what stands behind "group:"; the codec's `read`. */
bool pp__group_read(const char *parameters, pp__coding *coding, const char **expected_out);

#endif
