#include "exec/update.h"

#include <string.h>

#include "device/buffer.h"
#include "plan/plan.h"
#include "profile/profile.h"
#include "util/engine.h"
#include "util/size.h"

/* The words of a row of the table (cl/exec/update.cl). */
enum { VALUE, GRADIENT, MOMENT1, MOMENT2, ELEMS, DECAY, CHUNK, BLOCK, KEY, RATE };

/* Set in the streams of the generator that moments draw from, which keeps them apart from those of
 * dropout and of codecs. */
#define KEY_BIT 0x40000000u

enum { OCTET = 8 };

static uint32_t offset_elems(pp__ref tensor) {
    return (uint32_t)(tensor.offset_bytes / sizeof(float));
}

/* Elements that one work-item updates: whole blocks, where any moment is in blocks. */
static uint32_t chunk_elems(const pp_profile *profile, const pp__updates *updates) {
    const uint32_t chunk = pp__profile_u32(profile, "update.chunk");
    if (!updates->coded) return chunk;
    const uint32_t block = OCTET * pp__profile_u32(profile, "update.moment_octets");
    return chunk > block ? chunk / block * block : block;
}

/* How many parts of so many elements a run of rows has. */
static uint32_t part_count(const pp__updates *updates, size_t first, size_t count,
                           uint32_t part_elems) {
    uint32_t parts = 0;
    for (size_t i = first; i < first + count; i++)
        parts += (uint32_t)pp__divide_up(updates->rows[i].elems, part_elems);
    return parts;
}

static void fill_table(const pp__updates *updates, uint32_t chunk, uint32_t block,
                       uint32_t *words) {
    uint32_t chunks = 0, blocks = 0;
    for (size_t i = 0; i < updates->count; i++, words += PP__UPDATE_ROW_WORDS) {
        const pp__update *row = &updates->rows[i];
        const float decay = row->decayed ? updates->optimizer->weight_decay : 0.0f;
        words[VALUE] = offset_elems(row->value);
        words[GRADIENT] = offset_elems(row->gradient);
        words[MOMENT1] = offset_elems(row->moments[0]);
        words[MOMENT2] = offset_elems(row->moments[1]);
        words[ELEMS] = row->elems;
        memcpy(&words[DECAY], &decay, sizeof decay);
        memcpy(&words[RATE], &row->rate, sizeof row->rate);
        words[CHUNK] = chunks;
        words[BLOCK] = blocks;
        words[KEY] = row->coded ? KEY_BIT | (uint32_t)i : 0;
        chunks += part_count(updates, i, 1, chunk);
        blocks += part_count(updates, i, 1, block);
    }
}

pp_status pp__update_write_table(pp_device *device, const pp_profile *profile,
                                 const pp__updates *updates) {
    pp_engine *engine = pp__device_engine(device);
    const size_t row_bytes = PP__UPDATE_ROW_WORDS * sizeof(uint32_t);
    uint32_t *words;
    PP_TRY(pp__allocate(engine, updates->count, row_bytes, &words));
    fill_table(updates, chunk_elems(profile, updates), pp__profile_u32(profile, "update.block"),
               words);
    pp_status status = pp__write_now(device, updates->table, words, updates->count * row_bytes);
    pp__release(engine, words);
    return status;
}

/* How many rows from `first` on lie in the same allocations, at most `most`. */
static size_t run_length(const pp__updates *updates, size_t first, size_t most) {
    const pp__update *head = &updates->rows[first];
    size_t length = 1;
    for (; length < most; length++) {
        const pp__update *row = head + length;
        if (row->value.memory != head->value.memory ||
            row->gradient.memory != head->gradient.memory ||
            row->moments[0].memory != head->moments[0].memory ||
            row->moments[1].memory != head->moments[1].memory)
            break;
    }
    return length;
}

static pp__ref table_from(const pp__updates *updates, size_t row) {
    pp__ref table = updates->table;
    table.offset_bytes += row * PP__UPDATE_ROW_WORDS * sizeof(uint32_t);
    return table;
}

/* The allocation that a tensor lies in: rows hold offsets from its start. */
static pp__ref whole(pp__ref tensor) {
    return (pp__ref){tensor.memory, 0};
}

static void define_sgd(pp__launch *l, const pp_optimizer *optimizer) {
    pp__launch_define_f32(l, "UPDATE_MOMENTUM", optimizer->momentum);
    pp__launch_define(l, "UPDATE_HAS_MOMENT", optimizer->momentum > 0);
    pp__launch_define(l, "UPDATE_NESTEROV", optimizer->nesterov);
}

static void define_adam(pp__launch *l, const pp_optimizer *optimizer) {
    pp__launch_define_f32(l, "UPDATE_BETA1", optimizer->beta1);
    pp__launch_define_f32(l, "UPDATE_BETA2", optimizer->beta2);
    pp__launch_define_f32(l, "UPDATE_EPSILON", optimizer->epsilon);
    pp__launch_define(l, "UPDATE_DECOUPLED", optimizer->kind == PP_OPTIMIZER_ADAMW);
}

/* All kernels of the file share one program. */
static void begin(pp__launch *l, pp__stream *stream, const pp__updates *updates,
                  const char *kernel) {
    pp__launch_begin(l, stream, "exec/update", kernel);
    if (updates->coded) {
        pp__launch_prefix(l, "rng");
        pp__launch_define(l, "UPDATE_BITS", 8);
    }
    if (updates->optimizer->kind == PP_OPTIMIZER_SGD)
        define_sgd(l, updates->optimizer);
    else
        define_adam(l, updates->optimizer);
}

static pp_status record_run(pp__stream *stream, const pp__updates *updates, size_t first,
                            size_t count) {
    const pp__update *head = &updates->rows[first];
    const bool sgd = updates->optimizer->kind == PP_OPTIMIZER_SGD;
    const uint32_t chunks =
        part_count(updates, first, count, chunk_elems(pp__stream_profile(stream), updates));
    pp__launch l;
    begin(&l, stream, updates, sgd ? "update_sgd" : "update_adam");
    pp__launch_tensor(&l, table_from(updates, first), sizeof(uint32_t));
    pp__launch_tensor(&l, whole(head->gradient), sizeof(float));
    pp__launch_tensor(&l, updates->scalars, sizeof(float));
    pp__launch_tensor(&l, whole(head->value), sizeof(float));
    pp__launch_tensor(&l, whole(head->moments[0]), sizeof(float));
    if (!sgd) pp__launch_tensor(&l, whole(head->moments[1]), sizeof(float));
    pp__launch_u32(&l, (uint32_t)count);
    pp__launch_u32(&l, chunks);
    return pp__launch_cover(&l, chunks, 1, 1);
}

pp_status pp__update_record(pp__stream *stream, const pp__updates *updates, size_t first,
                            size_t count) {
    for (size_t done = 0, length; done < count; done += length) {
        length = run_length(updates, first + done, count - done);
        PP_TRY(record_run(stream, updates, first + done, length));
    }
    return PP_OK;
}

static pp_status record_squares(pp__stream *stream, const pp__updates *updates, size_t first,
                                size_t count, uint32_t block_elems, pp__ref squares) {
    const uint32_t blocks = part_count(updates, first, count, block_elems);
    pp__launch l;
    begin(&l, stream, updates, "update_squares");
    pp__launch_tensor(&l, table_from(updates, first), sizeof(uint32_t));
    pp__launch_tensor(&l, whole(updates->rows[first].gradient), sizeof(float));
    pp__launch_tensor(&l, squares, sizeof(float));
    pp__launch_u32(&l, (uint32_t)count);
    pp__launch_u32(&l, blocks);
    return pp__launch_cover(&l, blocks, 1, 1);
}

pp_status pp__update_record_clip(pp__stream *stream, const pp__updates *updates, pp__ref squares) {
    const uint32_t block_elems = pp__profile_u32(pp__stream_profile(stream), "update.block");
    for (size_t first = 0, length; first < updates->count; first += length) {
        length = run_length(updates, first, updates->count - first);
        PP_TRY(record_squares(stream, updates, first, length, block_elems, squares));
    }
    pp__launch l;
    begin(&l, stream, updates, "update_clip");
    pp__launch_tensor(&l, squares, sizeof(float));
    pp__launch_tensor(&l, updates->scalars, sizeof(float));
    pp__launch_u32(&l, part_count(updates, 0, updates->count, block_elems));
    pp__launch_f32(&l, updates->optimizer->clip_norm);
    return pp__launch_cover(&l, 1, 1, 1);
}
