/* The application's memory, as the rest of the engine sees it. Compiles without OpenCL. */
#ifndef PP_DEVICE_OPENCL_H
#define PP_DEVICE_OPENCL_H

#include "device/launch.h"

/* Where a place lies. The place is checked, or it is the beginning of its memory. */
pp__ref pp__place_ref(pp_place place);

/* PP_ERROR_INVALID_ARGUMENT unless `bytes` at the place lie inside its memory and that is the
 * device's. `what` begins the sentence. */
pp_status pp__place_check(const pp_device *device, const char *what, pp_place place, size_t bytes);

/* PP_ERROR_INVALID_ARGUMENT unless a session can live in these blocks, one for each chunk: the
 * device's, large enough and aligned, for kernels and the host to read and write, not in use, apart
 * from one another. Creates and changes nothing. */
pp_status pp__memory_check(const pp_device *device, pp_memory *const *blocks, size_t block_count,
                           const size_t *chunk_bytes, size_t chunk_count, size_t alignment_bytes);

/* Marks it as a session's. */
void pp__memory_use(pp_memory *memory, bool in_use);

#endif
