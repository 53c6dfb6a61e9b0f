/* What stands in for jpeg.c in a build without JPEG (POCKETPROP_WITHOUT). */
#include "io/decode.h"
#include "util/engine.h"

pp_status pp__jpeg_decode(pp_engine *engine, const char *path, FILE *file, pp__image *image) {
    (void)file, (void)image;
    return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                    "%s: a JPEG image, which this build cannot read (CMake option "
                    "POCKETPROP_WITHOUT)",
                    path);
}
