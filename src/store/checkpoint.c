#include <pocketprop/checkpoint.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pocketprop/state.h>

#include "io/path.h"
#include "io/safetensors.h"
#include "store/layout.h"
#include "util/engine.h"
#include "util/size.h"

/* Behind a change of what the file holds, older programs refuse it. */
static const char format[] = "1";
static const char part_suffix[] = ".part";

enum { NAME_TEXT = 512, MOST_NAME = 480, NUMBER_TEXT = 24, ENTRIES = 24, REASON_TEXT = 1024 };

static const char *const moment_prefixes[] = {
    [PP_STATE_MOMENT1] = "optimizer.moment1.", [PP_STATE_MOMENT2] = "optimizer.moment2."};

/* What a session must have to take a state: the names, extents and parts of its parameters, in
 * order, as FNV-1a. */
static uint64_t add_hash(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ from[i]) * 1099511628211u;
    return hash;
}

static uint64_t fingerprint(const pp_plan *plan, const pp_state *state) {
    uint64_t hash = 14695981039346656037u;
    for (size_t p = 0; p < pp_state_parameter_count(state); p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, p, &info);
        hash = add_hash(hash, info.name, strlen(info.name) + 1);
        for (uint32_t a = 0; a < info.axis_count; a++) {
            const uint64_t extent = info.extents[a];
            hash = add_hash(hash, &extent, sizeof extent);
        }
        for (int part = 0; part < PP_STATE_PARTS; part++) {
            pp_state_tensor tensor;
            pp_state_read_tensor(state, p, (pp_state_part)part, &tensor);
            const uint64_t bytes = tensor.bytes;
            hash = add_hash(hash, &bytes, sizeof bytes);
        }
    }
    return hash;
}

/* A part of a parameter as a tensor of the file. float32 lies in PyTorch's layout; codes as they are.
 * `name` holds the tensor's name. */
static pp__safe_tensor tensor_of(const pp_parameter_info *info, pp_state_part part,
                                 const pp_state_tensor *state, char name[NAME_TEXT]) {
    pp__safe_tensor tensor = pp__layout_tensor(info);
    snprintf(name, NAME_TEXT, "%s%s", part == PP_STATE_VALUE ? "" : moment_prefixes[part],
             info->name);
    tensor.name = name;
    if (state->bytes == info->elem_count * sizeof(float)) return tensor;
    tensor.type = PP__SAFE_U8;
    tensor.axis_count = 1;
    tensor.extents[0] = tensor.elem_count = state->bytes;
    return tensor;
}

/* --- Writing --- */

typedef struct writing {
    pp_engine *engine;
    const pp_plan *plan;
    const pp_state *state;
    const pp_checkpoint_place *place;
    pp__safe_tensor *tensors;
    const void **data;
    char (*names)[NAME_TEXT];
    size_t count;
    float *values; /* of all float32 tensors, in the file's layout */
    char numbers[ENTRIES][NUMBER_TEXT];
    pp__safe_entry entries[ENTRIES];
    size_t entry_count;
} writing;

/* One too many would be missed by every reader. */
static void add_text(writing *w, const char *key, const char *value) {
    if (value && w->entry_count < ENTRIES)
        w->entries[w->entry_count++] = (pp__safe_entry){key, value};
}

static void add_number(writing *w, const char *key, uint64_t number) {
    char *text = w->numbers[w->entry_count % ENTRIES];
    snprintf(text, NUMBER_TEXT, "%" PRIu64, number);
    add_text(w, key, text);
}

/* The bits, so that nothing is lost. */
static void add_float(writing *w, const char *key, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_number(w, key, bits);
}

static void add_metadata(writing *w) {
    pp_state_counts counts;
    pp_plan_summary summary;
    pp_state_read_counts(w->state, &counts);
    pp_plan_summarize(w->plan, &summary);
    add_text(w, "pocketprop.checkpoint", format);
    add_text(w, "pocketprop.version", pp_version());
    add_number(w, "fingerprint", fingerprint(w->plan, w->state));
    add_text(w, "optimizer", pp_optimizer_kind_name(counts.optimizer));
    add_number(w, "seed", counts.seed);
    add_number(w, "batch", summary.batch);
    add_number(w, "steps", counts.steps);
    add_number(w, "updates", counts.updates);
    add_number(w, "metrics.samples", counts.samples);
    add_float(w, "metrics.loss_sum", counts.loss_sum);
    add_float(w, "metrics.hits", counts.hits);
    add_number(w, "metrics.not_finite", counts.not_finite);
    add_number(w, "metrics.skipped_updates", counts.skipped_updates);
    add_number(w, "metrics.kept_elems", counts.kept_elems);
    add_number(w, "epoch", w->place->epoch);
    add_number(w, "epoch.samples", w->place->samples);
    add_text(w, "policy", w->place->policy);
    add_text(w, "schedule", w->place->schedule);
    add_text(w, "note", w->place->note);
}

static void add_state(writing *w) {
    float *to = w->values;
    for (size_t p = 0; p < pp_state_parameter_count(w->state); p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(w->plan, p, &info);
        for (int part = 0; part < PP_STATE_PARTS; part++) {
            pp_state_tensor state;
            pp_state_read_tensor(w->state, p, (pp_state_part)part, &state);
            if (!state.bytes) continue;
            w->tensors[w->count] =
                tensor_of(&info, (pp_state_part)part, &state, w->names[w->count]);
            w->data[w->count] = state.data;
            if (w->tensors[w->count].type == PP__SAFE_F32) {
                pp__layout_export(&info, state.data, to);
                w->data[w->count] = to;
                to += info.elem_count;
            }
            w->count++;
        }
    }
}

static void add_replay(writing *w) {
    const pp_replay *r = &w->place->replay;
    if (!r->count) return;
    w->tensors[w->count] =
        (pp__safe_tensor){.name = r->pixels ? "replay.pixels" : "replay.inputs",
                          .type = r->pixels ? PP__SAFE_U8 : PP__SAFE_F32,
                          .axis_count = 4,
                          .extents = {r->count, r->height, r->width, r->channels}};
    w->data[w->count++] = r->pixels ? (const void *)r->pixels : (const void *)r->inputs;
    w->tensors[w->count] = (pp__safe_tensor){
        .name = "replay.labels", .type = PP__SAFE_I32, .axis_count = 1, .extents = {r->count}};
    w->data[w->count++] = r->labels;
}

/* What is cut off would be found under no name. */
static pp_status check_names(const writing *w) {
    for (size_t p = 0; p < pp_plan_parameter_count(w->plan); p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(w->plan, p, &info);
        if (strlen(info.name) > MOST_NAME)
            return pp__fail(w->engine, PP_ERROR_INVALID_ARGUMENT,
                            "checkpoint: '%.40s...' has %zu characters, expected at most %d",
                            info.name, strlen(info.name), MOST_NAME);
    }
    return PP_OK;
}

static pp_status check_replay(const writing *w) {
    const pp_replay *r = &w->place->replay;
    size_t elems;
    if (!r->count) return PP_OK;
    if (!r->labels || !r->pixels == !r->inputs)
        return pp__fail(w->engine, PP_ERROR_INVALID_ARGUMENT,
                        "checkpoint: a replay set of %" PRIu32
                        " examples has %s labels and %s; labels and one of pixels and inputs are "
                        "expected",
                        r->count, r->labels ? "its" : "no",
                        r->pixels ? "both pixels and inputs" : "neither pixels nor inputs");
    if (pp__size_multiply(r->count, r->height, &elems) &&
        pp__size_multiply(elems, r->width, &elems) &&
        pp__size_multiply(elems, r->channels, &elems) && elems && elems <= SIZE_MAX / sizeof(float))
        return PP_OK;
    return pp__fail(w->engine, PP_ERROR_INVALID_ARGUMENT,
                    "checkpoint: a replay set of %" PRIu32 " examples of %" PRIu32 "x%" PRIu32
                    "x%" PRIu32,
                    r->count, r->height, r->width, r->channels);
}

static size_t count_elems(const pp_plan *plan) {
    size_t elems = 0;
    for (size_t p = 0; p < pp_plan_parameter_count(plan); p++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, p, &info);
        elems += info.elem_count;
    }
    return elems;
}

static pp_status write_state(writing *w, const char *path) {
    const size_t most = PP_STATE_PARTS * pp_state_parameter_count(w->state) + 2;
    pp_status status;
    PP_TRY(check_names(w));
    PP_TRY(check_replay(w));
    PP_TRY_GOTO(status, pp__allocate(w->engine, most, sizeof *w->tensors, &w->tensors), done);
    PP_TRY_GOTO(status, pp__allocate(w->engine, most, sizeof *w->data, &w->data), done);
    PP_TRY_GOTO(status, pp__allocate(w->engine, most, sizeof *w->names, &w->names), done);
    PP_TRY_GOTO(status,
                pp__allocate(w->engine, PP_STATE_PARTS * count_elems(w->plan), sizeof *w->values,
                             &w->values),
                done);
    add_metadata(w);
    add_state(w);
    add_replay(w);
    status = pp__safe_write(w->engine, path, w->tensors, w->data, w->count, w->entries,
                            w->entry_count, true);
done:
    pp__release(w->engine, w->tensors);
    pp__release(w->engine, w->data);
    pp__release(w->engine, w->names);
    pp__release(w->engine, w->values);
    return status;
}

/* --- The folder --- */

/* step-000000123.safetensors, and nothing else. */
static bool read_file_name(const char *name, uint64_t *updates_out) {
    int end = 0;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9') return false;
    return sscanf(name, "step-%" SCNu64 ".safetensors%n", updates_out, &end) == 1 && end > 0 &&
           !name[end];
}

static pp_status file_path(pp_engine *engine, const char *folder, uint64_t updates, char *path) {
    char name[64];
    snprintf(name, sizeof name, "step-%09" PRIu64 ".safetensors", updates);
    return pp__join_path(engine, folder, name, path);
}

typedef struct listing {
    uint64_t *updates; /* the newest first */
    size_t count, capacity;
} listing;

static int newest_first(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* A folder that is not there is empty. */
static pp_status list(pp_engine *engine, const char *folder, listing *l) {
    *l = (listing){0};
    DIR *stream = opendir(folder);
    if (!stream && errno == ENOENT) return PP_OK;
    if (!stream) return pp__fail_system(engine, folder, "list", errno);
    pp_status status = PP_OK;
    for (struct dirent *entry; status == PP_OK && (entry = readdir(stream));) {
        uint64_t updates;
        if (!read_file_name(entry->d_name, &updates)) continue;
        status = pp__grow(engine, &l->updates, &l->capacity, l->count + 1, sizeof *l->updates);
        if (status == PP_OK) l->updates[l->count++] = updates;
    }
    closedir(stream);
    if (l->count) qsort(l->updates, l->count, sizeof *l->updates, newest_first);
    return status;
}

/* What a write left that was cut off: step-*.part. */
static void remove_parts(pp_engine *engine, const char *folder) {
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        const size_t length = strlen(entry->d_name), suffix = sizeof part_suffix - 1;
        char path[PP__PATH_CAPACITY];
        if (strncmp(entry->d_name, "step-", 5) != 0 || length < suffix ||
            strcmp(entry->d_name + length - suffix, part_suffix) != 0)
            continue;
        if (pp__join_path(engine, folder, entry->d_name, path) == PP_OK) (void)unlink(path);
    }
    if (stream) closedir(stream);
}

/* Older ones go only now that the new one is safe. What cannot be removed now does no harm, and goes
 * the next time. */
static void remove_old(pp_engine *engine, const char *folder, uint64_t newest, size_t keep) {
    listing l;
    pp_status status = list(engine, folder, &l);
    size_t kept = 0;
    for (size_t i = 0; i < l.count && status == PP_OK; i++) {
        char path[PP__PATH_CAPACITY];
        /* Whatever lies ahead is not this run's to remove. */
        if (l.updates[i] > newest || kept++ < keep) continue;
        status = file_path(engine, folder, l.updates[i], path);
        if (status == PP_OK) (void)unlink(path);
    }
    pp__release(engine, l.updates);
}

/* Apart from what removes files, so that only one path at a time is on the stack. */
static pp_status save_newest(pp_session *session, const char *folder,
                             const pp_checkpoint_place *place) {
    pp_engine *engine = pp_session_engine(session);
    char path[PP__PATH_CAPACITY];
    PP_TRY(file_path(engine, folder, pp_session_update_count(session), path));
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return pp__fail_system(engine, folder, "make the folder", errno);
    pp_state *state;
    PP_TRY(pp_state_save(session, &state));
    writing w = {
        .engine = engine, .plan = pp_session_plan(session), .state = state, .place = place};
    const pp_status status = write_state(&w, path);
    pp_state_destroy(state);
    return status;
}

pp_status pp_checkpoint_save(pp_session *session, const char *folder,
                             const pp_checkpoint_place *place, uint32_t keep) {
    static const pp_checkpoint_place nowhere;
    PP_TRY(save_newest(session, folder, place ? place : &nowhere));
    /* Whoever made the folder may not have synced its own entry; where it was, this costs nothing. */
    pp__sync_folder_of(folder);
    remove_old(pp_session_engine(session), folder, pp_session_update_count(session),
               keep ? keep : 1);
    remove_parts(pp_session_engine(session), folder);
    return PP_OK;
}

/* --- Reading --- */

struct pp_checkpoint {
    pp_engine *engine;
    pp__safe_file *file;
    pp_state_counts counts;
    uint64_t fingerprint;
    pp_checkpoint_place place;
    void *replay, *replay_labels; /* what the place points to */
};

static pp_status fail_entry(const pp_checkpoint *c, const char *key) {
    return pp__fail(c->engine, PP_ERROR_CORRUPT_DATA,
                    "%s: no whole number for '%s' in its metadata", c->file->path, key);
}

static pp_status read_number(const pp_checkpoint *c, const char *key, uint64_t *number_out) {
    const char *text = pp__safe_metadata(c->file, key);
    char *end;
    if (!text || *text < '0' || *text > '9') return fail_entry(c, key);
    errno = 0;
    *number_out = strtoull(text, &end, 10);
    return *end || errno ? fail_entry(c, key) : PP_OK;
}

static pp_status read_float(const pp_checkpoint *c, const char *key, float *value_out) {
    uint64_t number;
    PP_TRY(read_number(c, key, &number));
    if (number > UINT32_MAX) return fail_entry(c, key);
    const uint32_t bits = (uint32_t)number;
    memcpy(value_out, &bits, sizeof bits);
    return PP_OK;
}

/* Files of earlier versions have none. */
static pp_status read_counter(const pp_checkpoint *c, const char *key, uint32_t *counter_out) {
    uint64_t number = 0;
    if (pp__safe_metadata(c->file, key)) PP_TRY(read_number(c, key, &number));
    if (number > UINT32_MAX) return fail_entry(c, key);
    *counter_out = (uint32_t)number;
    return PP_OK;
}

static pp_status read_metadata(pp_checkpoint *c) {
    const char *version = pp__safe_metadata(c->file, "pocketprop.checkpoint");
    if (!version || strcmp(version, format) != 0)
        return pp__fail(c->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: checkpoint format '%.20s', expected '%s'", c->file->path,
                        version ? version : "(none)", format);
    const char *optimizer = pp__safe_metadata(c->file, "optimizer");
    if (!pp_optimizer_kind_read(optimizer, &c->counts.optimizer))
        return pp__fail(c->engine, PP_ERROR_CORRUPT_DATA,
                        "%s: optimizer '%.20s', expected sgd, adam or adamw", c->file->path,
                        optimizer ? optimizer : "(none)");
    uint64_t batch;
    PP_TRY(read_number(c, "fingerprint", &c->fingerprint));
    PP_TRY(read_number(c, "seed", &c->counts.seed));
    PP_TRY(read_number(c, "batch", &batch));
    if (!batch || batch > UINT32_MAX) return fail_entry(c, "batch");
    PP_TRY(read_number(c, "steps", &c->counts.steps));
    PP_TRY(read_number(c, "updates", &c->counts.updates));
    PP_TRY(read_number(c, "metrics.samples", &c->counts.samples));
    PP_TRY(read_float(c, "metrics.loss_sum", &c->counts.loss_sum));
    PP_TRY(read_float(c, "metrics.hits", &c->counts.hits));
    PP_TRY(read_counter(c, "metrics.not_finite", &c->counts.not_finite));
    PP_TRY(read_counter(c, "metrics.skipped_updates", &c->counts.skipped_updates));
    PP_TRY(read_counter(c, "metrics.kept_elems", &c->counts.kept_elems));
    PP_TRY(read_number(c, "epoch", &c->place.epoch));
    PP_TRY(read_number(c, "epoch.samples", &c->place.samples));
    c->place.updates = c->counts.updates;
    c->place.seed = c->counts.seed;
    c->place.batch = (uint32_t)batch;
    c->place.policy = pp__safe_metadata(c->file, "policy");
    c->place.schedule = pp__safe_metadata(c->file, "schedule");
    c->place.note = pp__safe_metadata(c->file, "note");
    return PP_OK;
}

static pp_status fail_replay(const pp_checkpoint *c) {
    return pp__fail(c->engine, PP_ERROR_CORRUPT_DATA,
                    "%s: replay.pixels (U8) or replay.inputs (F32) and replay.labels (I32) do not "
                    "go together",
                    c->file->path);
}

static pp_status read_replay(pp_checkpoint *c) {
    const size_t pixels = pp__safe_find(c->file, "replay.pixels"),
                 inputs = pp__safe_find(c->file, "replay.inputs"),
                 labels = pp__safe_find(c->file, "replay.labels");
    const size_t images = pixels != SIZE_MAX ? pixels : inputs;
    if (images == SIZE_MAX && labels == SIZE_MAX) return PP_OK;
    if (images == SIZE_MAX || labels == SIZE_MAX) return fail_replay(c);
    const pp__safe_tensor *t = &c->file->tensors[images], *l = &c->file->tensors[labels];
    if (t->type != (images == pixels ? PP__SAFE_U8 : PP__SAFE_F32) || t->axis_count != 4 ||
        l->type != PP__SAFE_I32 || l->axis_count != 1 || l->extents[0] != t->extents[0])
        return fail_replay(c);
    uint32_t extents[4];
    for (int a = 0; a < 4; a++) {
        if (t->extents[a] > UINT32_MAX) return fail_replay(c);
        extents[a] = (uint32_t)t->extents[a];
    }
    PP_TRY(
        pp__allocate(c->engine, (size_t)t->elem_count, pp__safe_type_bytes(t->type), &c->replay));
    PP_TRY(pp__allocate(c->engine, (size_t)l->elem_count, sizeof(int32_t), &c->replay_labels));
    PP_TRY(pp__safe_read(c->file, images, c->replay));
    PP_TRY(pp__safe_read(c->file, labels, c->replay_labels));
    c->place.replay = (pp_replay){.pixels = images == pixels ? c->replay : NULL,
                                  .inputs = images == pixels ? NULL : c->replay,
                                  .labels = c->replay_labels,
                                  .count = extents[0],
                                  .height = extents[1],
                                  .width = extents[2],
                                  .channels = extents[3]};
    return PP_OK;
}

static pp_status open_file(pp_engine *engine, const char *path, pp_checkpoint **checkpoint_out) {
    pp_checkpoint *c;
    PP_TRY(pp__allocate(engine, 1, sizeof *c, &c));
    c->engine = engine;
    pp_status status;
    PP_TRY_GOTO(status, pp__safe_open(engine, path, &c->file), failed);
    PP_TRY_GOTO(status, pp__safe_check_seal(c->file), failed);
    PP_TRY_GOTO(status, read_metadata(c), failed);
    PP_TRY_GOTO(status, read_replay(c), failed);
    *checkpoint_out = c;
    return PP_OK;
failed:
    pp_checkpoint_close(c);
    return status;
}

pp_status pp_checkpoint_open(pp_engine *engine, const char *folder,
                             pp_checkpoint **checkpoint_out) {
    *checkpoint_out = NULL;
    listing l;
    char reason[REASON_TEXT] = "";
    pp_status status = list(engine, folder, &l);
    for (size_t i = 0; i < l.count && status == PP_OK && !*checkpoint_out; i++) {
        char path[PP__PATH_CAPACITY];
        PP_TRY_GOTO(status, file_path(engine, folder, l.updates[i], path), done);
        const pp_status opened = open_file(engine, path, checkpoint_out);
        if (opened == PP_ERROR_OUT_OF_MEMORY) status = opened;
        if (opened == PP_OK || status != PP_OK) continue;
        if (!i) snprintf(reason, sizeof reason, "%s", pp_engine_error(engine));
        pp__log(engine, PP_LOG_WARNING, "checkpoint refused: %s", pp_engine_error(engine));
    }
    if (status == PP_OK && l.count && !*checkpoint_out)
        status = pp__fail(engine, PP_ERROR_CORRUPT_DATA,
                          "%s: none of its %zu checkpoints can be used; the newest: %s", folder,
                          l.count, reason);
done:
    pp__release(engine, l.updates);
    return status;
}

void pp_checkpoint_close(pp_checkpoint *checkpoint) {
    if (!checkpoint) return;
    pp__safe_close(checkpoint->file);
    pp__release(checkpoint->engine, checkpoint->replay);
    pp__release(checkpoint->engine, checkpoint->replay_labels);
    pp__release(checkpoint->engine, checkpoint);
}

void pp_checkpoint_describe(const pp_checkpoint *checkpoint, pp_checkpoint_place *place_out) {
    *place_out = checkpoint->place;
}

const char *pp_checkpoint_path(const pp_checkpoint *checkpoint) {
    return checkpoint->file->path;
}

/* One part of one parameter, into the state. */
static pp_status read_part(pp_checkpoint *c, const pp_parameter_info *info, pp_state_part part,
                           const pp_state_tensor *state, float *values) {
    char name[NAME_TEXT];
    const pp__safe_tensor expected = tensor_of(info, part, state, name);
    const size_t at = pp__safe_find(c->file, name);
    if (at == SIZE_MAX)
        return pp__fail(c->engine, PP_ERROR_SHAPE, "%s: has no '%.200s', which the session has",
                        c->file->path, name);
    const pp__safe_tensor *found = &c->file->tensors[at];
    if (found->type != expected.type || found->axis_count != expected.axis_count ||
        memcmp(found->extents, expected.extents, found->axis_count * sizeof *found->extents) != 0)
        return pp__fail(c->engine, PP_ERROR_SHAPE,
                        "%s: '%.200s' has %" PRIu64 " elements of %s in %" PRIu32
                        " axes, the session's %" PRIu64 " of %s in %" PRIu32,
                        c->file->path, name, found->elem_count, pp__safe_type_name(found->type),
                        found->axis_count, expected.elem_count, pp__safe_type_name(expected.type),
                        expected.axis_count);
    if (expected.type != PP__SAFE_F32) return pp__safe_read(c->file, at, state->data);
    PP_TRY(pp__safe_read(c->file, at, values));
    pp__layout_import(info, values, state->data);
    return PP_OK;
}

/* It has what the session has, and more, or in another order. */
static pp_status fail_stranger(const pp_checkpoint *c, size_t expected) {
    size_t found = 0;
    for (size_t t = 0; t < c->file->tensor_count; t++)
        found += strncmp(c->file->tensors[t].name, "replay.", 7) != 0;
    return pp__fail(c->engine, PP_ERROR_SHAPE,
                    "%s: %zu tensors, expected %zu: it is of another network, of other frozen "
                    "parameters or of another optimizer",
                    c->file->path, found, expected);
}

/* Adam's and AdamW's moments look alike. */
static pp_status check_optimizer(const pp_checkpoint *c, const pp_state *state) {
    pp_state_counts session;
    pp_state_read_counts(state, &session);
    if (c->counts.optimizer == session.optimizer) return PP_OK;
    return pp__fail(c->engine, PP_ERROR_SHAPE, "%s: trained by %s; the session's optimizer is %s",
                    c->file->path, pp_optimizer_kind_name(c->counts.optimizer),
                    pp_optimizer_kind_name(session.optimizer));
}

static pp_status read_state(pp_checkpoint *c, const pp_plan *plan, pp_state *state) {
    float *values = NULL;
    size_t most = 0, parts = 0;
    pp_parameter_info info;
    PP_TRY(check_optimizer(c, state));
    for (size_t p = 0; p < pp_state_parameter_count(state); p++) {
        pp_plan_read_parameter(plan, p, &info);
        if (info.elem_count > most) most = info.elem_count;
    }
    pp_status status = pp__allocate(c->engine, most, sizeof *values, &values);
    for (size_t p = 0; p < pp_state_parameter_count(state) && status == PP_OK; p++) {
        pp_plan_read_parameter(plan, p, &info);
        for (int part = 0; part < PP_STATE_PARTS && status == PP_OK; part++) {
            pp_state_tensor tensor;
            pp_state_read_tensor(state, p, (pp_state_part)part, &tensor);
            if (!tensor.bytes) continue;
            parts++;
            status = read_part(c, &info, (pp_state_part)part, &tensor, values);
        }
    }
    pp__release(c->engine, values);
    PP_TRY(status);
    return c->fingerprint == fingerprint(plan, state) ? PP_OK : fail_stranger(c, parts);
}

pp_status pp_checkpoint_load(pp_checkpoint *checkpoint, pp_session *session) {
    const pp_plan *plan = pp_session_plan(session);
    pp_state *state;
    PP_TRY(pp_state_create(plan, &state));
    pp_status status = read_state(checkpoint, plan, state);
    if (status == PP_OK) {
        pp_state_write_counts(state, &checkpoint->counts);
        status = pp_state_load(state, session);
    }
    pp_state_destroy(state);
    return status;
}
