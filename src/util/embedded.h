/* The files of cl/ and platforms/ as text inside the library. cl/embed.cmake writes the table at
 * build time.
 *
 * Names are paths without their endings: "op/conv2d" is cl/op/conv2d.cl, "platforms/mali" is
 * platforms/mali.profile. The table is in the order of the paths.
 */
#ifndef PP_UTIL_EMBEDDED_H
#define PP_UTIL_EMBEDDED_H

#include <stddef.h>

#include "util/engine.h"

typedef struct pp__embedded {
    const char *name;
    const char *text; /* NUL-terminated */
    size_t length;    /* without the NUL */
} pp__embedded;

extern const pp__embedded pp__embedded_files[];
extern const size_t pp__embedded_count;

/* A copy of the file's text that the caller releases; *text_out is NULL, and that is no failure,
 * when there is no such file. A build with POCKETPROP_KERNELS_FROM_DISK reads the source tree
 * instead of the table. */
pp_status pp__embedded_read(pp_engine *engine, const char *name, char **text_out);

#endif
