/* OpenCL that fails on demand. Programs listed in tests/CMakeLists.txt are linked with the linker's
 * --wrap for every function of src/device/opencl_list.inc, so the library's calls come here, are counted,
 * and go on to the real ones.
 *
 *     faulty_cl_start(&(faulty_cl_fault){.fail_at = n, .code = -2});
 *     ... what is tested ...
 *     faulty_cl_failed()      // "clCreateBuffer", or NULL: call n was not reached
 *     faulty_cl_live()        // objects that were not released
 */
#ifndef PP_TEST_FAULTY_CL_H
#define PP_TEST_FAULTY_CL_H

#include <stdbool.h>
#include <stddef.h>

/* OpenCL's codes, for programs that do not include its headers. */
enum { FAULTY_CL_NOT_AVAILABLE = -2, FAULTY_CL_OUT_OF_RESOURCES = -5, FAULTY_CL_NO_MEMORY = -6 };

typedef struct faulty_cl_fault {
    size_t fail_at;   /* the number of the call that fails, from 1; 0: none */
    const char *only; /* calls of this function alone count; NULL: all */
    bool and_later;   /* calls behind it fail too, as when a device is lost */
    int code;         /* what they return */
} faulty_cl_fault;

/* Begins to count anew. A release that fails has released all the same: its object is lost to the
 * caller either way. A wait that fails has waited: the commands of a lost device have come to their
 * end. */
void faulty_cl_start(const faulty_cl_fault *fault);
size_t faulty_cl_calls(void);
const char *faulty_cl_failed(void);

/* Contexts, queues, buffers, programs, kernels and events that are held, since the program's start.
 */
size_t faulty_cl_live(void);

#endif
