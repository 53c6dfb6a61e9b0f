#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "io/decode.h"
#include "io/path.h"
#include "util/engine.h"

/* A progressive file may repeat scans without end; real ones have about ten. */
enum { MAX_SCANS = 200 };

/* libjpeg leaves through longjmp, so everything that changes between setjmp and a failure lives
 * here and not in local variables. */
typedef struct job {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char text[JMSG_LENGTH_MAX];
    pp_engine *engine;
    const char *path;
    FILE *file;
    pp__image *image;
} job;

static void leave(j_common_ptr decoder) {
    job *j = decoder->client_data;
    decoder->err->format_message(decoder, j->text);
    longjmp(j->escape, 1);
}

/* Warnings that leave every pixel as it was written. All others (the file ends early, a code is
 * invalid) stand for pixels that libjpeg makes up. */
static bool is_harmless(int message) {
    return message == JWRN_EXTRANEOUS_DATA || message == JWRN_JFIF_MAJOR ||
           message == JWRN_ADOBE_XFORM || message == JWRN_TOO_MUCH_DATA;
}

static void receive_message(j_common_ptr decoder, int level) {
    if (level < 0 && !is_harmless(decoder->err->msg_code)) leave(decoder);
}

static void count_scans(j_common_ptr decoder) {
    job *j = decoder->client_data;
    if (j->decoder.input_scan_number <= MAX_SCANS) return;
    snprintf(j->text, sizeof j->text, "more than %d scans", MAX_SCANS);
    longjmp(j->escape, 1);
}

/* Ink to light. Adobe's files store the complement, and nearly all CMYK files are Adobe's. */
static void convert_cmyk(const uint8_t *row, uint32_t width, bool is_complement, uint8_t *pixels) {
    for (uint32_t x = 0; x < width; x++, row += 4, pixels += 3) {
        unsigned black = is_complement ? row[3] : 255u - row[3];
        for (int c = 0; c < 3; c++) {
            unsigned ink = is_complement ? row[c] : 255u - row[c];
            pixels[c] = (uint8_t)((ink * black + 127) / 255);
        }
    }
}

static void read_rows(job *j) {
    struct jpeg_decompress_struct *d = &j->decoder;
    size_t row_bytes = (size_t)j->image->width * 3;
    JSAMPARRAY cmyk = NULL;
    if (d->out_color_space == JCS_CMYK)
        cmyk = d->mem->alloc_sarray((j_common_ptr)d, JPOOL_IMAGE, d->output_width * 4, 1);
    while (d->output_scanline < d->output_height) {
        uint8_t *pixels = j->image->pixels + d->output_scanline * row_bytes;
        JSAMPROW row = cmyk ? cmyk[0] : pixels;
        jpeg_read_scanlines(d, &row, 1);
        if (cmyk) convert_cmyk(row, j->image->width, d->saw_Adobe_marker, pixels);
    }
}

static pp_status decode(job *j) {
    struct jpeg_decompress_struct *d = &j->decoder;
    if (setjmp(j->escape)) {
        if (d->err->msg_code == JERR_OUT_OF_MEMORY)
            return pp__fail(j->engine, PP_ERROR_OUT_OF_MEMORY, "%s: %s", j->path, j->text);
        if (ferror(j->file)) return pp__fail_system(j->engine, j->path, "read", errno);
        return pp__fail(j->engine, PP_ERROR_CORRUPT_DATA, "%s: not a whole JPEG image: %s", j->path,
                        j->text);
    }
    jpeg_create_decompress(d);
    d->progress = &j->progress;
    jpeg_stdio_src(d, j->file);
    jpeg_read_header(d, TRUE);
    PP_TRY(pp__image_reserve(j->engine, j->path, d->image_height, d->image_width, j->image));
    bool is_ink = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    d->out_color_space = is_ink ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(d);
    read_rows(j);
    /* Reads on to the end marker, where the decoder has not met it yet. */
    jpeg_finish_decompress(d);
    return PP_OK;
}

pp_status pp__jpeg_decode(pp_engine *engine, const char *path, FILE *file, pp__image *image) {
    job j;
    memset(&j, 0, sizeof j);
    j.engine = engine;
    j.path = path;
    j.file = file;
    j.image = image;
    j.decoder.err = jpeg_std_error(&j.errors);
    j.decoder.client_data = &j;
    j.errors.error_exit = leave;
    j.errors.emit_message = receive_message;
    j.progress.progress_monitor = count_scans;
    pp_status status = decode(&j);
    jpeg_destroy_decompress(&j.decoder);
    return status;
}
