/* OpenCL's functions, linked or (POCKETPROP_OPENCL_DLOPEN) opened at run time: for Android, whose NDK
 * has no OpenCL to link, and for boards without a development package. Files that call OpenCL
 * include this instead of its own header and call clFinish(...) either way.
 *
 * Opened at run time, the functions stand in one table of the process, the one exception to the rule
 * that there is no mutable static data: it is what the dynamic linker fills in for a linked library,
 * filled in by hand. It is written once, by whichever thread comes first while others wait
 * (pthread_once), and constant from then on. A table of each engine's would say the same thing:
 * dlopen gives a process one copy of a library.
 */
#ifndef PP_DEVICE_OPENCL_LIBRARY_H
#define PP_DEVICE_OPENCL_LIBRARY_H

#include <CL/cl.h>

#include "util/engine.h"

/* Call it before the first OpenCL function of an engine's; it is cheap afterwards. Opened at run
 * time, the library is the first of these that has every function of opencl_list.inc:
 *
 *   $POCKETPROP_OPENCL_LIBRARY, and nothing else where that is set
 *   libOpenCL.so.1, libOpenCL.so, and Android's places for it
 *   drivers that are a library of their own: Mali's, PowerVR's, PoCL
 *
 * It stays open to the end of the process, since drivers do not all survive being closed.
 * PP_ERROR_DEVICE: none; the sentence names what was tried, and later calls say it again. */
pp_status pp__opencl_open(pp_engine *engine);

#ifdef PP_OPENCL_DLOPEN

typedef struct pp__opencl_table {
#define PP__CL(name) __typeof__(name) *fn_##name;
#include "device/opencl_list.inc"
#undef PP__CL
} pp__opencl_table;

extern pp__opencl_table pp__opencl;

#define clBuildProgram pp__opencl.fn_clBuildProgram
#define clCreateBuffer pp__opencl.fn_clCreateBuffer
#define clCreateCommandQueue pp__opencl.fn_clCreateCommandQueue
#define clCreateContext pp__opencl.fn_clCreateContext
#define clCreateKernel pp__opencl.fn_clCreateKernel
#define clCreateProgramWithBinary pp__opencl.fn_clCreateProgramWithBinary
#define clCreateProgramWithSource pp__opencl.fn_clCreateProgramWithSource
#define clEnqueueBarrierWithWaitList pp__opencl.fn_clEnqueueBarrierWithWaitList
#define clEnqueueCopyBuffer pp__opencl.fn_clEnqueueCopyBuffer
#define clEnqueueFillBuffer pp__opencl.fn_clEnqueueFillBuffer
#define clEnqueueMapBuffer pp__opencl.fn_clEnqueueMapBuffer
#define clEnqueueMarkerWithWaitList pp__opencl.fn_clEnqueueMarkerWithWaitList
#define clEnqueueNDRangeKernel pp__opencl.fn_clEnqueueNDRangeKernel
#define clEnqueueReadBuffer pp__opencl.fn_clEnqueueReadBuffer
#define clEnqueueUnmapMemObject pp__opencl.fn_clEnqueueUnmapMemObject
#define clEnqueueWriteBuffer pp__opencl.fn_clEnqueueWriteBuffer
#define clFinish pp__opencl.fn_clFinish
#define clFlush pp__opencl.fn_clFlush
#define clGetCommandQueueInfo pp__opencl.fn_clGetCommandQueueInfo
#define clGetContextInfo pp__opencl.fn_clGetContextInfo
#define clGetDeviceIDs pp__opencl.fn_clGetDeviceIDs
#define clGetDeviceInfo pp__opencl.fn_clGetDeviceInfo
#define clGetEventProfilingInfo pp__opencl.fn_clGetEventProfilingInfo
#define clGetKernelInfo pp__opencl.fn_clGetKernelInfo
#define clGetKernelWorkGroupInfo pp__opencl.fn_clGetKernelWorkGroupInfo
#define clGetMemObjectInfo pp__opencl.fn_clGetMemObjectInfo
#define clGetPlatformIDs pp__opencl.fn_clGetPlatformIDs
#define clGetPlatformInfo pp__opencl.fn_clGetPlatformInfo
#define clGetProgramBuildInfo pp__opencl.fn_clGetProgramBuildInfo
#define clGetProgramInfo pp__opencl.fn_clGetProgramInfo
#define clReleaseCommandQueue pp__opencl.fn_clReleaseCommandQueue
#define clReleaseContext pp__opencl.fn_clReleaseContext
#define clReleaseEvent pp__opencl.fn_clReleaseEvent
#define clReleaseKernel pp__opencl.fn_clReleaseKernel
#define clReleaseMemObject pp__opencl.fn_clReleaseMemObject
#define clReleaseProgram pp__opencl.fn_clReleaseProgram
#define clRetainCommandQueue pp__opencl.fn_clRetainCommandQueue
#define clRetainContext pp__opencl.fn_clRetainContext
#define clRetainEvent pp__opencl.fn_clRetainEvent
#define clRetainMemObject pp__opencl.fn_clRetainMemObject
#define clSetKernelArg pp__opencl.fn_clSetKernelArg
#define clWaitForEvents pp__opencl.fn_clWaitForEvents

#endif
#endif
