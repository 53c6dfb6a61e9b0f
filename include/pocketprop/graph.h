/* graph.h: what to compute. A graph is a list of nodes in the order they were added; it knows one
 * sample's shapes and nothing of batches, devices or memory.
 *
 *     pp_graph *g = NULL;
 *     pp_graph_create(engine, &g);
 *     pp_value x = pp_graph_input(g, "image", 28, 28, 1);
 *     const pp_conv2d_params conv1 = {.out_channels = 8, .kernel_h = 5, .kernel_w = 5};
 *     x = pp_graph_conv2d(g, "conv1", x, &conv1);
 *     x = pp_graph_relu(g, "relu1", x);
 *     x = pp_graph_dense(g, "fc", x, &(pp_dense_params){.out_features = 10, .bias = true});
 *     pp_graph_softmax_cross_entropy(g, "loss", x, 0.0f);
 *     if (pp_graph_status(g) != PP_OK) puts(pp_engine_error(engine));
 *
 * The builder is sticky: after the first failure every call returns PP_NO_VALUE and does nothing,
 * and pp_graph_status and pp_plan_create report the failure. Activations are NHWC everywhere;
 * shapes in the comments leave the batch axis out. Every node has a name, unique in its graph; a
 * node's parameters are called "<node>.weight", "<node>.bias", "<node>.running_mean" and so on.
 * Names are copied.
 */
#ifndef POCKETPROP_GRAPH_H
#define POCKETPROP_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include <pocketprop/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_graph pp_graph;

/* A node's output. Handles are plain numbers; PP_NO_VALUE is never valid. */
typedef uint32_t pp_value;
#define PP_NO_VALUE 0u

/* The caller owns *graph_out. */
PP_API pp_status pp_graph_create(pp_engine *engine, pp_graph **graph_out);
PP_API void pp_graph_destroy(pp_graph *graph); /* accepts NULL */

/* PP_OK, or the first failure of any builder call. */
PP_API pp_status pp_graph_status(const pp_graph *graph);

/* The network's one input, [height, width, channels], float32. PP_ERROR_SHAPE for a zero extent. */
PP_API pp_value pp_graph_input(pp_graph *graph, const char *name, uint32_t height, uint32_t width,
                               uint32_t channels);

/* What an image's bytes stand for, per channel:
 *
 *     value = (byte / maximum - mean) / deviation
 *
 * computed on the device to within one unit in the last place (cl/codec/bytes.cl). */
enum { PP_PIXEL_CHANNELS = 4 };
typedef struct pp_pixels {
    uint32_t maximum;                   /* the byte that stands for 1; 0 stands for 255 */
    float mean[PP_PIXEL_CHANNELS];      /* of values in [0, 1] */
    float deviation[PP_PIXEL_CHANNELS]; /* 0 stands for 1 */
} pp_pixels;

/* The same input as unsigned bytes: batches carry them in pp_batch.pixels, and they stay bytes
 * until the first layers read them, in forward and, where a weight gradient needs the input, in
 * backward too. At most PP_PIXEL_CHANNELS channels; `pixels` is copied. PP_ERROR_SHAPE for a zero extent or
 * more channels; PP_ERROR_INVALID_ARGUMENT, from pp_plan_create, for numbers that no image has. */
PP_API pp_value pp_graph_input_bytes(pp_graph *graph, const char *name, uint32_t height,
                                     uint32_t width, uint32_t channels, const pp_pixels *pixels);

/* 2-D convolution (cross-correlation). In every params struct of this header 0 stands for the usual
 * value: stride, dilation and groups 1, padding 0. Padding is with zeros, on both sides. [h, w, c]
 * -> [(h + 2*pad_h - dilation_h*(kernel_h-1) - 1)/stride_h + 1, same for w, out_channels]. `groups`
 * divides both channel counts. Weights are drawn from N(0, 2/fan_in) (He et al. 2015), biases 0. */
typedef struct pp_conv2d_params {
    uint32_t out_channels;
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_h, pad_w;
    uint32_t dilation_h, dilation_w;
    uint32_t groups;
    bool bias;
} pp_conv2d_params;
PP_API pp_value pp_graph_conv2d(pp_graph *graph, const char *name, pp_value input,
                                const pp_conv2d_params *params);

/* Fully connected: flattens its input in h, w, c order. [h, w, c] -> [1, 1, out_features].
 * Weights are drawn from N(0, 1/fan_in), biases 0. */
typedef struct pp_dense_params {
    uint32_t out_features;
    bool bias;
} pp_dense_params;
PP_API pp_value pp_graph_dense(pp_graph *graph, const char *name, pp_value input,
                               const pp_dense_params *params);

/* Batch normalisation per channel (Ioffe & Szegedy 2015). Training uses the batch's mean and biased
 * variance; inference the running statistics, updated as running += momentum * (batch - running)
 * with the unbiased variance, as PyTorch does. epsilon 0 stands for 1e-5, momentum 0 for 0.1. Shape
 * kept. */
typedef struct pp_batchnorm_params {
    float epsilon;
    float momentum;
} pp_batchnorm_params;
PP_API pp_value pp_graph_batchnorm(pp_graph *graph, const char *name, pp_value input,
                                   const pp_batchnorm_params *params);

/* max(0, x). Shape kept. */
PP_API pp_value pp_graph_relu(pp_graph *graph, const char *name, pp_value input);

/* a + b, both [h, w, c]. */
PP_API pp_value pp_graph_add(pp_graph *graph, const char *name, pp_value a, pp_value b);

/* The option-A shortcut (He et al. 2016): takes every stride-th pixel and pads the channels with
 * zeros, equally on both sides, the odd one behind. [h, w, c] -> [ceil(h/stride), ceil(w/stride),
 * out_channels]; out_channels >= c. */
typedef struct pp_shortcut_params {
    uint32_t stride;
    uint32_t out_channels;
} pp_shortcut_params;
PP_API pp_value pp_graph_shortcut(pp_graph *graph, const char *name, pp_value input,
                                  const pp_shortcut_params *params);

/* Max and average pooling. Zero strides stand for the window. Padding must be less than the window.
 * Max pooling ignores the padding; average pooling divides by the window's area, or with
 * count_valid_only by the number of pixels inside the input. Max ties go to the first in row-major
 * order. Output extents as for conv2d with dilation 1 (rounded down). */
typedef struct pp_pool_params {
    uint32_t kernel_h, kernel_w;
    uint32_t stride_h, stride_w;
    uint32_t pad_h, pad_w;
    bool count_valid_only;
} pp_pool_params;
PP_API pp_value pp_graph_maxpool(pp_graph *graph, const char *name, pp_value input,
                                 const pp_pool_params *params);
PP_API pp_value pp_graph_avgpool(pp_graph *graph, const char *name, pp_value input,
                                 const pp_pool_params *params);

/* The mean over height and width. [h, w, c] -> [1, 1, c]. */
PP_API pp_value pp_graph_global_avgpool(pp_graph *graph, const char *name, pp_value input);

/* Zeroes each element with `probability` in [0, 1) and scales the rest by 1/(1-probability); the
 * identity in inference. The mask is drawn from a counter generator keyed by seed, step, node and
 * element, so nothing is stored for backward. */
PP_API pp_value pp_graph_dropout(pp_graph *graph, const char *name, pp_value input,
                                 float probability);

/* The loss, one per graph, last. The batch's labels are class numbers below the channel count of
 * `logits` ([1, 1, classes]). Loss is the mean over the batch of the cross entropy between
 * softmax(logits) and (1 - label_smoothing)*onehot + label_smoothing/classes. */
PP_API pp_value pp_graph_softmax_cross_entropy(pp_graph *graph, const char *name, pp_value logits,
                                               float label_smoothing);

/* Mean of (prediction - target)^2 over all elements of the batch; targets are float32 of the
 * prediction's shape, and the batch carries them in pp_batch.targets. */
PP_API pp_value pp_graph_mse(pp_graph *graph, const char *name, pp_value prediction);

/* One line per node: number, operator, name, output shape, inputs. The caller frees *text_out with
 * pp_text_free. */
PP_API pp_status pp_graph_print(const pp_graph *graph, char **text_out);
PP_API void pp_text_free(pp_engine *engine, char *text); /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
