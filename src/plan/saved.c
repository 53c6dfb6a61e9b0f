/* What backward reads of the forward pass, and how it is stored: one record per stored form, any
 * number of views on it.
 *
 * For each value, in this order: the x-hat of a normalising operator (a root), the activation that
 * layers with weights read, and last the mask of a ReLU, because a mask can be a view of either. */
#include <string.h>

#include "plan/plan.h"

typedef struct resolver {
    pp_plan *plan;
    const pp_plan_options *options;
    pp__policy policy;
    bool *used;      /* overrides that took effect */
    uint32_t *roots; /* per node: its x-hat's record, or PP__NONE */
    uint32_t *forms; /* per node: its stored activation's record, or PP__NONE */
} resolver;

static pp_status add_record(pp_plan *plan, uint32_t node, pp__saved_kind kind, pp__subject subject,
                            const pp__coding *coding, uint32_t *record_out) {
    PP_TRY(pp__grow(plan->engine, &plan->saved, &plan->saved_capacity, plan->saved_count + 1,
                    sizeof *plan->saved));
    plan->saved[plan->saved_count] = (pp__saved){
        .node = node,
        .kind = kind,
        .subject = subject,
        .coding = *coding,
        .shape = plan->nodes[node].shape,
        .buffer = PP__NONE,
        .own_step = subject != PP__SUBJECT_NORMALISED && coding->codec->encode &&
                    !coding->codec->stores_itself,
    };
    pp__coding_print(coding, plan->saved[plan->saved_count].text);
    *record_out = (uint32_t)plan->saved_count++;
    return PP_OK;
}

static bool offers(const pp_plan *plan, uint32_t record, pp__view view) {
    if (record == PP__NONE) return false;
    const pp__saved *saved = &plan->saved[record];
    return (saved->coding.codec->views[saved->subject] & (uint32_t)view) != 0;
}

static pp_status choose(resolver *r, uint32_t node, pp__saved_kind kind, pp__choice *choice_out) {
    return pp__policy_choose(r->plan->engine, &r->policy, r->options, r->plan->nodes[node].name,
                             kind, choice_out, r->used);
}

static pp_status resolve_root(resolver *r, uint32_t node, uint32_t *record_out) {
    if (r->roots[node] == PP__NONE) {
        pp__choice choice;
        PP_TRY(choose(r, node, PP__SAVED_NORMALISED, &choice));
        PP_TRY(add_record(r->plan, node, PP__SAVED_NORMALISED, PP__SUBJECT_NORMALISED,
                          &choice.coding, &r->roots[node]));
    }
    *record_out = r->roots[node];
    return PP_OK;
}

/* One pixel per image: a pooled map of it would be the value itself. */
static bool is_point(const pp_plan *plan, uint32_t node) {
    return plan->nodes[node].shape.h == 1 && plan->nodes[node].shape.w == 1;
}

/* A codec for what a ReLU let pass serves nothing else: there the policy falls back, and an override
 * is refused. */
static pp_status respect_relu(const resolver *r, uint32_t node, pp__saved_kind kind,
                              pp__choice *choice) {
    const pp__plan_node *n = &r->plan->nodes[node];
    if (!choice->coding.codec->behind_relu || n->op->traits & PP__OP_RELU_OUTPUT) return PP_OK;
    if (choice->stated)
        return pp__fail(r->plan->engine, PP_ERROR_INVALID_ARGUMENT,
                        "override of '%s': codec '%s' stores what a ReLU let pass, and the value "
                        "of '%s' is not a ReLU's output",
                        n->name, choice->coding.codec->name, n->name);
    choice->coding = r->policy.fallback[kind];
    return PP_OK;
}

static pp_status resolve_value(resolver *r, uint32_t node, bool exact, uint32_t *record_out) {
    pp_plan *plan = r->plan;
    pp__saved_kind kind =
        plan->nodes[node].op->traits & PP__OP_SOURCE ? PP__SAVED_INPUT : PP__SAVED_ACTIVATION;
    pp__choice choice;
    PP_TRY(choose(r, node, kind, &choice));
    PP_TRY(respect_relu(r, node, kind, &choice));
    if (!exact && choice.view && offers(plan, r->roots[node], PP__VIEW_VALUE)) {
        *record_out = r->roots[node];
        return PP_OK;
    }
    /* What pooling has made a pixel is next to nothing, and the classifier reads it. */
    if (!choice.stated && is_point(plan, node) && choice.coding.bits)
        choice.coding = r->policy.fallback[kind];
    if (exact || (choice.coding.codec->pooled && is_point(plan, node)))
        PP_TRY(pp__coding_read(plan->engine, "raw", &choice.coding));
    if (r->forms[node] == PP__NONE ||
        (exact && !plan->saved[r->forms[node]].coding.codec->stores_itself))
        PP_TRY(
            add_record(plan, node, kind, PP__SUBJECT_ACTIVATION, &choice.coding, &r->forms[node]));
    *record_out = r->forms[node];
    return PP_OK;
}

static pp_status resolve_mask(resolver *r, uint32_t node, uint32_t *record_out) {
    pp__choice choice;
    PP_TRY(choose(r, node, PP__SAVED_MASK, &choice));
    if (choice.view && offers(r->plan, r->roots[node], PP__VIEW_MASK)) {
        *record_out = r->roots[node];
    } else if (choice.view && !(r->plan->nodes[node].op->traits & PP__OP_NORMALISES) &&
               offers(r->plan, r->forms[node], PP__VIEW_MASK)) {
        *record_out = r->forms[node];
    } else {
        PP_TRY(add_record(r->plan, node, PP__SAVED_MASK, PP__SUBJECT_ACTIVATION, &choice.coding,
                          record_out));
    }
    return PP_OK;
}

static pp_status resolve_index(resolver *r, uint32_t node, uint32_t bits, uint32_t *record_out) {
    pp__choice choice;
    PP_TRY(choose(r, node, PP__SAVED_INDEX, &choice));
    choice.coding.bits = bits;
    return add_record(r->plan, node, PP__SAVED_INDEX, PP__SUBJECT_BITS, &choice.coding, record_out);
}

/* Every save of every node that is asked for `view` (VIEW_VALUE: of its input). */
static pp_status resolve_view(resolver *r, pp__view view) {
    pp_plan *plan = r->plan;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        pp__plan_node *node = &plan->nodes[i];
        for (size_t s = 0; s < node->save_count; s++) {
            const pp__save *save = &node->saves[s];
            if (save->view != view) continue;
            uint32_t record = PP__NONE;
            switch (view) {
                case PP__VIEW_XHAT: PP_TRY(resolve_root(r, i, &record)); break;
                case PP__VIEW_VALUE:
                    PP_TRY(resolve_value(r, node->inputs[0], save->exact, &record));
                    break;
                case PP__VIEW_MASK: PP_TRY(resolve_mask(r, i, &record)); break;
                case PP__VIEW_INDEX: PP_TRY(resolve_index(r, i, save->bits, &record)); break;
            }
            plan->saved[record].views |= (uint32_t)view;
            node->saved[s] = record;
        }
    }
    return PP_OK;
}

static pp_status ask_saves(pp_plan *plan) {
    for (uint32_t i = 0; i < plan->node_count; i++) {
        pp__plan_node *node = &plan->nodes[i];
        for (size_t s = 0; s < PP__OP_SAVES; s++) node->saved[s] = node->auxiliary[s] = PP__NONE;
        if (plan->inference || !node->wants_gradient || !node->op->save) continue;
        pp__op_query q;
        pp__stored stored[PP__OP_SAVES];
        pp__plan_query(plan, i, plan->profile, &q, stored);
        node->save_count = node->op->save(&q, node->saves);
    }
    return PP_OK;
}

static pp_status check_overrides(const resolver *r) {
    for (size_t i = 0; i < r->options->override_count; i++)
        if (!r->used[i] && !r->plan->inference)
            return pp__fail(r->plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "override %s=%s has no effect: no saved value of that name or kind "
                            "takes this codec "
                            "(kinds: @normalised, @activation, @input, @mask, @index)",
                            r->options->overrides[i].pattern, r->options->overrides[i].codec);
    return PP_OK;
}

pp_status pp__plan_saved(pp_plan *plan, const pp_plan_options *options) {
    resolver r = {.plan = plan, .options = options};
    pp_status status = PP_OK;
    PP_TRY_GOTO(status,
                pp__policy_read(plan->engine, options->codec ? options->codec : "raw", &r.policy),
                done);
    if (plan->pixels) PP_TRY_GOTO(status, pp__policy_keep_bytes(plan->engine, &r.policy), done);
    PP_TRY_GOTO(status,
                pp__allocate(plan->engine, options->override_count, sizeof *r.used, &r.used), done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->node_count, sizeof *r.roots, &r.roots),
                done);
    PP_TRY_GOTO(status, pp__allocate(plan->engine, plan->node_count, sizeof *r.forms, &r.forms),
                done);
    for (size_t i = 0; i < plan->node_count; i++) r.roots[i] = r.forms[i] = PP__NONE;
    PP_TRY_GOTO(status, ask_saves(plan), done);
    PP_TRY_GOTO(status, resolve_view(&r, PP__VIEW_XHAT), done);
    PP_TRY_GOTO(status, resolve_view(&r, PP__VIEW_VALUE), done);
    PP_TRY_GOTO(status, resolve_view(&r, PP__VIEW_MASK), done);
    PP_TRY_GOTO(status, resolve_view(&r, PP__VIEW_INDEX), done);
    PP_TRY_GOTO(status, check_overrides(&r), done);
done:
    pp__release(plan->engine, r.used);
    pp__release(plan->engine, r.roots);
    pp__release(plan->engine, r.forms);
    return status;
}
