/* IDX, the format of MNIST (LeCun, Cortes, Burges): a big-endian header and unsigned bytes.
 *
 *     byte 0..3   magic: 0, 0, type (8: unsigned byte), number of axes
 *     4 per axis  its extent
 *     the rest    the elements, last axis fastest
 */
#ifndef PP_IO_IDX_H
#define PP_IO_IDX_H

#include <pocketprop/engine.h>
#include <stddef.h>
#include <stdint.h>

enum { PP__IDX_MAX_AXES = 3 };

typedef struct pp__idx {
    uint32_t axis_count;
    uint32_t extents[PP__IDX_MAX_AXES];
    size_t elem_count;
    uint8_t *bytes; /* owned; pp__idx_release */
} pp__idx;

/* Reads a whole file, gzip or not, that must have exactly `axis_count` axes (1 or 3).
 * PP_ERROR_IO: cannot be opened or read; PP_ERROR_CORRUPT_DATA: wrong magic, an extent of zero,
 * fewer or more bytes than the header promises, a broken gzip stream. *idx_out is empty
 * on failure. */
pp_status pp__idx_read(pp_engine *engine, const char *path, uint32_t axis_count, pp__idx *idx_out);
void pp__idx_release(pp_engine *engine, pp__idx *idx); /* accepts an empty one */

#endif
