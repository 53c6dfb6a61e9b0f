/* How PyTorch lays out a parameter, and its float formats. */
#ifndef PP_STORE_LAYOUT_H
#define PP_STORE_LAYOUT_H

#include <pocketprop/plan.h>

#include "io/safetensors.h"

/* A parameter as a tensor of PyTorch's: extents and axes; float32. The name is borrowed. */
pp__safe_tensor pp__layout_tensor(const pp_parameter_info *info);

/* Copies between the device's order of elements and PyTorch's. */
void pp__layout_import(const pp_parameter_info *info, const float *torch, float *values);
void pp__layout_export(const pp_parameter_info *info, const float *values, float *torch);

/* Floats of a file's type into float32; false for a type that is none. */
bool pp__floats_read(pp__safe_type type, const void *bytes, size_t count, float *values);

/* binary16, to the nearest even. */
uint16_t pp__half_of(float value);

#endif
