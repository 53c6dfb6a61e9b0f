/* Values and gradients that wait are parked in 16 bits.
 *
 * Where the application allows it, what no step uses for a while is encoded when the wait begins
 * and decoded in front of the step that ends it. Between runs of bands these are the images of one
 * band; elsewhere the value or the gradient of a skip, while the block's main branch runs. All
 * steps compute in float32 as before; in between, the float32 tensor has no place (pieces.c sees
 * that the decoding writes it anew), and its code takes half the bytes.
 *
 * Values are parked as `half`: they come from normalised layers, and a relative error of 2^-11 is
 * the least that 16 bits offer. Gradients of a mean over the batch fall below the range of float16;
 * they are parked as `bfloat`, which has float32's range at a relative error of 2^-9. Parking what
 * was decoded gives the same code again, so an error is made once however often something waits.
 *
 * Only what is live at the peak is worth it: buffers are taken one by one, from the fullest step.
 */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

/* Steps of the whole batch in between that are worth encoding and decoding. */
enum { LEAST_STEPS = 2 };

/* One group of a buffer's images: what a piece of it holds. */
typedef struct group {
    size_t used; /* one behind the last step that used it, or 0 */
    /* One behind entries of `inserted`, or 0. */
    size_t parked;          /* what encoded it; nobody has written it since */
    size_t fetched, source; /* what decoded the float32 form that is there, and encoded its code */
    bool partial;           /* the last step used some of its images alone */
} group;

/* From behind step `from` to in front of step `to` a group of a buffer waits. */
typedef struct wait {
    uint32_t buffer;
    size_t from, to;
    size_t bytes; /* of its code, and what that saves */
} wait;

/* A step to come: in front of step `place`. */
typedef struct insertion {
    size_t place, order;
    pp__step_kind kind;
    uint32_t buffer, first_image, image_count;
    bool training_only;
} insertion;

typedef struct parking {
    pp_plan *plan;
    const pp__plan_step *step;
    size_t number;       /* of the step */
    uint32_t *images;    /* per buffer: of a group; 0: it is never parked */
    size_t *first_group; /* per buffer */
    size_t *used;        /* per buffer: the group that was used last */
    uint32_t *codes;     /* per buffer: that of its 16-bit form, or PP__NONE so far */
    group *groups;
    insertion *inserted;
    size_t inserted_count, inserted_capacity;
    wait *waits;
    size_t wait_count, wait_capacity;
    pp_status status;
} parking;

static bool runs_in_inference(const pp__plan_step *step) {
    return (step->kind == PP__STEP_FORWARD || step->kind == PP__STEP_COPY_VALUE) &&
           !step->training_only;
}

static bool is_value(const pp_plan *plan, uint32_t buffer) {
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].value == buffer) return true;
    return false;
}

/* One behind the new entry. Inference does without, so far. */
static size_t insert(parking *p, pp__step_kind kind, size_t place, uint32_t buffer,
                     uint32_t first_image) {
    if (p->status == PP_OK)
        p->status = pp__grow(p->plan->engine, &p->inserted, &p->inserted_capacity,
                             p->inserted_count + 1, sizeof *p->inserted);
    if (p->status != PP_OK) return 0;
    p->inserted[p->inserted_count] = (insertion){.place = place,
                                                 .order = p->inserted_count,
                                                 .kind = kind,
                                                 .buffer = buffer,
                                                 .first_image = first_image,
                                                 .image_count = p->images[buffer],
                                                 .training_only = true};
    return ++p->inserted_count;
}

static void note_wait(parking *p, uint32_t buffer, size_t from) {
    const pp_plan *plan = p->plan;
    if (p->status == PP_OK)
        p->status = pp__grow(plan->engine, &p->waits, &p->wait_capacity, p->wait_count + 1,
                             sizeof *p->waits);
    if (p->status != PP_OK) return;
    const size_t bytes = plan->buffers[buffer].bytes / plan->batch * p->images[buffer] / 2;
    p->waits[p->wait_count++] = (wait){buffer, from, p->number, bytes};
}

/* Bands wait while other bands come; the batch, while other steps do. */
static bool has_waited(const parking *p, uint32_t buffer, const group *g, bool partial) {
    if (!g->used) return false;
    if (p->images[buffer] < p->plan->batch) return &p->groups[p->used[buffer]] != g;
    return p->number - (g->used - 1) > LEAST_STEPS && !(g->partial && partial);
}

static void use(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)reads, (void)writes;
    parking *p = user;
    const uint32_t images = p->images[buffer];
    if (!images || p->status != PP_OK) return;
    const pp__plan_step *step = p->step;
    const size_t number = p->first_group[buffer] + step->first_image / images;
    group *g = &p->groups[number];
    if (g->used == p->number + 1) return; /* a second use by the step */
    const pp__plan_use q = pp__plan_use_of(p->plan, step, buffer);
    const bool partial = step->image_count < images;
    if ((q.reads || partial) && has_waited(p, buffer, g, partial)) {
        const uint32_t first_image = step->first_image / images * images;
        note_wait(p, buffer, g->used - 1);
        if (!g->parked) g->parked = insert(p, PP__STEP_PARK, g->used, buffer, first_image);
        g->fetched = insert(p, PP__STEP_FETCH, p->number, buffer, first_image);
        g->source = g->parked;
        if (p->status != PP_OK) return;
    }
    if (!q.reads && !partial) g->fetched = 0;
    if (g->fetched && runs_in_inference(step))
        p->inserted[g->fetched - 1].training_only = p->inserted[g->source - 1].training_only =
            false;
    if (q.writes) g->parked = 0;
    g->used = p->number + 1;
    g->partial = partial;
    p->used[buffer] = number;
}

/* Activations and their gradients of whole batches, but for what applications read. */
static void leave_out_others(parking *p) {
    const pp_plan *plan = p->plan;
    const uint32_t prediction = plan->nodes[pp__plan_prediction(plan)].value;
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        const pp__plan_buffer *b = &plan->buffers[i];
        p->codes[i] = PP__NONE;
        if (b->memory_class != PP_MEMORY_TRANSIENT || b->saved != PP__NONE ||
            b->images != plan->batch || i == prediction)
            p->images[i] = 0;
    }
}

static int compare_insertions(const void *a, const void *b) {
    const insertion *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    if (x->kind != y->kind) return x->kind == PP__STEP_PARK ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static pp_status find_code(parking *p, uint32_t buffer, uint32_t *code_out) {
    pp_plan *plan = p->plan;
    if (p->codes[buffer] == PP__NONE) {
        const size_t raw_bytes = plan->buffers[buffer].bytes;
        PP_TRY(pp__plan_add_buffer(plan, plan->buffers[buffer].name, "parked", PP_MEMORY_TRANSIENT,
                                   raw_bytes, raw_bytes / 2, &p->codes[buffer]));
        pp__plan_buffer *code = &plan->buffers[p->codes[buffer]];
        code->images = plan->batch;
        code->parked.codec =
            is_value(plan, buffer) ? pp__codec_find("half") : pp__codec_find("bfloat");
    }
    *code_out = p->codes[buffer];
    return PP_OK;
}

static pp_status add_inserted(parking *p, const insertion *entry, uint32_t node) {
    pp_plan *plan = p->plan;
    uint32_t code;
    PP_TRY(find_code(p, entry->buffer, &code));
    const bool parks = entry->kind == PP__STEP_PARK;
    pp__plan_step *step;
    PP_TRY(pp__plan_add_step(plan, entry->kind, node, "", &step));
    step->output_gradient = parks ? entry->buffer : code;
    step->input_gradients[0] = parks ? code : entry->buffer;
    step->first_image = entry->first_image;
    step->image_count = entry->image_count;
    step->training_only = entry->training_only;
    pp__release(plan->engine, step->name);
    step->name = NULL;
    return pp__plan_name(plan, plan->buffers[entry->buffer].name, parks ? "park" : "fetch",
                         &step->name);
}

/* Parked behind the step that began the wait: each step takes what is inserted in front of it. */
static pp_status insert_steps(parking *p, pp__plan_step *old, size_t old_count) {
    pp_plan *plan = p->plan;
    size_t next = 0;
    for (size_t s = 0; s < old_count; s++) {
        for (; next < p->inserted_count && p->inserted[next].place == s; next++)
            PP_TRY(add_inserted(p, &p->inserted[next],
                                old[s - (p->inserted[next].kind == PP__STEP_PARK)].node));
        PP_TRY(pp__grow(plan->engine, &plan->steps, &plan->step_capacity, plan->step_count + 1,
                        sizeof *plan->steps));
        plan->steps[plan->step_count++] = old[s];
        old[s].name = NULL; /* the plan's now */
    }
    return PP_OK;
}

static pp_status rewrite(parking *p) {
    pp_plan *plan = p->plan;
    if (!p->inserted_count) return PP_OK;
    qsort(p->inserted, p->inserted_count, sizeof *p->inserted, compare_insertions);
    pp__plan_step *old = plan->steps;
    const size_t old_count = plan->step_count;
    plan->steps = NULL;
    plan->step_count = plan->step_capacity = 0;
    const pp_status status = insert_steps(p, old, old_count);
    for (size_t s = 0; s < old_count; s++) pp__release(plan->engine, old[s].name);
    pp__release(plan->engine, old);
    return status;
}

static void find_waits(parking *p) {
    p->wait_count = p->inserted_count = 0;
    for (p->number = 0; p->number < p->plan->step_count; p->number++) {
        p->step = &p->plan->steps[p->number];
        pp__plan_visit_step(p->plan, p->step, use, p);
    }
}

/* --- What is worth it --- */

/* Bytes at each step, at 2 * step, and of what lives on from one step to the next, at 2 * step + 1.
 * There steps are inserted, one after the other: while one of them works, there are the float32
 * tensor and the code of what it moves, and one of the two of all the others. */
typedef struct levels {
    size_t *live; /* with the codes of what waits */
    size_t *sum;  /* of the inserted steps' codes, by which float32 tensors exceed theirs, ... */
    size_t *most; /* ... and the largest */
    size_t count;
} levels;

static pp_status make_levels(const pp_plan *plan, levels *l) {
    l->count = 2 * plan->step_count;
    PP_TRY(pp__allocate(plan->engine, l->count, sizeof *l->live, &l->live));
    PP_TRY(pp__allocate(plan->engine, l->count, sizeof *l->sum, &l->sum));
    return pp__allocate(plan->engine, l->count, sizeof *l->most, &l->most);
}

static void release_levels(const pp_plan *plan, levels *l) {
    pp__release(plan->engine, l->live);
    pp__release(plan->engine, l->sum);
    pp__release(plan->engine, l->most);
}

static void copy_levels(const levels *from, levels *to) {
    memcpy(to->live, from->live, from->count * sizeof *from->live);
    memcpy(to->sum, from->sum, from->count * sizeof *from->sum);
    memcpy(to->most, from->most, from->count * sizeof *from->most);
}

static size_t level_at(const levels *l, size_t at) {
    return l->live[at] + l->sum[at] + l->most[at];
}

static size_t highest(const levels *l) {
    size_t at = 0;
    for (size_t i = 1; i < l->count; i++)
        if (level_at(l, i) > level_at(l, at)) at = i;
    return at;
}

static void insert_at(levels *l, size_t at, size_t bytes) {
    l->sum[at] += bytes;
    if (l->most[at] < bytes) l->most[at] = bytes;
}

/* A buffer's waits, all of them. */
static void lower(const parking *p, uint32_t buffer, levels *l) {
    for (size_t i = 0; i < p->wait_count; i++) {
        const wait *w = &p->waits[i];
        if (w->buffer != buffer) continue;
        for (size_t at = 2 * w->from + 1; at < 2 * w->to; at++) l->live[at] -= w->bytes;
        insert_at(l, 2 * w->from + 1, w->bytes);
        insert_at(l, 2 * w->to - 1, w->bytes);
    }
}

/* The levels of the plan as it is. */
static pp_status measure(pp_plan *plan, levels *l) {
    pp__plan_lives(plan);
    PP_TRY(pp__plan_pieces(plan));
    for (size_t i = 0; i < plan->piece_count; i++) {
        const pp__plan_piece *piece = &plan->pieces[i];
        for (size_t at = 2 * piece->first; at <= 2 * piece->last; at++) l->live[at] += piece->bytes;
    }
    pp__release(plan->engine, plan->pieces);
    plan->pieces = NULL;
    return PP_OK;
}

/* Of the buffers that wait there and are still to be decided on, the one of which most does, or
 * PP__NONE. `sums` holds zeros, before and afterwards. */
static uint32_t largest_waiting(const parking *p, size_t at, const bool *decided, size_t *sums) {
    uint32_t largest = PP__NONE;
    for (size_t i = 0; i < p->wait_count; i++) {
        const wait *w = &p->waits[i];
        if (decided[w->buffer] || at <= 2 * w->from || at >= 2 * w->to) continue;
        sums[w->buffer] += w->bytes;
        if (largest == PP__NONE || sums[w->buffer] > sums[largest]) largest = w->buffer;
    }
    for (size_t i = 0; i < p->wait_count; i++) sums[p->waits[i].buffer] = 0;
    return largest;
}

/* What waits where most is live is parked, unless that makes more somewhere else, until nothing
 * waits there. */
static void relieve(const parking *p, levels *now, levels *next, bool *decided, bool *parked,
                    size_t *sums) {
    for (;;) {
        const size_t at = highest(now);
        const uint32_t buffer = largest_waiting(p, at, decided, sums);
        if (buffer == PP__NONE) return;
        decided[buffer] = true;
        copy_levels(now, next);
        lower(p, buffer, next);
        parked[buffer] = level_at(next, highest(next)) <= level_at(now, at);
        if (parked[buffer]) copy_levels(next, now);
    }
}

/* Leaves to find_waits only the buffers without whose waits the peak is lower. */
static pp_status choose(parking *p) {
    pp_plan *plan = p->plan;
    levels now = {0}, next = {0};
    bool *decided = NULL, *parked = NULL;
    size_t *sums = NULL;
    pp_status status = make_levels(plan, &now);
    PP_TRY_GOTO(status, make_levels(plan, &next), done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->buffer_count, sizeof *decided, &decided),
                done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->buffer_count, sizeof *parked, &parked),
                done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->buffer_count, sizeof *sums, &sums), done);
    PP_TRY_GOTO(status, measure(plan, &now), done);
    relieve(p, &now, &next, decided, parked, sums);
    for (size_t i = 0; i < plan->buffer_count; i++)
        if (!parked[i]) p->images[i] = 0;
done:
    release_levels(plan, &now);
    release_levels(plan, &next);
    pp__release(plan->engine, decided);
    pp__release(plan->engine, parked);
    pp__release(plan->engine, sums);
    return status;
}

static pp_status park(parking *p) {
    pp_plan *plan = p->plan;
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *p->images, &p->images));
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *p->first_group, &p->first_group));
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *p->used, &p->used));
    PP_TRY(pp__allocate(plan->engine, plan->buffer_count, sizeof *p->codes, &p->codes));
    pp__plan_piece_images(plan, p->images);
    leave_out_others(p);
    size_t count = 0;
    for (size_t i = 0; i < plan->buffer_count; i++) {
        p->first_group[i] = count;
        count += p->images[i] ? plan->batch / p->images[i] : 0;
    }
    PP_TRY(pp__allocate(plan->engine, count, sizeof *p->groups, &p->groups));
    find_waits(p);
    PP_TRY(p->status);
    PP_TRY(choose(p));
    memset(p->groups, 0, count * sizeof *p->groups);
    find_waits(p);
    PP_TRY(p->status);
    return rewrite(p);
}

pp_status pp__plan_park(pp_plan *plan) {
    if (plan->transient_bits != 16) return PP_OK;
    parking p = {.plan = plan};
    const pp_status status = park(&p);
    pp__release(plan->engine, p.images);
    pp__release(plan->engine, p.first_group);
    pp__release(plan->engine, p.used);
    pp__release(plan->engine, p.codes);
    pp__release(plan->engine, p.groups);
    pp__release(plan->engine, p.inserted);
    pp__release(plan->engine, p.waits);
    return status;
}
