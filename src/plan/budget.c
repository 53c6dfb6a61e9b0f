/* Planning within a budget: the codec of every saved value and the bands of every block, so that
 * the peak of the whole step fits, at the least expected harm to the gradient.
 *
 * The values' forms are chosen on sums of live bytes (choose.c), with the bytes of codecs and their
 * expected errors as they stand in the codec table; the plan that results says what the choice
 * really takes, and what it takes too much is taken off the budget of the next try.
 *
 * What no codec can reduce, the activations and gradients of the layer at hand, bands do. Where the
 * step is fullest, the block it belongs to gets them: first each layer by itself that can take its
 * input's place, then the block's tail, then all of it, then fewer images at a time. Each such *stage* is tried with its own choice of codecs. Bands cost time, for
 * they compute some layers again; the stage with the least
 *
 *     (harm + LEAST_HARM) * (1 + share of operations computed again) ^ TIME_WEIGHT
 *
 * wins. Beside its bands, blocks are then computed again for backward where that makes it less.
 */
#include "plan/budget.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/blocks.h"
#include "plan/choose.h"
#include "util/size.h"

enum {
    TRIES = 10,         /* plans of one stage, each with a budget corrected by the one before */
    GUESSES = 4,        /* of them until the smallest forms are tried */
    HASTE = 16,         /* the search for places, for many plans are placed */
    NEAR = 64,          /* a budget is filled to one part in so many */
    MOST_IDLE = 24,      /* stages in a row that help nothing */
    PATTERN_BYTES = 256 /* "node@kind" */
};
static const double time_weight = 2;
/* A step's launch takes about 20 us, in which a small device computes so much. */
static const double launch_flops = 5e6;
/* Errors of four bits train like none (tests/bench/README.md), so less is worth no time. */
static const double least_harm = 0.01;
/* Harm of a value, on average, up to which a larger batch is worth it: about that of two bits. */
static const double most_harm_of_batch = 0.25;
enum { MOST_BATCH = 1 << 16 };

typedef struct budget {
    pp_engine *engine;
    const pp_graph *graph;
    const pp_profile *profile;
    const pp_plan_options *options;
    const char *base_codec;
    pp_plan *names; /* a plan with the application's bands, whose nodes everything refers to */
    pp__block *blocks;
    size_t block_count;
    int *depth;     /* per block: how far it is banded */
    size_t reach;   /* blocks round a fullest one that are banded with it */
    pp_band *bands; /* the application's and the planner's; NULL so far */
    size_t band_count;
    bool *again;    /* per block: it is computed again for backward */
    pp_span *spans; /* the application's, and those blocks; NULL so far */
    size_t span_count;

    pp__item *items;
    uint32_t *records; /* per item: the saved record in a base plan */
    size_t item_count;
    size_t last_harm; /* the measured one that was found last */
    pp__coding (*codings)[PP__CHOOSE_LEVELS];
    /* Steps in whose course no item begins or ends are one *stretch*: the fullest stands for it. */
    size_t *live, *fullest, stretch_count;

    pp_plan *best;
    int *best_depth;              /* per block: in the best plan */
    double best_score, best_harm; /* harm: of a value on average */
    size_t least_bytes;           /* the smallest peak seen */
} budget;

/* --- Plans --- */

static pp_status make_plan(const budget *b, const pp_codec_override *overrides,
                           size_t override_count, pp_plan **plan_out) {
    pp_plan_options options = *b->options;
    options.budget_bytes = 0;
    options.codec = b->base_codec;
    options.overrides = overrides;
    options.override_count = override_count;
    if (b->bands) {
        options.bands = b->bands;
        options.band_count = b->band_count;
        options.recompute = b->spans;
        options.recompute_count = b->span_count;
    }
    return pp__plan_make(b->graph, b->profile, &options, false, plan_out);
}

/* Operations computed again, and what launching takes, as a share of those that are needed. */
static double repeated_share(const pp_plan *plan) {
    double once = 0, again = (double)plan->step_count * launch_flops;
    for (size_t s = 0; s < plan->step_count; s++) {
        pp_plan_step_info info;
        pp_plan_describe_step(plan, s, &info);
        *(plan->steps[s].repeated ? &again : &once) += info.flops;
    }
    return once > 0 ? again / once : 0;
}

/* --- The values to choose for --- */

/* A value that an override names keeps what it got. */
static bool is_free(const budget *b, const pp_plan *plan, const pp__saved *saved) {
    if (saved->kind != PP__SAVED_NORMALISED && saved->kind != PP__SAVED_ACTIVATION) return false;
    for (size_t i = 0; i < b->options->override_count; i++)
        if (pp__policy_matches(b->options->overrides[i].pattern, plan->nodes[saved->node].name,
                               saved->kind))
            return false;
    return true;
}

/* Training takes small errors without notice and suffers from large ones out of proportion: with
 * every value in 3, 2 and 1 bits, errors of 0.035, 0.12 and 0.36, the training loss of resnet20 after
 * four epochs rises by 0.005, 0.008 and 0.22 (tests/bench/README.md). */
static double steepness(double error) {
    const double bend = 0.12;
    return 1 + error * error / (bend * bend);
}

/* The measured harm, or the codec's expected error, with the steepness of the latter. Values come in
 * the order of the harms as a rule, so the search begins where the last one ended. */
static double harm_of(budget *b, const pp_plan *plan, const pp__saved *saved, const char *text,
                      const pp__stored *stored) {
    const pp_plan_options *o = b->options;
    const double error = stored->coding.codec->error ? stored->coding.codec->error(stored) : 0;
    for (size_t i = 0; i < o->harm_count; i++) {
        const size_t at = (b->last_harm + i) % o->harm_count;
        const pp_harm *harm = &o->harms[at];
        if (strcmp(harm->value, plan->nodes[saved->node].name) || strcmp(harm->codec, text) ||
            strcmp(harm->kind, pp__saved_kind_name(saved->kind)))
            continue;
        b->last_harm = at;
        return harm->harm * steepness(error);
    }
    return error * steepness(error);
}

static pp_status add_level(budget *b, const pp_plan *plan, const pp__saved *saved, const char *text,
                           size_t item) {
    pp__item *to = &b->items[item];
    pp__coding coding;
    PP_TRY(pp__coding_read(b->engine, text, &coding));
    if (to->level_count == PP__CHOOSE_LEVELS ||
        (saved->views & ~coding.codec->views[saved->subject]))
        return PP_OK;
    pp__stored stored = pp__plan_stored(plan, saved);
    stored.coding = coding;
    b->codings[item][to->level_count] = coding;
    to->bytes[to->level_count] = pp__coding_bytes(&coding, saved->shape);
    to->harm[to->level_count] = harm_of(b, plan, saved, text, &stored);
    to->level_count++;
    return PP_OK;
}

/* Turns the items' steps into stretches. */
static pp_status find_stretches(budget *b, size_t step_count) {
    size_t *stretch; /* per step; so far, whether one begins there */
    PP_TRY(pp__allocate(b->engine, step_count + 1, sizeof *stretch, &stretch));
    for (size_t i = 0; i < b->item_count; i++)
        stretch[b->items[i].first] = stretch[b->items[i].last + 1] = 1;
    b->stretch_count = 0;
    for (size_t s = 0; s < step_count; s++) {
        if (s == 0 || stretch[s]) b->fullest[b->stretch_count++] = s;
        stretch[s] = b->stretch_count - 1;
        size_t *fullest = &b->fullest[stretch[s]];
        if (b->live[s] > b->live[*fullest]) *fullest = s;
    }
    for (size_t k = 0; k < b->stretch_count; k++) b->live[k] = b->live[b->fullest[k]];
    for (size_t i = 0; i < b->item_count; i++) {
        b->items[i].first = stretch[b->items[i].first];
        b->items[i].last = stretch[b->items[i].last];
    }
    pp__release(b->engine, stretch);
    return PP_OK;
}

/* The life that a buffer's bytes are counted for: of the pieces that backward reads, the last ones
 * of each image, the middle one's. */
static void find_life(const pp_plan *plan, const pp__plan_buffer *buffer, pp__item *item) {
    const pp__plan_piece *last = &plan->pieces[buffer->first_piece + buffer->piece_count - 1];
    const size_t count = last->image_count ? plan->batch / last->image_count : 1;
    const pp__plan_piece *middle = last - count / 2;
    item->first = middle->first;
    item->last = middle->last;
}

static void leave_out(const pp_plan *plan, const pp__plan_buffer *buffer, size_t *live) {
    for (size_t k = 0; k < buffer->piece_count; k++) {
        const pp__plan_piece *piece = &plan->pieces[buffer->first_piece + k];
        for (size_t s = piece->first; s <= piece->last; s++) live[s] -= piece->bytes;
    }
}

/* The records of a base plan as items, and what is live besides them. */
static pp_status list_items(budget *b, const pp_plan *plan) {
    b->item_count = 0;
    PP_TRY(pp__allocate(b->engine, plan->saved_count, sizeof *b->items, &b->items));
    PP_TRY(pp__allocate(b->engine, plan->saved_count, sizeof *b->records, &b->records));
    PP_TRY(pp__allocate(b->engine, plan->saved_count, sizeof *b->codings, &b->codings));
    PP_TRY(pp__allocate(b->engine, plan->step_count, sizeof *b->live, &b->live));
    PP_TRY(pp__allocate(b->engine, plan->step_count, sizeof *b->fullest, &b->fullest));
    memcpy(b->live, plan->live_bytes, plan->step_count * sizeof *b->live);
    for (uint32_t r = 0; r < plan->saved_count; r++) {
        const pp__saved *saved = &plan->saved[r];
        if (!is_free(b, plan, saved)) continue;
        const pp__plan_buffer *buffer = &plan->buffers[saved->buffer];
        pp__item *item = &b->items[b->item_count];
        *item = (pp__item){.level_count = 0};
        find_life(plan, buffer, item);
        for (size_t c = 0; c < pp__codec_count(); c++) {
            const char *const *menu = pp__codec_at(c)->menu;
            for (; menu && *menu; menu++) PP_TRY(add_level(b, plan, saved, *menu, b->item_count));
        }
        if (!item->level_count) continue;
        leave_out(plan, buffer, b->live);
        b->records[b->item_count++] = r;
    }
    return find_stretches(b, plan->step_count);
}

static void drop_items(budget *b) {
    pp__release(b->engine, b->items);
    pp__release(b->engine, b->records);
    pp__release(b->engine, b->codings);
    pp__release(b->engine, b->live);
    pp__release(b->engine, b->fullest);
    b->items = NULL, b->records = NULL, b->codings = NULL, b->live = b->fullest = NULL;
}

/* --- One stage --- */

/* The plan of the chosen levels. */
static pp_status realise(const budget *b, const pp_plan *base, pp_plan **plan_out) {
    const size_t given = b->options->override_count, count = given + b->item_count;
    pp_codec_override *overrides = NULL;
    char(*patterns)[PATTERN_BYTES] = NULL, (*texts)[PP__CODING_TEXT] = NULL;
    pp_status status = PP_OK;
    PP_TRY_GOTO(status, pp__allocate(b->engine, count, sizeof *overrides, &overrides), done);
    PP_TRY_GOTO(status, pp__allocate(b->engine, b->item_count, sizeof *patterns, &patterns), done);
    PP_TRY_GOTO(status, pp__allocate(b->engine, b->item_count, sizeof *texts, &texts), done);
    for (size_t i = 0; i < b->item_count; i++) {
        const pp__saved *saved = &base->saved[b->records[i]];
        snprintf(patterns[i], sizeof patterns[i], "%s@%s", base->nodes[saved->node].name,
                 pp__saved_kind_name(saved->kind));
        pp__coding_print(&b->codings[i][b->items[i].level], texts[i]);
        overrides[i] = (pp_codec_override){patterns[i], texts[i]};
    }
    for (size_t i = 0; i < given; i++) overrides[b->item_count + i] = b->options->overrides[i];
    status = make_plan(b, overrides, count, plan_out);
done:
    pp__release(b->engine, overrides);
    pp__release(b->engine, patterns);
    pp__release(b->engine, texts);
    return status;
}

static double score_of(const budget *b, const pp_plan *plan) {
    const double harm = pp__chosen_harm(b->items, b->item_count);
    return (harm + least_harm) * pow(1 + repeated_share(plan), time_weight);
}

/* A try with sums of live bytes up to `allowed`. */
typedef struct attempt {
    size_t allowed;
    bool fits;     /* the sums, if only those of the smallest forms, do */
    bool promises; /* the plan would be better than the best so far */
    size_t peak;   /* of the plan */
} attempt;

static pp_status attempt_levels(budget *b, const pp_plan *base, attempt *t) {
    size_t *live;
    PP_TRY(pp__allocate(b->engine, b->stretch_count, sizeof *live, &live));
    memcpy(live, b->live, b->stretch_count * sizeof *live);
    t->fits = pp__choose_levels(b->items, b->item_count, live, b->stretch_count, t->allowed);
    pp__release(b->engine, live);
    pp_plan *plan;
    PP_TRY(realise(b, base, &plan));
    const double score = score_of(b, plan);
    t->promises = !b->best || score < b->best_score;
    t->peak = plan->layout.lower_bound_bytes;
    pp_status status = PP_OK;
    /* The bound says for nothing that it is too much; the least refused is placed, to be named. */
    if (t->promises &&
        (t->peak <= b->options->budget_bytes || (!t->fits && t->peak < b->least_bytes))) {
        status = pp__plan_place(plan, b->profile, b->options->budget_bytes, HASTE);
        t->peak = plan->layout.peak_bytes;
        if (t->peak < b->least_bytes) b->least_bytes = t->peak;
    }
    if (status == PP_OK && t->promises && t->peak <= b->options->budget_bytes) {
        pp_plan_destroy(b->best);
        b->best = plan;
        b->best_score = score;
        memcpy(b->best_depth, b->depth, b->block_count * sizeof *b->depth);
        b->best_harm =
            pp__chosen_harm(b->items, b->item_count) / (double)(b->item_count + !b->item_count);
        return PP_OK;
    }
    pp_plan_destroy(plan);
    return status;
}

/* Chooses levels whose plan fills the budget. Their sums of live bytes are what it takes but for
 * values in pieces and the gaps of the layout, so what the plan takes more or less than the budget
 * is taken off, or added to, the sums allowed. */
static pp_status choose_codecs(budget *b, const pp_plan *base) {
    const size_t budget_bytes = b->options->budget_bytes;
    size_t most = 0, least = SIZE_MAX; /* allowed: the most that fitted, the least that did not */
    bool fitted = false;
    attempt t = {.allowed = budget_bytes};
    for (int i = 0; i < TRIES; i++) {
        if (i == GUESSES && !fitted) t.allowed = 0; /* the smallest forms */
        PP_TRY(attempt_levels(b, base, &t));
        if (!t.promises && !fitted) return PP_OK;
        const bool too_much = t.peak > budget_bytes;
        const size_t error = too_much ? t.peak - budget_bytes : budget_bytes - t.peak;
        if (too_much ? !t.fits : error < budget_bytes / NEAR) return PP_OK;
        if (too_much) {
            least = t.allowed;
        } else {
            most = t.allowed;
            fitted = true;
        }
        if (fitted && least != SIZE_MAX) {
            if (least - most < budget_bytes / NEAR) return PP_OK;
            t.allowed = most + (least - most) / 2;
        } else if (too_much) {
            t.allowed -= error < t.allowed ? error : t.allowed;
        } else {
            t.allowed += error;
        }
    }
    return PP_OK;
}

/* --- From one stage to the next --- */

/* The step that is fullest with every value in its smallest form. */
static size_t hardest_step(const budget *b) {
    size_t *live = b->live, hardest = 0;
    for (size_t i = 0; i < b->item_count; i++) {
        size_t least = b->items[i].bytes[0];
        for (size_t k = 1; k < b->items[i].level_count; k++)
            if (b->items[i].bytes[k] < least) least = b->items[i].bytes[k];
        for (size_t s = b->items[i].first; s <= b->items[i].last; s++) live[s] += least;
    }
    for (size_t s = 1; s < b->stretch_count; s++)
        if (live[s] > live[hardest]) hardest = s;
    return b->fullest[hardest];
}

/* How far a block is banded. OVERWRITING: each layer that can takes its input's place by itself. */
enum { WHOLE_BATCH, OVERWRITING, TAIL_IN_EIGHTHS, ALL_IN_EIGHTHS, ALL_IN_FEWER, DEPTHS };

static uint32_t divisor_below(uint32_t batch, uint32_t most) {
    uint32_t images = most ? most : 1;
    while (batch % images) images--;
    return images;
}

static void overwrite_layers(budget *b, const pp__block *block) {
    for (uint32_t n = block->first; n <= block->last; n++) {
        const pp__plan_node *node = &b->names->nodes[n];
        if (!node->parameter_count || node->op->traits & PP__OP_NORMALISES ||
            !pp__shape_equal(node->shape, b->names->nodes[node->inputs[0]].shape))
            continue;
        b->bands[b->band_count++] = (pp_band){
            node->name, node->name, divisor_below(b->options->batch, b->options->batch / 8)};
    }
}

/* The bands that the blocks' depths stand for, behind the application's own. */
static void write_bands(budget *b) {
    const uint32_t batch = b->options->batch;
    b->band_count = b->options->band_count;
    for (size_t i = 0; i < b->block_count; i++) {
        if (b->depth[i] == WHOLE_BATCH || b->depth[i] == DEPTHS) continue;
        const pp__block *block = &b->blocks[i];
        if (b->depth[i] == OVERWRITING) {
            overwrite_layers(b, block);
            continue;
        }
        uint32_t first = b->depth[i] == TAIL_IN_EIGHTHS ? block->tail : block->first;
        b->bands[b->band_count++] =
            (pp_band){b->names->nodes[first].name, b->names->nodes[block->last].name,
                      divisor_below(batch, b->depth[i] == ALL_IN_FEWER ? batch / 32 : batch / 8)};
    }
}

static bool meets(const pp__block *block, const pp__plan_run *runs, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (runs[i].first <= block->last && block->first <= runs[i].last) return true;
    return false;
}

/* The application has decided. */
static bool is_taken(const budget *b, const pp__block *block) {
    return meets(block, b->names->runs, b->names->run_count) ||
           meets(block, b->names->recomputed, b->names->recomputed_count);
}

/* What lies between two blocks is never whole where both work in bands: so go those round one that
 * cannot be banded further, twice as far as before each time. */
static bool widen(budget *b, size_t block) {
    bool any = false;
    while (!any && b->reach < b->block_count) {
        b->reach = b->reach ? 2 * b->reach : 1;
        for (size_t i = 0; i < b->block_count; i++) {
            const size_t distance = i < block ? block - i : i - block;
            if (distance > b->reach || b->depth[i] >= ALL_IN_EIGHTHS || is_taken(b, &b->blocks[i]))
                continue;
            b->depth[i] = ALL_IN_EIGHTHS;
            any = true;
        }
    }
    return any;
}

/* Bands the node's block one degree further, or its neighbours; false where that cannot be. */
static bool deepen(budget *b, uint32_t node) {
    if (b->options->batch == 1) return false;
    for (size_t i = 0; i < b->block_count; i++) {
        const pp__block *block = &b->blocks[i];
        if (node < block->first || node > block->last || is_taken(b, block)) continue;
        if (b->depth[i] >= ALL_IN_FEWER) {
            if (!widen(b, i)) return false;
        } else {
            b->depth[i]++;
            if (b->depth[i] == TAIL_IN_EIGHTHS && block->tail == block->first) b->depth[i]++;
        }
        write_bands(b);
        return true;
    }
    return false;
}

/* A stage that cannot be planned at all goes one degree further, or without bands there. */
static pp_status make_base(budget *b, uint32_t deepened, pp_plan **base_out) {
    for (;;) {
        pp_status status =
            make_plan(b, b->options->overrides, b->options->override_count, base_out);
        if (status != PP_ERROR_UNSUPPORTED || deepened == PP__NONE) return status;
        if (deepen(b, deepened)) continue;
        for (size_t i = 0; i < b->block_count; i++)
            if (deepened >= b->blocks[i].first && deepened <= b->blocks[i].last)
                b->depth[i] = DEPTHS;
        write_bands(b);
        deepened = PP__NONE;
    }
}

static pp_status search_stages(budget *b) {
    uint32_t deepened = PP__NONE;
    for (int idle = 0; idle < MOST_IDLE;) {
        const double score = b->best ? b->best_score : INFINITY;
        const size_t least = b->least_bytes;
        pp_plan *base;
        PP_TRY(make_base(b, deepened, &base));
        pp_status status = list_items(b, base);
        if (status == PP_OK) status = choose_codecs(b, base);
        bool more = false;
        if (status == PP_OK) {
            deepened = base->steps[hardest_step(b)].node;
            more = deepen(b, deepened);
        }
        drop_items(b);
        pp_plan_destroy(base);
        PP_TRY(status);
        if (!more || (b->best && b->best_score <= least_harm)) break;
        idle = (b->best ? b->best_score < score : b->least_bytes < least) ? 0 : idle + 1;
    }
    return PP_OK;
}

const char *pp__budget_base_codec(void) {
    for (size_t c = 0; c < pp__codec_count(); c++) {
        const pp__codec *codec = pp__codec_at(c);
        if (codec->menu && codec->lossy && codec->views[PP__SUBJECT_NORMALISED] & PP__VIEW_MASK)
            return codec->menu[0];
    }
    return "raw";
}

/* --- Computing again --- */

static void write_spans(budget *b) {
    b->span_count = b->options->recompute_count;
    for (size_t i = 0; i < b->block_count; i++)
        if (b->again[i])
            b->spans[b->span_count++] = (pp_span){b->names->nodes[b->blocks[i].first].name,
                                                  b->names->nodes[b->blocks[i].last].name};
}

static pp_status try_stage(budget *b) {
    pp_plan *base;
    pp_status status = make_plan(b, b->options->overrides, b->options->override_count, &base);
    if (status == PP_ERROR_UNSUPPORTED) return PP_OK;
    PP_TRY(status);
    status = list_items(b, base);
    if (status == PP_OK) status = choose_codecs(b, base);
    drop_items(b);
    pp_plan_destroy(base);
    return status;
}

/* Block by block, beside the best bands: whether what a block need not keep is worth computing it
 * again. */
static pp_status search_recomputing(budget *b) {
    if (!b->best || b->best_score <= least_harm) return PP_OK;
    memcpy(b->depth, b->best_depth, b->block_count * sizeof *b->depth);
    write_bands(b);
    int idle = 0;
    for (size_t i = 0; i < b->block_count && idle < MOST_IDLE; i++) {
        const bool is_banded = b->depth[i] != WHOLE_BATCH && b->depth[i] != DEPTHS;
        if (is_banded || b->blocks[i].first == b->blocks[i].last || is_taken(b, &b->blocks[i]))
            continue;
        const double score = b->best_score;
        b->again[i] = true;
        write_spans(b);
        PP_TRY(try_stage(b));
        b->again[i] = b->best_score < score;
        idle = b->again[i] ? 0 : idle + 1;
    }
    return PP_OK;
}

static pp_status find_best(budget *b) {
    PP_TRY(make_plan(b, b->options->overrides, b->options->override_count, &b->names));
    PP_TRY(pp__plan_find_blocks(b->names, &b->blocks, &b->block_count));
    PP_TRY(pp__allocate(b->engine, b->block_count, sizeof *b->depth, &b->depth));
    PP_TRY(pp__allocate(b->engine, b->options->band_count + b->names->node_count, sizeof *b->bands,
                        &b->bands));
    if (b->options->band_count)
        memcpy(b->bands, b->options->bands, b->options->band_count * sizeof *b->bands);
    write_bands(b);
    PP_TRY(pp__allocate(b->engine, b->block_count, sizeof *b->best_depth, &b->best_depth));
    PP_TRY(pp__allocate(b->engine, b->block_count, sizeof *b->again, &b->again));
    PP_TRY(pp__allocate(b->engine, b->options->recompute_count + b->block_count, sizeof *b->spans,
                        &b->spans));
    if (b->options->recompute_count)
        memcpy(b->spans, b->options->recompute, b->options->recompute_count * sizeof *b->spans);
    write_spans(b);
    PP_TRY(search_stages(b));
    PP_TRY(search_recomputing(b));
    /* In earnest: the same decisions give the same places, whoever states them. */
    if (b->best) return pp__plan_place(b->best, b->profile, 0, 1);
    return pp__fail(b->engine, PP_ERROR_OUT_OF_MEMORY,
                    "plan: a budget of %zu bytes cannot be met; the smallest plan found for a "
                    "batch of %" PRIu32 " takes %zu",
                    b->options->budget_bytes, b->options->batch, b->least_bytes);
}

static pp_status plan_batch(const pp_graph *graph, const pp_profile *profile,
                            const pp_plan_options *options, double *harm_out, pp_plan **plan_out) {
    *plan_out = NULL;
    if (options->codec)
        return pp__fail(graph->engine, PP_ERROR_INVALID_ARGUMENT,
                        "plan: both a budget and codec '%s'; a budget chooses the codecs, "
                        "overrides pin some",
                        options->codec);
    budget b = {.engine = graph->engine,
                .graph = graph,
                .profile = profile,
                .options = options,
                .base_codec = pp__budget_base_codec(),
                .least_bytes = SIZE_MAX};
    pp_status status = find_best(&b);
    pp__release(b.engine, b.bands);
    pp__release(b.engine, b.blocks);
    pp__release(b.engine, b.depth);
    pp__release(b.engine, b.best_depth);
    pp__release(b.engine, b.again);
    pp__release(b.engine, b.spans);
    pp_plan_destroy(b.names);
    if (status != PP_OK) {
        pp_plan_destroy(b.best);
        return status;
    }
    *plan_out = b.best;
    *harm_out = b.best_harm;
    return PP_OK;
}

/* Replaces the plan by one of a larger batch, if that fits. */
static pp_status try_batch(const pp_graph *graph, const pp_profile *profile,
                           pp_plan_options *options, uint32_t batch, pp_plan **plan,
                           bool *fits_out) {
    pp_plan *larger;
    double harm = 0;
    options->batch = batch;
    pp_status status = plan_batch(graph, profile, options, &harm, &larger);
    *fits_out = status == PP_OK && harm <= most_harm_of_batch;
    if (*fits_out) {
        pp_plan_destroy(*plan);
        *plan = larger;
    } else {
        pp_plan_destroy(larger);
    }
    return status == PP_ERROR_OUT_OF_MEMORY || status == PP_ERROR_SHAPE ? PP_OK : status;
}

/* Batches of 1, 2, 4, ..., and between the last that fits and the first that does not by eighths of
 * the former, which have divisors for bands. */
static pp_status plan_largest_batch(const pp_graph *graph, const pp_profile *profile,
                                    const pp_plan_options *given, pp_plan **plan_out) {
    pp_plan_options options = *given;
    uint32_t batch = 1;
    double harm;
    options.batch = 1;
    PP_TRY(plan_batch(graph, profile, &options, &harm, plan_out));
    pp_status status = PP_OK;
    bool fits = true;
    while (status == PP_OK && fits && batch < MOST_BATCH) {
        status = try_batch(graph, profile, &options, 2 * batch, plan_out, &fits);
        if (fits) batch *= 2;
    }
    for (uint32_t step = batch / 2; status == PP_OK && step >= (batch + 7) / 8 && step; step /= 2)
        status = try_batch(graph, profile, &options, (*plan_out)->batch + step, plan_out, &fits);
    if (status == PP_OK) return PP_OK;
    pp_plan_destroy(*plan_out);
    *plan_out = NULL;
    return status;
}

pp_status pp__plan_within_budget(const pp_graph *graph, const pp_profile *profile,
                                 const pp_plan_options *options, pp_plan **plan_out) {
    double harm;
    if (!options->batch) return plan_largest_batch(graph, profile, options, plan_out);
    return plan_batch(graph, profile, options, &harm, plan_out);
}
