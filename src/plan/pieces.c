/* Where one buffer becomes several pieces, and the pieces' lives.
 *
 * By images: between two runs of nodes that both work in bands, a value, its gradient or its code is
 * never needed as a whole: each band's images come and go with the steps that take them. So the
 * output of one run grows where its input shrinks, and codes make room, band by band, for the
 * gradient that backward makes of them.
 *
 * By time: a step that writes all of a piece without reading it makes what was there before end with
 * its last reader. So what is computed again for backward (recompute.c) lies nowhere between its
 * last reader in forward and then. */
#include "plan/plan.h"

/* A piece shorter than this costs the planner more than it saves. */
enum { LEAST_BYTES = 1024 };

uint32_t pp__plan_prediction(const pp_plan *plan) {
    return plan->loss_node != PP__NONE ? plan->nodes[plan->loss_node].inputs[0]
                                       : (uint32_t)plan->node_count - 1;
}

const pp__plan_piece *pp__plan_piece_of(const pp_plan *plan, uint32_t buffer, size_t step,
                                        uint32_t image) {
    const pp__plan_buffer *b = &plan->buffers[buffer];
    for (size_t i = 0; i < b->piece_count; i++) {
        const pp__plan_piece *piece = &plan->pieces[b->first_piece + i];
        if (step >= piece->first && step <= piece->last && image >= piece->first_image &&
            image - piece->first_image < piece->image_count)
            return piece;
    }
    return &plan->pieces[b->first_piece];
}

typedef struct cutting {
    pp_plan *plan;
    const pp__plan_step *step;
    size_t number;    /* of the step */
    uint32_t *images; /* per buffer: what its pieces hold; 0: it has one piece */
    size_t *read_at;  /* per buffer: one behind the last step that read it */
    size_t *current;  /* per buffer, from `first_current` on per group of images: one behind the
                         piece that is there, or 0 */
    size_t *first_current;
    pp__plan_piece *pieces;
    size_t piece_count, piece_capacity;
    pp_status status;
} cutting;

static void visit_steps(cutting *c, pp__use_visitor *visit, pp__use_visitor *visit_again) {
    for (c->number = 0; c->number < c->plan->step_count; c->number++) {
        c->step = &c->plan->steps[c->number];
        pp__plan_visit_step(c->plan, c->step, visit, c);
        if (visit_again) pp__plan_visit_step(c->plan, c->step, visit_again, c);
    }
}

/* A piece holds the images of every step that uses it. */
static void widen(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)reads, (void)writes;
    const cutting *c = user;
    if (c->images[buffer] < c->step->image_count) c->images[buffer] = c->step->image_count;
}

/* Bands that do not fill pieces leave one. */
static void check_bands(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)reads, (void)writes;
    const cutting *c = user;
    if (c->images[buffer] % c->step->image_count) c->images[buffer] = c->plan->batch;
}

static void find_images(cutting *c) {
    const pp_plan *plan = c->plan;
    visit_steps(c, widen, NULL);
    visit_steps(c, check_bands, NULL);
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        if (b->images != plan->batch)
            c->images[i] = 0;
        else if (!c->images[i] || plan->batch % c->images[i] ||
                 b->bytes / plan->batch * c->images[i] < LEAST_BYTES)
            c->images[i] = plan->batch;
    }
    /* The application writes and reads whole batches, in front of the step and behind it. */
    c->images[plan->input] = c->images[plan->nodes[pp__plan_prediction(plan)].value] = 0;
}

void pp__plan_piece_images(pp_plan *plan, uint32_t *images) {
    cutting c = {.plan = plan, .images = images};
    find_images(&c);
}

static void note_reading(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)writes;
    const cutting *c = user;
    if (reads) c->read_at[buffer] = c->number + 1;
}

static pp_status add_piece(cutting *c, uint32_t buffer, uint32_t first_image, size_t *current) {
    const pp__plan_buffer *b = &c->plan->buffers[buffer];
    PP_TRY(pp__grow(c->plan->engine, &c->pieces, &c->piece_capacity, c->piece_count + 1,
                    sizeof *c->pieces));
    c->pieces[c->piece_count] =
        (pp__plan_piece){.buffer = buffer,
                         .first_image = first_image,
                         .image_count = c->images[buffer],
                         .bytes = b->bytes / c->plan->batch * c->images[buffer],
                         .first = c->number,
                         .last = c->number};
    *current = ++c->piece_count;
    return PP_OK;
}

static void touch(void *user, uint32_t buffer, bool reads, bool writes) {
    cutting *c = user;
    const uint32_t images = c->images[buffer];
    if (!images || c->status != PP_OK) return;
    const uint32_t group = c->step->first_image / images;
    size_t *current = &c->current[c->first_current[buffer] + group];
    const bool renews =
        writes && !reads && c->read_at[buffer] != c->number + 1 && c->step->image_count == images;
    if (!*current || (renews && c->pieces[*current - 1].last != c->number))
        c->status = add_piece(c, buffer, group * images, current);
    else
        c->pieces[*current - 1].last = c->number;
}

/* All pieces, buffer by buffer. */
static pp_status sort_pieces(cutting *c) {
    pp_plan *plan = c->plan;
    for (size_t i = 0; i < plan->buffer_count; i++) plan->buffers[i].piece_count = 0;
    for (size_t k = 0; k < c->piece_count; k++) plan->buffers[c->pieces[k].buffer].piece_count++;
    plan->piece_count = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        pp__plan_buffer *b = &plan->buffers[i];
        b->first_piece = plan->piece_count;
        plan->piece_count += b->piece_count ? b->piece_count : 1;
    }
    PP_TRY(pp__allocate(plan->engine, plan->piece_count, sizeof *plan->pieces, &plan->pieces));
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        pp__plan_buffer *b = &plan->buffers[i];
        if (!b->piece_count)
            plan->pieces[b->first_piece] = (pp__plan_piece){.buffer = i,
                                                            .image_count = b->images,
                                                            .bytes = b->bytes,
                                                            .first = b->first,
                                                            .last = b->last};
        b->piece_count = !b->piece_count;
    }
    for (size_t k = 0; k < c->piece_count; k++) {
        pp__plan_buffer *b = &plan->buffers[c->pieces[k].buffer];
        plan->pieces[b->first_piece + b->piece_count++] = c->pieces[k];
    }
    return PP_OK;
}

static pp_status cut(cutting *c) {
    pp_plan *plan = c->plan;
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *c->images, &c->images));
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *c->read_at, &c->read_at));
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *c->first_current,
                        &c->first_current));
    find_images(c);
    size_t groups = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        c->first_current[i] = groups;
        groups += c->images[i] ? plan->batch / c->images[i] : 0;
    }
    PP_TRY(pp__allocate(plan->engine, groups, sizeof *c->current, &c->current));
    visit_steps(c, note_reading, touch);
    PP_TRY(c->status);
    return sort_pieces(c);
}

pp_status pp__plan_pieces(pp_plan *plan) {
    cutting c = {.plan = plan};
    pp_status status = cut(&c);
    pp__release(plan->engine, c.images);
    pp__release(plan->engine, c.read_at);
    pp__release(plan->engine, c.first_current);
    pp__release(plan->engine, c.current);
    pp__release(plan->engine, c.pieces);
    return status;
}
