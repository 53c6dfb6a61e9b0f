#include <pocketprop/model.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/networks.h"
#include "util/engine.h"

static const pp_model_options defaults[] = {
    [PP__TASK_DIGITS] = {.height = 8, .width = 8, .channels = 1, .classes = 10},
    [PP__TASK_MNIST] = {.height = 28, .width = 28, .channels = 1, .classes = 10},
    [PP__TASK_CIFAR] = {.height = 32, .width = 32, .channels = 3, .classes = 10},
    [PP__TASK_IMAGENET] = {.height = 224, .width = 224, .channels = 3, .classes = 1000},
};

/* The limits on extents: LeNet's second convolution and pool need 6 pixels behind the first pool;
 * preresnet's skips are pooled, which rounds extents down where the strided convolutions beside
 * them round up. */
static const pp__network networks[] = {
    {"lenet", pp__build_lenet, PP__TASK_MNIST, .smallest = 12},
    {"lenet-bn", pp__build_lenet, PP__TASK_MNIST, .smallest = 12, .variant = true},
    {"resnet8-digits", pp__build_resnet_cifar, PP__TASK_DIGITS, .blocks = {1, 1, 1}},
    {"resnet20", pp__build_resnet_cifar, PP__TASK_CIFAR, .blocks = {3, 3, 3}},
    {"resnet32", pp__build_resnet_cifar, PP__TASK_CIFAR, .blocks = {5, 5, 5}},
    {"resnet44", pp__build_resnet_cifar, PP__TASK_CIFAR, .blocks = {7, 7, 7}},
    {"resnet56", pp__build_resnet_cifar, PP__TASK_CIFAR, .blocks = {9, 9, 9}},
    {"resnet110", pp__build_resnet_cifar, PP__TASK_CIFAR, .blocks = {18, 18, 18}},
    {"preresnet164", pp__build_preresnet, PP__TASK_CIFAR, .blocks = {18, 18, 18}, .multiple = 4},
    {"preresnet254", pp__build_preresnet, PP__TASK_CIFAR, .blocks = {28, 28, 28}, .multiple = 4},
    {"preresnet488", pp__build_preresnet, PP__TASK_CIFAR, .blocks = {54, 54, 54}, .multiple = 4},
    {"preresnet1001", pp__build_preresnet, PP__TASK_CIFAR, .blocks = {111, 111, 111},
     .multiple = 4},
    {"preresnet152", pp__build_preresnet, PP__TASK_IMAGENET, .blocks = {3, 8, 36, 3},
     .variant = true, .multiple = 32},
    {"resnet18-cifar", pp__build_resnet_torchvision, PP__TASK_CIFAR, .blocks = {2, 2, 2, 2},
     .small_stem = true},
    {"resnet18", pp__build_resnet_torchvision, PP__TASK_IMAGENET, .blocks = {2, 2, 2, 2}},
    {"resnet34", pp__build_resnet_torchvision, PP__TASK_IMAGENET, .blocks = {3, 4, 6, 3}},
    {"resnet50", pp__build_resnet_torchvision, PP__TASK_IMAGENET, .blocks = {3, 4, 6, 3},
     .variant = true},
};
enum { NETWORK_COUNT = sizeof networks / sizeof *networks };

const char *pp_model_name(size_t index) {
    return index < NETWORK_COUNT ? networks[index].name : NULL;
}

static pp_status find(pp_engine *engine, const char *name, const pp__network **network_out) {
    for (size_t i = 0; name && i < NETWORK_COUNT; i++) {
        if (strcmp(networks[i].name, name)) continue;
        *network_out = &networks[i];
        return PP_OK;
    }
    char list[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < NETWORK_COUNT && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 networks[i].name);
    return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "there is no model '%s'; the models are %s",
                    name ? name : "(null)", list);
}

pp_status pp_model_defaults(pp_engine *engine, const char *name, pp_model_options *options_out) {
    *options_out = (pp_model_options){0};
    const pp__network *network = NULL;
    PP_TRY(find(engine, name, &network));
    *options_out = defaults[network->task];
    return PP_OK;
}

static pp_model_options fill_in(const pp__network *network, const pp_model_options *options) {
    const pp_model_options *usual = &defaults[network->task];
    pp_model_options o = options ? *options : (pp_model_options){0};
    if (!o.height) o.height = usual->height;
    if (!o.width) o.width = usual->width;
    if (!o.channels) o.channels = usual->channels;
    if (!o.classes) o.classes = usual->classes;
    return o;
}

static pp_status check_extents(pp_engine *engine, const pp__network *network,
                               const pp_model_options *o) {
    if (o->height < network->smallest || o->width < network->smallest)
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "model '%s': the input is %" PRIu32 "x%" PRIu32
                        ", but must be at least %" PRIu32 "x%" PRIu32,
                        network->name, o->height, o->width, network->smallest, network->smallest);
    if (network->multiple && (o->height % network->multiple || o->width % network->multiple))
        return pp__fail(engine, PP_ERROR_SHAPE,
                        "model '%s': the input is %" PRIu32 "x%" PRIu32
                        ", but height and width must be multiples of %" PRIu32,
                        network->name, o->height, o->width, network->multiple);
    return PP_OK;
}

pp_status pp_model_build(pp_engine *engine, const char *name, const pp_model_options *options,
                         pp_graph **graph_out) {
    *graph_out = NULL;
    const pp__network *network = NULL;
    PP_TRY(find(engine, name, &network));
    const pp_model_options o = fill_in(network, options);
    PP_TRY(check_extents(engine, network, &o));

    pp_graph *graph;
    PP_TRY(pp_graph_create(engine, &graph));
    pp_value x = o.pixels
                     ? pp_graph_input_bytes(graph, "image", o.height, o.width, o.channels, o.pixels)
                     : pp_graph_input(graph, "image", o.height, o.width, o.channels);
    x = network->build(graph, network, &o, x);
    pp_graph_softmax_cross_entropy(graph, "loss", x, o.label_smoothing);
    pp_status status = pp_graph_status(graph);
    if (status == PP_OK)
        *graph_out = graph;
    else
        pp_graph_destroy(graph);
    return status;
}
