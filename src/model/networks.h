/* What the network files share: a row of the table, and the few shapes of layers that networks are
 * made of. */
#ifndef PP_MODEL_NETWORKS_H
#define PP_MODEL_NETWORKS_H

#include <pocketprop/model.h>

typedef struct pp__network pp__network;

/* Adds everything between the input and the loss; returns the logits. */
typedef pp_value pp__network_build(pp_graph *graph, const pp__network *network,
                                   const pp_model_options *options, pp_value input);

/* What a network is made for gives its defaults. */
typedef enum pp__task {
    PP__TASK_DIGITS,
    PP__TASK_MNIST,
    PP__TASK_CIFAR,
    PP__TASK_IMAGENET
} pp__task;

struct pp__network {
    const char *name;
    pp__network_build *build;
    pp__task task;
    uint32_t blocks[4]; /* by stage */
    bool variant;       /* LeNet: with batch-norm; torchvision's ResNets: with bottlenecks;
                         * pre-activation ResNets: for ImageNet */
    bool small_stem;    /* torchvision's ResNets: for small images */
    uint32_t smallest;  /* height and width are at least this */
    uint32_t multiple;  /* and divisible by this; 0: by anything */
};

pp__network_build pp__build_lenet;
pp__network_build pp__build_resnet_cifar;
pp__network_build pp__build_preresnet;
pp__network_build pp__build_resnet_torchvision;

/* "layer1.0", then with the leaf "layer1.0.conv2". */
enum { PP__LAYER_NAME = 48 };
typedef struct pp__layer_name {
    char text[PP__LAYER_NAME];
} pp__layer_name;
pp__layer_name pp__name_block(uint32_t stage, uint32_t block); /* the stage counted from 1 */
pp__layer_name pp__name_leaf(const pp__layer_name *block, const char *leaf);

/* A square convolution without bias, padded so that stride 1 keeps the extents. */
pp_value pp__add_conv(pp_graph *graph, const char *name, pp_value x, uint32_t out_channels,
                      uint32_t kernel, uint32_t stride);

/* Dropout where the options ask for it, then the dense layer called `name`. */
pp_value pp__add_classifier(pp_graph *graph, const char *name, pp_value x,
                            const pp_model_options *options);

#endif
