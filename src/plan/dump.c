/* What a plan says of itself: summary, rows, text. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"
#include "util/text.h"

static const char *const class_names[PP_MEMORY_CLASS_COUNT] = {
    [PP_MEMORY_PARAMETERS] = "parameters", [PP_MEMORY_GRADIENTS] = "gradients",
    [PP_MEMORY_OPTIMIZER] = "optimizer",   [PP_MEMORY_SAVED] = "saved",
    [PP_MEMORY_TRANSIENT] = "transient",   [PP_MEMORY_WORKSPACE] = "workspace",
    [PP_MEMORY_STAGING] = "staging",
};

/* Every combination of views a stored code can serve. */
static const char *const view_names[] = {
    [0] = "",
    [PP__VIEW_VALUE] = "value",
    [PP__VIEW_MASK] = "mask",
    [PP__VIEW_VALUE | PP__VIEW_MASK] = "mask value",
    [PP__VIEW_XHAT] = "x-hat",
    [PP__VIEW_XHAT | PP__VIEW_VALUE] = "x-hat value",
    [PP__VIEW_XHAT | PP__VIEW_MASK] = "x-hat mask",
    [PP__VIEW_XHAT | PP__VIEW_MASK | PP__VIEW_VALUE] = "x-hat mask value",
    [PP__VIEW_INDEX] = "index",
};

const char *pp_memory_class_name(pp_memory_class memory_class) {
    return memory_class < PP_MEMORY_CLASS_COUNT ? class_names[memory_class] : "unknown";
}

/* Bytes that exist only for backward: codes, and float32 tensors kept alive, once per buffer. */
static size_t saved_stored_bytes(const pp_plan *plan) {
    size_t bytes = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *buffer = &plan->buffers[i];
        if (buffer->memory_class == PP_MEMORY_SAVED || buffer->saved != PP__NONE)
            bytes += buffer->bytes;
    }
    return bytes;
}

void pp_plan_read_chunk(const pp_plan *plan, size_t index, pp_plan_chunk *chunk_out) {
    *chunk_out = (pp_plan_chunk){.bytes = plan->chunk_bytes[index],
                                 .alignment_bytes = plan->alignment_bytes};
}

void pp_plan_summarize(const pp_plan *plan, pp_plan_summary *summary_out) {
    *summary_out = (pp_plan_summary){
        .batch = plan->batch,
        .step_count = plan->step_count,
        .peak_bytes = plan->layout.peak_bytes,
        .lower_bound_bytes = plan->layout.lower_bound_bytes,
        .peak_step = plan->layout.peak_step,
        .peak_step_name = plan->steps[plan->layout.peak_step].name,
        .saved_raw_bytes = plan->saved_raw_bytes,
        .saved_stored_bytes = saved_stored_bytes(plan),
        .chunk_count = plan->layout.chunk_count,
    };
    for (size_t i = 0; i < plan->piece_count; i++) {
        const pp__plan_piece *piece = &plan->pieces[i];
        if (piece->first <= plan->layout.peak_step && plan->layout.peak_step <= piece->last)
            summary_out->class_bytes[plan->buffers[piece->buffer].memory_class] += piece->bytes;
    }
    for (size_t p = 0; p < plan->parameter_count; p++)
        if (plan->parameters[p].spec.trainable)
            summary_out->parameter_elems += plan->parameters[p].elems;
}

size_t pp_plan_row_count(const pp_plan *plan) {
    return plan->buffer_count;
}

static const char *row_kind(const pp_plan *plan, const pp__plan_buffer *buffer) {
    if (buffer->saved != PP__NONE) return pp__saved_kind_name(plan->saved[buffer->saved].kind);
    return buffer->memory_class == PP_MEMORY_SAVED ? "statistics" : "";
}

void pp_plan_read_row(const pp_plan *plan, size_t index, pp_plan_row *row_out) {
    const pp__plan_buffer *buffer = &plan->buffers[index];
    *row_out = (pp_plan_row){
        .name = buffer->name,
        .memory_class = buffer->memory_class,
        .codec = "",
        .kind = row_kind(plan, buffer),
        .views = "",
        .raw_bytes = buffer->raw_bytes,
        .stored_bytes = buffer->bytes,
        .first_step = buffer->first,
        .last_step = buffer->last,
        .chunk = plan->pieces[buffer->first_piece].chunk,
        .offset_bytes = plan->pieces[buffer->first_piece].offset_bytes,
        .piece_count = buffer->piece_count,
    };
    if (buffer->memory_class == PP_MEMORY_OPTIMIZER && buffer->bytes < buffer->raw_bytes)
        row_out->codec = "8 bits";
    if (buffer->parked.codec) row_out->codec = buffer->parked.codec->name;
    if (buffer->saved == PP__NONE) return;
    const pp__saved *saved = &plan->saved[buffer->saved];
    row_out->codec = saved->text;
    row_out->views = view_names[buffer->views];
    if (!saved->coding.codec->error) return;
    const pp__stored stored = pp__plan_stored(plan, saved);
    row_out->error = saved->coding.codec->error(&stored);
}

void pp_plan_read_piece(const pp_plan *plan, size_t row, size_t index, pp_plan_piece *piece_out) {
    const pp__plan_buffer *buffer = &plan->buffers[row];
    const pp__plan_piece *piece = &plan->pieces[buffer->first_piece + index];
    *piece_out = (pp_plan_piece){
        .first_image = piece->first_image,
        .image_count = piece->image_count,
        .bytes = piece->bytes,
        .first_step = piece->first,
        .last_step = piece->last,
        .chunk = piece->chunk,
        .offset_bytes = piece->offset_bytes,
    };
}

const char *pp_plan_step_name(const pp_plan *plan, size_t step) {
    return plan->steps[step].name;
}

size_t pp_plan_live_bytes(const pp_plan *plan, size_t step) {
    return plan->live_bytes[step];
}

size_t pp_plan_parameter_count(const pp_plan *plan) {
    return plan->parameter_count;
}

void pp_plan_read_parameter(const pp_plan *plan, size_t index, pp_parameter_info *info_out) {
    const pp__plan_parameter *parameter = &plan->parameters[index];
    const pp__shape shape = parameter->spec.shape;
    const uint32_t extents[4] = {shape.n, shape.h, shape.w, shape.c};
    *info_out = (pp_parameter_info){
        .name = parameter->name,
        .axis_count = parameter->spec.axis_count,
        .elem_count = parameter->elems,
        .trainable = parameter->spec.trainable,
        .decayed =
            parameter->spec.trainable && (parameter->spec.decayed || plan->optimizer.decay_all),
        .rate = parameter->rate,
    };
    for (uint32_t i = 0; i < info_out->axis_count; i++)
        info_out->extents[i] = extents[4 - info_out->axis_count + i];
    if (parameter->spec.axis_count != 2) return;
    const pp__shape input = plan->nodes[plan->nodes[parameter->node].inputs[0]].shape;
    info_out->input[0] = input.h;
    info_out->input[1] = input.w;
    info_out->input[2] = input.c;
}

static void print_pieces(pp__text *text, const pp_plan *plan, size_t row) {
    for (size_t i = 0; i < plan->buffers[row].piece_count; i++) {
        pp_plan_piece piece;
        pp_plan_read_piece(plan, row, i, &piece);
        pp__text_add(text,
                     "%-48s %9zu bytes, steps %3zu-%-3zu at %zu:%zu, images from %" PRIu32 "\n", "",
                     piece.bytes, piece.first_step, piece.last_step, piece.chunk,
                     piece.offset_bytes, piece.first_image);
    }
}

pp_status pp_plan_print(const pp_plan *plan, char **text_out) {
    *text_out = NULL;
    pp__text text = {.engine = plan->engine};
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    pp__text_add(&text,
                 "batch %" PRIu32 ", %zu steps, peak %zu bytes (bound %zu) at step %zu: %s\n",
                 summary.batch, summary.step_count, summary.peak_bytes, summary.lower_bound_bytes,
                 summary.peak_step, summary.peak_step_name);
    pp__text_add(&text, "saved: %zu bytes stored, %zu in a float32 framework\n",
                 summary.saved_stored_bytes, summary.saved_raw_bytes);
    for (size_t s = 0; s < plan->step_count; s++)
        pp__text_add(&text, "step %3zu %-40s live %zu\n", s, plan->steps[s].name,
                     plan->live_bytes[s]);
    for (size_t i = 0; i < plan->buffer_count; i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        pp__text_add(&text, "%-11s %-36s %9zu bytes, steps %3zu-%-3zu at %zu:%zu",
                     pp_memory_class_name(row.memory_class), row.name, row.stored_bytes,
                     row.first_step, row.last_step, row.chunk, row.offset_bytes);
        if (*row.views) pp__text_add(&text, ", %s of %s for %s", row.codec, row.kind, row.views);
        pp__text_add(&text, "\n");
        if (row.piece_count > 1) print_pieces(&text, plan, i);
    }
    return pp__text_take(&text, text_out);
}
