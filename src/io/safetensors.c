#include "io/safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "io/path.h"
#include "util/engine.h"
#include "util/size.h"

enum { PIECE_BYTES = 1 << 16, LENGTH_BYTES = 8 };
/* What doubles count exactly. */
static const double most_exact = 9007199254740992.0;

static const char seal_key[] = "\"crc32\":\"";
enum { SEAL_DIGITS = 8 };

static const struct {
    const char *name;
    size_t bytes;
} types[PP__SAFE_TYPE_COUNT] = {
    [PP__SAFE_F32] = {"F32", 4},   [PP__SAFE_F16] = {"F16", 2}, [PP__SAFE_BF16] = {"BF16", 2},
    [PP__SAFE_F64] = {"F64", 8},   [PP__SAFE_I64] = {"I64", 8}, [PP__SAFE_I32] = {"I32", 4},
    [PP__SAFE_I16] = {"I16", 2},   [PP__SAFE_I8] = {"I8", 1},   [PP__SAFE_U64] = {"U64", 8},
    [PP__SAFE_U32] = {"U32", 4},   [PP__SAFE_U16] = {"U16", 2}, [PP__SAFE_U8] = {"U8", 1},
    [PP__SAFE_BOOL] = {"BOOL", 1},
};

const char *pp__safe_type_name(pp__safe_type type) {
    return types[type].name;
}

size_t pp__safe_type_bytes(pp__safe_type type) {
    return types[type].bytes;
}

#define FAIL(file, ...) pp__fail((file)->engine, PP_ERROR_CORRUPT_DATA, __VA_ARGS__)

/* A whole number that a double holds exactly. */
static bool read_whole(const cJSON *item, uint64_t *number_out) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > most_exact)
        return false;
    *number_out = (uint64_t)item->valuedouble;
    return (double)*number_out == item->valuedouble;
}

static pp_status read_type(const pp__safe_file *file, const cJSON *item, pp__safe_tensor *tensor) {
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    for (int i = 0; cJSON_IsString(type) && i < PP__SAFE_TYPE_COUNT; i++)
        if (!strcmp(type->valuestring, types[i].name)) {
            tensor->type = (pp__safe_type)i;
            return PP_OK;
        }
    return FAIL(file,
                "%s: tensor '%.200s' has dtype '%.40s', expected F32, F16, BF16, F64, I8 to "
                "I64, U8 to U64 or BOOL",
                file->path, tensor->name, cJSON_IsString(type) ? type->valuestring : "(none)");
}

static pp_status read_shape(const pp__safe_file *file, const cJSON *item, pp__safe_tensor *tensor) {
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape"), *extent;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > PP__SAFE_AXES)
        return FAIL(file, "%s: tensor '%.200s' has no shape of at most %d axes", file->path,
                    tensor->name, PP__SAFE_AXES);
    tensor->elem_count = 1;
    cJSON_ArrayForEach(extent, shape) {
        uint64_t *e = &tensor->extents[tensor->axis_count++];
        if (!read_whole(extent, e))
            return FAIL(file, "%s: tensor '%.200s': an extent is no whole number", file->path,
                        tensor->name);
        if (*e && tensor->elem_count > (uint64_t)most_exact / *e)
            return FAIL(file, "%s: tensor '%.200s' has more than 2^53 elements", file->path,
                        tensor->name);
        tensor->elem_count *= *e;
    }
    return PP_OK;
}

static pp_status read_place(const pp__safe_file *file, const cJSON *item, pp__safe_tensor *tensor) {
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    uint64_t end;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !read_whole(cJSON_GetArrayItem(offsets, 0), &tensor->offset_bytes) ||
        !read_whole(cJSON_GetArrayItem(offsets, 1), &end))
        return FAIL(file, "%s: tensor '%.200s' has no data_offsets of two whole numbers",
                    file->path, tensor->name);
    if (end < tensor->offset_bytes || end > file->data_bytes)
        return FAIL(file,
                    "%s: tensor '%.200s' lies at bytes %" PRIu64 " to %" PRIu64
                    " of %zu; the "
                    "file is cut off, or its header is wrong",
                    file->path, tensor->name, tensor->offset_bytes, end, file->data_bytes);
    const uint64_t bytes = end - tensor->offset_bytes, each = types[tensor->type].bytes;
    if (bytes / each != tensor->elem_count || bytes % each)
        return FAIL(file,
                    "%s: tensor '%.200s' has %" PRIu64 " bytes for %" PRIu64 " elements of %s",
                    file->path, tensor->name, bytes, tensor->elem_count, types[tensor->type].name);
    return PP_OK;
}

static int by_place(const void *a, const void *b) {
    const pp__safe_tensor *x = a, *y = b;
    if (x->offset_bytes != y->offset_bytes) return x->offset_bytes < y->offset_bytes ? -1 : 1;
    if (x->elem_count != y->elem_count) return x->elem_count < y->elem_count ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static pp_status check_names(const pp__safe_file *file) {
    const char **names;
    PP_TRY(pp__allocate(file->engine, file->tensor_count, sizeof *names, &names));
    for (size_t i = 0; i < file->tensor_count; i++) names[i] = file->tensors[i].name;
    if (file->tensor_count) qsort(names, file->tensor_count, sizeof *names, by_name);
    pp_status status = PP_OK;
    for (size_t i = 1; i < file->tensor_count && status == PP_OK; i++)
        if (!strcmp(names[i - 1], names[i]))
            status = FAIL(file, "%s: two tensors are called '%.200s'", file->path, names[i]);
    pp__release(file->engine, names);
    return status;
}

/* All bytes belong to one tensor each. */
static pp_status check_places(pp__safe_file *file) {
    uint64_t end = 0;
    if (file->tensor_count)
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_place);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const pp__safe_tensor *tensor = &file->tensors[i];
        if (tensor->offset_bytes != end)
            return FAIL(file, "%s: tensor '%.200s' lies at byte %" PRIu64 ", expected %" PRIu64,
                        file->path, tensor->name, tensor->offset_bytes, end);
        end += tensor->elem_count * types[tensor->type].bytes;
    }
    if (end != file->data_bytes)
        return FAIL(file, "%s: %zu bytes behind the header, expected %" PRIu64, file->path,
                    file->data_bytes, end);
    return PP_OK;
}

static pp_status read_metadata(pp__safe_file *file, const cJSON *object) {
    if (!cJSON_IsObject(object)) return FAIL(file, "%s: __metadata__ is no object", file->path);
    const size_t count = (size_t)cJSON_GetArraySize(object);
    PP_TRY(pp__allocate(file->engine, count, sizeof *file->entries, &file->entries));
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        if (!cJSON_IsString(item))
            return FAIL(file, "%s: the metadata '%.200s' is no text", file->path, item->string);
        file->entries[file->entry_count++] = (pp__safe_entry){item->string, item->valuestring};
    }
    return PP_OK;
}

static pp_status read_object(pp__safe_file *file) {
    const cJSON *object = file->json, *item;
    if (!cJSON_IsObject(object)) return FAIL(file, "%s: the header is no JSON object", file->path);
    PP_TRY(pp__allocate(file->engine, (size_t)cJSON_GetArraySize(object), sizeof *file->tensors,
                        &file->tensors));
    cJSON_ArrayForEach(item, object) {
        if (!strcmp(item->string, "__metadata__")) {
            if (file->entries) return FAIL(file, "%s: __metadata__ stands there twice", file->path);
            PP_TRY(read_metadata(file, item));
            continue;
        }
        pp__safe_tensor *tensor = &file->tensors[file->tensor_count++];
        tensor->name = item->string;
        if (!cJSON_IsObject(item))
            return FAIL(file, "%s: tensor '%.200s' is no JSON object", file->path, tensor->name);
        PP_TRY(read_type(file, item, tensor));
        PP_TRY(read_shape(file, item, tensor));
        PP_TRY(read_place(file, item, tensor));
    }
    PP_TRY(check_names(file));
    return check_places(file);
}

static pp_status fail_reading(const pp__safe_file *file) {
    if (ferror(file->stream)) return pp__fail_system(file->engine, file->path, "read", errno);
    return FAIL(file, "%s: ends early", file->path);
}

/* A zero byte, as it is or as an escape, would end a name before its end. */
static bool has_zero(const char *header, size_t bytes) {
    if (memchr(header, 0, bytes)) return true;
    for (const char *at = strchr(header, '\\'); at; at = strchr(at + 2, '\\')) {
        if (!strncmp(at, "\\u0000", 6)) return true;
        if (!at[1]) return false;
    }
    return false;
}

static pp_status read_header(pp__safe_file *file, size_t file_bytes) {
    unsigned char length[LENGTH_BYTES];
    if (file_bytes < sizeof length)
        return FAIL(file, "%s: %zu bytes, expected a safetensors file", file->path, file_bytes);
    if (fread(length, sizeof length, 1, file->stream) != 1) return fail_reading(file);
    uint64_t bytes = 0;
    for (int i = LENGTH_BYTES; i-- > 0;) bytes = bytes << 8 | length[i];
    if (bytes > file_bytes - sizeof length)
        return FAIL(file,
                    "%s: a header of %" PRIu64
                    " bytes in a file of %zu; no safetensors file, or "
                    "one that is cut off",
                    file->path, bytes, file_bytes);
    if (bytes > PP__SAFE_HEADER_BYTES)
        return FAIL(file, "%s: a header of %" PRIu64 " bytes, expected at most %d", file->path,
                    bytes, PP__SAFE_HEADER_BYTES);
    file->header_bytes = (size_t)bytes;
    file->data_bytes = file_bytes - sizeof length - file->header_bytes;
    PP_TRY(pp__allocate(file->engine, file->header_bytes + 1, 1, &file->header));
    if (file->header_bytes && fread(file->header, file->header_bytes, 1, file->stream) != 1)
        return fail_reading(file);
    if (has_zero(file->header, file->header_bytes))
        return FAIL(file, "%s: the header has a zero byte", file->path);
    const char *end = NULL;
    file->json = cJSON_ParseWithLengthOpts(file->header, file->header_bytes + 1, &end, true);
    if (!file->json)
        return FAIL(file, "%s: the header is no JSON near byte %zu", file->path,
                    end ? (size_t)(end - file->header) : 0);
    return read_object(file);
}

pp_status pp__safe_open(pp_engine *engine, const char *path, pp__safe_file **file_out) {
    *file_out = NULL;
    pp__safe_file *file;
    size_t file_bytes;
    PP_TRY(pp__file_bytes(engine, path, &file_bytes));
    PP_TRY(pp__allocate(engine, 1, sizeof *file, &file));
    file->engine = engine;
    pp_status status;
    PP_TRY_GOTO(status, pp__copy_text(engine, path, &file->path), failed);
    file->stream = fopen(path, "rb");
    if (!file->stream) {
        status = pp__fail_system(engine, path, "open", errno);
        goto failed;
    }
    PP_TRY_GOTO(status, read_header(file, file_bytes), failed);
    *file_out = file;
    return PP_OK;
failed:
    pp__safe_close(file);
    return status;
}

void pp__safe_close(pp__safe_file *file) {
    if (!file) return;
    if (file->stream) fclose(file->stream);
    cJSON_Delete(file->json);
    pp__release(file->engine, file->path);
    pp__release(file->engine, file->tensors);
    pp__release(file->engine, file->entries);
    pp__release(file->engine, file->header);
    pp__release(file->engine, file);
}

pp_status pp__safe_read(pp__safe_file *file, size_t tensor, void *bytes_out) {
    const pp__safe_tensor *t = &file->tensors[tensor];
    const size_t bytes = (size_t)t->elem_count * types[t->type].bytes;
    if (!bytes) return PP_OK;
    const off_t at = (off_t)(LENGTH_BYTES + file->header_bytes + t->offset_bytes);
    if (fseeko(file->stream, at, SEEK_SET) != 0)
        return pp__fail_system(file->engine, file->path, "read", errno);
    return fread(bytes_out, bytes, 1, file->stream) == 1 ? PP_OK : fail_reading(file);
}

size_t pp__safe_find(const pp__safe_file *file, const char *name) {
    for (size_t i = 0; i < file->tensor_count; i++)
        if (!strcmp(file->tensors[i].name, name)) return i;
    return SIZE_MAX;
}

const char *pp__safe_metadata(const pp__safe_file *file, const char *key) {
    for (size_t i = 0; i < file->entry_count; i++)
        if (!strcmp(file->entries[i].key, key)) return file->entries[i].value;
    return NULL;
}

static uint32_t checksum(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    for (size_t left = count; left;) {
        const size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
        crc = (uint32_t)crc32(crc, from, (uInt)piece);
        from += piece;
        left -= piece;
    }
    return crc;
}

/* Of the length and a header whose seal is zeros. */
static uint32_t checksum_header(const char *header, size_t header_bytes) {
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (unsigned char)(header_bytes >> 8 * i);
    return checksum(checksum(0, length, sizeof length), header, header_bytes);
}

static pp_status checksum_file(pp__safe_file *file, uint32_t *crc_out) {
    char *piece;
    PP_TRY(pp__allocate(file->engine, PIECE_BYTES, 1, &piece));
    uint32_t crc = checksum_header(file->header, file->header_bytes);
    pp_status status = PP_OK;
    size_t left = file->data_bytes;
    if (fseeko(file->stream, (off_t)(LENGTH_BYTES + file->header_bytes), SEEK_SET) != 0)
        status = pp__fail_system(file->engine, file->path, "read", errno);
    while (left && status == PP_OK) {
        const size_t got = fread(piece, 1, left < PIECE_BYTES ? left : PIECE_BYTES, file->stream);
        if (!got) status = fail_reading(file);
        crc = checksum(crc, piece, got);
        left -= got;
    }
    pp__release(file->engine, piece);
    *crc_out = crc;
    return status;
}

/* The seal's digits in a header, or NULL. */
static char *find_seal(char *header) {
    char *key = strstr(header, seal_key);
    return key && strlen(key) > sizeof seal_key + SEAL_DIGITS ? key + sizeof seal_key - 1 : NULL;
}

static void print_seal(char *digits, uint32_t crc) {
    char text[SEAL_DIGITS + 1];
    snprintf(text, sizeof text, "%08" PRIx32, crc);
    memcpy(digits, text, SEAL_DIGITS);
}

pp_status pp__safe_check_seal(pp__safe_file *file) {
    char *digits = find_seal(file->header), stated[SEAL_DIGITS], found[SEAL_DIGITS];
    const char *entry = pp__safe_metadata(file, "crc32");
    if (!digits || !entry || strncmp(entry, digits, SEAL_DIGITS) != 0)
        return FAIL(file, "%s: no checksum in its metadata", file->path);
    memcpy(stated, digits, SEAL_DIGITS);
    memset(digits, '0', SEAL_DIGITS);
    uint32_t crc;
    const pp_status status = checksum_file(file, &crc);
    memcpy(digits, stated, SEAL_DIGITS);
    PP_TRY(status);
    print_seal(found, crc);
    if (!memcmp(stated, found, SEAL_DIGITS)) return PP_OK;
    return FAIL(file, "%s: its checksum is %.8s, its bytes have %.8s: it was damaged", file->path,
                stated, found);
}

/* The header as text; the caller frees it with cJSON_free. NULL: no memory. */
static char *print_header(const pp__safe_tensor *tensors, size_t tensor_count,
                          const pp__safe_entry *entries, size_t entry_count, bool sealed) {
    cJSON *root = cJSON_CreateObject();
    bool good = root != NULL;
    if (good && (entry_count || sealed)) {
        cJSON *metadata = cJSON_AddObjectToObject(root, "__metadata__");
        good = metadata != NULL;
        if (good && sealed) good = cJSON_AddStringToObject(metadata, "crc32", "00000000") != NULL;
        for (size_t i = 0; i < entry_count && good; i++)
            good = cJSON_AddStringToObject(metadata, entries[i].key, entries[i].value) != NULL;
    }
    for (size_t i = 0; i < tensor_count && good; i++) {
        const pp__safe_tensor *t = &tensors[i];
        const uint64_t end = t->offset_bytes + t->elem_count * types[t->type].bytes;
        cJSON *item = cJSON_AddObjectToObject(root, t->name);
        good = item && cJSON_AddStringToObject(item, "dtype", types[t->type].name);
        cJSON *shape = good ? cJSON_AddArrayToObject(item, "shape") : NULL;
        for (uint32_t a = 0; a < t->axis_count && good; a++)
            good = cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->extents[a]));
        cJSON *offsets = good ? cJSON_AddArrayToObject(item, "data_offsets") : NULL;
        good = offsets &&
               cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)t->offset_bytes)) &&
               cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)end));
    }
    char *text = good ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

/* A file under its temporary name. */
typedef struct output {
    pp_engine *engine;
    const char *path;
    char temporary[PP__PATH_CAPACITY];
    int descriptor;
} output;

static pp_status put(const output *o, const void *bytes, size_t count) {
    for (const char *from = bytes; count;) {
        const ssize_t written = write(o->descriptor, from, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0)
            return pp__fail_system(o->engine, o->path, "write", written ? errno : ENOSPC);
        from += written;
        count -= (size_t)written;
    }
    return PP_OK;
}

static pp_status put_all(const output *o, const pp__safe_tensor *tensors, const void *const *data,
                         size_t tensor_count, const char *header, size_t header_bytes) {
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (unsigned char)(header_bytes >> 8 * i);
    PP_TRY(put(o, length, sizeof length));
    PP_TRY(put(o, header, header_bytes));
    for (size_t i = 0; i < tensor_count; i++)
        PP_TRY(put(o, data[i], (size_t)tensors[i].elem_count * types[tensors[i].type].bytes));
    if (fsync(o->descriptor) != 0) return pp__fail_system(o->engine, o->path, "write", errno);
    return PP_OK;
}

static pp_status write_file(pp_engine *engine, const char *path, const pp__safe_tensor *tensors,
                            const void *const *data, size_t tensor_count, const char *header,
                            size_t header_bytes) {
    output o = {.engine = engine, .path = path};
    /* Renaming would put a file in the place of /dev/null. */
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return pp__fail(engine, PP_ERROR_IO, "%s: cannot write: it is no regular file", path);
    /* No other process has this number, and no other thread of this one the output's address. */
    const int length = snprintf(o.temporary, sizeof o.temporary, "%s.%ld.%jx.part", path,
                                (long)getpid(), (uintmax_t)(uintptr_t)&o);
    if (length < 0 || (size_t)length >= sizeof o.temporary)
        return pp__fail(engine, PP_ERROR_IO, "%.200s...: the path is too long", path);
    o.descriptor = open(o.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o.descriptor < 0) return pp__fail_system(engine, path, "write", errno);
    pp_status status = put_all(&o, tensors, data, tensor_count, header, header_bytes);
    if (close(o.descriptor) != 0 && status == PP_OK)
        status = pp__fail_system(engine, path, "write", errno);
    if (status == PP_OK && rename(o.temporary, path) != 0)
        status = pp__fail_system(engine, path, "write", errno);
    if (status == PP_OK)
        pp__sync_folder_of(path);
    else
        unlink(o.temporary);
    return status;
}

static void seal(char *header, size_t header_bytes, const pp__safe_tensor *tensors,
                 const void *const *data, size_t tensor_count) {
    uint32_t crc = checksum_header(header, header_bytes);
    for (size_t i = 0; i < tensor_count; i++)
        crc = checksum(crc, data[i], (size_t)tensors[i].elem_count * types[tensors[i].type].bytes);
    print_seal(find_seal(header), crc);
}

pp_status pp__safe_write(pp_engine *engine, const char *path, pp__safe_tensor *tensors,
                         const void *const *data, size_t tensor_count,
                         const pp__safe_entry *entries, size_t entry_count, bool sealed) {
    uint64_t end = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        tensors[i].elem_count = 1;
        for (uint32_t a = 0; a < tensors[i].axis_count; a++)
            tensors[i].elem_count *= tensors[i].extents[a];
        tensors[i].offset_bytes = end;
        end += tensors[i].elem_count * types[tensors[i].type].bytes;
    }
    char *text = print_header(tensors, tensor_count, entries, entry_count, sealed);
    if (!text)
        return pp__fail(engine, PP_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", path);
    /* Blanks behind the object let the data begin at a multiple of eight bytes. */
    const size_t text_bytes = strlen(text), header_bytes = pp__round_up(text_bytes, LENGTH_BYTES);
    char *header = NULL;
    pp_status status = header_bytes > PP__SAFE_HEADER_BYTES
                           ? pp__fail(engine, PP_ERROR_INVALID_ARGUMENT,
                                      "%s: a header of %zu bytes, expected at most %d", path,
                                      header_bytes, PP__SAFE_HEADER_BYTES)
                           : pp__allocate(engine, header_bytes + 1, 1, &header);
    if (status == PP_OK) {
        memset(header, ' ', header_bytes);
        memcpy(header, text, text_bytes);
        if (sealed) seal(header, header_bytes, tensors, data, tensor_count);
        status = write_file(engine, path, tensors, data, tensor_count, header, header_bytes);
    }
    pp__release(engine, header);
    cJSON_free(text);
    return status;
}
