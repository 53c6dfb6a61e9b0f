/* Bands of images: a run of nodes is worked on a few images at a time, so that what lies between
 * them never exists for the whole batch.
 *
 * The plan is first made as if there were no bands. Here the steps of such a run, forward and
 * backward each, are taken out as *templates* and put back once per band. A buffer that is born and
 * dies among them holds one band from then on.
 *
 * Normalisation needs the whole batch's statistics in the middle. Its steps are divided: what comes
 * in front of the statistics makes one pass over all bands, what comes behind them another; the
 * later pass computes again, band by band, what it needs of the earlier one's values. So each
 * template has a *level*, the pass in which it can run first, and pass p consists of the templates
 * of level p and of those that make the band-sized values they read. Results do not depend on how
 * often a template runs: what is added up (gradients of weights, partial sums) is so once.
 *
 *     conv, bn, add    pass 0, per band: conv (its moments)       then once: bn's statistics
 *                      pass 1, per band: conv again, bn, add
 *     backward         pass 0, per band: add, bn's sums           then once: bn's totals
 *                      pass 1, per band: bn, conv's weight gradient (added), conv
 *
 * A run of one node has nothing between its nodes, but its output can take its input's place, and
 * its input's gradient that of its output, a band at a time by way of scratch. */
#include <inttypes.h>
#include <string.h>

#include "plan/plan.h"
#include "util/size.h"
#include "util/text.h"

/* A run of one node whose output takes its input's place. */
static bool overwrites(const pp_plan *plan, uint32_t node) {
    const pp__plan_node *n = &plan->nodes[node];
    return pp__plan_runs_alone(plan, node) && n->value == plan->nodes[n->inputs[0]].value;
}

typedef struct template {
    pp__plan_step step;
    size_t level, least_level;
    bool whole;            /* runs once, behind its pass, with all images */
    bool wanted;           /* by the pass at hand */
    bool wanted_untrained; /* ... by what inference does of it */
}
template;

typedef struct expansion {
    pp_plan *plan;
    const pp__plan_run *run;
    template *templates;
    size_t count, capacity;
    size_t first, end;  /* the steps taken out */
    uint32_t workspace; /* of all its steps; what lies there is nobody's between two of them */
} expansion;

static bool is_local(const expansion *e, uint32_t buffer) {
    const pp__plan_buffer *b = &e->plan->buffers[buffer];
    return b->images && b->images < e->plan->batch;
}

static pp__plan_use ask(const expansion *e, size_t t, uint32_t buffer) {
    return pp__plan_use_of(e->plan, &e->templates[t].step, buffer);
}

/* The last template before t that writes `buffer`, or t where there is none. */
static size_t writer_before(const expansion *e, size_t t, uint32_t buffer) {
    for (size_t w = t; w-- > 0;)
        if (ask(e, w, buffer).writes) return w;
    return t;
}

/* The pass in which `later` may run at the earliest, for what `earlier` does. */
static size_t level_behind(const template *earlier, const template *later) {
    return earlier->level + (earlier->whole && !later->whole);
}

typedef struct leveling {
    expansion *e;
    size_t t;
} leveling;

static void raise_level(leveling *l, size_t other) {
    template *t = &l->e->templates[l->t];
    size_t least = level_behind(&l->e->templates[other], t);
    if (t->level < least) t->level = least;
}

static void level_use(void *user, uint32_t buffer, bool reads, bool writes) {
    leveling *l = user;
    if (buffer == l->e->workspace) return;
    if (reads) {
        size_t writer = writer_before(l->e, l->t, buffer);
        if (writer != l->t) raise_level(l, writer);
    }
    if (!writes || is_local(l->e, buffer)) return;
    for (size_t u = 0; u < l->t; u++) {
        pp__plan_use q = ask(l->e, u, buffer);
        if (q.reads || q.writes) raise_level(l, u);
    }
}

static void find_levels(expansion *e) {
    for (size_t t = 0; t < e->count; t++) {
        leveling l = {e, t};
        pp__plan_visit_step(e->plan, &e->templates[t].step, level_use, &l);
    }
}

/* The level up to which template t may wait: that of the first template that needs what it makes for
 * a band, or that comes behind it in what it makes of the batch. SIZE_MAX: nobody does. */
typedef struct patience {
    const expansion *e;
    size_t t, level;
} patience;

static void limit_patience(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)reads;
    patience *p = user;
    if (!writes || buffer == p->e->workspace) return;
    const bool local = is_local(p->e, buffer);
    for (size_t x = p->t + 1; x < p->e->count; x++) {
        const pp__plan_use q = ask(p->e, x, buffer);
        if (!q.reads && (local || !q.writes)) continue;
        if (local && writer_before(p->e, x, buffer) != p->t) continue;
        if (p->e->templates[x].level < p->level) p->level = p->e->templates[x].level;
    }
}

/* What nobody waits for may wait for the others that read the same images of a band, so that these
 * are made once for all. */
static void wait_for_readers(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)writes;
    patience *p = user;
    if (!reads || !is_local(p->e, buffer)) return;
    const size_t writer = writer_before(p->e, p->t, buffer);
    for (size_t x = 0; x < p->e->count; x++) {
        if (x == p->t || !ask(p->e, x, buffer).reads) continue;
        if (writer_before(p->e, x, buffer) != writer) continue;
        if (p->e->templates[x].level < p->level) p->level = p->e->templates[x].level;
    }
}

/* What it reads of the batch must not be written over meanwhile. */
static void limit_reading(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)writes;
    patience *p = user;
    if (!reads || is_local(p->e, buffer) || buffer == p->e->workspace) return;
    for (size_t x = p->t + 1; x < p->e->count; x++)
        if (ask(p->e, x, buffer).writes && p->e->templates[x].level < p->level)
            p->level = p->e->templates[x].level;
}

/* What nobody needs before a later pass would be computed again there: it waits, unless what it
 * reads is gone by then. */
static void postpone(expansion *e) {
    for (size_t t = e->count; t-- > 0;) {
        template *at = &e->templates[t];
        if (at->whole) continue;
        patience p = {e, t, SIZE_MAX};
        pp__plan_visit_step(e->plan, &at->step, limit_patience, &p);
        if (p.level == SIZE_MAX) pp__plan_visit_step(e->plan, &at->step, wait_for_readers, &p);
        if (p.level == SIZE_MAX) continue;
        pp__plan_visit_step(e->plan, &at->step, limit_reading, &p);
        if (p.level > at->level) at->level = p.level;
    }
}

static void want(expansion *e, size_t t, bool untrained);

typedef struct wanting {
    expansion *e;
    size_t t;
    bool untrained;
} wanting;

static void want_maker(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)writes;
    const wanting *w = user;
    if (!reads || !is_local(w->e, buffer)) return;
    size_t writer = writer_before(w->e, w->t, buffer);
    if (writer != w->t) want(w->e, writer, w->untrained);
}

/* The template, and those that make the band-sized values it reads. */
static void want(expansion *e, size_t t, bool untrained) {
    template *wanted = &e->templates[t];
    if (untrained ? wanted->wanted_untrained : wanted->wanted) return;
    *(untrained ? &wanted->wanted_untrained : &wanted->wanted) = true;
    wanting w = {e, t, untrained};
    pp__plan_visit_step(e->plan, &wanted->step, want_maker, &w);
}

/* Inference needs a template for values of whole batches alone, not for moments. */
static bool makes_whole_value(const expansion *e, const template *t) {
    if (t->step.kind == PP__STEP_COPY_VALUE) return true;
    return t->step.kind == PP__STEP_FORWARD && t->step.scratch == PP__NONE &&
           !is_local(e, e->plan->nodes[t->step.node].value);
}

static void want_pass(expansion *e, size_t pass) {
    for (size_t t = 0; t < e->count; t++)
        e->templates[t].wanted = e->templates[t].wanted_untrained = false;
    for (size_t t = 0; t < e->count; t++) {
        const template *at = &e->templates[t];
        if (at->level != pass) continue;
        if (!at->whole) want(e, t, false);
        if (makes_whole_value(e, at)) want(e, t, true);
    }
}

/* What a pass reads again must still be there: nobody of an earlier pass has written over it. */
typedef struct rereading {
    const expansion *e;
    size_t t, pass;
    bool lost;
} rereading;

static void check_reread(void *user, uint32_t buffer, bool reads, bool writes) {
    (void)writes;
    rereading *r = user;
    if (!reads || is_local(r->e, buffer) || buffer == r->e->workspace) return;
    for (size_t x = r->t + 1; x < r->e->count; x++)
        r->lost |= r->e->templates[x].level < r->pass && ask(r->e, x, buffer).writes;
}

static bool loses_what_it_reads(const expansion *e, size_t t, size_t pass) {
    rereading r = {e, t, pass, false};
    if (e->templates[t].wanted && e->templates[t].level < pass)
        pp__plan_visit_step(e->plan, &e->templates[t].step, check_reread, &r);
    return r.lost;
}

static size_t count_passes(const expansion *e) {
    size_t count = 0;
    for (size_t t = 0; t < e->count; t++)
        if (e->templates[t].level >= count) count = e->templates[t].level + 1;
    return count;
}

/* A template that cannot run again where a later pass wants it, or e->count. */
static size_t find_lost(expansion *e) {
    const size_t pass_count = count_passes(e);
    for (size_t pass = 1; pass < pass_count; pass++) {
        want_pass(e, pass);
        for (size_t t = 0; t < e->count; t++)
            if (loses_what_it_reads(e, t, pass)) return t;
    }
    return e->count;
}

static pp_status settle_levels(expansion *e) {
    find_levels(e);
    for (size_t t = 0; t < e->count; t++) e->templates[t].least_level = e->templates[t].level;
    postpone(e);
    if (find_lost(e) == e->count) return PP_OK;
    for (size_t t = 0; t < e->count; t++) e->templates[t].level = e->templates[t].least_level;
    const size_t lost = find_lost(e);
    if (lost == e->count) return PP_OK;
    return pp__fail(e->plan->engine, PP_ERROR_UNSUPPORTED,
                    "plan: '%s' to '%s' cannot run in bands: '%s' would have to read again what is "
                    "written over",
                    e->plan->nodes[e->run->first].name, e->plan->nodes[e->run->last].name,
                    e->templates[lost].step.name);
}

static pp_status emit(expansion *e, const template *t, size_t pass, uint32_t first_image,
                      uint32_t image_count) {
    pp_plan *plan = e->plan;
    PP_TRY(pp__grow(plan->engine, &plan->steps, &plan->step_capacity, plan->step_count + 1,
                    sizeof *plan->steps));
    pp__plan_step *step = &plan->steps[plan->step_count];
    *step = t->step;
    step->name = NULL;
    step->first_image = first_image;
    step->image_count = image_count;
    step->repeated = t->level < pass;
    step->training_only = !t->wanted_untrained;
    plan->step_count++;
    return pp__copy_text(plan->engine, t->step.name, &step->name);
}

static pp_status emit_passes(expansion *e) {
    const size_t pass_count = count_passes(e);
    for (size_t pass = 0; pass < pass_count; pass++) {
        want_pass(e, pass);
        for (uint32_t image = 0; image < e->plan->batch; image += e->run->images)
            for (size_t t = 0; t < e->count; t++)
                if (e->templates[t].wanted)
                    PP_TRY(emit(e, &e->templates[t], pass, image, e->run->images));
        for (size_t t = 0; t < e->count; t++)
            if (e->templates[t].whole && e->templates[t].level == pass)
                PP_TRY(emit(e, &e->templates[t], pass, 0, e->templates[t].step.image_count));
    }
    return PP_OK;
}

static size_t workspace_bytes(const expansion *e, const pp__plan_step *step, pp__pass pass,
                              uint32_t image_count) {
    const pp__op *op = e->plan->nodes[step->node].op;
    pp__op_query q;
    pp__stored stored[PP__OP_SAVES];
    if (!op->workspace) return 0;
    pp__plan_query_band(e->plan, step->node, image_count, e->plan->profile, &q, stored);
    return op->workspace(&q, pass);
}

/* Scratch for a band, in the place of that for the batch. It holds nothing from one step to the next,
 * so that one buffer serves the whole run. */
static pp_status fit_workspace(expansion *e, pp__plan_step *step, pp__pass pass,
                               uint32_t image_count) {
    pp_plan *plan = e->plan;
    const size_t bytes = workspace_bytes(e, step, pass, image_count);
    step->workspace = PP__NONE;
    if (!bytes) return PP_OK;
    if (e->workspace == PP__NONE)
        PP_TRY(pp__plan_add_buffer(plan, plan->nodes[e->run->first].name, "workspace",
                                   PP_MEMORY_WORKSPACE, 0, 0, &e->workspace));
    pp__plan_buffer *buffer = &plan->buffers[e->workspace];
    if (buffer->bytes < bytes) buffer->bytes = buffer->raw_bytes = bytes;
    step->workspace = e->workspace;
    return PP_OK;
}

/* What sums and totals leave for the steps behind them. */
static pp_status add_sums(expansion *e, pp__plan_step *step) {
    const size_t bytes = workspace_bytes(e, step, PP__PASS_BACKWARD, e->run->images);
    return pp__plan_add_buffer(e->plan, e->plan->nodes[step->node].name, "sums",
                               PP_MEMORY_WORKSPACE, bytes, bytes, &step->workspace);
}

static pp_status add_template(expansion *e, const pp__plan_step *from, pp__step_kind kind,
                              const char *what, template **template_out) {
    pp_plan *plan = e->plan;
    PP_TRY(pp__grow(plan->engine, &e->templates, &e->capacity, e->count + 1, sizeof *e->templates));
    template *t = &e->templates[e->count];
    *t = (template){.step = *from};
    t->step.kind = kind;
    t->step.name = NULL;
    t->step.image_count = e->run->images;
    e->count++;
    *template_out = t;
    if (!what) return pp__copy_text(plan->engine, from->name, &t->step.name);
    return pp__plan_name(plan, plan->nodes[from->node].name, what, &t->step.name);
}

static size_t moment_bytes(const pp__plan_node *node) {
    return (size_t)node->moment_splits * PP__OP_MOMENTS * node->shape.c * sizeof(float);
}

/* Moments of a value whose maker gives none. */
static pp_status add_moments(expansion *e, const pp__plan_step *from) {
    pp_plan *plan = e->plan;
    const pp__plan_node *node = &plan->nodes[from->node];
    pp__plan_node *source = &plan->nodes[node->inputs[0]];
    pp__op_query q;
    pp__stored stored[PP__OP_SAVES];
    pp__plan_query_band(plan, from->node, e->run->images, plan->profile, &q, stored);
    source->moment_splits = node->op->input_splits(&q) * q.bands;
    source->moments_apart = true;
    PP_TRY(pp__plan_add_buffer(plan, source->name, "moments", PP_MEMORY_WORKSPACE,
                               moment_bytes(source), moment_bytes(source), &source->moments));
    template *t;
    PP_TRY(add_template(e, from, PP__STEP_MOMENTS, "moments", &t));
    t->step.workspace = PP__NONE;
    return PP_OK;
}

/* The node that normalises this one's output; moments are made for it alone. */
static uint32_t normaliser_of(const pp_plan *plan, uint32_t node) {
    for (uint32_t i = node + 1; i < plan->node_count; i++)
        if (pp__plan_normalises(&plan->nodes[i]) && plan->nodes[i].inputs[0] == node) return i;
    return PP__NONE;
}

/* Others would find moments that are not there yet. */
static bool is_only_normaliser(const pp_plan *plan, uint32_t node) {
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (i != node && pp__plan_normalises(&plan->nodes[i]) &&
            plan->nodes[i].inputs[0] == plan->nodes[node].inputs[0])
            return false;
    return true;
}

/* Bands of too few pixels for moments: their reader takes them of the whole batch. */
static pp_status add_whole_moments(expansion *e, const pp__plan_step *from) {
    template *t;
    PP_TRY(add_template(e, from, PP__STEP_MOMENTS, "moments", &t));
    t->step.node = normaliser_of(e->plan, from->node);
    t->step.workspace = PP__NONE;
    t->step.image_count = e->plan->batch;
    t->whole = true;
    return PP_OK;
}

static pp_status add_scratch(const expansion *e, uint32_t node, uint32_t *buffer_out) {
    pp_plan *plan = e->plan;
    const size_t bytes = pp__shape_bytes(plan->nodes[node].shape) / plan->batch * e->run->images;
    PP_TRY(pp__plan_add_buffer(plan, plan->nodes[node].name, "band", PP_MEMORY_TRANSIENT, bytes,
                               bytes, buffer_out));
    plan->buffers[*buffer_out].images = e->run->images;
    return PP_OK;
}

static pp_status add_forward(expansion *e, const pp__plan_step *from) {
    pp_plan *plan = e->plan;
    const pp__plan_node *node = &plan->nodes[from->node];
    template *t;
    bool divides = pp__plan_normalises(node) && !plan->inference;
    if (divides) {
        const pp__plan_node *source = &plan->nodes[node->inputs[0]];
        if (source->moments == PP__NONE &&
            (is_local(e, source->value) || is_only_normaliser(plan, from->node)))
            PP_TRY(add_moments(e, from));
        PP_TRY(add_template(e, from, PP__STEP_STATISTICS, "statistics", &t));
        t->whole = true;
        t->step.image_count = plan->batch;
        t->step.workspace = PP__NONE;
        PP_TRY(fit_workspace(e, &t->step, PP__PASS_FORWARD, plan->batch));
    }
    PP_TRY(add_template(e, from, PP__STEP_FORWARD, NULL, &t));
    t->step.divided = divides;
    PP_TRY(fit_workspace(e, &t->step, PP__PASS_FORWARD, e->run->images));
    return node->moments_whole ? add_whole_moments(e, from) : PP_OK;
}

/* A run of one node: in bands where its output takes the input's place, whole elsewhere. */
static pp_status add_forward_alone(expansion *e, const pp__plan_step *from) {
    template *t;
    PP_TRY(add_template(e, from, PP__STEP_FORWARD, NULL, &t));
    if (!overwrites(e->plan, from->node)) {
        t->whole = true;
        t->step.image_count = e->plan->batch;
        return PP_OK;
    }
    PP_TRY(fit_workspace(e, &t->step, PP__PASS_FORWARD, e->run->images));
    PP_TRY(add_scratch(e, from->node, &t->step.scratch));
    const uint32_t scratch = t->step.scratch;
    PP_TRY(add_template(e, from, PP__STEP_COPY_VALUE, "copy", &t));
    t->step.scratch = scratch;
    return e->plan->nodes[from->node].moments_whole ? add_whole_moments(e, from) : PP_OK;
}

/* The parameters' gradients need no bands; the input's does where it takes the output's place. */
static pp_status add_backward_alone(expansion *e, const pp__plan_step *from) {
    template *t;
    PP_TRY(add_template(e, from, from->kind, NULL, &t));
    if (from->kind == PP__STEP_BACKWARD_PARAMETERS ||
        from->input_gradients[0] != from->output_gradient) {
        t->whole = true;
        t->step.image_count = e->plan->batch;
        return PP_OK;
    }
    PP_TRY(fit_workspace(e, &t->step, PP__PASS_BACKWARD, e->run->images));
    PP_TRY(add_scratch(e, e->plan->nodes[from->node].inputs[0], &t->step.input_gradients[0]));
    const uint32_t scratch = t->step.input_gradients[0];
    PP_TRY(add_template(e, from, PP__STEP_COPY_GRADIENT, "copy gradient", &t));
    t->step.node = e->plan->nodes[from->node].inputs[0];
    t->step.output_gradient = scratch;
    t->step.input_gradients[0] = from->output_gradient;
    t->step.workspace = PP__NONE;
    return PP_OK;
}

static pp_status add_backward(expansion *e, const pp__plan_step *from) {
    const pp__plan_node *node = &e->plan->nodes[from->node];
    template *t;
    if (pp__plan_runs_alone(e->plan, from->node)) return add_backward_alone(e, from);
    if (!pp__plan_normalises(node)) {
        PP_TRY(add_template(e, from, from->kind, NULL, &t));
        return fit_workspace(
            e, &t->step,
            from->kind == PP__STEP_BACKWARD ? PP__PASS_BACKWARD : PP__PASS_BACKWARD_PARAMETERS,
            e->run->images);
    }
    pp__plan_step step = *from;
    PP_TRY(add_sums(e, &step));
    step.divided = true;
    PP_TRY(add_template(e, &step, PP__STEP_BACKWARD_SUMS, "backward sums", &t));
    PP_TRY(add_template(e, &step, PP__STEP_BACKWARD_TOTALS, "backward totals", &t));
    t->whole = true;
    if (step.input_gradients[0] == PP__NONE) return PP_OK;
    return add_template(e, &step, PP__STEP_BACKWARD, NULL, &t);
}

static pp_status add_templates(expansion *e, const pp__plan_step *steps) {
    for (size_t s = e->first; s < e->end; s++) {
        const pp__plan_step *from = &steps[s];
        template *t;
        switch (from->kind) {
            case PP__STEP_FORWARD:
                PP_TRY(pp__plan_runs_alone(e->plan, from->node) ? add_forward_alone(e, from)
                                                                : add_forward(e, from));
                break;
            case PP__STEP_BACKWARD_PARAMETERS:
            case PP__STEP_BACKWARD: PP_TRY(add_backward(e, from)); break;
            case PP__STEP_UPDATE: break; /* follows */
            default: PP_TRY(add_template(e, from, from->kind, NULL, &t));
        }
    }
    return PP_OK;
}

/* Gradients are moved where a reader's steps are, whoever the reader is: that says nothing. */
static bool belongs(const pp__plan_run *run, const pp__plan_step *step, bool backward) {
    bool is_forward = step->kind == PP__STEP_FORWARD || step->kind == PP__STEP_ENCODE ||
                      step->kind == PP__STEP_MOMENTS || step->kind == PP__STEP_STATISTICS ||
                      step->kind == PP__STEP_COPY_VALUE;
    bool counts = step->kind != PP__STEP_UPDATE && step->kind != PP__STEP_CLIP &&
                  step->kind != PP__STEP_COPY_GRADIENT && step->kind != PP__STEP_ADD_GRADIENT;
    return counts && !step->recomputed && is_forward != backward && step->node >= run->first &&
           step->node <= run->last;
}

/* Values and gradients of whole batches that nobody outside of the steps sees. */
static void make_local(const expansion *e) {
    pp_plan *plan = e->plan;
    if (pp__plan_runs_alone(plan, e->run->first)) return; /* has nothing between its nodes */
    for (size_t i = 0; i < plan->buffer_count; i++) {
        pp__plan_buffer *b = &plan->buffers[i];
        if (b->memory_class != PP_MEMORY_TRANSIENT || b->images != plan->batch) continue;
        if (b->first < e->first || b->last >= e->end) continue;
        b->images = e->run->images;
        b->bytes = b->raw_bytes = b->bytes / plan->batch * b->images;
    }
}

/* Each band leaves moments of its own. */
static void widen_moments(const expansion *e) {
    pp_plan *plan = e->plan;
    for (uint32_t i = e->run->first; i <= e->run->last; i++) {
        pp__plan_node *node = &plan->nodes[i];
        if (node->moments == PP__NONE || node->moments_apart) continue;
        pp__op_query q;
        pp__stored stored[PP__OP_SAVES];
        pp__plan_query_band(plan, i, e->run->images, plan->profile, &q, stored);
        if (pp__plan_runs_alone(plan, i) && !overwrites(plan, i)) continue;
        node->moment_splits = node->op->moments(&q) * q.bands;
        const uint32_t reader = normaliser_of(plan, i);
        if (!node->moment_splits && reader > e->run->last) {
            pp__plan_query(plan, reader, plan->profile, &q, stored);
            node->moment_splits = plan->nodes[reader].op->input_splits(&q);
            node->moments_apart = node->moments_whole = true;
        }
        pp__plan_buffer *b = &plan->buffers[node->moments];
        b->bytes = b->raw_bytes = moment_bytes(node);
        if (!node->moment_splits) node->moments = PP__NONE; /* too few pixels */
    }
}

static pp_status check_nodes(const expansion *e) {
    const pp_plan *plan = e->plan;
    for (uint32_t i = e->run->first; i <= e->run->last; i++) {
        const pp__plan_node *node = &plan->nodes[i];
        if (!(node->op->traits & PP__OP_BANDS))
            return pp__fail(plan->engine, PP_ERROR_UNSUPPORTED,
                            "plan: '%s' to '%s' cannot run in bands: node '%s' (%s) needs the "
                            "whole batch",
                            plan->nodes[e->run->first].name, plan->nodes[e->run->last].name,
                            node->name, node->op->name);
    }
    return PP_OK;
}

static pp_status keep_step(pp_plan *plan, pp__plan_step *step) {
    PP_TRY(pp__grow(plan->engine, &plan->steps, &plan->step_capacity, plan->step_count + 1,
                    sizeof *plan->steps));
    plan->steps[plan->step_count++] = *step;
    step->name = NULL; /* the plan's now */
    return PP_OK;
}

static pp_status replace_steps(expansion *e, pp__plan_step *old, size_t old_count) {
    for (size_t s = 0; s < e->first; s++) PP_TRY(keep_step(e->plan, &old[s]));
    PP_TRY(add_templates(e, old));
    PP_TRY(settle_levels(e));
    PP_TRY(emit_passes(e));
    for (size_t s = e->first; s < e->end; s++)
        if (old[s].kind == PP__STEP_UPDATE) PP_TRY(keep_step(e->plan, &old[s]));
    for (size_t s = e->end; s < old_count; s++) PP_TRY(keep_step(e->plan, &old[s]));
    return PP_OK;
}

static pp_status expand(pp_plan *plan, const pp__plan_run *run, bool backward) {
    pp__plan_lives(plan);
    expansion e = {.plan = plan, .run = run, .first = SIZE_MAX, .workspace = PP__NONE};
    for (size_t s = 0; s < plan->step_count; s++) {
        if (!belongs(run, &plan->steps[s], backward)) continue;
        if (e.first == SIZE_MAX) e.first = s;
        e.end = s + 1;
    }
    if (e.first == SIZE_MAX) return PP_OK;
    make_local(&e);
    PP_TRY(check_nodes(&e));
    if (!backward) widen_moments(&e);
    pp__plan_step *old = plan->steps;
    const size_t old_count = plan->step_count;
    plan->steps = NULL;
    plan->step_count = plan->step_capacity = 0;
    pp_status status = replace_steps(&e, old, old_count);
    for (size_t s = 0; s < old_count; s++) pp__release(plan->engine, old[s].name);
    pp__release(plan->engine, old);
    for (size_t t = 0; t < e.count; t++) pp__release(plan->engine, e.templates[t].step.name);
    pp__release(plan->engine, e.templates);
    return status;
}

/* About an eighth of the batch. */
static uint32_t usual_band(uint32_t batch) {
    uint32_t images = batch / 8 ? batch / 8 : 1;
    while (batch % images) images--;
    return images;
}

pp_status pp__plan_read_runs(pp_plan *plan, const pp_plan_options *options) {
    PP_TRY(pp__allocate(plan->engine, options->band_count, sizeof *plan->runs, &plan->runs));
    for (size_t i = 0; i < options->band_count; i++) {
        const pp_band *band = &options->bands[i];
        pp__plan_run run = {.images = band->images ? band->images : usual_band(plan->batch)};
        PP_TRY(pp__plan_find_node(plan, "bands", band->first, &run.first));
        PP_TRY(pp__plan_find_node(plan, "bands", band->last, &run.last));
        if (run.first > run.last)
            return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "plan: bands of '%s' to '%s': the former comes behind the latter",
                            band->first, band->last);
        if (plan->batch % run.images)
            return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "plan: bands of %" PRIu32
                            " images ('%s' to '%s') do not divide a "
                            "batch of %" PRIu32,
                            run.images, band->first, band->last, plan->batch);
        for (size_t k = 0; k < plan->run_count; k++)
            if (run.first <= plan->runs[k].last && plan->runs[k].first <= run.last)
                return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                                "plan: bands of '%s' to '%s' and of '%s' to '%s' overlap",
                                band->first, band->last, plan->nodes[plan->runs[k].first].name,
                                plan->nodes[plan->runs[k].last].name);
        plan->runs[plan->run_count++] = run;
    }
    return PP_OK;
}

pp_status pp__plan_bands(pp_plan *plan) {
    for (size_t i = 0; i < plan->run_count; i++) {
        if (plan->runs[i].images == plan->batch) continue;
        PP_TRY(expand(plan, &plan->runs[i], false));
        if (!plan->inference) PP_TRY(expand(plan, &plan->runs[i], true));
    }
    return PP_OK;
}

bool pp__plan_runs_alone(const pp_plan *plan, uint32_t node) {
    const pp__op *op = plan->nodes[node].op;
    if (op->input_count != 1 || !(op->traits & PP__OP_BANDS) ||
        op->traits & (PP__OP_NORMALISES | PP__OP_IN_PLACE))
        return false;
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan->runs[i].first == node && plan->runs[i].last == node)
            return plan->runs[i].images < plan->batch;
    return false;
}

bool pp__plan_ends_run(const pp_plan *plan, uint32_t node) {
    for (size_t i = 0; i < plan->run_count; i++) {
        const pp__plan_run *run = &plan->runs[i];
        if (run->last == node) return run->first < node && run->images < plan->batch;
    }
    return false;
}

bool pp__plan_same_run(const pp_plan *plan, uint32_t a, uint32_t b) {
    for (size_t i = 0; i < plan->run_count; i++) {
        const pp__plan_run *run = &plan->runs[i];
        if (run->images == plan->batch) continue;
        if (a >= run->first && a <= run->last) return b >= run->first && b <= run->last;
    }
    return true;
}
