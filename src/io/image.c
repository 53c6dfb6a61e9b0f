#include "io/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "io/decode.h"
#include "io/path.h"
#include "util/engine.h"

enum { MAX_SIGNATURE_BYTES = 8 };

typedef struct image_format {
    uint8_t signature[MAX_SIGNATURE_BYTES];
    size_t signature_bytes;
    pp_status (*decode)(pp_engine *engine, const char *path, FILE *file, pp__image *image);
} image_format;

static const image_format formats[] = {
    {{0xFF, 0xD8, 0xFF}, 3, pp__jpeg_decode},
    {{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, 8, pp__png_decode},
};

static const char *const suffixes[] = {".jpg", ".jpeg", ".png"};

bool pp__image_has_name(const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix_length = strlen(suffixes[i]);
        if (length > suffix_length && !strcasecmp(name + length - suffix_length, suffixes[i]))
            return true;
    }
    return false;
}

pp_status pp__image_reserve(pp_engine *engine, const char *path, uint32_t height, uint32_t width,
                            pp__image *image) {
    if (!height || !width || height > PP__IMAGE_MAX_SIDE || width > PP__IMAGE_MAX_SIDE ||
        (uint64_t)height * width > PP__IMAGE_MAX_PIXELS)
        return pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                        "%s: an image of %" PRIu32 " x %" PRIu32
                        " pixels, expected sides from 1 to %d and at most %d pixels",
                        path, width, height, PP__IMAGE_MAX_SIDE, PP__IMAGE_MAX_PIXELS);
    size_t bytes = (size_t)height * width * 3;
    if (bytes > image->capacity_bytes) {
        pp__image_release(engine, image);
        PP_TRY(pp__allocate(engine, bytes, 1, &image->pixels));
        image->capacity_bytes = bytes;
    }
    image->height = height;
    image->width = width;
    return PP_OK;
}

static pp_status read_open(pp_engine *engine, const char *path, FILE *file, pp__image *image) {
    uint8_t start[MAX_SIGNATURE_BYTES] = {0};
    size_t got = fread(start, 1, sizeof start, file);
    if (ferror(file)) return pp__fail_system(engine, path, "read", errno);
    rewind(file);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (got >= formats[i].signature_bytes &&
            !memcmp(start, formats[i].signature, formats[i].signature_bytes))
            return formats[i].decode(engine, path, file, image);
    return pp__fail(
        engine, PP_ERROR_CORRUPT_DATA,
        "%s: the file begins with %02X %02X %02X %02X (%zu bytes read), expected the signature "
        "of JPEG (FF D8 FF) or PNG (89 50 4E 47)",
        path, start[0], start[1], start[2], start[3], got);
}

pp_status pp__image_read(pp_engine *engine, const char *path, pp__image *image) {
    FILE *file = fopen(path, "rb");
    if (!file) return pp__fail_system(engine, path, "open", errno);
    pp_status status = read_open(engine, path, file, image);
    fclose(file);
    return status;
}

void pp__image_release(pp_engine *engine, pp__image *image) {
    pp__release(engine, image->pixels);
    memset(image, 0, sizeof *image);
}
