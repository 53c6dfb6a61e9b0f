/* Small files in the scratch folder for tests of readers. */
#ifndef PP_TEST_IO_MAKE_FILES_H
#define PP_TEST_IO_MAKE_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "support/support.h"

enum { MAKE_PATH = 1024 };

/* A path in the scratch folder. The result is good for the next 63 calls. */
static inline const char *make_path(const char *name) {
    static char paths[64][MAKE_PATH];
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, MAKE_PATH, "%s/%s", test_scratch_folder(), name);
    return path;
}

static inline const char *make_folder(const char *name) {
    const char *path = make_path(name);
    ck_assert_msg(mkdir(path, 0700) == 0, "cannot make %s", path);
    return path;
}

static inline const char *make_file(const char *name, const void *bytes, size_t count) {
    const char *path = make_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert(fwrite(bytes, 1, count, file) == count);
    ck_assert(fclose(file) == 0);
    return path;
}

static inline const char *make_gzip(const char *name, const void *bytes, size_t count) {
    const char *path = make_path(name);
    gzFile file = gzopen(path, "wb");
    ck_assert(file != NULL);
    ck_assert(gzwrite(file, bytes, (unsigned)count) == (int)count);
    ck_assert(gzclose(file) == Z_OK);
    return path;
}

/* A whole file; the caller frees it. */
static inline uint8_t *make_copy(const char *path, size_t *count_out) {
    FILE *file = fopen(path, "rb");
    ck_assert(file != NULL);
    ck_assert(fseek(file, 0, SEEK_END) == 0);
    size_t count = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(count + 1);
    ck_assert(bytes && fread(bytes, 1, count, file) == count);
    fclose(file);
    *count_out = count;
    return bytes;
}

/* Header and elements of an IDX file; the caller frees it. */
static inline uint8_t *make_idx(uint32_t axis_count, const uint32_t *extents, const uint8_t *elems,
                                size_t elem_count, size_t *bytes_out) {
    *bytes_out = 4 + 4 * (size_t)axis_count + elem_count;
    uint8_t *bytes = calloc(*bytes_out, 1);
    ck_assert(bytes != NULL);
    bytes[2] = 8;
    bytes[3] = (uint8_t)axis_count;
    for (uint32_t axis = 0; axis < axis_count; axis++)
        for (uint32_t i = 0; i < 4; i++)
            bytes[4 + 4 * axis + i] = (uint8_t)(extents[axis] >> (24 - 8 * i));
    memcpy(bytes + 4 + 4 * axis_count, elems, elem_count);
    return bytes;
}

static inline const char *make_png(const char *name, uint32_t height, uint32_t width,
                                   uint32_t format, const void *pixels) {
    const char *path = make_path(name);
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.height = height;
    image.width = width;
    image.format = format;
    ck_assert_msg(png_image_write_to_file(&image, path, 0, pixels, 0, NULL), "%s", image.message);
    return path;
}

/* `space`: JCS_RGB, JCS_GRAYSCALE or JCS_CMYK, with 3, 1 or 4 bytes per pixel. */
static inline const char *make_jpeg(const char *name, uint32_t height, uint32_t width,
                                    J_COLOR_SPACE space, const uint8_t *pixels) {
    const char *path = make_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert(file != NULL);
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr errors;
    encoder.err = jpeg_std_error(&errors);
    jpeg_create_compress(&encoder);
    jpeg_stdio_dest(&encoder, file);
    encoder.image_height = height;
    encoder.image_width = width;
    encoder.in_color_space = space;
    encoder.input_components = space == JCS_RGB ? 3 : space == JCS_CMYK ? 4 : 1;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, 100, TRUE);
    jpeg_start_compress(&encoder, TRUE);
    size_t row_bytes = (size_t)width * (size_t)encoder.input_components;
    uint8_t *row = malloc(row_bytes);
    ck_assert(row != NULL);
    for (uint32_t y = 0; y < height; y++) {
        memcpy(row, pixels + y * row_bytes, row_bytes);
        jpeg_write_scanlines(&encoder, &row, 1);
    }
    free(row);
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    fclose(file);
    return path;
}

/* Fills a picture whose neighbouring pixels are alike, as JPEG wants them. */
static inline void make_gradient(uint32_t height, uint32_t width, uint8_t *rgb) {
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *pixel = rgb + (y * width + x) * 3;
            pixel[0] = (uint8_t)(40 + 5 * y);
            pixel[1] = (uint8_t)(60 + 4 * x);
            pixel[2] = (uint8_t)(200 - 3 * x - 2 * y);
        }
}

#endif
