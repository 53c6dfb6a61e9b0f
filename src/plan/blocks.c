/* The runs of nodes that are worth working on in bands: between two cuts of the network, where all
 * that crosses is one value. A residual block is one; nodes in a chain go together as long as they
 * hold at most one normalising operator, so that one pass more is enough. A front in which nothing is
 * trained is one block, however long: each image goes through it by itself. */
#include "plan/blocks.h"

/* The last node that reads each node's output, or the node itself. */
static void find_readers(const pp_plan *plan, uint32_t *last_reader) {
    for (uint32_t i = 0; i < plan->node_count; i++) {
        last_reader[i] = i;
        for (size_t j = 0; j < plan->nodes[i].op->input_count; j++)
            last_reader[plan->nodes[i].inputs[j]] = i;
    }
}

static bool takes_bands(const pp_plan *plan, uint32_t first, uint32_t last) {
    for (uint32_t i = first; i <= last; i++)
        if (!(plan->nodes[i].op->traits & PP__OP_BANDS)) return false;
    return true;
}

/* From the last node with parameters that does not normalise: the layer whose output is added, its
 * batch-norm and the sum. */
static uint32_t find_tail(const pp_plan *plan, uint32_t first, uint32_t last) {
    for (uint32_t i = last; i > first; i--)
        if (plan->nodes[i].parameter_count && !(plan->nodes[i].op->traits & PP__OP_NORMALISES))
            return i;
    return first;
}

typedef struct gathering {
    const pp_plan *plan;
    pp__block *blocks;
    size_t count;
    bool in_chain; /* the last block is a chain that may go on */
} gathering;

static void add_block(gathering *g, uint32_t first, uint32_t last) {
    g->blocks[g->count++] = (pp__block){first, find_tail(g->plan, first, last), last};
}

/* Nodes in front of the first that takes part in backward, if any of them has parameters. */
static uint32_t front_of(const pp_plan *plan) {
    bool any = false;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i].wants_gradient) return any ? i : 0;
        any |= plan->nodes[i].parameter_count != 0;
    }
    return 0;
}

/* One node between two cuts. */
static void add_link(gathering *g, uint32_t node) {
    const pp__plan_node *n = &g->plan->nodes[node];
    pp__block *chain = g->in_chain ? &g->blocks[g->count - 1] : NULL;
    bool normalised = false;
    for (uint32_t i = chain ? chain->first : node; i < node; i++)
        normalised |= (g->plan->nodes[i].op->traits & PP__OP_NORMALISES) != 0;
    if (chain && !(normalised && n->parameter_count))
        chain->last = node;
    else
        add_block(g, node, node);
    g->in_chain = true;
}

pp_status pp__plan_find_blocks(const pp_plan *plan, pp__block **blocks_out, size_t *count_out) {
    uint32_t *last_reader;
    gathering g = {.plan = plan};
    *blocks_out = NULL;
    PP_TRY(pp__allocate(plan->engine, plan->node_count, sizeof *last_reader, &last_reader));
    pp_status status = pp__allocate(plan->engine, plan->node_count, sizeof *g.blocks, &g.blocks);
    if (status == PP_OK) {
        find_readers(plan, last_reader);
        const uint32_t front = plan->inference ? 0 : front_of(plan);
        uint32_t open = 0, furthest = 0; /* the first node behind the last cut */
        for (uint32_t i = 0; i < plan->node_count; i++) {
            bool is_cut = furthest <= i; /* nobody behind i reads what lies in front of it */
            if (last_reader[i] > furthest) furthest = last_reader[i];
            if (!is_cut) continue;
            if (!takes_bands(plan, open, i))
                g.in_chain = false;
            else if (i < front && open && g.count == 1)
                g.blocks[0].last = i;
            else if (i < front)
                add_block(&g, open, i);
            else if (open == i)
                add_link(&g, i);
            else {
                add_block(&g, open, i);
                g.in_chain = false;
            }
            open = i + 1;
        }
    }
    pp__release(plan->engine, last_reader);
    *blocks_out = g.blocks;
    *count_out = g.count;
    return status;
}
