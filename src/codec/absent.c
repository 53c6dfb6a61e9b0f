/* Codecs that the build leaves out (POCKETPROP_WITHOUT): a name for the sentence that refuses
 * them. They have no menu, so no plan chooses them by itself. */
#include "codec/codec.h"

#define PP__CODEC(stem, text)                \
    extern const pp__codec pp__codec_##stem; \
    const pp__codec pp__codec_##stem = {.name = (text)};
#include "codec/absent_list.inc"
#undef PP__CODEC
