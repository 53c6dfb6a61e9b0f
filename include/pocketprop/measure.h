/* measure.h: what each codec would do to each saved value, and how much that value matters, on a few
 * images of the running batch; for a plan that is to be made anew within its budget.
 *
 *     pp_state_save(session, &state);
 *     pp_session_destroy(session);                   // measuring takes its place on the device
 *     pp_signals *signals = NULL;
 *     pp_measure(device, graph, profile, state, &batch, &(pp_measure_options){.budget_bytes = b},
 *                &signals);
 *     options.harms = pp_signals_harms(signals, &options.harm_count);
 *     pp_plan_create(graph, profile, &options, &plan);
 *
 * Measuring is a step of its own, on its own small plan: for each codec of the budget's menu one
 * forward pass of the first images, in which every value that can is stored in that codec, and
 * decoded again; and one backward pass in float32. With 15 codecs and 4 of 128 images that is about
 * half a step, once. No weight, moment, running statistic or count of the training changes. Batch
 * statistics are those of the measured images.
 *
 * The harm of a codec for a value is the squared error that its code brings into weight gradients,
 * where errors of different elements are independent (ActNN's C_i, METHODS C.1):
 *
 *     harm = error * sum over the layers that read the value of |X|^2 |G|^2 * taps / pixels
 *
 * with |X|^2 the value's squares summed up, |G|^2 those of the gradient of the layer's output, and
 * the pixels of that output; a batch-norm, whose gamma is one number per channel, counts with 1 /
 * channels for taps. What an error of x-hat does to the layer in front through batch-norm's variance
 * term (METHODS A.4) adds that layer's own sum times the measured share of the gradient's squares
 * that the term takes off; layers further down are not counted. The sums are divided by their mean
 * over the values.
 */
#ifndef POCKETPROP_MEASURE_H
#define POCKETPROP_MEASURE_H

#include <pocketprop/plan.h>
#include <pocketprop/state.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_signals pp_signals;

/* Zeroed members are the defaults. */
typedef struct pp_measure_options {
    uint32_t images;     /* at most; 0 stands for 4 */
    size_t budget_bytes; /* device memory that measuring may take; 0: any */
} pp_measure_options;

/* Borrows everything during the call. No session that takes memory of the budget should be alive.
 * The caller owns *signals_out. PP_ERROR_OUT_OF_MEMORY: a single image does not fit the budget;
 * otherwise as pp_session_create and pp_session_step. */
PP_API pp_status pp_measure(pp_device *device, const pp_graph *graph, const pp_profile *profile,
                            const pp_state *state, const pp_batch *batch,
                            const pp_measure_options *options, pp_signals **signals_out);
PP_API void pp_signals_destroy(pp_signals *signals); /* accepts NULL */

/* Of one saved value. Texts live as long as the signals. */
typedef struct pp_signal {
    const char *value, *kind; /* the node's name; "normalised", "activation" */
    double square;            /* mean square of what the layers behind it read */
    /* Mean square of the gradient of the outputs of the layers that read it, for the loss summed
     * over images (summed over the layers). */
    double gradient;
    double weight; /* harm of an error of 1; 1 on average over the values */
    /* The share of |X|^2 that means over 2x2 and 4x4 pixels keep (METHODS B.3). */
    double kept2, kept4;
    size_t first_harm, harm_count; /* its codecs among pp_signals_harms */
} pp_signal;

PP_API size_t pp_signals_count(const pp_signals *signals);
PP_API void pp_signals_read(const pp_signals *signals, size_t index, pp_signal *signal_out);
PP_API uint32_t pp_signals_images(const pp_signals *signals); /* measured */
/* The most that measuring held at a time. */
PP_API size_t pp_signals_device_bytes(const pp_signals *signals);

/* All harms, value by value; harm / weight is the code's relative squared error, of x-hat about its
 * mean where nothing else of it is read. Borrowed. */
PP_API const pp_harm *pp_signals_harms(const pp_signals *signals, size_t *count_out);

#ifdef __cplusplus
}
#endif

#endif
