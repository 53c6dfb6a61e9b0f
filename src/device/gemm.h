/* Products of matrices by a library: CLBlast, where the build found it. Compiles without OpenCL.
 *
 * The engine's own product of matrices is the 1x1 case of cl/op/conv2d.cl; which of the two a
 * convolution uses is for the profile to say (gemm.library). CLBlast 1.6.3 or newer is meant for
 * GPUs: older ones compute wrong products on some of Arm's and Intel's. Version 1.5.3 builds too and
 * passes the tests on PoCL; what a device makes of it is tested at first use
 * (device/self_test.h).
 */
#ifndef PP_DEVICE_GEMM_H
#define PP_DEVICE_GEMM_H

#include <stdbool.h>

#include "device/launch.h"

/* c (+)= a b: [m, n] from [m, k] and [k, n], all float32, row after row. A transposed factor lies in
 * memory as [k, m] or [n, k]. */
typedef struct pp__gemm {
    size_t m, n, k;
    bool a_transposed, b_transposed;
    bool adds; /* to what c holds; otherwise c is overwritten */
    pp__ref a, b, c;
} pp__gemm;

/* Whether the library was built with CLBlast. */
bool pp__gemm_available(void);

/* Records the product. CLBlast allocates scratch of its own whenever the product runs, which no
 * counter of ours sees. PP_ERROR_UNSUPPORTED: built without it. */
pp_status pp__stream_gemm(pp__stream *stream, const pp__gemm *gemm);

#endif
