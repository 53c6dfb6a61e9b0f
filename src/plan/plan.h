/* A plan in memory, and the passes that make it. Compiles without OpenCL.
 *
 *     infer     copies the graph's nodes, fills in shapes and parameters
 *     rules     what is trained, and at which rate
 *     fuse      rewrites: batch-norm + ReLU, add + ReLU
 *     saved     what backward reads, and each stored value's codec (policy.c reads policies)
 *     forward   the forward steps, and a buffer for every value
 *     backward  the backward and update steps, and the gradients' buffers
 *     recompute blocks whose forward steps run again for backward
 *     bands     runs of nodes that take a few images at a time
 *     sharing   ... and what of a band takes turns in one place
 *     park      values that wait, in 16 bits
 *     lives     first and last step of every buffer
 *     pieces    ... and of each band's images in it
 *     layout    live bytes and offsets (memory/planner.h)
 *
 * A *buffer* is a place that lives from its first step to its last; values that overwrite one
 * another in place share one. It lies in one *piece*, or in several that live and lie each by
 * itself: where all steps take a few of its images at a time, and where it is written anew. Numbers
 * that refer to nothing are PP__NONE.
 */
#ifndef PP_PLAN_PLAN_H
#define PP_PLAN_PLAN_H

#include <pocketprop/plan.h>

#include "graph/graph.h"
#include "memory/planner.h"
#include "op/op.h"

#define PP__NONE UINT32_MAX

/* Words of 32 bits in a row of the update's table. */
enum { PP__UPDATE_ROW_WORDS = 10 };

typedef struct pp__plan_buffer {
    char *name;
    pp_memory_class memory_class;
    size_t raw_bytes; /* as float32 */
    size_t bytes;
    uint32_t images; /* how many it holds, one behind the other; 0: what is not per image */
    size_t first, last;
    size_t first_piece, piece_count; /* by their first steps, those of all images together */
    /* The saved record it holds (the first, where several keep one tensor), or PP__NONE. */
    uint32_t saved;
    uint32_t views;    /* a sum of pp__view over all its records */
    pp__coding parked; /* of what waits there (park.c); codec NULL: none */
} pp__plan_buffer;

/* Consecutive images of a buffer, or all of it, for as long as a reader is to come. */
typedef struct pp__plan_piece {
    uint32_t buffer, first_image, image_count;
    size_t bytes;
    size_t first, last; /* steps */
    size_t chunk, offset_bytes;
} pp__plan_piece;

typedef struct pp__plan_parameter {
    char *name;
    uint32_t node;
    pp__parameter_spec spec;
    size_t elems;
    float rate;               /* of the learning rate */
    uint32_t value, gradient; /* buffers; gradient of trainable ones */
    uint32_t moments[2];      /* buffers of optimizer state */
} pp__plan_parameter;

typedef enum pp__saved_kind {
    PP__SAVED_NORMALISED,
    PP__SAVED_ACTIVATION,
    PP__SAVED_INPUT,
    PP__SAVED_MASK,
    PP__SAVED_INDEX,
    PP__SAVED_KIND_COUNT
} pp__saved_kind;

/* One stored form of one value. Several saves may read it, each through its view. */
typedef struct pp__saved {
    uint32_t node; /* whose output is stored (for a normalised subject: whose x-hat) */
    pp__saved_kind kind;
    pp__coding coding;
    char text[PP__CODING_TEXT]; /* the coding in words */
    pp__subject subject;
    pp__shape shape;
    uint32_t views; /* a sum of pp__view: what backward reads */
    uint32_t buffer;
    /* An encode step writes it; otherwise the operator does, or it is the value itself. */
    bool own_step;
} pp__saved;

typedef struct pp__plan_node {
    const pp__op *op;
    char *name;
    void *params;
    uint32_t number; /* the node's number in the graph; keys dropout */
    uint32_t inputs[PP__OP_INPUTS];
    pp__shape shape;
    uint32_t first_parameter, parameter_count;
    bool frozen[PP__OP_PARAMETERS]; /* by rules (rules.c); their specs are not trainable */
    float rates[PP__OP_PARAMETERS];
    uint32_t consumer_count;
    bool wants_gradient; /* a trainable parameter lies at or above it */
    pp__save saves[PP__OP_SAVES];
    size_t save_count;
    uint32_t saved[PP__OP_SAVES];     /* the record each save reads, or PP__NONE */
    uint32_t auxiliary[PP__OP_SAVES]; /* the buffer of a save without a codec, or PP__NONE */
    uint32_t value;                   /* the buffer of its output */
    uint32_t moment_splits, moments;  /* the buffer of its output's partial moments, if any */
    bool moments_apart;               /* which a step of their reader writes, ... */
    bool moments_whole;               /* ... of all bands together */
} pp__plan_node;

typedef enum pp__step_kind {
    PP__STEP_FORWARD,
    PP__STEP_MOMENTS,    /* of a normalising operator's input */
    PP__STEP_STATISTICS, /* the first half of a normalising operator's forward pass */
    PP__STEP_ENCODE,     /* index: saved record */
    PP__STEP_DECODE,     /* the node's value, of the saved record `index` */
    PP__STEP_BACKWARD_PARAMETERS,
    PP__STEP_BACKWARD_SUMS,   /* the first half of a normalising operator's backward pass, ... */
    PP__STEP_BACKWARD_TOTALS, /* ... with the sums over all bands */
    PP__STEP_BACKWARD,
    PP__STEP_COPY_VALUE,    /* the node's value = scratch */
    PP__STEP_COPY_GRADIENT, /* input_gradients[0] = output_gradient */
    PP__STEP_ADD_GRADIENT,  /* input_gradients[0] += output_gradient */
    PP__STEP_PARK,          /* input_gradients[0] = the code of output_gradient, ... */
    PP__STEP_FETCH,         /* ... and back; values and gradients alike (park.c) */
    PP__STEP_CLIP,          /* the factor that keeps the gradients' norm within bounds */
    PP__STEP_UPDATE         /* all parameters of the node and of those up to node `index` */
} pp__step_kind;

typedef struct pp__plan_step {
    pp__step_kind kind;
    uint32_t node;
    uint32_t index;           /* as the kind says */
    uint32_t output_gradient; /* buffers */
    uint32_t input_gradients[PP__OP_INPUTS];
    bool adds[PP__OP_INPUTS];
    uint32_t workspace;
    uint32_t scratch;                  /* forward writes its output there, or PP__NONE */
    uint32_t first_image, image_count; /* the whole batch, or one band of it (bands.c) */
    bool divided;                      /* the first half of the pass was done by steps of its own */
    bool repeated;                     /* an earlier step computed the same */
    bool training_only;                /* inference does without it */
    bool recomputed;                   /* in backward, of forward's (recompute.c) */
    bool superseded;                   /* another step will do it; only while the plan is made */
    char *name;
} pp__plan_step;

/* Nodes first..last, worked on in bands of so many images (bands.c). */
typedef struct pp__plan_run {
    uint32_t first, last, images;
} pp__plan_run;

struct pp_plan {
    pp_engine *engine;
    const pp_profile *profile;      /* borrowed while the plan is made; NULL afterwards */
    const pp_parameter_rule *rules; /* likewise */
    size_t rule_count;
    pp_optimizer optimizer;
    char *codec; /* the policy's */
    uint32_t batch, accumulate, transient_bits;
    bool inference;
    bool updates_at_end; /* gradients live to the end of the step: clipping or accumulation */

    pp__plan_node *nodes;
    size_t node_count;
    pp__plan_parameter *parameters;
    size_t parameter_count, parameter_capacity;
    pp__saved *saved;
    size_t saved_count, saved_capacity;
    pp__plan_buffer *buffers;
    size_t buffer_count, buffer_capacity;
    pp__plan_piece *pieces;
    size_t piece_count;
    pp__plan_step *steps;
    size_t step_count, step_capacity;
    pp__plan_run *runs;
    size_t run_count;
    pp__plan_run *recomputed; /* blocks that are computed again for backward */
    size_t recomputed_count;

    uint32_t input, labels, scalars, metrics; /* staging buffers */
    const pp_pixels *pixels; /* what the input's bytes stand for; NULL: it arrives in float32 */
    uint32_t update_table;   /* a row for each gradient, or PP__NONE (exec/update.h) */
    uint32_t input_node, loss_node; /* loss_node PP__NONE: a graph without a loss */
    size_t label_bytes;

    size_t *chunk_bytes;
    size_t alignment_bytes; /* of all places in a chunk */
    pp__layout layout;
    size_t *live_bytes; /* per step */
    size_t saved_raw_bytes;
};

/* What the codec of each kind is: a coding, or a view with a coding to fall back on. */
typedef struct pp__choice {
    bool view;
    bool stated;       /* by an override */
    pp__coding coding; /* codec NULL only for a bare "view" */
} pp__choice;

typedef struct pp__policy {
    pp__choice kinds[PP__SAVED_KIND_COUNT];
    pp__coding fallback[PP__SAVED_KIND_COUNT]; /* where no view exists */
} pp__policy;

const char *pp__saved_kind_name(pp__saved_kind kind);

/* The policy of pp_plan_options.codec. */
pp_status pp__policy_read(pp_engine *engine, const char *text, pp__policy *policy_out);
/* For a network whose input arrives in bytes. */
pp_status pp__policy_keep_bytes(pp_engine *engine, pp__policy *policy);

/* Whether a text matches the first `length` characters of a pattern with * and ?. */
bool pp__plan_matches(const char *pattern, size_t length, const char *text);

/* Whether an override's pattern, "layer1.*", "@kind" or "layer1.*@kind", means this value. */
bool pp__policy_matches(const char *pattern, const char *node, pp__saved_kind kind);

/* The choice for one value: the policy's, changed by the overrides that match. `used` marks
 * overrides. */
pp_status pp__policy_choose(pp_engine *engine, const pp__policy *policy,
                            const pp_plan_options *options, const char *node, pp__saved_kind kind,
                            pp__choice *choice_out, bool *used);

/* A plan by codec, overrides and bands alone. Without places it has the live bytes of its steps and
 * their maximum, the lower bound of any layout. */
pp_status pp__plan_make(const pp_graph *graph, const pp_profile *profile,
                        const pp_plan_options *options, bool places, pp_plan **plan_out);

/* The passes. */
pp_status pp__plan_copy_graph(pp_plan *plan, const pp_graph *graph);
pp_status pp__plan_infer(pp_plan *plan);
/* Refuses rules that match nothing or make no sense. */
pp_status pp__plan_check_rules(const pp_plan *plan);
/* Settles which of a node's parameters are frozen and at which rate the others learn. */
pp_status pp__plan_apply_rules(pp_plan *plan, pp__plan_node *node, const pp__op_shapes *shapes);
/* ... and that a batch-norm with nothing to train at or in front of it takes running statistics. */
void pp__plan_freeze_statistics(const pp_plan *plan, pp__plan_node *node);
/* Makes statistics of the batch: a normalising operator whose running ones are not frozen. */
bool pp__plan_normalises(const pp__plan_node *node);
/* Of an inferred plan before fusing: METHODS B.4. */
size_t pp__plan_framework_bytes(const pp_plan *plan);
pp_status pp__plan_fuse(pp_plan *plan);
pp_status pp__plan_parameters(pp_plan *plan);
pp_status pp__plan_saved(pp_plan *plan, const pp_plan_options *options);
pp_status pp__plan_forward(pp_plan *plan);
pp_status pp__plan_backward(pp_plan *plan);
pp_status pp__plan_read_runs(pp_plan *plan, const pp_plan_options *options);
pp_status pp__plan_bands(pp_plan *plan);
pp_status pp__plan_share_bands(pp_plan *plan);
pp_status pp__plan_read_recomputed(pp_plan *plan, const pp_plan_options *options);
/* In front of the backward steps of node `last`: those that compute the block again that ends there,
 * if one does. */
pp_status pp__plan_recompute(pp_plan *plan, uint32_t last);
void pp__plan_drop_superseded(pp_plan *plan);
/* In 16 bits, if the application allows it. */
pp_status pp__plan_park(pp_plan *plan);
/* Per buffer: the images of each of its pieces; 0: it has one piece. `images` holds zeros. */
void pp__plan_piece_images(pp_plan *plan, uint32_t *images);
pp_status pp__plan_pieces(pp_plan *plan);
pp_status pp__plan_measure(pp_plan *plan);
/* The search for places may end at `enough_bytes` and be shortened (memory/planner.h). */
pp_status pp__plan_place(pp_plan *plan, const pp_profile *profile, size_t enough_bytes,
                         unsigned haste);
/* The node makes a run by itself: its output, and its input's gradient, may then take the place of
 * what it reads. */
bool pp__plan_runs_alone(const pp_plan *plan, uint32_t node);
/* The node whose float32 tensor a record keeps instead of a code, or PP__NONE. */
uint32_t pp__plan_kept_node(const pp_plan *plan, const pp__saved *saved);
/* The last node of a run of several. */
bool pp__plan_ends_run(const pp_plan *plan, uint32_t node);
/* Both in the same run, or a in none. */
bool pp__plan_same_run(const pp_plan *plan, uint32_t a, uint32_t b);

/* Shared by the passes. */
/* An application's name for a node; `what` begins the sentence when there is none. */
pp_status pp__plan_find_node(const pp_plan *plan, const char *what, const char *name,
                             uint32_t *node_out);
pp_status pp__plan_add_buffer(pp_plan *plan, const char *owner, const char *what,
                              pp_memory_class memory_class, size_t raw_bytes, size_t bytes,
                              uint32_t *buffer_out);
/* "conv1 forward"; the caller frees it. */
pp_status pp__plan_name(const pp_plan *plan, const char *owner, const char *what, char **name_out);
pp_status pp__plan_add_step(pp_plan *plan, pp__step_kind kind, uint32_t node, const char *what,
                            pp__plan_step **step_out);

/* Every buffer that a step reads or writes, one that it changes as both; some more than once. */
typedef void pp__use_visitor(void *user, uint32_t buffer, bool reads, bool writes);
void pp__plan_visit_step(const pp_plan *plan, const pp__plan_step *step, pp__use_visitor *visit,
                         void *user);

/* What a step does with one buffer, all its uses together. */
typedef struct pp__plan_use {
    bool reads, writes;
} pp__plan_use;
pp__plan_use pp__plan_use_of(const pp_plan *plan, const pp__plan_step *step, uint32_t buffer);

/* First and last step of every buffer. */
void pp__plan_lives(pp_plan *plan);

/* The piece that holds an image at a step, or the buffer's first where none does. */
const pp__plan_piece *pp__plan_piece_of(const pp_plan *plan, uint32_t buffer, size_t step,
                                        uint32_t image);
/* The node whose output is the network's prediction. */
uint32_t pp__plan_prediction(const pp_plan *plan);

/* A record as kernels see it, without memory. */
pp__stored pp__plan_stored(const pp_plan *plan, const pp__saved *saved);

/* What is known of a node without memory. `stored` holds what q->stored points to. */
void pp__plan_query(const pp_plan *plan, uint32_t node, const pp_profile *profile, pp__op_query *q,
                    pp__stored stored[PP__OP_SAVES]);
/* The same of `image_count` images in one of the equal bands that the batch falls into. */
void pp__plan_query_band(const pp_plan *plan, uint32_t node, uint32_t image_count,
                         const pp_profile *profile, pp__op_query *q,
                         pp__stored stored[PP__OP_SAVES]);

/* Floats that clipping needs: one for each block of each gradient. */
size_t pp__plan_square_count(const pp_plan *plan, const pp_profile *profile);

/* Scratch of one pass of a node as a buffer of that step; none for zero bytes. */
pp_status pp__plan_add_workspace(pp_plan *plan, uint32_t node, pp__pass pass, pp__plan_step *step);

#endif
