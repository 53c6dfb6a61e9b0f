/* Graphs by chance, of every operator that a plan treats in a way of its own. */
#ifndef PP_TEST_PLAN_RANDOM_GRAPHS_H
#define PP_TEST_PLAN_RANDOM_GRAPHS_H

#include <stdio.h>

#include "plan/plans.h"

/* One random operator that keeps [4, 4, 8], on any earlier values. */
static inline pp_value add_random_node(pp_graph *g, const char *name, const pp_value *values,
                                       size_t count) {
    const pp_pool_params pool = {
        .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1};
    /* Mostly the newest value, so that graphs become deep. */
    pp_value x = values[test_random_below(2) ? count - 1 : test_random_below((uint32_t)count)];
    pp_value other = values[test_random_below((uint32_t)count)];
    switch (test_random_below(12)) {
        case 0:
        case 1:
        case 2: return add_conv(g, name, x, 8);
        case 3:
        case 4: return add_bn(g, name, x);
        case 5:
        case 6: return pp_graph_relu(g, name, x);
        case 7:
        case 8: return pp_graph_add(g, name, x, other);
        case 9: return pp_graph_dropout(g, name, x, 0.5f);
        case 10: return pp_graph_maxpool(g, name, x, &pool);
        default: return pp_graph_shortcut(g, name, x, &(pp_shortcut_params){.out_channels = 8});
    }
}

/* Values without a reader stay as they are: branches that the loss does not depend on. */
static inline pp_graph *random_graph(void) {
    enum { MOST = 24 };
    pp_graph *g = graph_new();
    pp_value values[MOST + 2] = {pp_graph_input(g, "image", 4, 4, 8)};
    size_t count = 1, most = 2 + test_random_below(MOST - 2);
    if (test_random_below(2)) values[count] = add_conv(g, "stem", values[0], 8), count++;
    for (size_t i = 0; i < most; i++, count++) {
        char name[32];
        snprintf(name, sizeof name, "node%zu", i);
        values[count] = add_random_node(g, name, values, count);
    }
    add_head(g, values[count - 1]);
    return g;
}

#endif
