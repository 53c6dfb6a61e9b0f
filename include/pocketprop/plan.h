/* plan.h: every byte of a training step, before the first kernel runs.
 *
 *     pp_plan *plan = NULL;
 *     pp_plan_options options = {.batch = 64, .codec = "norm:4"};
 *     pp_plan_create(graph, profile, &options, &plan);
 *     pp_plan_summary summary;
 *     pp_plan_summarize(plan, &summary);           // summary.peak_bytes
 *
 * A plan is immutable and needs no device. It holds the steps (forward, backward, update), the
 * stored form of every activation that backward needs, and a place in the arena for every value.
 *
 * Policies. Each saved value has a kind, and `codec` names a policy that gives every kind a codec:
 *
 *   kind         what it is                                raw    half   norm:K   avgpool:W
 *   normalised   batch-norm's x-hat                        raw    half   norm:K   raw
 *   activation   input of a convolution or dense layer     view   view   view     avgpool:W
 *                ... that no stored code can reproduce     raw    half   group:K  avgpool:W
 *                ... of one pixel                          raw    half   half     raw
 *   input        the same, where it is the network's input raw    half   half     raw
 *   mask         the sign of a ReLU's input                view   view   view     view
 *                ... that no stored code can reproduce     signmask in every policy
 *   index        the place of each maximum of a max-pool   argmax   in every policy
 *
 * btc:W is the policy norm:K with btc:W in norm's place, and group:3 (W = 2) or group:2 in group's.
 * group:K is the same policy as norm:K by another name. Where one of the two does not exist with K
 * bits, the next larger K stands in. avgpool:W+group:K stores the means of avgpool:W in K bits.
 *
 * bitmap is the policy raw with bitmap for activations behind a ReLU that no stored code can
 * reproduce; an override that names a value which is no ReLU's output is refused.
 *
 * pool:W+residual:K is the policy norm:K with a code of its own for every activation in the place of
 * views, and signmask for masks.
 *
 * An input that arrives in bytes (pp_graph_input_bytes) stays in them, in every policy and whatever
 * an override by name says: backward reads the staged bytes again.
 *
 * A "view" costs nothing: it is decoded from another stored code (one code for x-hat, mask
 * and convolution input). `overrides` change a kind ("@activation") or the values of nodes whose
 * name matches a pattern with * and ? ("layer1.*"); the last match wins. By name an override does
 * what a policy of its codec would: one code, with views on it; by kind it is literal. Formulas
 * of the codecs: src/codec/METHODS.md.
 */
#ifndef POCKETPROP_PLAN_H
#define POCKETPROP_PLAN_H

#include <pocketprop/graph.h>
#include <pocketprop/optimizer.h>
#include <pocketprop/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_plan pp_plan;

typedef struct pp_codec_override {
    const char *pattern; /* a node-name pattern, "@kind", or both: "layer1.*@activation" */
    /* "raw", "half", "bfloat", "norm:4" (1 to 6 or 8 bits), "norm:2,clip=1.9", "norm:3,lloyd" (2
     * to 4 bits), "btc:4" (2, 4 or 8), "avgpool:2", "signmask", "view" */
    const char *codec;
} pp_codec_override;

/* A run of nodes, `first` to `last` in the graph's order, that works on `images` images at a time:
 * what lies between the nodes, and its gradients, takes memory for so many images only. Where
 * batch-norms in it need the whole batch first, the layers in front of them are computed again: a
 * run of one convolution, its batch-norm and a sum or max-pool computes the convolution twice. The
 * results are the same but for the order of sums. A run of one layer has nothing in between; there
 * the layer's output takes its input's place, and its input's gradient that of its output, where
 * nobody else needs them and the shapes are equal. */
typedef struct pp_band {
    const char *first,
        *last;       /* a batch-norm or sum and the ReLU behind it go by the former's name */
    uint32_t images; /* a divisor of the batch; 0: about an eighth of it */
} pp_band;

/* What a codec would do to the gradient through one saved value, in any unit that all of them
 * share (measure.h measures it). Texts are borrowed. */
typedef struct pp_harm {
    const char *value; /* the node's name */
    const char *kind;  /* "normalised", "activation" */
    const char *codec; /* "norm:4" */
    double harm;
} pp_harm;

/* Nodes first..last, called as for bands: what lies between them is not kept for backward but
 * computed again, once, from the value they begin with. That value must have a form that backward
 * keeps anyway, and nothing inside may be read from outside. */
typedef struct pp_span {
    const char *first, *last;
} pp_span;

/* What becomes of the parameters and running statistics whose names match a pattern with * and ?
 * ("layer1.*", "*.bias", "*.running_*"). Rules are taken in order, so a later one wins: freeze "*",
 * then train "linear.*", trains the head alone.
 *
 * What is frozen costs nothing: no gradient, no moment, no saved activation that only it would
 * read, and in front of the first layer that is trained no backward step at all. A batch-norm whose
 * running statistics are frozen normalises by them in training as in inference; so does one at or
 * in front of which nothing is trained. Both statistics of a batch-norm are frozen together. */
typedef enum pp_rule_kind {
    PP_RULE_FREEZE, /* stay as they are */
    PP_RULE_TRAIN,  /* are trained after all */
    PP_RULE_RATE    /* learn at `rate` times the learning rate */
} pp_rule_kind;

typedef struct pp_parameter_rule {
    pp_rule_kind kind;
    const char *pattern;
    float rate; /* of PP_RULE_RATE; above 0 */
} pp_parameter_rule;

typedef struct pp_plan_options {
    /* Samples per step; 0 with a budget: the largest batch that fits without the coarsest codes. */
    uint32_t batch;
    const char *codec; /* the policy; NULL stands for "raw" */
    /* Decisions as pp_plan_print_policy wrote them, of this network; NULL: none. `codec`, overrides
     * and bands here win over them. */
    const char *policy;
    const pp_codec_override *overrides;
    size_t override_count;
    const pp_band *bands; /* runs that do not overlap */
    size_t band_count;
    const pp_span *recompute;
    size_t recompute_count;
    pp_optimizer optimizer;
    const pp_parameter_rule *rules; /* of what is trained; none: everything */
    size_t rule_count;
    /* 16: activations and gradients of a whole batch that no step uses for a while wait in 16 bits,
     * where that lowers the peak: activations in float16 (relative error up to 2^-11), gradients in
     * the upper half of a float32 (its range, relative error up to 2^-9). All arithmetic stays
     * float32; predictions take part in the rounding. A printed policy does not hold this. 0 or 32:
     * they wait as they are. */
    uint32_t transient_bits;
    uint32_t accumulate; /* micro-steps per update; 0 stands for 1 */
    bool inference;      /* forward only: nothing saved, no gradients */
    /* Not 0: the plan chooses codecs, and bands besides the given ones, so that its peak is at most
     * this, with as little harm to the gradient as can be expected. `codec` is then NULL; overrides
     * pin values. PP_ERROR_OUT_OF_MEMORY: it cannot be done; the message says what can. */
    size_t budget_bytes;
    /* Of a budget: measured harms in the place of the codecs' expected errors. What they leave out
     * keeps the latter, so their mean over the values is best 1 for a code that loses everything. */
    const pp_harm *harms;
    size_t harm_count;
} pp_plan_options;

/* Borrows graph and profile only during the call. The caller owns *plan_out.
 * PP_ERROR_INVALID_ARGUMENT: batch 0, unknown codec, pattern without effect, or rules that leave
 * nothing to train; PP_ERROR_SHAPE: a
 * shape that does not work out; PP_ERROR_OUT_OF_MEMORY: one value is larger than the device's
 * largest allocation or than 4 GiB, which is as far as kernels reach, or the values need more
 * allocations than the profile's memory.max_chunks. */
PP_API pp_status pp_plan_create(const pp_graph *graph, const pp_profile *profile,
                                const pp_plan_options *options, pp_plan **plan_out);
PP_API void pp_plan_destroy(pp_plan *plan); /* accepts NULL */

typedef enum pp_memory_class {
    PP_MEMORY_PARAMETERS, /* weights, biases, running statistics */
    PP_MEMORY_GRADIENTS,  /* of parameters */
    PP_MEMORY_OPTIMIZER,  /* moments */
    PP_MEMORY_SAVED,      /* what backward reads of the forward pass */
    PP_MEMORY_TRANSIENT,  /* activations and their gradients */
    PP_MEMORY_WORKSPACE,  /* scratch within one step */
    PP_MEMORY_STAGING,    /* input, labels, scalars, metrics, table of updates */
    PP_MEMORY_CLASS_COUNT
} pp_memory_class;
PP_API const char *pp_memory_class_name(pp_memory_class memory_class); /* "parameters", ... */

typedef struct pp_plan_summary {
    uint32_t batch;
    size_t step_count;
    size_t peak_bytes;        /* what a session allocates on the device, all of it */
    size_t lower_bound_bytes; /* the largest sum of bytes live in one step */
    size_t class_bytes[PP_MEMORY_CLASS_COUNT]; /* live at the step of the largest sum */
    size_t peak_step;                          /* the number of that step */
    const char *peak_step_name;                /* borrowed, e.g. "layer1.0.conv1 backward weight" */
    size_t saved_raw_bytes; /* the float32 tensors a framework keeps for backward (METHODS B.4) */
    size_t saved_stored_bytes; /* what this plan keeps in their place */
    size_t parameter_elems;    /* trainable */
    size_t chunk_count;        /* device allocations */
} pp_plan_summary;
PP_API void pp_plan_summarize(const pp_plan *plan, pp_plan_summary *summary_out);

/* One device allocation of a session, or the block of the application's memory that stands in for it
 * (pp_session_options); `index` below chunk_count. Rows and pieces below say what lies in it, at
 * which offset from its beginning. All chunks together have peak_bytes. */
typedef struct pp_plan_chunk {
    size_t bytes;
    size_t alignment_bytes; /* of where it begins in its OpenCL buffer, for blocks that are parts */
} pp_plan_chunk;
PP_API void pp_plan_read_chunk(const pp_plan *plan, size_t index, pp_plan_chunk *chunk_out);

/* One row per placed value. `raw_bytes` is its size in float32; `codec` is "" where nothing was
 * encoded. */
typedef struct pp_plan_row {
    const char *name; /* borrowed, as all texts here */
    pp_memory_class memory_class;
    const char *codec;
    /* Of a saved value: "normalised", "activation", "input", "mask", "index", "statistics". */
    const char *kind;
    const char *views; /* what backward reads from it, e.g. "x-hat mask value" */
    /* Of a lossy code: the squared error that is expected of typical values, relative to their
     * squares; 0 where there is none, or none is known. */
    double error;
    size_t raw_bytes, stored_bytes;
    size_t first_step, last_step;
    size_t piece_count;
    size_t chunk, offset_bytes; /* of the first piece */
} pp_plan_row;
PP_API size_t pp_plan_row_count(const pp_plan *plan);
PP_API void pp_plan_read_row(const pp_plan *plan, size_t index, pp_plan_row *row_out);

/* A value lies in one piece or in several: where all steps take bands of the batch, each holds as
 * many images and has a place only for the steps that take these; and what is computed again for
 * backward has no place until then. */
typedef struct pp_plan_piece {
    uint32_t first_image, image_count; /* 0, 0: a value that is not per image */
    size_t bytes;                      /* stored */
    size_t first_step, last_step;
    size_t chunk, offset_bytes;
} pp_plan_piece;
PP_API void pp_plan_read_piece(const pp_plan *plan, size_t row, size_t index,
                               pp_plan_piece *piece_out);

/* A name for each step, borrowed; e.g. "conv1 forward". */
PP_API const char *pp_plan_step_name(const pp_plan *plan, size_t step);

/* What a step has to do, whatever kernels do it. All texts are borrowed from the plan. */
typedef struct pp_plan_step_info {
    const char *name;          /* as above */
    const char *node;          /* "conv1" */
    const char *operator_name; /* the node's, "conv2d" */
    const char *pass;          /* "forward", "backward weight", "encode", "update", ... */
    /* Multiplications and additions, each counted: of a convolution those of its definition without
     * the products with padding, even where a kernel gets by with fewer (Winograd). */
    double flops;
    /* Of device memory read and written when every tensor is touched once, codes at their stored
     * size; scratch is not counted. */
    double bytes;
    /* A sum of products whose natural measure is `flops`, against a device's multiply-add rate; the
     * measure of other steps is `bytes`, against its copy rate (peak.h). */
    bool is_product;
} pp_plan_step_info;
PP_API void pp_plan_describe_step(const pp_plan *plan, size_t step, pp_plan_step_info *info_out);

/* A gradient that a layer's backward computes, beside what float32 training computes from the same
 * gradient of the layer's output (METHODS A.4). Codes count, rounding while something waits
 * (transient_bits) does not. */
typedef enum pp_gradient_term {
    PP_TERM_ABSENT, /* there is no such gradient, or nobody wants it */
    PP_TERM_EXACT,
    PP_TERM_APPROXIMATE /* a lossy code takes part in it */
} pp_gradient_term;

/* One layer as the plan runs it (a batch-norm or sum and the ReLU behind it are one), in the graph's
 * order. What an approximate weight or gamma gradient is off by goes no further than to that
 * parameter; only `input` carries an error on, and only behind a batch-norm whose x-hat is lossy, in
 * the term with the gradient's covariance with x-hat. */
enum { PP_PLAN_READS = 3 };
typedef struct pp_plan_layer {
    const char *name, *operator_name; /* borrowed; "layer1.0.bn1", "batchnorm_relu" */
    size_t parameter_elems;           /* trainable */
    /* In float32, what a framework keeps for this layer's backward and has not kept for an earlier
     * layer's: the layers' sum is the summary's saved_raw_bytes where everything is trained. */
    size_t framework_bytes;
    struct {
        const char *view;   /* "value" (of its input), "mask", "x-hat", "index", "statistics" */
        size_t row;         /* where it lies (pp_plan_read_row); several layers may read one row */
        bool exact;         /* what is read is what the forward pass made */
    } reads[PP_PLAN_READS]; /* what its backward reads of the forward pass */
    size_t read_count;
    pp_gradient_term weight, bias, gamma, beta, input;
} pp_plan_layer;
PP_API size_t pp_plan_layer_count(const pp_plan *plan);
PP_API void pp_plan_read_layer(const pp_plan *plan, size_t index, pp_plan_layer *layer_out);

/* The live bytes of each step, for drawing; `index` below step_count. */
PP_API size_t pp_plan_live_bytes(const pp_plan *plan, size_t step);

/* Parameters and running statistics, in graph order. Element order is the device's: convolution
 * weights are [kernel_h, kernel_w, in_channels/groups, out_channels], dense weights [in, out]. */
typedef struct pp_parameter_info {
    const char *name; /* "conv1.weight", "bn1.running_mean" */
    uint32_t extents[4];
    uint32_t axis_count;
    size_t elem_count;
    bool trainable; /* false: running statistics, and what rules freeze */
    bool decayed;   /* weight decay applies */
    float rate;     /* of the learning rate; 1 without rules */
    /* Of a dense weight: height, width and channels of the input that it flattens; else 0. */
    uint32_t input[3];
} pp_parameter_info;
PP_API size_t pp_plan_parameter_count(const pp_plan *plan);
PP_API void pp_plan_read_parameter(const pp_plan *plan, size_t index, pp_parameter_info *info_out);

/* What was decided, by the budget or by policy and overrides, one decision a line: to keep, to edit,
 * and to hand back as pp_plan_options.policy. Free with pp_text_free. */
PP_API pp_status pp_plan_print_policy(const pp_plan *plan, char **text_out);

/* The whole plan as text, for people and for golden files. Free with pp_text_free. */
PP_API pp_status pp_plan_print(const pp_plan *plan, char **text_out);

#ifdef __cplusplus
}
#endif

#endif
