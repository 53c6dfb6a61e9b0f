/* OpenCL results: every one is looked at here. */
#ifndef PP_DEVICE_CLERROR_H
#define PP_DEVICE_CLERROR_H

#include "device/opencl_library.h"
#include "util/engine.h"

/* "CL_OUT_OF_RESOURCES"; "an unknown code" for what OpenCL 1.2 does not define. Static. */
const char *pp__cl_name(cl_int code);

/* Stores "<call>: <name> (<code>)<more>" and returns PP_ERROR_OUT_OF_MEMORY for the codes that mean
 * so, else PP_ERROR_DEVICE. */
pp_status pp__cl_fail(pp_engine *engine, const char *call, cl_int code, const char *more_format,
                      ...) PP_PRINTF(4, 5);

#endif
