/* Runs a plan with symbols in place of numbers.
 *
 * Every buffer holds 64-bit symbols of what was last written to it; a write wipes out whatever
 * overlaps it in memory. Each step must find what it is meant to read: the value of that node and
 * no other, the code of that record, the complete gradient. A gradient's symbol is the sum of its
 * terms' symbols, one term per reader, so a term that is missing, added twice or read too early
 * shows. This knows the operators' traits and nothing of how the plan places its buffers.
 *
 * What is per image has a symbol per image, what is meant times the image's key, so that steps may
 * take a band of the batch. A buffer of a band holds that band's images alone. What bands leave for
 * one step that takes them all together, moments and sums, has a symbol per image too, and must be
 * there for every image; a parameter's gradient is the sum over the images' keys.
 *
 * A plan is run as often as a session has streams: inference, which is the forward steps alone and
 * must compute every value that is whole, the first micro-step and the next. */
#ifndef PP_TEST_PLAN_FLOW_H
#define PP_TEST_PLAN_FLOW_H

#include <stdlib.h>

#include "plan/plan.h"
#include "support/support.h"

typedef enum flow_what {
    FLOW_VALUE = 1,
    FLOW_CODE,
    FLOW_AUXILIARY,
    FLOW_PARAMETER,
    FLOW_UPDATED,
    FLOW_SUM_SO_FAR, /* of earlier micro-steps' gradients */
    FLOW_PARAMETER_GRADIENT,
    FLOW_TERM, /* what one reader adds to a gradient */
    FLOW_STAGED,
    FLOW_MOMENTS, /* a band's, of a node's output */
    FLOW_SUMS,    /* a band's, of a normalising node's backward pass, ... */
    FLOW_TOTALS,  /* ... and those of all bands */
    FLOW_WORKSPACE
} flow_what;

static inline uint64_t flow_mix(uint64_t x) {
    for (int i = 0; i < 3; i++) x = (x ^ (x >> 29)) * 0xd6e8feb86659fd93u;
    return x;
}

static inline uint64_t flow_symbol(flow_what what, uint64_t first, uint64_t second) {
    return flow_mix((uint64_t)what * 0x9e3779b97f4a7c15u + first * 0xbf58476d1ce4e5b9u +
                    (second + 1) * 0x94d049bb133111ebu);
}

/* What is known of one image is its symbol times this, which is odd: sums of symbols stay sums. */
static inline uint64_t flow_key(size_t image) {
    return flow_mix(image + 1) | 1;
}

static inline uint64_t flow_keys(size_t first_image, size_t image_count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < image_count; i++) sum += flow_key(first_image + i);
    return sum;
}

typedef enum flow_stream { FLOW_INFERENCE, FLOW_FIRST, FLOW_NEXT } flow_stream;

typedef struct flow {
    const pp_plan *plan;
    flow_stream stream;
    /* Per buffer; 0: nothing known. Of images one each; others have the first for what is whole,
     * or one per image for bands' parts and one behind them for what is made of all. */
    uint64_t **holds;
    ptrdiff_t **written; /* per buffer and image: the piece that got it */
    /* Pieces by where they lie: those of drawer d are drawn[drawers[d] .. drawers[d + 1]). */
    size_t drawer_bytes, *drawers, *drawn;
    bool **made;        /* per node and image: its output was written to its place */
    uint64_t *expected; /* per node: its output's complete gradient; 0: it has none */
    size_t number;      /* of the step */
    const pp__plan_step *step;
} flow;

static inline size_t flow_cell_count(const pp_plan *plan, uint32_t buffer) {
    const uint32_t images = plan->buffers[buffer].images;
    return images ? images : plan->batch + 1;
}

/* Check notes every assertion in a file, so what is asked most often looks before it asserts. */
static inline const pp__plan_piece *flow_piece(const flow *f, uint32_t buffer, size_t image);

static inline void flow_check_life(const flow *f, uint32_t buffer, const char *what) {
    if (buffer == PP__NONE) ck_abort_msg("step %zu (%s) has no %s", f->number, f->step->name, what);
    const bool is_batch = f->plan->buffers[buffer].images == f->plan->batch;
    if (!flow_piece(f, buffer, is_batch ? f->step->first_image : 0))
        ck_abort_msg("step %zu (%s) uses '%s', which does not live then", f->number, f->step->name,
                     f->plan->buffers[buffer].name);
}

static inline void flow_check_whole(const flow *f, uint32_t buffer, const char *what) {
    flow_check_life(f, buffer, what);
    if (f->plan->buffers[buffer].images)
        ck_abort_msg("step %zu (%s): '%s' is not per image", f->number, f->step->name, what);
}

static inline void flow_expect_cell(const flow *f, uint32_t buffer, size_t cell, uint64_t symbol,
                                    const char *what) {
    const pp__plan_piece *piece =
        f->plan->buffers[buffer].images ? flow_piece(f, buffer, cell) : NULL;
    const bool elsewhere = piece && f->written[buffer][cell] != piece - f->plan->pieces;
    if (f->holds[buffer][cell] != symbol || elsewhere)
        ck_abort_msg("step %zu (%s, images from %u): '%s' does not hold the %s it reads, at %zu",
                     f->number, f->step->name, (unsigned)f->step->first_image,
                     f->plan->buffers[buffer].name, what, cell);
}

/* What is whole. */
static inline void flow_read(const flow *f, uint32_t buffer, uint64_t symbol, const char *what) {
    flow_check_whole(f, buffer, what);
    flow_expect_cell(f, buffer, 0, symbol, what);
}

/* The first of the step's images in a buffer of the batch or of a band. */
static inline size_t flow_first_cell(const flow *f, uint32_t buffer) {
    const pp__plan_buffer *b = &f->plan->buffers[buffer];
    const size_t first = b->images == f->plan->batch ? f->step->first_image : 0;
    if (first + f->step->image_count > b->images || b->bytes % b->images)
        ck_abort_msg("step %zu (%s): %u images in '%s' of %u", f->number, f->step->name,
                     (unsigned)f->step->image_count, b->name, (unsigned)b->images);
    return first;
}

/* The step's images. */
static inline void flow_read_images(const flow *f, uint32_t buffer, uint64_t symbol,
                                    const char *what) {
    flow_check_life(f, buffer, what);
    const size_t first = flow_first_cell(f, buffer);
    for (size_t i = 0; i < f->step->image_count; i++)
        flow_expect_cell(f, buffer, first + i, symbol * flow_key(f->step->first_image + i), what);
}

/* What all bands have left. */
static inline void flow_read_parts(const flow *f, uint32_t buffer, uint64_t symbol,
                                   const char *what) {
    flow_check_whole(f, buffer, what);
    for (size_t i = 0; i < f->plan->batch; i++)
        flow_expect_cell(f, buffer, i, symbol * flow_key(i), what);
}

typedef struct flow_place {
    size_t chunk, offset_bytes, bytes;
} flow_place;

static inline bool flow_overlap(flow_place a, flow_place b) {
    return a.bytes && b.bytes && a.chunk == b.chunk && a.offset_bytes < b.offset_bytes + b.bytes &&
           b.offset_bytes < a.offset_bytes + a.bytes;
}

/* A piece that lives at this step and holds the image; NULL: there is none. */
static inline const pp__plan_piece *flow_piece(const flow *f, uint32_t buffer, size_t image) {
    const pp__plan_buffer *b = &f->plan->buffers[buffer];
    for (size_t k = 0; k < b->piece_count; k++) {
        const pp__plan_piece *piece = &f->plan->pieces[b->first_piece + k];
        if (f->number < piece->first || f->number > piece->last) continue;
        if (!b->images || (image >= piece->first_image &&
                           image < (size_t)piece->first_image + piece->image_count))
            return piece;
    }
    return NULL;
}

static inline flow_place flow_part(const flow *f, const pp__plan_piece *piece, size_t first,
                                   size_t count) {
    const pp__plan_buffer *b = &f->plan->buffers[piece->buffer];
    if (!b->images) return (flow_place){piece->chunk, piece->offset_bytes, piece->bytes};
    if (first + count > (size_t)piece->first_image + piece->image_count)
        ck_abort_msg("step %zu (%s): images %zu to %zu of '%s' lie in several pieces", f->number,
                     f->step->name, first, first + count - 1, b->name);
    const size_t bytes = b->bytes / b->images;
    return (flow_place){piece->chunk, piece->offset_bytes + (first - piece->first_image) * bytes,
                        count * bytes};
}

/* Where so many images of a buffer lie at this step, from image `first` on; all of one that has
 * none. */
static inline flow_place flow_place_of(const flow *f, uint32_t buffer, size_t first, size_t count) {
    const pp__plan_piece *piece = flow_piece(f, buffer, first);
    if (!piece)
        ck_abort_msg("step %zu (%s) uses '%s', which does not live then", f->number, f->step->name,
                     f->plan->buffers[buffer].name);
    return flow_part(f, piece, first, count);
}

/* Forgets what a piece holds in this place. */
static inline void flow_wipe_piece(flow *f, const pp__plan_piece *piece, flow_place written) {
    const uint32_t i = piece->buffer;
    if (!flow_overlap(written, (flow_place){piece->chunk, piece->offset_bytes, piece->bytes}))
        return;
    if (!f->plan->buffers[i].images) {
        memset(f->holds[i], 0, (f->plan->batch + 1) * sizeof **f->holds);
        return;
    }
    for (size_t c = 0; c < piece->image_count; c++) {
        const size_t image = piece->first_image + c;
        if (f->written[i][image] == piece - f->plan->pieces &&
            flow_overlap(written, flow_part(f, piece, image, 1)))
            f->holds[i][image] = 0;
    }
}

/* Forgets what other buffers hold in this place, wherever it was written: of the pieces that lie in
 * the same drawers, which is quicker than asking all. */
static inline void flow_wipe(flow *f, uint32_t buffer, flow_place written) {
    if (!written.bytes) return;
    const size_t last = (written.offset_bytes + written.bytes - 1) / f->drawer_bytes;
    for (size_t d = written.offset_bytes / f->drawer_bytes; d <= last; d++)
        for (size_t k = f->drawers[d]; k < f->drawers[d + 1]; k++) {
            const pp__plan_piece *piece = &f->plan->pieces[f->drawn[k]];
            if (piece->buffer != buffer) flow_wipe_piece(f, piece, written);
        }
}

static inline void flow_wipe_all(flow *f, uint32_t buffer) {
    flow_check_whole(f, buffer, "place");
    flow_wipe(f, buffer, flow_place_of(f, buffer, 0, 1));
}

static inline void flow_write(flow *f, uint32_t buffer, uint64_t symbol) {
    if (buffer == PP__NONE) return;
    flow_wipe_all(f, buffer);
    memset(f->holds[buffer], 0, flow_cell_count(f->plan, buffer) * sizeof **f->holds);
    f->holds[buffer][0] = symbol;
}

/* One band's share of what is made of all of them. */
static inline void flow_write_part(flow *f, uint32_t buffer, uint64_t symbol) {
    flow_wipe_all(f, buffer);
    for (size_t i = 0; i < f->step->image_count; i++)
        f->holds[buffer][f->step->first_image + i] = symbol * flow_key(f->step->first_image + i);
}

static inline void flow_write_images(flow *f, uint32_t buffer, uint64_t symbol, bool adds) {
    flow_check_life(f, buffer, "place");
    const size_t first = flow_first_cell(f, buffer);
    const pp__plan_buffer *b = &f->plan->buffers[buffer];
    flow_wipe(f, buffer, flow_place_of(f, buffer, first, f->step->image_count));
    for (size_t i = 0; i < f->step->image_count; i++) {
        uint64_t *cell = &f->holds[buffer][first + i];
        if (adds && !*cell)
            ck_abort_msg("step %zu (%s) adds to '%s', where nothing is", f->number, f->step->name,
                         b->name);
        *cell = (adds ? *cell : 0) + symbol * flow_key(f->step->first_image + i);
        f->written[buffer][first + i] = flow_piece(f, buffer, first + i) - f->plan->pieces;
    }
}

/* What of a buffer the step uses: its images, or all. */
static inline flow_place flow_used(const flow *f, uint32_t buffer) {
    const bool is_batch = f->plan->buffers[buffer].images == f->plan->batch;
    return flow_place_of(f, buffer, is_batch ? f->step->first_image : 0,
                         f->plan->buffers[buffer].images ? f->step->image_count : 1);
}

/* What one step reads and writes lies apart, unless it is one and the same. */
static inline void flow_apart(const flow *f, uint32_t written, uint32_t read) {
    if (written == PP__NONE || read == PP__NONE || written == read) return;
    if (flow_overlap(flow_used(f, written), flow_used(f, read)))
        ck_abort_msg("step %zu (%s) writes '%s' over '%s'", f->number, f->step->name,
                     f->plan->buffers[written].name, f->plan->buffers[read].name);
}

/* Weights, or with `trainable` false the running statistics. */
static inline void flow_read_parameters(const flow *f, uint32_t number, bool trainable) {
    const pp__plan_node *node = &f->plan->nodes[number];
    for (uint32_t p = node->first_parameter; p < node->first_parameter + node->parameter_count; p++)
        if (f->plan->parameters[p].spec.trainable == trainable)
            flow_read(f, f->plan->parameters[p].value, flow_symbol(FLOW_PARAMETER, p, 0),
                      "parameter");
}

static inline void flow_read_auxiliaries(const flow *f, uint32_t number) {
    const pp__plan_node *node = &f->plan->nodes[number];
    for (size_t s = 0; s < node->save_count; s++)
        if (node->saved[s] == PP__NONE)
            flow_read(f, node->auxiliary[s], flow_symbol(FLOW_AUXILIARY, number, s), "statistics");
}

/* What the application wrote: the network's input, or its bytes. */
static inline uint64_t flow_input_symbol(const pp_plan *plan) {
    return plan->pixels ? flow_symbol(FLOW_STAGED, 2, 0)
                        : flow_symbol(FLOW_VALUE, plan->input_node, 0);
}

/* What a record's buffer holds: a code, or the float32 tensor that is kept in its place. */
static inline uint64_t flow_record_symbol(const flow *f, uint32_t record) {
    const pp__saved *saved = &f->plan->saved[record];
    if (saved->coding.codec->staged) return flow_input_symbol(f->plan);
    if (!saved->coding.codec->stores_itself) return flow_symbol(FLOW_CODE, record, 0);
    bool normalised = saved->subject == PP__SUBJECT_NORMALISED;
    return flow_symbol(FLOW_VALUE, normalised ? f->plan->nodes[saved->node].inputs[0] : saved->node,
                       0);
}

/* Everything a backward step of a node reads besides the gradient. A view of x-hat's code needs
 * that batch-norm's statistics, gamma and beta as they were in forward. */
static inline void flow_read_saves(const flow *f, uint32_t number, uint32_t written) {
    const pp__plan_node *node = &f->plan->nodes[number];
    flow_read_parameters(f, number, true);
    flow_read_auxiliaries(f, number);
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) continue;
        const pp__saved *saved = &f->plan->saved[node->saved[s]];
        uint32_t view = (uint32_t)node->saves[s].view;
        ck_assert_uint_eq(saved->coding.codec->views[saved->subject] & view, view);
        ck_assert(!node->saves[s].exact || saved->coding.codec->stores_itself);
        flow_read_images(f, saved->buffer, flow_record_symbol(f, node->saved[s]), "stored value");
        flow_apart(f, written, saved->buffer);
        if (saved->subject != PP__SUBJECT_NORMALISED) continue;
        flow_read_parameters(f, saved->node, true);
        flow_read_auxiliaries(f, saved->node);
    }
}

/* A normalising node's input, whole, or the moments that came with it. The running statistics take
 * them up once. */
static inline void flow_statistics(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    const pp__plan_node *source = &f->plan->nodes[node->inputs[0]];
    ck_assert(node->op->traits & PP__OP_NORMALISES && step->image_count == f->plan->batch);
    const uint32_t read = source->moments != PP__NONE ? source->moments : source->value;
    if (source->moments != PP__NONE)
        flow_read_parts(f, source->moments, flow_symbol(FLOW_MOMENTS, node->inputs[0], 0),
                        "moments");
    else
        flow_read_images(f, source->value, flow_symbol(FLOW_VALUE, node->inputs[0], 0), "input");
    flow_apart(f, step->workspace, read);
    flow_read_parameters(f, step->node, false);
    for (uint32_t p = node->first_parameter; p < node->first_parameter + node->parameter_count; p++)
        if (!f->plan->parameters[p].spec.trainable)
            flow_write(f, f->plan->parameters[p].value, flow_symbol(FLOW_UPDATED, p, 0));
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] != PP__NONE) continue;
        flow_apart(f, node->auxiliary[s], read);
        flow_write(f, node->auxiliary[s], flow_symbol(FLOW_AUXILIARY, step->node, s));
    }
}

static inline void flow_moments(flow *f, const pp__plan_step *step) {
    const uint32_t input = f->plan->nodes[step->node].inputs[0];
    const pp__plan_node *source = &f->plan->nodes[input];
    flow_read_images(f, source->value, flow_symbol(FLOW_VALUE, input, 0), "input");
    flow_apart(f, source->moments, source->value);
    flow_write_part(f, source->moments, flow_symbol(FLOW_MOMENTS, input, 0));
}

static inline void flow_write_value(flow *f, uint32_t number) {
    flow_write_images(f, f->plan->nodes[number].value, flow_symbol(FLOW_VALUE, number, 0), false);
    for (size_t i = 0; i < f->step->image_count; i++)
        f->made[number][f->step->first_image + i] = true;
}

/* What training needs besides the output. */
static inline void flow_write_saves(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    for (size_t s = 0; s < node->save_count; s++) {
        if (node->saved[s] == PP__NONE) continue;
        const pp__saved *saved = &f->plan->saved[node->saved[s]];
        if (saved->node != step->node || saved->own_step || saved->coding.codec->stores_itself)
            continue;
        for (size_t j = 0; j < node->op->input_count; j++)
            flow_apart(f, saved->buffer, f->plan->nodes[node->inputs[j]].value);
        flow_write_images(f, saved->buffer, flow_record_symbol(f, node->saved[s]), false);
    }
    if (node->moments == PP__NONE || node->moments_apart || step->repeated) return;
    flow_write_part(f, node->moments, flow_symbol(FLOW_MOMENTS, step->node, 0));
}

static inline void flow_forward(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    static const uint32_t in_place[PP__OP_INPUTS] = {PP__OP_IN_PLACE, PP__OP_IN_PLACE_SECOND};
    const uint32_t output = step->scratch != PP__NONE ? step->scratch : node->value;
    flow_read_parameters(f, step->node, true);
    if (node->op->traits & PP__OP_SOURCE) {
        flow_read_images(f, f->plan->input, flow_input_symbol(f->plan), "bytes");
        flow_apart(f, output, f->plan->input);
    }
    for (size_t j = 0; j < node->op->input_count; j++) {
        uint32_t input = f->plan->nodes[node->inputs[j]].value;
        flow_read_images(f, input, flow_symbol(FLOW_VALUE, node->inputs[j], 0), "input");
        flow_apart(f, output, input);
        flow_apart(f, step->workspace, input);
        if (output == input) ck_assert(node->op->traits & in_place[j]);
    }
    if (node->op->traits & PP__OP_LOSS)
        flow_read(f, f->plan->labels, flow_symbol(FLOW_STAGED, 0, 0), "labels");
    if (node->op->traits & PP__OP_NORMALISES) {
        if (f->stream == FLOW_INFERENCE)
            flow_read_parameters(f, step->node, false);
        else if (step->divided)
            flow_read_auxiliaries(f, step->node);
        else
            flow_statistics(f, step);
    }
    if (step->scratch == PP__NONE)
        flow_write_value(f, step->node);
    else
        flow_write_images(f, step->scratch, flow_symbol(FLOW_VALUE, step->node, 0), false);
    if (f->stream != FLOW_INFERENCE) flow_write_saves(f, step);
}

static inline void flow_copy_value(flow *f, const pp__plan_step *step) {
    flow_read_images(f, step->scratch, flow_symbol(FLOW_VALUE, step->node, 0), "value to copy");
    flow_apart(f, f->plan->nodes[step->node].value, step->scratch);
    ck_assert_uint_ne(f->plan->nodes[step->node].value, step->scratch);
    flow_write_value(f, step->node);
}

static inline void flow_encode(flow *f, const pp__plan_step *step) {
    const pp__saved *saved = &f->plan->saved[step->index];
    uint32_t value = f->plan->nodes[saved->node].value;
    flow_read_images(f, value, flow_symbol(FLOW_VALUE, saved->node, 0), "value to encode");
    flow_apart(f, saved->buffer, value);
    flow_write_images(f, saved->buffer, flow_record_symbol(f, step->index), false);
}

static inline void flow_decode(flow *f, const pp__plan_step *step) {
    const pp__saved *saved = &f->plan->saved[step->index];
    flow_read_images(f, saved->buffer, flow_record_symbol(f, step->index), "code");
    if (saved->subject == PP__SUBJECT_NORMALISED) {
        flow_read_parameters(f, saved->node, true);
        flow_read_auxiliaries(f, saved->node);
    }
    flow_apart(f, f->plan->nodes[step->node].value, saved->buffer);
    flow_write_value(f, step->node);
}

/* A parameter's gradient when the stream is through. */
static inline uint64_t flow_gradient_symbol(const flow *f, uint32_t parameter) {
    uint64_t before = f->stream == FLOW_NEXT ? flow_symbol(FLOW_SUM_SO_FAR, parameter, 0) : 0;
    return before +
           flow_symbol(FLOW_PARAMETER_GRADIENT, parameter, 0) * flow_keys(0, f->plan->batch);
}

/* What so many images add; those of the first band overwrite, but for earlier micro-steps'. */
static inline void flow_write_parameter_gradients(flow *f, const pp__plan_step *step,
                                                  size_t image_count) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    const bool adds = f->stream == FLOW_NEXT || step->first_image;
    for (uint32_t p = node->first_parameter; p < node->first_parameter + node->parameter_count;
         p++) {
        const pp__plan_parameter *parameter = &f->plan->parameters[p];
        if (!parameter->spec.trainable) continue;
        uint64_t before = adds ? f->holds[parameter->gradient][0] : 0;
        ck_assert_msg(!adds || before, "step %zu (%s) adds to '%s', where nothing is", f->number,
                      step->name, f->plan->buffers[parameter->gradient].name);
        if (step->kind != PP__STEP_BACKWARD_TOTALS)
            flow_apart(f, parameter->gradient, step->output_gradient);
        flow_apart(f, parameter->gradient, step->workspace);
        flow_write(f, parameter->gradient,
                   before + flow_symbol(FLOW_PARAMETER_GRADIENT, p, 0) *
                                flow_keys(step->first_image, image_count));
    }
}

static inline void flow_read_gradient(flow *f, const pp__plan_step *step) {
    if (f->plan->nodes[step->node].op->traits & PP__OP_LOSS)
        flow_read(f, f->plan->labels, flow_symbol(FLOW_STAGED, 0, 0), "labels");
    else
        flow_read_images(f, step->output_gradient, f->expected[step->node], "complete gradient");
    flow_read_saves(f, step->node, step->workspace);
    flow_apart(f, step->workspace, step->output_gradient);
}

static inline void flow_backward(flow *f, const pp__plan_step *step) {
    const pp__plan_node *node = &f->plan->nodes[step->node];
    flow_read_gradient(f, step);
    if (step->divided)
        flow_expect_cell(f, step->workspace, f->plan->batch,
                         flow_symbol(FLOW_TOTALS, step->node, 0), "totals");
    for (size_t j = 0; j < PP__OP_INPUTS; j++) {
        uint32_t written = step->input_gradients[j];
        if (written == PP__NONE) continue;
        flow_read_saves(f, step->node, written);
        flow_apart(f, written, step->output_gradient);
        flow_apart(f, written, step->workspace);
        if (written == step->output_gradient)
            ck_assert(j == 0 && !step->adds[j] && node->op->traits & PP__OP_GRADIENT_IN_PLACE);
        flow_write_images(f, written, flow_symbol(FLOW_TERM, step->node, j), step->adds[j]);
    }
    if (!node->op->backward_parameters && !step->divided)
        flow_write_parameter_gradients(f, step, step->image_count);
}

static inline void flow_backward_sums(flow *f, const pp__plan_step *step) {
    flow_read_gradient(f, step);
    flow_write_part(f, step->workspace, flow_symbol(FLOW_SUMS, step->node, 0));
}

/* Writes the parameters' gradients of the whole batch at once. */
static inline void flow_backward_totals(flow *f, const pp__plan_step *step) {
    flow_read_parts(f, step->workspace, flow_symbol(FLOW_SUMS, step->node, 0), "sums");
    flow_write_parameter_gradients(f, step, f->plan->batch);
    f->holds[step->workspace][f->plan->batch] = flow_symbol(FLOW_TOTALS, step->node, 0);
}

static inline void flow_move_gradient(flow *f, const pp__plan_step *step, bool adds) {
    const uint32_t from = step->output_gradient, to = step->input_gradients[0];
    flow_check_life(f, from, "gradient to move");
    flow_apart(f, to, from);
    ck_assert_uint_ne(to, from);
    /* It is any sum of terms, the same for all images. */
    const size_t first = flow_first_cell(f, from);
    uint64_t inverse = 1, key = flow_key(step->first_image); /* Newton's, modulo 2^64 */
    for (int i = 0; i < 6; i++) inverse *= 2 - key * inverse;
    const uint64_t symbol = f->holds[from][first] * inverse;
    ck_assert_msg(symbol != 0, "step %zu (%s) moves nothing", f->number, step->name);
    flow_read_images(f, from, symbol, "gradient to move");
    flow_write_images(f, to, symbol, adds);
}

/* The parameters of the nodes step->node to step->index; a node that the loss does not depend on
 * lies between them at most. */
static inline void flow_update(flow *f, const pp__plan_step *step) {
    ck_assert_uint_le(step->node, step->index);
    flow_read(f, f->plan->update_table, flow_symbol(FLOW_STAGED, 1, 0), "table");
    for (uint32_t p = 0; p < f->plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &f->plan->parameters[p];
        if (parameter->node < step->node || parameter->node > step->index) continue;
        if (!parameter->spec.trainable || !f->expected[parameter->node]) continue;
        flow_read(f, parameter->gradient, flow_gradient_symbol(f, p), "gradient");
        flow_read(f, parameter->value, flow_symbol(FLOW_PARAMETER, p, 0), "parameter");
        flow_write(f, parameter->value, flow_symbol(FLOW_UPDATED, p, 0));
    }
}

static inline void flow_clip(flow *f, const pp__plan_step *step) {
    for (uint32_t p = 0; p < f->plan->parameter_count; p++) {
        uint32_t gradient = f->plan->parameters[p].gradient;
        if (gradient == PP__NONE) continue;
        flow_read(f, gradient, flow_gradient_symbol(f, p), "gradient");
        flow_apart(f, step->workspace, gradient);
    }
}

/* The complete gradient of each node's output: a term per reader, or what an addition's own output
 * has. */
static inline void flow_expect(flow *f) {
    for (size_t r = f->plan->node_count; r-- > 0;) {
        const pp__plan_node *reader = &f->plan->nodes[r];
        bool has = reader->op->traits & PP__OP_LOSS || f->expected[r];
        if (!reader->wants_gradient || !has) continue;
        for (size_t j = 0; j < reader->op->input_count; j++) {
            uint32_t input = reader->inputs[j];
            if (!f->plan->nodes[input].wants_gradient) continue;
            size_t term = reader->op->traits & PP__OP_GRADIENT_COMMON ? 0 : j;
            f->expected[input] += reader->op->traits & PP__OP_GRADIENT_SHARED
                                      ? f->expected[r]
                                      : flow_symbol(FLOW_TERM, r, term);
        }
    }
}

static inline void flow_begin(flow *f) {
    const pp_plan *plan = f->plan;
    for (size_t i = 0; i < plan->batch; i++)
        f->holds[plan->input][i] = flow_input_symbol(plan) * flow_key(i);
    f->holds[plan->scalars][0] = f->holds[plan->metrics][0] = flow_symbol(FLOW_STAGED, 1, 0);
    if (plan->update_table != PP__NONE)
        f->holds[plan->update_table][0] = flow_symbol(FLOW_STAGED, 1, 0);
    if (plan->labels != PP__NONE) f->holds[plan->labels][0] = flow_symbol(FLOW_STAGED, 0, 0);
    for (uint32_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        f->holds[parameter->value][0] = flow_symbol(FLOW_PARAMETER, p, 0);
        for (size_t m = 0; m < 2; m++)
            if (parameter->moments[m] != PP__NONE)
                f->holds[parameter->moments[m]][0] = flow_symbol(FLOW_STAGED, 1, 0);
        if (plan->accumulate > 1 && f->stream != FLOW_FIRST && parameter->gradient != PP__NONE)
            f->holds[parameter->gradient][0] = flow_symbol(FLOW_SUM_SO_FAR, p, 0);
    }
    if (!plan->inference) flow_expect(f);
}

/* A value in a buffer of its own for all images exists once inference is through, and the prediction
 * is still there. */
static inline void flow_end_inference(flow *f) {
    const pp_plan *plan = f->plan;
    for (size_t n = 0; n < plan->node_count; n++) {
        const pp__plan_node *node = &plan->nodes[n];
        if (plan->buffers[node->value].images != plan->batch || node->value == plan->input)
            continue;
        for (size_t i = 0; i < plan->batch; i++)
            if (!f->made[n][i])
                ck_abort_msg("inference leaves image %zu of '%s' out", i, node->name);
    }
    const uint32_t last = plan->loss_node != PP__NONE ? plan->nodes[plan->loss_node].inputs[0]
                                                      : (uint32_t)plan->node_count - 1;
    for (size_t i = 0; i < plan->batch; i++)
        flow_expect_cell(f, plan->nodes[last].value, i,
                         flow_symbol(FLOW_VALUE, last, 0) * flow_key(i), "prediction");
    for (uint32_t p = 0; plan->accumulate > 1 && p < plan->parameter_count; p++)
        if (plan->parameters[p].gradient != PP__NONE)
            flow_expect_cell(f, plan->parameters[p].gradient, 0, flow_symbol(FLOW_SUM_SO_FAR, p, 0),
                             "sum so far");
}

/* Every parameter that the loss depends on was updated once, nothing persistent was written over,
 * and gradients that live to the end are still there. */
static inline void flow_end(flow *f) {
    const pp_plan *plan = f->plan;
    const bool trains = f->stream != FLOW_INFERENCE;
    f->number = plan->step_count - 1;
    f->step = &plan->steps[f->number];
    flow_read(f, plan->scalars, flow_symbol(FLOW_STAGED, 1, 0), "scalars");
    flow_read(f, plan->metrics, flow_symbol(FLOW_STAGED, 1, 0), "metrics");
    if (plan->update_table != PP__NONE)
        flow_read(f, plan->update_table, flow_symbol(FLOW_STAGED, 1, 0), "table");
    for (uint32_t p = 0; p < plan->parameter_count; p++) {
        const pp__plan_parameter *parameter = &plan->parameters[p];
        const bool trained = parameter->spec.trainable && f->expected[parameter->node];
        const bool updated = trains && (trained || !parameter->spec.trainable);
        flow_read(f, parameter->value, flow_symbol(updated ? FLOW_UPDATED : FLOW_PARAMETER, p, 0),
                  updated ? "updated parameter" : "parameter");
        for (size_t m = 0; m < 2; m++)
            if (parameter->moments[m] != PP__NONE)
                flow_read(f, parameter->moments[m], flow_symbol(FLOW_STAGED, 1, 0), "moment");
        if (trains && trained && plan->updates_at_end)
            flow_read(f, parameter->gradient, flow_gradient_symbol(f, p), "gradient");
    }
    if (!trains) flow_end_inference(f);
}

/* What a buffer holds goes to its 16-bit form, or from there: whatever it is, it is there whole. */
static inline void flow_park(flow *f, const pp__plan_step *step) {
    const uint32_t from = step->output_gradient, to = step->input_gradients[0];
    const bool parks = step->kind == PP__STEP_PARK;
    const pp__plan_buffer *code = &f->plan->buffers[parks ? to : from];
    if (!code->parked.codec || 2 * code->bytes != f->plan->buffers[parks ? from : to].bytes)
        ck_abort_msg("step %zu (%s): '%s' is not the 16-bit form", f->number, step->name,
                     code->name);
    flow_check_life(f, from, "parked value");
    flow_check_life(f, to, "place");
    flow_apart(f, to, from);
    const size_t first = flow_first_cell(f, from);
    flow_wipe(f, to, flow_place_of(f, to, first, step->image_count));
    for (size_t i = first; i < first + step->image_count; i++) {
        if (!f->holds[from][i])
            ck_abort_msg("step %zu (%s): image %zu of '%s' is gone", f->number, step->name, i,
                         f->plan->buffers[from].name);
        flow_expect_cell(f, from, i, f->holds[from][i], "parked value");
        f->holds[to][i] = f->holds[from][i];
        f->written[to][i] = flow_piece(f, to, i) - f->plan->pieces;
    }
}

static inline bool flow_selects(const flow *f) {
    if (f->stream != FLOW_INFERENCE) return true;
    return (f->step->kind == PP__STEP_FORWARD || f->step->kind == PP__STEP_COPY_VALUE ||
            f->step->kind == PP__STEP_PARK || f->step->kind == PP__STEP_FETCH) &&
           !f->step->training_only;
}

/* Of the batch, or of a band: one of the equal ones that it falls into, for operators that say so. */
static inline void flow_check_band(const flow *f) {
    const pp__plan_step *step = f->step;
    const pp__plan_node *node = &f->plan->nodes[step->node];
    const bool moves = step->kind == PP__STEP_COPY_GRADIENT ||
                       step->kind == PP__STEP_ADD_GRADIENT || step->kind == PP__STEP_PARK ||
                       step->kind == PP__STEP_FETCH;
    if (step->image_count == f->plan->batch && !step->first_image) return;
    ck_assert(step->image_count && !(f->plan->batch % step->image_count));
    ck_assert(!(step->first_image % step->image_count));
    ck_assert(step->first_image + step->image_count <= f->plan->batch);
    ck_assert_msg(moves || node->op->traits & PP__OP_BANDS, "step %zu (%s): %s works on a band",
                  f->number, step->name, node->op->name);
}

static inline void flow_run_step(flow *f) {
    const pp__plan_step *step = f->step;
    bool keeps_sums = step->kind == PP__STEP_BACKWARD && step->divided;
    switch (step->kind) {
        case PP__STEP_FORWARD: flow_forward(f, step); break;
        case PP__STEP_MOMENTS: flow_moments(f, step); break;
        case PP__STEP_STATISTICS: flow_statistics(f, step); break;
        case PP__STEP_ENCODE: flow_encode(f, step); break;
        case PP__STEP_DECODE: flow_decode(f, step); break;
        case PP__STEP_BACKWARD_PARAMETERS:
            flow_read_gradient(f, step);
            flow_write_parameter_gradients(f, step, step->image_count);
            break;
        case PP__STEP_BACKWARD_SUMS: flow_backward_sums(f, step); break;
        case PP__STEP_BACKWARD_TOTALS: flow_backward_totals(f, step); break;
        case PP__STEP_BACKWARD: flow_backward(f, step); break;
        case PP__STEP_COPY_VALUE: flow_copy_value(f, step); break;
        case PP__STEP_COPY_GRADIENT: flow_move_gradient(f, step, false); break;
        case PP__STEP_ADD_GRADIENT: flow_move_gradient(f, step, true); break;
        case PP__STEP_PARK:
        case PP__STEP_FETCH: flow_park(f, step); break;
        case PP__STEP_CLIP: flow_clip(f, step); break;
        case PP__STEP_UPDATE: flow_update(f, step); break;
    }
    keeps_sums |= step->kind == PP__STEP_BACKWARD_SUMS || step->kind == PP__STEP_BACKWARD_TOTALS;
    /* Scratch to the step's end: it wipes what the step itself has written there. */
    if (!keeps_sums) flow_write(f, step->workspace, flow_symbol(FLOW_WORKSPACE, 0, 0));
}

static inline void *flow_allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    ck_assert(memory != NULL);
    return memory;
}

enum { FLOW_DRAWERS = 512 };

/* Counts or lists the pieces of every drawer; `next` is where each drawer's next one goes. */
static inline void flow_draw(flow *f, size_t *next) {
    for (size_t i = 0; i < f->plan->piece_count; i++) {
        const pp__plan_piece *piece = &f->plan->pieces[i];
        if (!piece->bytes) continue;
        const size_t last = (piece->offset_bytes + piece->bytes - 1) / f->drawer_bytes;
        for (size_t d = piece->offset_bytes / f->drawer_bytes; d <= last; d++) {
            if (f->drawn) f->drawn[next[d]] = i;
            next[d]++;
        }
    }
}

static inline void flow_fill_drawers(flow *f) {
    size_t end = 1, *counts = flow_allocate(FLOW_DRAWERS + 1, sizeof *counts);
    for (size_t i = 0; i < f->plan->piece_count; i++) {
        const pp__plan_piece *piece = &f->plan->pieces[i];
        if (piece->offset_bytes + piece->bytes > end) end = piece->offset_bytes + piece->bytes;
    }
    f->drawer_bytes = end / FLOW_DRAWERS + 1;
    f->drawers = flow_allocate(FLOW_DRAWERS + 1, sizeof *f->drawers);
    flow_draw(f, counts);
    for (size_t d = 0; d < FLOW_DRAWERS; d++) {
        f->drawers[d + 1] = f->drawers[d] + counts[d];
        counts[d] = f->drawers[d];
    }
    f->drawn = flow_allocate(f->drawers[FLOW_DRAWERS], sizeof *f->drawn);
    flow_draw(f, counts);
    free(counts);
}

static inline void flow_run(const pp_plan *plan, flow_stream stream) {
    flow f = {.plan = plan, .stream = stream};
    f.holds = flow_allocate(plan->buffer_count, sizeof *f.holds);
    for (uint32_t i = 0; i < plan->buffer_count; i++)
        f.holds[i] = flow_allocate(flow_cell_count(plan, i), sizeof **f.holds);
    f.written = flow_allocate(plan->buffer_count, sizeof *f.written);
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        f.written[i] = flow_allocate(flow_cell_count(plan, i), sizeof **f.written);
        for (size_t c = 0; c < flow_cell_count(plan, i); c++)
            f.written[i][c] = (ptrdiff_t)plan->buffers[i].first_piece;
    }
    f.made = flow_allocate(plan->node_count, sizeof *f.made);
    for (size_t n = 0; n < plan->node_count; n++)
        f.made[n] = flow_allocate(plan->batch, sizeof **f.made);
    f.expected = flow_allocate(plan->node_count, sizeof *f.expected);
    flow_fill_drawers(&f);
    flow_begin(&f);
    for (f.number = 0; f.number < plan->step_count; f.number++) {
        f.step = &plan->steps[f.number];
        flow_check_band(&f);
        if (flow_selects(&f)) flow_run_step(&f);
    }
    flow_end(&f);
    for (size_t i = 0; i < plan->buffer_count; i++) free(f.holds[i]), free(f.written[i]);
    for (size_t n = 0; n < plan->node_count; n++) free(f.made[n]);
    free(f.holds);
    free(f.written);
    free(f.drawers);
    free(f.drawn);
    free(f.made);
    free(f.expected);
}

static inline void flow_check(const pp_plan *plan) {
    flow_run(plan, FLOW_INFERENCE);
    if (plan->inference) return;
    flow_run(plan, FLOW_FIRST);
    if (plan->accumulate > 1) flow_run(plan, FLOW_NEXT);
}

#endif
