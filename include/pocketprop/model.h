/* model.h: the built-in networks, each a function over graph.h.
 *
 *     pp_graph *graph = NULL;
 *     pp_model_build(engine, "resnet20", NULL, &graph);
 *
 * Names and sources:
 *   lenet                       LeCun et al. 1998, with ReLU and max-pooling; 28x28x1, any from 12x12
 *   lenet-bn                    the same with batch-norm behind each convolution
 *   resnet8-digits              a three-stage residual network for 8x8x1 digits
 *   resnet20/32/44/56/110       CIFAR ResNets of He et al. 2016, post-activation, option A; 32x32x3
 *   preresnet164/254/488/1001   pre-activation bottlenecks of Chakrabarti & Moseley 2019; 32x32x3
 *   preresnet152                their network for ImageNet; 224x224x3, 1000 classes
 *   resnet18-cifar              resnet18 with a 3x3 stem of stride 1 and no pool; 32x32x3
 *   resnet18/34/50              torchvision's layout and names; 224x224x3, 1000 classes
 */
#ifndef POCKETPROP_MODEL_H
#define POCKETPROP_MODEL_H

#include <pocketprop/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed members: the model's own values. */
typedef struct pp_model_options {
    uint32_t height, width, channels; /* of the input */
    uint32_t classes;
    float label_smoothing;
    float dropout;           /* in front of the classifier */
    const pp_pixels *pixels; /* the input arrives in bytes that stand for this; NULL: in float32 */
} pp_model_options;

/* Builds the named network with a softmax cross-entropy loss. `options` may be NULL. The caller
 * owns *graph_out. PP_ERROR_INVALID_ARGUMENT: no such model (the message lists them);
 * PP_ERROR_SHAPE. */
PP_API pp_status pp_model_build(pp_engine *engine, const char *name,
                                const pp_model_options *options, pp_graph **graph_out);

/* The options a model has by default, so that a data set can be checked against it. */
PP_API pp_status pp_model_defaults(pp_engine *engine, const char *name,
                                   pp_model_options *options_out);

/* The names in order; NULL past the end. */
PP_API const char *pp_model_name(size_t index);

#ifdef __cplusplus
}
#endif

#endif
