#include <pocketprop/weights.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "store/layout.h"
#include "store/rename.h"
#include "util/engine.h"
#include "util/size.h"

enum { SHAPE_TEXT = 128 };

typedef struct row {
    pp_weights_match match;
    char *name, *in_file;
    char found[SHAPE_TEXT], expected[SHAPE_TEXT];
} row;

struct pp_weights_report {
    pp_engine *engine;
    char *prefix; /* NULL until one has been taken off */
    row *rows;
    size_t count, capacity;
};

size_t pp_weights_report_count(const pp_weights_report *report) {
    return report->count;
}

void pp_weights_report_read(const pp_weights_report *report, size_t index,
                            pp_weights_row *row_out) {
    const row *r = &report->rows[index];
    *row_out = (pp_weights_row){r->match, r->name, r->in_file, r->found, r->expected};
}

size_t pp_weights_report_matches(const pp_weights_report *report, pp_weights_match match) {
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++) count += report->rows[i].match == match;
    return count;
}

const char *pp_weights_report_prefix(const pp_weights_report *report) {
    return report->prefix ? report->prefix : "";
}

void pp_weights_report_destroy(pp_weights_report *report) {
    if (!report) return;
    pp__release(report->engine, report->prefix);
    for (size_t i = 0; i < report->count; i++) {
        pp__release(report->engine, report->rows[i].name);
        pp__release(report->engine, report->rows[i].in_file);
    }
    pp__release(report->engine, report->rows);
    pp__release(report->engine, report);
}

/* A file as it is matched with a session. */
typedef struct loading {
    pp_engine *engine;
    pp_session *session;
    const pp_plan *plan;
    const pp_weights_options *options;
    pp__safe_file *file;
    char **names;      /* of the tensors, renamed */
    size_t *tensor_of; /* per parameter, or SIZE_MAX */
    bool *used;        /* per tensor */
    pp_weights_report *report;
} loading;

static void print_shape(const pp__safe_tensor *tensor, char text[SHAPE_TEXT]) {
    size_t length = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (uint32_t a = 0; a < tensor->axis_count && length < SHAPE_TEXT; a++)
        length += (size_t)snprintf(text + length, SHAPE_TEXT - length, "%s%" PRIu64, a ? ", " : "",
                                   tensor->extents[a]);
    if (length < SHAPE_TEXT) snprintf(text + length, SHAPE_TEXT - length, "]");
}

static pp_status rename_all(loading *l) {
    PP_TRY(pp__allocate(l->engine, l->file->tensor_count, sizeof *l->names, &l->names));
    for (size_t i = 0; i < l->file->tensor_count; i++) {
        char renamed[PP__RENAME_TEXT];
        const char *name = l->file->tensors[i].name;
        if (pp__rename(l->options->renames, l->options->rename_count, name, renamed))
            name = renamed;
        PP_TRY(pp__copy_text(l->engine, name, &l->names[i]));
    }
    return PP_OK;
}

static pp_parameter_info info_of(const loading *l, size_t parameter) {
    pp_parameter_info info;
    pp_plan_read_parameter(l->plan, parameter, &info);
    return info;
}

/* Behind `prefix_length` characters. Returns how many parameters have a tensor. */
static size_t match_names(loading *l, size_t prefix_length) {
    size_t matches = 0;
    memset(l->used, 0, l->file->tensor_count * sizeof *l->used);
    for (size_t p = 0; p < pp_plan_parameter_count(l->plan); p++) {
        const pp_parameter_info info = info_of(l, p);
        l->tensor_of[p] = SIZE_MAX;
        for (size_t t = 0; t < l->file->tensor_count && l->tensor_of[p] == SIZE_MAX; t++)
            if (!l->used[t] && strlen(l->names[t]) > prefix_length &&
                !strcmp(l->names[t] + prefix_length, info.name)) {
                l->tensor_of[p] = t;
                l->used[t] = true;
                matches++;
            }
    }
    return matches;
}

/* Of a prefix's parts: "module.model." has two. */
enum { MOST_PREFIXES = 8 };

/* The characters with which all names begin. */
static size_t common_length(const loading *l) {
    if (!l->file->tensor_count) return 0;
    size_t common = strlen(l->names[0]);
    for (size_t t = 1; t < l->file->tensor_count; t++) {
        size_t same = 0;
        while (same < common && l->names[t][same] == l->names[0][same]) same++;
        common = same;
    }
    return common;
}

static pp_status report_prefix(loading *l, size_t length) {
    PP_TRY(pp__copy_text(l->engine, l->names[0], &l->report->prefix));
    l->report->prefix[length] = '\0';
    return PP_OK;
}

/* Behind what all names begin with up to a '.', the shortest first. */
static pp_status match_behind_prefix(loading *l) {
    const size_t common = common_length(l);
    size_t tries = 0;
    for (size_t length = 1; length <= common && tries < MOST_PREFIXES; length++)
        if (l->names[0][length - 1] == '.') {
            tries++;
            if (match_names(l, length)) return report_prefix(l, length);
        }
    match_names(l, 0);
    return PP_OK;
}

static pp_status add_row(loading *l, pp_weights_match match, const char *name, const char *in_file,
                         row **row_out) {
    pp_weights_report *report = l->report;
    PP_TRY(pp__grow(l->engine, &report->rows, &report->capacity, report->count + 1,
                    sizeof *report->rows));
    row *r = &report->rows[report->count++];
    r->match = match;
    PP_TRY(pp__copy_text(l->engine, name, &r->name));
    PP_TRY(pp__copy_text(l->engine, in_file, &r->in_file));
    *row_out = r;
    return PP_OK;
}

static bool same_shape(const pp__safe_tensor *a, const pp__safe_tensor *b) {
    return a->axis_count == b->axis_count &&
           !memcmp(a->extents, b->extents, a->axis_count * sizeof *a->extents);
}

static bool is_float(pp__safe_type type) {
    return type == PP__SAFE_F32 || type == PP__SAFE_F16 || type == PP__SAFE_BF16 ||
           type == PP__SAFE_F64;
}

static pp_status report_parameter(loading *l, size_t parameter) {
    const pp_parameter_info info = info_of(l, parameter);
    const pp__safe_tensor expected = pp__layout_tensor(&info);
    const size_t t = l->tensor_of[parameter];
    row *r;
    if (t == SIZE_MAX) {
        PP_TRY(add_row(l, PP_WEIGHTS_MISSING, info.name, "", &r));
        print_shape(&expected, r->expected);
        return PP_OK;
    }
    const pp__safe_tensor *found = &l->file->tensors[t];
    const bool fits = same_shape(found, &expected);
    PP_TRY(add_row(l, fits ? PP_WEIGHTS_LOADED : PP_WEIGHTS_SHAPE, info.name, found->name, &r));
    print_shape(found, r->found);
    print_shape(&expected, r->expected);
    if (!fits) l->tensor_of[parameter] = SIZE_MAX;
    if (!fits || is_float(found->type)) return PP_OK;
    return pp__fail(l->engine, PP_ERROR_CORRUPT_DATA,
                    "%s: '%.200s' holds %s, expected F32, F16, BF16 or F64", l->file->path,
                    found->name, pp__safe_type_name(found->type));
}

/* PyTorch's counters, and what a checkpoint has beside its parameters. */
static bool is_bookkeeping(const loading *l, const char *name) {
    static const char suffix[] = "num_batches_tracked";
    const size_t length = strlen(name), wanted = sizeof suffix - 1;
    if (length >= wanted && !strcmp(name + length - wanted, suffix)) return true;
    return pp__safe_metadata(l->file, "pocketprop.checkpoint") &&
           (!strncmp(name, "optimizer.", 10) || !strncmp(name, "replay.", 7));
}

static pp_status report_all(loading *l) {
    for (size_t p = 0; p < pp_plan_parameter_count(l->plan); p++) PP_TRY(report_parameter(l, p));
    for (size_t t = 0; t < l->file->tensor_count; t++) {
        row *r;
        if (l->used[t] || is_bookkeeping(l, l->names[t])) continue;
        PP_TRY(add_row(l, PP_WEIGHTS_UNUSED, l->names[t], l->file->tensors[t].name, &r));
        print_shape(&l->file->tensors[t], r->found);
    }
    return PP_OK;
}

/* One sentence about the first thing that does not fit, and how many there are. */
static pp_status fail_row(const loading *l, const row *r) {
    const size_t others =
        l->report->count - pp_weights_report_matches(l->report, PP_WEIGHTS_LOADED) - 1;
    char more[64] = "";
    if (others) snprintf(more, sizeof more, "; %zu more do not fit", others);
    switch (r->match) {
        case PP_WEIGHTS_MISSING:
            return pp__fail(l->engine, PP_ERROR_SHAPE, "%s: has no '%.200s' of shape %s%s",
                            l->file->path, r->name, r->expected, more);
        case PP_WEIGHTS_UNUSED:
            return pp__fail(l->engine, PP_ERROR_SHAPE,
                            "%s: '%.200s' of shape %s belongs to no parameter%s", l->file->path,
                            r->in_file, r->found, more);
        default:
            return pp__fail(l->engine, PP_ERROR_SHAPE, "%s: '%.200s' has shape %s, expected %s%s",
                            l->file->path, r->in_file, r->found, r->expected, more);
    }
}

static pp_status check_report(const loading *l) {
    const pp_weights_report *report = l->report;
    const size_t loaded = pp_weights_report_matches(report, PP_WEIGHTS_LOADED);
    if (l->options->partial && loaded) return PP_OK;
    for (size_t i = 0; i < report->count; i++)
        if (report->rows[i].match != PP_WEIGHTS_LOADED) return fail_row(l, &report->rows[i]);
    return PP_OK;
}

static pp_status match(loading *l) {
    PP_TRY(rename_all(l));
    PP_TRY(pp__allocate(l->engine, pp_plan_parameter_count(l->plan), sizeof *l->tensor_of,
                        &l->tensor_of));
    PP_TRY(pp__allocate(l->engine, l->file->tensor_count, sizeof *l->used, &l->used));
    if (!match_names(l, 0)) PP_TRY(match_behind_prefix(l));
    PP_TRY(report_all(l));
    return check_report(l);
}

/* The largest parameter's elements, and all that are loaded. */
static void measure(const loading *l, size_t *most_out, size_t *all_out) {
    *most_out = *all_out = 0;
    for (size_t p = 0; p < pp_plan_parameter_count(l->plan); p++) {
        const size_t count = info_of(l, p).elem_count;
        if (l->tensor_of[p] == SIZE_MAX) continue;
        if (count > *most_out) *most_out = count;
        *all_out += count;
    }
}

/* Everything is on the host before anything goes to the device. */
static pp_status transfer(loading *l, void *bytes, float *torch, float *values) {
    float *to = values;
    for (size_t p = 0; p < pp_plan_parameter_count(l->plan); p++) {
        const size_t t = l->tensor_of[p];
        if (t == SIZE_MAX) continue;
        const pp_parameter_info info = info_of(l, p);
        PP_TRY(pp__safe_read(l->file, t, bytes));
        (void)pp__floats_read(l->file->tensors[t].type, bytes, info.elem_count, torch);
        pp__layout_import(&info, torch, to);
        to += info.elem_count;
    }
    for (size_t p = 0; p < pp_plan_parameter_count(l->plan); p++) {
        if (l->tensor_of[p] == SIZE_MAX) continue;
        const size_t count = info_of(l, p).elem_count;
        PP_TRY(pp_session_write_parameter(l->session, p, values, count));
        values += count;
    }
    return PP_OK;
}

static pp_status load_matched(loading *l) {
    size_t most, all;
    void *bytes = NULL;
    float *torch = NULL, *values = NULL;
    pp_status status;
    measure(l, &most, &all);
    PP_TRY_GOTO(status, pp__allocate(l->engine, most, sizeof(double), &bytes), done);
    PP_TRY_GOTO(status, pp__allocate(l->engine, most, sizeof *torch, &torch), done);
    PP_TRY_GOTO(status, pp__allocate(l->engine, all, sizeof *values, &values), done);
    status = transfer(l, bytes, torch, values);
done:
    pp__release(l->engine, bytes);
    pp__release(l->engine, torch);
    pp__release(l->engine, values);
    return status;
}

static void release(loading *l) {
    for (size_t i = 0; l->names && i < l->file->tensor_count; i++)
        pp__release(l->engine, l->names[i]);
    pp__release(l->engine, l->names);
    pp__release(l->engine, l->tensor_of);
    pp__release(l->engine, l->used);
    pp__safe_close(l->file);
}

pp_status pp_weights_load(pp_session *session, const char *path, const pp_weights_options *options,
                          pp_weights_report **report_out) {
    static const pp_weights_options defaults = {0};
    loading l = {.engine = pp_session_engine(session),
                 .session = session,
                 .plan = pp_session_plan(session),
                 .options = options ? options : &defaults};
    if (report_out) *report_out = NULL;
    PP_TRY(pp__safe_open(l.engine, path, &l.file));
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(l.engine, 1, sizeof *l.report, &l.report), done);
    l.report->engine = l.engine;
    PP_TRY_GOTO(status, match(&l), done);
    status = load_matched(&l);
done:
    if (report_out && (status == PP_OK || status == PP_ERROR_SHAPE))
        *report_out = l.report;
    else
        pp_weights_report_destroy(l.report);
    release(&l);
    return status;
}

/* All parameters in PyTorch's layouts, one behind the other, each in a type's bytes. */
static pp_status export_all(pp_session *session, bool half, const size_t *elems, float *values,
                            float *torch, unsigned char *bytes, const void **data) {
    const pp_plan *plan = pp_session_plan(session);
    for (size_t p = 0; p < pp_plan_parameter_count(plan); p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, p, &info);
        PP_TRY(pp_session_read_parameter(session, p, values, elems[p]));
        pp__layout_export(&info, values, torch);
        data[p] = bytes;
        if (!half) memcpy(bytes, torch, elems[p] * sizeof *torch);
        for (size_t i = 0; half && i < elems[p]; i++) {
            const uint16_t h = pp__half_of(torch[i]);
            memcpy(bytes + i * sizeof h, &h, sizeof h);
        }
        bytes += elems[p] * (half ? sizeof(uint16_t) : sizeof(float));
    }
    return PP_OK;
}

pp_status pp_weights_save(pp_session *session, const char *path,
                          const pp_weights_save_options *options) {
    static const pp__safe_entry format = {"format", "pt"};
    pp_engine *engine = pp_session_engine(session);
    const pp_plan *plan = pp_session_plan(session);
    const size_t count = pp_plan_parameter_count(plan);
    const bool half = options && options->half;
    size_t *elems = NULL, most = 0, all = 0;
    pp__safe_tensor *tensors = NULL;
    const void **data = NULL;
    float *values = NULL, *torch = NULL;
    unsigned char *bytes = NULL;
    pp_status status;
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *elems, &elems), done);
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *tensors, &tensors), done);
    PP_TRY_GOTO(status, pp__allocate(engine, count, sizeof *data, &data), done);
    for (size_t p = 0; p < count; p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, p, &info);
        tensors[p] = pp__layout_tensor(&info);
        if (half) tensors[p].type = PP__SAFE_F16;
        elems[p] = info.elem_count;
        if (elems[p] > most) most = elems[p];
        all += elems[p];
    }
    PP_TRY_GOTO(status, pp__allocate(engine, most, sizeof *values, &values), done);
    PP_TRY_GOTO(status, pp__allocate(engine, most, sizeof *torch, &torch), done);
    PP_TRY_GOTO(status, pp__allocate(engine, all, sizeof *torch, &bytes), done);
    PP_TRY_GOTO(status, export_all(session, half, elems, values, torch, bytes, data), done);
    status = pp__safe_write(engine, path, tensors, data, count, &format, 1, false);
done:
    pp__release(engine, elems);
    pp__release(engine, tensors);
    pp__release(engine, data);
    pp__release(engine, values);
    pp__release(engine, torch);
    pp__release(engine, bytes);
    return status;
}
