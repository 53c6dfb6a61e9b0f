/* The operators' parameter structs: the public ones (pocketprop/graph.h) and those without a public
 * form. Zero values are replaced by their defaults before an operator sees them (graph/graph.c). */
#ifndef PP_OP_PARAMS_H
#define PP_OP_PARAMS_H

#include <pocketprop/graph.h>

typedef struct pp__input_params {
    uint32_t height, width, channels;
    bool bytes; /* the input arrives as bytes that stand for what `pixels` says */
    pp_pixels pixels;
} pp__input_params;
typedef struct pp__dropout_params {
    float probability;
} pp__dropout_params;
typedef struct pp__cross_entropy_params {
    float label_smoothing;
} pp__cross_entropy_params;

#endif
