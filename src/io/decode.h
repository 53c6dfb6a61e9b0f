/* The decoders behind pp__image_read: each reads `file` from its start into `image`. */
#ifndef PP_IO_DECODE_H
#define PP_IO_DECODE_H

#include <stdio.h>

#include "io/image.h"

pp_status pp__jpeg_decode(pp_engine *engine, const char *path, FILE *file, pp__image *image);
pp_status pp__png_decode(pp_engine *engine, const char *path, FILE *file, pp__image *image);

#endif
