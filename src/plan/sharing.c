/* Values of one band that take turns in one place.
 *
 * What lies between the nodes of a run in bands is made anew by every band, and as a buffer it lives
 * from the first band to the last. In a long run, a frozen front of many layers say, most of these
 * values are never alive at the same time: the first layers' are read for the last time before the
 * last layers' are written, in each band again. Such values share a buffer, the largest one's.
 *
 * Two values may share when no band has both of them alive. Where their buffers are of one size, or
 * the larger one's lives as long as the other's anyway, no step has more live bytes than before;
 * else the larger one's is there for longer, which a long run is worth and a short one is not. */
#include "plan/plan.h"

/* A value of one band. */
typedef struct local {
    uint32_t buffer, shared; /* the latter: whose place it takes, or its own */
    size_t first, last;      /* steps, over all bands */
    size_t from, to;         /* ... within the band at hand; `from` SIZE_MAX: not used in it */
    bool carried;            /* a band reads what an earlier one left */
} local;

typedef struct sharing {
    pp_plan *plan;
    uint32_t *number; /* per buffer: of its local, or PP__NONE */
    local *locals;    /* the largest first */
    size_t count;
    bool *conflicts; /* [count][count] */
    uint32_t *used;  /* locals of the band at hand */
    size_t used_count;
    size_t step;
} sharing;

static bool is_local(const pp_plan *plan, uint32_t buffer) {
    const pp__plan_buffer *b = &plan->buffers[buffer];
    return b->images && b->images != plan->batch && b->memory_class == PP_MEMORY_TRANSIENT;
}

static void find_locals(sharing *s) {
    for (uint32_t i = 0; i < s->plan->buffer_count; i++) {
        s->number[i] = PP__NONE;
        if (!is_local(s->plan, i)) continue;
        size_t at = s->count++;
        for (; at && s->plan->buffers[s->locals[at - 1].buffer].bytes < s->plan->buffers[i].bytes;
             at--)
            s->locals[at] = s->locals[at - 1];
        s->locals[at] = (local){.buffer = i, .shared = i, .first = SIZE_MAX, .from = SIZE_MAX};
    }
    for (uint32_t k = 0; k < s->count; k++) s->number[s->locals[k].buffer] = k;
}

static void use(void *user, uint32_t buffer, bool reads, bool writes) {
    sharing *s = user;
    if (s->number[buffer] == PP__NONE) return;
    local *l = &s->locals[s->number[buffer]];
    if (l->first == SIZE_MAX) l->first = s->step;
    l->last = s->step;
    if (l->from == SIZE_MAX) {
        l->from = s->step;
        l->carried |= reads || !writes;
        s->used[s->used_count++] = s->number[buffer];
    }
    l->to = s->step;
}

static void end_band(sharing *s) {
    for (size_t i = 0; i < s->used_count; i++) {
        const local *a = &s->locals[s->used[i]];
        for (size_t j = 0; j < i; j++) {
            const local *b = &s->locals[s->used[j]];
            if (a->from > b->to || b->from > a->to) continue;
            s->conflicts[s->used[i] * s->count + s->used[j]] = true;
            s->conflicts[s->used[j] * s->count + s->used[i]] = true;
        }
    }
    for (size_t i = 0; i < s->used_count; i++) s->locals[s->used[i]].from = SIZE_MAX;
    s->used_count = 0;
}

static bool same_band(const pp__plan_step *a, const pp__plan_step *b) {
    return a->first_image == b->first_image && a->image_count == b->image_count;
}

static void find_conflicts(sharing *s) {
    const pp_plan *plan = s->plan;
    for (s->step = 0; s->step < plan->step_count; s->step++) {
        if (s->step && !same_band(&plan->steps[s->step], &plan->steps[s->step - 1])) end_band(s);
        pp__plan_visit_step(plan, &plan->steps[s->step], use, s);
    }
    end_band(s);
}

/* Whether a place costs nothing in the steps that only the value's own buffer lived in. */
static bool is_free(const sharing *s, const local *owner, const local *l) {
    return s->plan->buffers[owner->buffer].bytes == s->plan->buffers[l->buffer].bytes ||
           (l->first >= owner->first && l->last <= owner->last);
}

static bool may_share(const sharing *s, size_t k, uint32_t place, bool longer) {
    const local *owner = &s->locals[s->number[place]], *l = &s->locals[k];
    if (owner->shared != place || owner->carried || l->first > owner->last ||
        owner->first > l->last || !(longer || is_free(s, owner, l)) ||
        s->plan->buffers[place].images != s->plan->buffers[l->buffer].images)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (s->locals[i].shared == place && s->conflicts[k * s->count + i]) return false;
    return true;
}

/* Larger values are settled before smaller ones, and the smallest place that will do is taken.
 * `longer`: places may live longer than the buffers did. */
static void settle(sharing *s, bool longer) {
    for (size_t k = 0; k < s->count; k++) {
        local *l = &s->locals[k];
        l->shared = l->buffer;
        for (size_t i = k; i-- > 0 && !l->carried && l->first != SIZE_MAX;)
            if (may_share(s, k, s->locals[i].buffer, longer)) {
                l->shared = s->locals[i].buffer;
                break;
            }
    }
}

/* The steps in which a place is taken, by whomever. */
static void life_of(const sharing *s, size_t owner, size_t *first_out, size_t *last_out) {
    *first_out = s->locals[owner].first;
    *last_out = s->locals[owner].last;
    for (size_t k = owner + 1; k < s->count; k++) {
        const local *l = &s->locals[k];
        if (l->shared != s->locals[owner].buffer) continue;
        if (l->first < *first_out) *first_out = l->first;
        if (l->last > *last_out) *last_out = l->last;
    }
}

/* The most bytes that the places take in any step; where one begins, those are summed up that are
 * there. */
static size_t most_bytes(const sharing *s) {
    size_t most = 0;
    for (size_t k = 0; k < s->count; k++) {
        size_t bytes = 0, first, last;
        for (size_t i = 0; i < s->count; i++) {
            if (s->locals[i].shared != s->locals[i].buffer) continue;
            life_of(s, i, &first, &last);
            if (first <= s->locals[k].first && s->locals[k].first <= last)
                bytes += s->plan->buffers[s->locals[i].buffer].bytes;
        }
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Longer lives are taken for an eighth less at the most. */
static void choose(sharing *s) {
    settle(s, false);
    const size_t bytes = most_bytes(s);
    settle(s, true);
    if (most_bytes(s) > bytes - bytes / 8) settle(s, false);
}

static void replace(const sharing *s, uint32_t *buffer) {
    if (*buffer != PP__NONE && s->number[*buffer] != PP__NONE)
        *buffer = s->locals[s->number[*buffer]].shared;
}

static void replace_all(const sharing *s) {
    pp_plan *plan = s->plan;
    for (size_t i = 0; i < plan->node_count; i++) replace(s, &plan->nodes[i].value);
    for (size_t i = 0; i < plan->step_count; i++) {
        pp__plan_step *step = &plan->steps[i];
        replace(s, &step->output_gradient);
        replace(s, &step->scratch);
        for (size_t j = 0; j < PP__OP_INPUTS; j++) replace(s, &step->input_gradients[j]);
    }
}

pp_status pp__plan_share_bands(pp_plan *plan) {
    sharing s = {.plan = plan};
    pp_status status = PP_OK;
    size_t most = 0;
    for (uint32_t i = 0; i < plan->buffer_count; i++) most += is_local(plan, i);
    if (most < 2) return PP_OK;
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->buffer_count, sizeof *s.number, &s.number),
                done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, most, sizeof *s.locals, &s.locals), done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, most, sizeof *s.used, &s.used), done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, most * most, sizeof *s.conflicts, &s.conflicts),
                done);
    find_locals(&s);
    find_conflicts(&s);
    choose(&s);
    replace_all(&s);
done:
    pp__release(plan->engine, s.number);
    pp__release(plan->engine, s.locals);
    pp__release(plan->engine, s.used);
    pp__release(plan->engine, s.conflicts);
    return status;
}
