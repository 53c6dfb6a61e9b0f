/* A graph in memory: nodes in the order in which they were added. Node i's one output is value i +
 * 1. */
#ifndef PP_GRAPH_GRAPH_H
#define PP_GRAPH_GRAPH_H

#include <pocketprop/graph.h>

#include "op/op.h"

typedef struct pp__node {
    const pp__op *op;
    char *name;
    void *params; /* op->params_bytes, defaults filled in; NULL when there are none */
    uint32_t inputs[PP__OP_INPUTS]; /* node numbers */
} pp__node;

struct pp_graph {
    pp_engine *engine;
    pp_status status; /* the first failure sticks */
    pp__node *nodes;
    size_t node_count, node_capacity;
};

#endif
