/* The network of tests/golden/training/residual (tests/golden/README.md), as a graph and as the
 * plain references put together, with any codec: backward reads what the reference codec makes of a
 * value.
 *
 *     residual net;
 *     golden *g = golden_read("training/residual");
 *     residual_start(&net, g, "norm:4");
 *     for (size_t i = 0; i < RESIDUAL_STEPS; i++) losses[i] = residual_step(&net, i);
 *
 * What each policy keeps of this network (include/pocketprop/plan.h):
 *
 *     value               raw     half    norm:K          avgpool:W
 *     conv1's input       raw     half    half            raw
 *     bn1's x-hat         raw     half    K bits          raw
 *     relu1's mask        exact   exact   from the code   exact
 *     conv2's input       raw     half    group:K         block means
 *     bn2's x-hat         raw     half    K bits, no ReLU raw
 *     relu2's mask        exact   exact   exact           exact
 *     fc's input          raw     half    half            raw
 *
 * (group:8 with norm:5.) btc:W is as norm:K, with group:3 for W = 2 and group:2 else. With
 * @activation=group:K conv2's and fc's inputs are in that code, with avgpool:W+group:K the block
 * means.
 */
#ifndef PP_TEST_RESIDUAL_H
#define PP_TEST_RESIDUAL_H

#include <pocketprop/graph.h>
#include <stdint.h>

#include "support/golden.h"

enum {
    RESIDUAL_STEPS = 10,
    RESIDUAL_BATCH = 4,
    RESIDUAL_SIDE = 8,
    RESIDUAL_COLOURS = 3,
    RESIDUAL_WIDTH = 8,
    RESIDUAL_CLASSES = 5,
    RESIDUAL_INPUT = RESIDUAL_BATCH * RESIDUAL_SIDE * RESIDUAL_SIDE * RESIDUAL_COLOURS,
    RESIDUAL_LARGE = RESIDUAL_BATCH * RESIDUAL_SIDE * RESIDUAL_SIDE * RESIDUAL_WIDTH,
    RESIDUAL_SMALL = RESIDUAL_LARGE / 4,                 /* elements behind the pool */
    RESIDUAL_MOST = 9 * RESIDUAL_WIDTH * RESIDUAL_WIDTH, /* of the largest parameter */
    RESIDUAL_PARAMETERS = 8,
    RESIDUAL_STATISTICS = 4
};

typedef struct residual_parameter {
    const char *name;
    size_t count;
    bool decayed;
    double value[RESIDUAL_MOST], gradient[RESIDUAL_MOST], moment[RESIDUAL_MOST];
} residual_parameter;

/* How a policy stores values. All zero: raw. */
typedef struct residual_codec {
    unsigned bits; /* of x-hat */
    bool lloyd;
    bool half_xhat, half_values;
    unsigned group_bits; /* of activations, or of block means */
    bool groups_points;  /* also of those of one pixel */
    size_t block_side;
    size_t btc_side; /* of x-hat's blocks */
} residual_codec;

typedef struct residual {
    const golden *g; /* borrowed */
    residual_codec codec;
    residual_parameter p[RESIDUAL_PARAMETERS];
    double running[RESIDUAL_STATISTICS][RESIDUAL_WIDTH]; /* of bn1 and bn2: mean, variance */
    double xhat1[RESIDUAL_LARGE], xhat2[RESIDUAL_SMALL];
    double inverse_deviation1[RESIDUAL_WIDTH], inverse_deviation2[RESIDUAL_WIDTH];
    double pooled[RESIDUAL_SMALL], features[RESIDUAL_BATCH * RESIDUAL_WIDTH];
    double logits[RESIDUAL_BATCH * RESIDUAL_CLASSES], dlogits[RESIDUAL_BATCH * RESIDUAL_CLASSES];
    uint8_t mask1[RESIDUAL_LARGE], mask2[RESIDUAL_SMALL], index[RESIDUAL_SMALL];
} residual;

extern const char *const residual_statistics[RESIDUAL_STATISTICS]; /* their names */

/* The golden's initial state. `policy`: raw, half, norm:K, btc:W or avgpool:W with one digit;
 * " @activation=group:K" may follow, and "+group:K" behind avgpool:W. */
void residual_start(residual *net, const golden *g, const char *policy);

/* One step on the golden's batch of that number; the mean loss before the update. */
double residual_step(residual *net, size_t step);

/* The same network for a session; the caller destroys it. */
pp_graph *residual_graph(void);

#endif
