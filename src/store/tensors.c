#include <pocketprop/tensors.h>

#include <math.h>
#include <string.h>

#include "io/safetensors.h"
#include "store/layout.h"
#include "store/rename.h"
#include "util/engine.h"

struct pp_tensors {
    pp_engine *engine;
    pp__safe_file *file;
};

pp_status pp_tensors_open(pp_engine *engine, const char *path, pp_tensors **tensors_out) {
    *tensors_out = NULL;
    pp_tensors *tensors;
    PP_TRY(pp__allocate(engine, 1, sizeof *tensors, &tensors));
    tensors->engine = engine;
    const pp_status status = pp__safe_open(engine, path, &tensors->file);
    if (status == PP_OK)
        *tensors_out = tensors;
    else
        pp__release(engine, tensors);
    return status;
}

void pp_tensors_close(pp_tensors *tensors) {
    if (!tensors) return;
    pp__safe_close(tensors->file);
    pp__release(tensors->engine, tensors);
}

size_t pp_tensors_count(const pp_tensors *tensors) {
    return tensors->file->tensor_count;
}

void pp_tensors_describe(const pp_tensors *tensors, size_t index, pp_tensor_info *info_out) {
    const pp__safe_tensor *t = &tensors->file->tensors[index];
    *info_out = (pp_tensor_info){.name = t->name,
                                 .type = pp__safe_type_name(t->type),
                                 .axis_count = t->axis_count,
                                 .elem_count = t->elem_count,
                                 .bytes = t->elem_count * pp__safe_type_bytes(t->type)};
    memcpy(info_out->extents, t->extents, sizeof info_out->extents);
}

const char *pp_tensors_note(const pp_tensors *tensors, size_t index, const char **key_out) {
    if (index >= tensors->file->entry_count) return NULL;
    *key_out = tensors->file->entries[index].key;
    return tensors->file->entries[index].value;
}

static bool is_float(pp__safe_type type) {
    return type == PP__SAFE_F32 || type == PP__SAFE_F16 || type == PP__SAFE_BF16 ||
           type == PP__SAFE_F64;
}

/* A float tensor as float32; the caller releases it. */
static pp_status read_floats(pp_tensors *tensors, size_t index, float **values_out) {
    const pp__safe_tensor *t = &tensors->file->tensors[index];
    const size_t count = (size_t)t->elem_count;
    void *bytes = NULL;
    float *values = NULL;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(tensors->engine, count, pp__safe_type_bytes(t->type), &bytes),
                failed);
    PP_TRY_GOTO(status, pp__allocate(tensors->engine, count, sizeof *values, &values), failed);
    PP_TRY_GOTO(status, pp__safe_read(tensors->file, index, bytes), failed);
    (void)pp__floats_read(t->type, bytes, count, values);
    pp__release(tensors->engine, bytes);
    *values_out = values;
    return PP_OK;
failed:
    pp__release(tensors->engine, bytes);
    pp__release(tensors->engine, values);
    return status;
}

static void measure(const float *values, size_t count, pp_tensor_statistics *s) {
    double sum = 0, squares = 0;
    size_t finite = 0;
    for (size_t i = 0; i < count; i++) {
        const double v = (double)values[i];
        s->nan_count += isnan(v) != 0;
        s->infinite_count += isinf(v) != 0;
        if (!isfinite(v)) continue;
        if (!finite || v < s->least) s->least = v;
        if (!finite || v > s->most) s->most = v;
        sum += v;
        finite++;
    }
    if (!finite) return;
    s->mean = sum / (double)finite;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i])) squares += pow((double)values[i] - s->mean, 2);
    s->deviation = sqrt(squares / (double)finite);
}

pp_status pp_tensors_measure(pp_tensors *tensors, size_t index,
                             pp_tensor_statistics *statistics_out) {
    const pp__safe_tensor *t = &tensors->file->tensors[index];
    *statistics_out = (pp_tensor_statistics){NAN, NAN, NAN, NAN, 0, 0};
    if (!is_float(t->type))
        return pp__fail(tensors->engine, PP_ERROR_UNSUPPORTED, "%s: '%.200s' holds %s, no floats",
                        tensors->file->path, t->name, pp__safe_type_name(t->type));
    float *values;
    PP_TRY(read_floats(tensors, index, &values));
    measure(values, (size_t)t->elem_count, statistics_out);
    pp__release(tensors->engine, values);
    return PP_OK;
}

/* The tensors of a copy, each with memory of its own. */
typedef struct copy {
    pp_tensors *from;
    const pp_tensors_copy_options *options;
    pp__safe_tensor *tensors;
    const void **data;
    void **owned; /* what data points to */
    char (*names)[PP__RENAME_TEXT];
    pp__safe_entry *entries;
    size_t entry_count;
} copy;

static pp_status rename_tensor(copy *c, size_t i) {
    const char *name = c->from->file->tensors[i].name;
    if (!pp__rename(c->options->renames, c->options->rename_count, name, c->names[i]))
        return pp__fail(c->from->engine, PP_ERROR_INVALID_ARGUMENT,
                        "'%.200s': its new name is longer than %d characters", name,
                        PP__RENAME_TEXT - 1);
    for (size_t j = 0; j < i; j++)
        if (!strcmp(c->names[i], c->names[j]))
            return pp__fail(c->from->engine, PP_ERROR_INVALID_ARGUMENT,
                            "'%.200s' and '%.200s' would both be called '%.200s'",
                            c->from->file->tensors[j].name, name, c->names[i]);
    c->tensors[i].name = c->names[i];
    return PP_OK;
}

static pp_status copy_floats(copy *c, size_t i) {
    pp__safe_tensor *t = &c->tensors[i];
    float *values;
    PP_TRY(read_floats(c->from, i, &values));
    t->type = PP__SAFE_F32;
    c->owned[i] = values;
    if (c->options->floats == PP_FLOATS_32) return PP_OK;
    t->type = PP__SAFE_F16;
    unsigned char *to = c->owned[i];
    for (size_t e = 0; e < t->elem_count; e++) { /* in place: halves never overtake floats */
        const uint16_t half = pp__half_of(values[e]);
        memcpy(to + e * sizeof half, &half, sizeof half);
    }
    return PP_OK;
}

static pp_status copy_tensor(copy *c, size_t i) {
    const pp__safe_tensor *t = &c->from->file->tensors[i];
    c->tensors[i] = *t;
    PP_TRY(rename_tensor(c, i));
    if (c->options->floats != PP_FLOATS_KEEP && is_float(t->type)) {
        PP_TRY(copy_floats(c, i));
    } else {
        PP_TRY(pp__allocate(c->from->engine, (size_t)t->elem_count, pp__safe_type_bytes(t->type),
                            &c->owned[i]));
        PP_TRY(pp__safe_read(c->from->file, i, c->owned[i]));
    }
    c->data[i] = c->owned[i];
    return PP_OK;
}

/* All but a checksum, which the copy has of its own. */
static void copy_entries(copy *c) {
    const pp__safe_file *file = c->from->file;
    for (size_t i = 0; i < file->entry_count; i++)
        if (strcmp(file->entries[i].key, "crc32") != 0)
            c->entries[c->entry_count++] = file->entries[i];
}

pp_status pp_tensors_copy(pp_tensors *tensors, const char *path,
                          const pp_tensors_copy_options *options) {
    static const pp_tensors_copy_options defaults = {0};
    pp_engine *engine = tensors->engine;
    const pp__safe_file *file = tensors->file;
    copy c = {.from = tensors, .options = options ? options : &defaults};
    const size_t count = file->tensor_count;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *c.tensors, &c.tensors), done);
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *c.data, &c.data), done);
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *c.owned, &c.owned), done);
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *c.names, &c.names), done);
    PP_TRY_GOTO(status, pp__allocate(engine, file->entry_count, sizeof *c.entries, &c.entries),
                done);
    for (size_t i = 0; i < count; i++) PP_TRY_GOTO(status, copy_tensor(&c, i), done);
    copy_entries(&c);
    status = pp__safe_write(engine, path, c.tensors, c.data, count, c.entries, c.entry_count,
                            c.entry_count < file->entry_count);
done:
    for (size_t i = 0; c.owned && i < count; i++) pp__release(engine, c.owned[i]);
    pp__release(engine, c.tensors);
    pp__release(engine, c.data);
    pp__release(engine, c.owned);
    pp__release(engine, c.names);
    pp__release(engine, c.entries);
    return status;
}
