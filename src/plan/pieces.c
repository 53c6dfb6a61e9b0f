/* Which buffers fall into pieces, and the pieces' lives. Between two runs of nodes that both work in
 * bands, a value, its gradient or its code is never needed as a whole: each band's images come and
 * go with the steps that take them. So the output of one run grows where its input shrinks, and
 * codes make room, band by band, for the gradient that backward makes of them. */
#include "plan/plan.h"

/* A piece shorter than this costs the planner more than it saves. */
enum { LEAST_BYTES = 1024 };

uint32_t pp__plan_prediction(const pp_plan *plan) {
    return plan->loss_node != PP__NONE ? plan->nodes[plan->loss_node].inputs[0]
                                       : (uint32_t)plan->node_count - 1;
}

typedef struct cutting {
    pp_plan *plan;
    const pp__plan_step *step;
    size_t number;    /* of the step */
    uint32_t *images; /* per buffer: what its pieces hold; the batch where it has but one */
} cutting;

static void walk(cutting *c, pp__use_visitor *visit) {
    for (c->number = 0; c->number < c->plan->step_count; c->number++) {
        c->step = &c->plan->steps[c->number];
        pp__plan_visit_step(c->plan, c->step, visit, c);
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

/* The application writes and reads whole batches. */
static void keep_whole(const cutting *c, uint32_t buffer) {
    c->images[buffer] = c->plan->batch;
}

static void find_images(cutting *c) {
    const pp_plan *plan = c->plan;
    walk(c, widen);
    walk(c, check_bands);
    keep_whole(c, plan->input);
    keep_whole(c, plan->nodes[pp__plan_prediction(plan)].value);
    for (size_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        if (!c->images[i] || b->images != plan->batch || plan->batch % c->images[i] ||
            b->bytes / plan->batch * c->images[i] < LEAST_BYTES)
            c->images[i] = plan->batch;
    }
}

static void touch(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)reads, (void)writes;
    const cutting *c = user;
    const pp__plan_buffer *b = &c->plan->buffers[buffer];
    if (b->piece_count == 1) return;
    pp__plan_piece *piece =
        &c->plan->pieces[b->first_piece + c->step->first_image / c->images[buffer]];
    if (c->number < piece->first) piece->first = c->number;
    if (c->number > piece->last) piece->last = c->number;
}

static pp_status add_pieces(cutting *c) {
    pp_plan *plan = c->plan;
    plan->piece_count = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        pp__plan_buffer *b = &plan->buffers[i];
        b->first_piece = plan->piece_count;
        b->piece_count = plan->batch / c->images[i];
        plan->piece_count += b->piece_count;
    }
    PP_TRY(pp__allocate(plan->engine, plan->piece_count, sizeof *plan->pieces, &plan->pieces));
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        const bool is_whole = b->piece_count == 1;
        for (size_t k = 0; k < b->piece_count; k++)
            plan->pieces[b->first_piece + k] =
                (pp__plan_piece){.buffer = i,
                                 .bytes = b->bytes / b->piece_count,
                                 .first = is_whole ? b->first : SIZE_MAX,
                                 .last = is_whole ? b->last : 0};
    }
    return PP_OK;
}

pp_status pp__plan_pieces(pp_plan *plan) {
    cutting c = {.plan = plan};
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *c.images, &c.images));
    find_images(&c);
    pp_status status = add_pieces(&c);
    if (status == PP_OK) walk(&c, touch);
    pp__release(plan->engine, c.images);
    return status;
}
