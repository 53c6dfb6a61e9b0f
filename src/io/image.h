/* JPEG and PNG files as 8-bit RGB. */
#ifndef PP_IO_IMAGE_H
#define PP_IO_IMAGE_H

#include <pocketprop/engine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No dataset image comes near; a file that claims more is refused before memory is asked for. */
enum { PP__IMAGE_MAX_SIDE = 16384, PP__IMAGE_MAX_PIXELS = 64 << 20 };

/* [height, width, 3]. The memory is kept and reused from one read to the next. */
typedef struct pp__image {
    uint32_t height, width;
    uint8_t *pixels;
    size_t capacity_bytes;
} pp__image;

/* True for the file names that a folder of images is searched for: .jpg, .jpeg and .png in any
 * case. */
bool pp__image_has_name(const char *name);

/* Reads a file whose content, not name, says what it is. Grey becomes RGB, CMYK is converted, 16
 * bits become 8, alpha is dropped. PP_ERROR_IO: cannot be opened or read; PP_ERROR_CORRUPT_DATA:
 * neither JPEG nor PNG, truncated or damaged, or larger than the limits above.
 *
 * The engine gives the pixels' memory; libjpeg and libpng use malloc for themselves, which is freed
 * before the return. A zeroed image is empty. */
pp_status pp__image_read(pp_engine *engine, const char *path, pp__image *image);

/* Makes room for an image of this size; the old content is lost. `path` is for the sentence of a
 * size beyond the limits. */
pp_status pp__image_reserve(pp_engine *engine, const char *path, uint32_t height, uint32_t width,
                            pp__image *image);

void pp__image_release(pp_engine *engine, pp__image *image); /* accepts an empty one */

#endif
