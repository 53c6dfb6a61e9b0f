#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "io/decode.h"
#include "io/path.h"
#include "util/engine.h"

/* libpng leaves through longjmp, so everything that changes between setjmp and a failure lives here
 * and not in local variables. */
typedef struct job {
    png_structp reader;
    png_infop info;
    jmp_buf escape;
    char text[160];
    pp_engine *engine;
    const char *path;
    FILE *file;
    pp__image *image;
} job;

static void leave(png_structp reader, png_const_charp text) {
    job *j = png_get_error_ptr(reader);
    snprintf(j->text, sizeof j->text, "%s", text);
    longjmp(j->escape, 1);
}

/* libpng warns of what it can repair without touching a pixel, such as a wrong checksum of a
 * comment. */
static void ignore_warning(png_structp reader, png_const_charp text) {
    (void)reader;
    (void)text;
}

/* Whatever the file holds, rows come out as 8-bit RGB. Gamma is left alone, as training pipelines
 * do. */
static int ask_for_rgb(png_structp reader, png_infop info) {
    png_set_expand(reader);
    png_set_scale_16(reader);
    png_set_strip_alpha(reader);
    png_set_gray_to_rgb(reader);
    int pass_count = png_set_interlace_handling(reader);
    png_read_update_info(reader, info);
    return pass_count;
}

static pp_status decode(job *j) {
    if (setjmp(j->escape)) {
        if (ferror(j->file)) return pp__fail_system(j->engine, j->path, "read", errno);
        return pp__fail(j->engine, PP_ERROR_CORRUPT_DATA, "%s: not a whole PNG image: %s", j->path,
                        j->text);
    }
    j->reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, leave, ignore_warning);
    if (j->reader) j->info = png_create_info_struct(j->reader);
    if (!j->info)
        return pp__fail(j->engine, PP_ERROR_OUT_OF_MEMORY, "%s: no memory to decode PNG", j->path);
    png_init_io(j->reader, j->file);
    png_read_info(j->reader, j->info);
    PP_TRY(pp__image_reserve(j->engine, j->path, png_get_image_height(j->reader, j->info),
                             png_get_image_width(j->reader, j->info), j->image));
    int pass_count = ask_for_rgb(j->reader, j->info);
    size_t row_bytes = (size_t)j->image->width * 3;
    if (png_get_rowbytes(j->reader, j->info) != row_bytes)
        return pp__fail(j->engine, PP_ERROR_INTERNAL,
                        "%s: libpng gives rows of %zu bytes, expected %zu", j->path,
                        (size_t)png_get_rowbytes(j->reader, j->info), row_bytes);
    for (int pass = 0; pass < pass_count; pass++)
        for (uint32_t y = 0; y < j->image->height; y++)
            png_read_row(j->reader, j->image->pixels + y * row_bytes, NULL);
    /* Reads to the end chunk, so that a file without one is found. */
    png_read_end(j->reader, NULL);
    return PP_OK;
}

pp_status pp__png_decode(pp_engine *engine, const char *path, FILE *file, pp__image *image) {
    job j;
    memset(&j, 0, sizeof j);
    j.engine = engine;
    j.path = path;
    j.file = file;
    j.image = image;
    pp_status status = decode(&j);
    png_destroy_read_struct(&j.reader, &j.info, NULL);
    return status;
}
