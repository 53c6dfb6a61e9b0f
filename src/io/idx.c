#include "io/idx.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "io/path.h"
#include "util/engine.h"
#include "util/size.h"

/* A deflate stream expands at most 1032 times (zlib's technical details), so no header can make the
 * reader ask for more memory than that multiple of the file; a plain file holds what it holds. */
enum { MAX_EXPANSION = 1032, PIECE_BYTES = 1 << 20 };

typedef struct file {
    pp_engine *engine;
    const char *path;
    gzFile stream;
} file;

static pp_status fail_stream(const file *f, size_t at) {
    int code = Z_OK;
    const char *text = gzerror(f->stream, &code);
    if (code == Z_ERRNO) return pp__fail_system(f->engine, f->path, "read", errno);
    if (code == Z_MEM_ERROR)
        return pp__fail(f->engine, PP_ERROR_OUT_OF_MEMORY, "%s: no memory to read gzip", f->path);
    return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA, "%s: broken gzip stream after %zu bytes: %s",
                    f->path, at, text);
}

/* Reads up to `bytes`; fewer only at the end of the file. `at` is where the file stands, for
 * sentences. */
static pp_status read_bytes(const file *f, size_t at, void *bytes_out, size_t bytes,
                            size_t *got_out) {
    size_t got = 0;
    while (got < bytes) {
        size_t piece = bytes - got < PIECE_BYTES ? bytes - got : PIECE_BYTES;
        int result = gzread(f->stream, (uint8_t *)bytes_out + got, (unsigned)piece);
        if (result < 0) return fail_stream(f, at + got);
        if (result == 0) {
            /* zlib reports a stream that stops inside a gzip member only through its error code. */
            int code = Z_OK;
            gzerror(f->stream, &code);
            if (code != Z_OK && code != Z_STREAM_END) return fail_stream(f, at + got);
            break;
        }
        got += (size_t)result;
    }
    *got_out = got;
    return PP_OK;
}

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static pp_status read_header(const file *f, uint32_t axis_count, size_t file_bytes, pp__idx *idx) {
    uint8_t header[4 + 4 * PP__IDX_MAX_AXES];
    size_t header_bytes = 4 + 4 * (size_t)axis_count, got = 0;
    PP_TRY(read_bytes(f, 0, header, header_bytes, &got));
    uint32_t expected = 0x800u | axis_count;
    if (got >= 4 && big_endian(header) != expected)
        return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: IDX magic is 0x%08" PRIX32 ", expected 0x%08" PRIX32, f->path,
                        big_endian(header), expected);
    if (got < header_bytes)
        return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: %zu bytes, expected an IDX header of %zu", f->path, got, header_bytes);
    idx->axis_count = axis_count;
    idx->elem_count = 1;
    bool fits = true;
    for (uint32_t axis = 0; axis < axis_count; axis++) {
        uint32_t extent = big_endian(header + 4 + 4 * axis);
        if (!extent)
            return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                            "%s: extent %" PRIu32 " is 0, expected at least 1", f->path, axis);
        idx->extents[axis] = extent;
        fits = fits && pp__size_multiply(idx->elem_count, extent, &idx->elem_count);
    }
    size_t most_expansion = gzdirect(f->stream) ? 1 : MAX_EXPANSION;
    if (!fits || idx->elem_count / most_expansion > file_bytes)
        return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: the header promises more elements than a file of %zu bytes can hold",
                        f->path, file_bytes);
    return PP_OK;
}

static pp_status read_elements(const file *f, pp__idx *idx) {
    PP_TRY(pp__allocate(f->engine, idx->elem_count, 1, &idx->bytes));
    size_t at = 4 + 4 * (size_t)idx->axis_count, got = 0;
    PP_TRY(read_bytes(f, at, idx->bytes, idx->elem_count, &got));
    if (got < idx->elem_count)
        return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: truncated: %zu elements, the header promises %zu", f->path, got,
                        idx->elem_count);
    /* Asking for one byte more finds trailing bytes, and makes zlib check the stream's checksum. */
    uint8_t trailing;
    PP_TRY(read_bytes(f, at + got, &trailing, 1, &got));
    if (got)
        return pp__fail(f->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: bytes follow the %zu elements that the header promises", f->path,
                        idx->elem_count);
    return PP_OK;
}

pp_status pp__idx_read(pp_engine *engine, const char *path, uint32_t axis_count, pp__idx *idx_out) {
    memset(idx_out, 0, sizeof *idx_out);
    if (axis_count < 1 || axis_count > PP__IDX_MAX_AXES)
        return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                        "%s: %" PRIu32 " axes asked for, expected 1 to %d", path, axis_count,
                        PP__IDX_MAX_AXES);
    size_t file_bytes;
    PP_TRY(pp__file_bytes(engine, path, &file_bytes));
    errno = 0;
    file f = {engine, path, gzopen(path, "rb")};
    if (!f.stream) return pp__fail_system(engine, path, "open", errno ? errno : ENOMEM);
    pp_status status;
    PP_TRY_GOTO(status, read_header(&f, axis_count, file_bytes, idx_out), done);
    PP_TRY_GOTO(status, read_elements(&f, idx_out), done);
done:
    gzclose(f.stream);
    if (status != PP_OK) pp__idx_release(engine, idx_out);
    return status;
}

void pp__idx_release(pp_engine *engine, pp__idx *idx) {
    pp__release(engine, idx->bytes);
    memset(idx, 0, sizeof *idx);
}
