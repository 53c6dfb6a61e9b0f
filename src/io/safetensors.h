/* safetensors, the format of weights and checkpoints (Hugging Face, format version of 2022):
 *
 *     8 bytes     little-endian: bytes of the header, N
 *     N bytes     a JSON object; "name": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]},
 *                 and perhaps "__metadata__": an object of texts; blanks may follow
 *     the rest    the tensors' bytes, offsets counting from here, without holes or overlaps
 *
 *     pp__safe_file *file;
 *     PP_TRY(pp__safe_open(engine, path, &file));
 *     for (size_t i = 0; i < file->tensor_count; i++)
 *         PP_TRY_GOTO(status, pp__safe_read(file, i, bytes[i]), done);
 *     done: pp__safe_close(file);
 *
 * A *sealed* file has a metadata entry "crc32": eight hexadecimal digits, zlib's checksum of the
 * whole file with these digits as zeros.
 */
#ifndef PP_IO_SAFETENSORS_H
#define PP_IO_SAFETENSORS_H

#include <pocketprop/engine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PP__SAFE_AXES = 8 };

/* Of a header, read or written. Parsing one takes memory from malloc, about ten times as much, and
 * forty times at the worst; a network of a thousand parameters has 0.2 MB. The format's own bound,
 * 100 MB, is too much for a small machine. */
enum { PP__SAFE_HEADER_BYTES = 1 << 24 };

/* Names and widths: pp__safe_type_name, pp__safe_type_bytes. */
typedef enum pp__safe_type {
    PP__SAFE_F32,
    PP__SAFE_F16,
    PP__SAFE_BF16,
    PP__SAFE_F64,
    PP__SAFE_I64,
    PP__SAFE_I32,
    PP__SAFE_I16,
    PP__SAFE_I8,
    PP__SAFE_U64,
    PP__SAFE_U32,
    PP__SAFE_U16,
    PP__SAFE_U8,
    PP__SAFE_BOOL,
    PP__SAFE_TYPE_COUNT
} pp__safe_type;
const char *pp__safe_type_name(pp__safe_type type);
size_t pp__safe_type_bytes(pp__safe_type type); /* of an element */

typedef struct pp__safe_tensor {
    const char *name;
    pp__safe_type type;
    uint32_t axis_count; /* 0: a scalar */
    uint64_t extents[PP__SAFE_AXES];
    uint64_t elem_count, offset_bytes; /* filled in by open and write */
} pp__safe_tensor;

/* One entry of "__metadata__". */
typedef struct pp__safe_entry {
    const char *key, *value;
} pp__safe_entry;

/* An open file; read only. Texts live as long as it does. */
typedef struct pp__safe_file {
    pp_engine *engine;
    char *path;
    FILE *stream;
    pp__safe_tensor *tensors; /* by their place in the file */
    size_t tensor_count;
    pp__safe_entry *entries;
    size_t entry_count;
    char *header; /* as it stands in the file */
    size_t header_bytes, data_bytes;
    void *json; /* what the texts belong to */
} pp__safe_file;

/* Reads and checks the header, and that the file is as long as it says. PP_ERROR_IO: it cannot be
 * opened or read; PP_ERROR_CORRUPT_DATA: anything else is wrong with it; PP_ERROR_OUT_OF_MEMORY.
 */
pp_status pp__safe_open(pp_engine *engine, const char *path, pp__safe_file **file_out);
void pp__safe_close(pp__safe_file *file); /* accepts NULL */

/* A tensor's bytes in the file's order, little-endian. */
pp_status pp__safe_read(pp__safe_file *file, size_t tensor, void *bytes_out);

/* The number of a tensor, or SIZE_MAX; a metadata value, or NULL. */
size_t pp__safe_find(const pp__safe_file *file, const char *name);
const char *pp__safe_metadata(const pp__safe_file *file, const char *key);

/* Reads the whole file. PP_ERROR_CORRUPT_DATA: no seal, or one that does not fit. */
pp_status pp__safe_check_seal(pp__safe_file *file);

/* Writes a whole file under a temporary name in the same folder, syncs it, and renames it to `path`:
 * after a failure what was there still is, and the temporary file is not. `data` has the bytes of
 * each tensor, whose elem_count and offset_bytes are filled in. PP_ERROR_IO, also where a device, a
 * pipe or a folder is called `path`; PP_ERROR_INVALID_ARGUMENT: names and texts for a larger header
 * than is read; PP_ERROR_OUT_OF_MEMORY. */
pp_status pp__safe_write(pp_engine *engine, const char *path, pp__safe_tensor *tensors,
                         const void *const *data, size_t tensor_count,
                         const pp__safe_entry *entries, size_t entry_count, bool sealed);

#endif
