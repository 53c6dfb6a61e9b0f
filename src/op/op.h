/* The operator table. One question about an operator = one field of pp__op. Compiles without
 * OpenCL.
 *
 * An operator is one file in this folder and one constant table at its end; op_list.inc lists them
 * all. The plan asks the questions that need no device (infer, save, workspace, cost); the session
 * binds memory and lets the operator record its launches once.
 */
#ifndef PP_OP_OP_H
#define PP_OP_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/codec.h"
#include "device/launch.h"
#include "tensor/tensor.h"
#include "util/engine.h"

enum { PP__OP_INPUTS = 2, PP__OP_PARAMETERS = 4, PP__OP_SAVES = 3, PP__OP_MOMENTS = 3 };

typedef enum pp__init { PP__INIT_ZERO, PP__INIT_ONE, PP__INIT_NORMAL } pp__init;

/* A parameter or running statistic that a node owns. */
typedef struct pp__parameter_spec {
    const char *suffix; /* "weight": the parameter is called "<node>.weight" */
    pp__shape shape;    /* weights: [r, s, c/groups, k]; vectors: [1, 1, 1, c] */
    uint32_t axis_count;
    pp__init init;
    float deviation; /* of PP__INIT_NORMAL */
    bool trainable;
    bool decayed; /* a weight in the sense of weight decay */
} pp__parameter_spec;

/* What infer fills in. */
typedef struct pp__op_shapes {
    pp__shape output;
    size_t parameter_count;
    pp__parameter_spec parameters[PP__OP_PARAMETERS];
} pp__op_shapes;

/* What backward needs of the forward pass. */
typedef enum pp__save_source {
    PP__SAVE_NOTHING,
    PP__SAVE_INPUT,
    PP__SAVE_OUTPUT,
    PP__SAVE_AUXILIARY
} pp__save_source;
typedef struct pp__save {
    pp__save_source source;
    pp__view view; /* INPUT: PP__VIEW_VALUE. OUTPUT: mask, or x-hat of a normalising operator */
    bool exact;    /* INPUT: only float32 will do */
    uint32_t bits; /* AUXILIARY with PP__VIEW_INDEX: bits per element of the output */
    size_t bytes;  /* AUXILIARY otherwise: exact bytes (batch-norm's statistics) */
} pp__save;

typedef enum pp__pass {
    PP__PASS_FORWARD,
    PP__PASS_BACKWARD_PARAMETERS, /* only operators that have it */
    PP__PASS_BACKWARD
} pp__pass;

/* Everything that is known of a node before memory exists. */
typedef struct pp__op_query {
    const void *params; /* the operator's own struct, filled in with defaults */
    const pp_profile *profile;
    size_t input_count;
    pp__shape inputs[PP__OP_INPUTS];
    pp__shape output;
    bool training;
    bool input_gradient[PP__OP_INPUTS]; /* false: nobody wants it (the network's input) */
    bool frozen[PP__OP_PARAMETERS];     /* the parameter, or running statistic, stays as it is */
    uint32_t input_moments; /* splits of the partial moments that come with input 0; 0: none */
    uint32_t bands;         /* the batch is so many times these images; 0 stands for 1 */
    /* Coding, subject and shape of each save; refs only when bound. */
    const pp__stored *stored[PP__OP_SAVES];
} pp__op_query;

/* A node bound to memory: what forward and backward record their launches from. */
typedef struct pp__op_binding {
    pp__op_query q;
    pp__stream *stream;
    pp__ref inputs[PP__OP_INPUTS]; /* forward only */
    pp__ref output; /* forward only. May be inputs[i]'s memory where traits allow it */
    pp__ref parameters[PP__OP_PARAMETERS];
    /* Forward: where AUXILIARY save i and OUTPUT x-hat codes are written. */
    pp__ref auxiliary[PP__OP_SAVES];
    /* Forward: partial moments, float32 [splits][count, mean, sum of squared deviations][c], of
     * input 0 (q.input_moments of them) and of the output. Empty: none, none wanted. */
    pp__ref input_moments, output_moments;
    pp__ref output_gradient; /* backward */
    pp__ref input_gradients[PP__OP_INPUTS];
    bool input_gradient_adds[PP__OP_INPUTS]; /* add to what is there; otherwise overwrite */
    pp__ref parameter_gradients[PP__OP_PARAMETERS];
    bool parameter_gradients_add;
    bool divided;  /* the pass's first half was recorded before */
    uint32_t band; /* of q.bands */
    pp__ref workspace;
    pp__ref labels;  /* losses: int32 [n], or float32 targets of the prediction's shape */
    pp__ref metrics; /* losses: float32 [2], loss sum and hits are added */
    /* The step's scalars, cl/common.cl says which: dropout's seed, the loss's count, ... */
    pp__ref scalars;
    uint32_t node_number;
} pp__op_binding;

/* What pp_plan_step_info (plan.h) says of a pass; the profile is not asked. */
typedef struct pp__op_cost {
    double flops, bytes;
    bool is_product;
} pp__op_cost;

typedef enum pp__op_trait {
    PP__OP_IN_PLACE = 1,          /* output may overwrite input 0 */
    PP__OP_IN_PLACE_SECOND = 2,   /* ... or input 1 */
    PP__OP_GRADIENT_IN_PLACE = 4, /* input gradient 0 may overwrite the output gradient */
    /* Every input gradient *is* the output gradient (add): there is no backward. */
    PP__OP_GRADIENT_SHARED = 8,
    PP__OP_LOSS = 16,
    /* Its x-hat is the root of its output: parameters 0 and 1 are gamma and beta, the AUXILIARY
     * save is the statistics; where the codec stores itself, input 0 is kept in x-hat's place.
     * Parameters 2 and 3 are the running statistics; frozen, they take the batch's place. */
    PP__OP_NORMALISES = 32,
    PP__OP_RELU_OUTPUT = 64, /* the output went through a ReLU */
    PP__OP_POOL_INPUT = 128, /* a framework keeps this operator's input for backward (max-pool) */
    PP__OP_SOURCE = 256,     /* no inputs: the network's input */
    /* All input gradients are one tensor (add_relu): backward writes it to input_gradients[0]. */
    PP__OP_GRADIENT_COMMON = 512,
    /* A loss that compares with float32 targets of its input's shape; other losses take int32
     * labels [n]. */
    PP__OP_TARGETS = 1024,
    /* Works on each image by itself, normalising operators but for their first halves: a batch may
     * come in bands of images. */
    PP__OP_BANDS = 2048
} pp__op_trait;

typedef struct pp__op {
    const char *name;
    size_t params_bytes;
    size_t input_count;
    /* Output and parameter shapes for the inputs' shapes, or one precise sentence. `node` names the
     * node. */
    pp_status (*infer)(pp_engine *engine, const char *node, const void *params,
                       const pp__shape *inputs, pp__op_shapes *shapes_out);
    /* Fills `saves` (zeroed) and returns how many there are; one that is left zeroed is not needed.
     * NULL: backward needs nothing. */
    size_t (*save)(const pp__op_query *q, pp__save saves[PP__OP_SAVES]);
    /* Bytes of scratch for one pass. NULL: none. */
    size_t (*workspace)(const pp__op_query *q, pp__pass pass);
    /* Splits of the partial moments that forward writes beside its output when a normalising
     * operator reads it. NULL or 0: it writes none. */
    uint32_t (*moments)(const pp__op_query *q);
    /* Compares what a pass would be recorded with against plain twins (device/self_test.h), before
     * `forward` and the others. `b` has no memory: refs of parameters and moments say only that
     * there are some. NULL: there are only plain kernels. */
    pp_status (*self_test)(const pp__op_binding *b, pp__pass pass);
    pp_status (*forward)(const pp__op_binding *b);
    /* Parameter gradients alone, as a step of its own in front of `backward`. NULL: `backward`
     * writes them. */
    pp_status (*backward_parameters)(const pp__op_binding *b);
    pp_status (*backward)(const pp__op_binding *b);
    /* Normalising operators only, for batches in bands (plan/bands.c): the first halves of both
     * passes. `input_moments` sees each band where its maker leaves no moments; `statistics` the
     * whole batch; `backward_sums` each band in its turn, and `backward_totals` adds up and writes
     * the parameters' gradients. All three backward steps share one workspace. */
    uint32_t (*input_splits)(const pp__op_query *q);     /* of the moments that ... */
    pp_status (*input_moments)(const pp__op_binding *b); /* ... this writes to `workspace` */
    pp_status (*statistics)(const pp__op_binding *b);
    pp_status (*backward_sums)(const pp__op_binding *b);
    pp_status (*backward_totals)(const pp__op_binding *b);
    pp__op_cost (*cost)(const pp__op_query *q, pp__pass pass);
    uint32_t traits; /* a sum of pp__op_trait */
} pp__op;

/* False: the build leaves the operator out (POCKETPROP_WITHOUT), and it has a name alone. */
static inline bool pp__op_is_built(const pp__op *op) {
    return op->infer != NULL;
}

/* Every operator by its C name: pp__op_conv2d, ... */
#define PP__OP(name) extern const pp__op pp__op_##name;
#include "op/op_list.inc"
#undef PP__OP

#endif
