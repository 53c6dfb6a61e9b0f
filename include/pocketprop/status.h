/* status.h: what every fallible function returns.
 *
 *     pp_status status = pp_graph_create(engine, &graph);
 *     if (status != PP_OK)
 *         fprintf(stderr, "%s: %s\n", pp_status_name(status), pp_engine_error(engine));
 *
 * A status says what kind of failure it was; the engine holds the one sentence that says what was
 * found, where, and what was expected (pp_engine_error in engine.h).
 */
#ifndef POCKETPROP_STATUS_H
#define POCKETPROP_STATUS_H

#include <pocketprop/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pp_status {
    PP_OK = 0,
    PP_ERROR_INVALID_ARGUMENT, /* an argument, option or name that can never be right */
    PP_ERROR_SHAPE,            /* shapes that do not fit each other or the operator */
    PP_ERROR_UNSUPPORTED,      /* a valid request that this build or device cannot serve */
    PP_ERROR_OUT_OF_MEMORY,    /* host or device memory, or a plan that does not fit its limits */
    PP_ERROR_DEVICE,           /* an OpenCL call failed; the message names the call and the code */
    PP_ERROR_IO,               /* a file or folder could not be opened, read or written */
    PP_ERROR_CORRUPT_DATA, /* a file was read, and its content is not what its format promises */
    PP_ERROR_INTERNAL      /* a bug in Pocketprop */
} pp_status;

/* The status in words, e.g. "corrupt data". Never NULL; the text is static. */
PP_API const char *pp_status_name(pp_status status);

#ifdef __cplusplus
}
#endif

#endif
