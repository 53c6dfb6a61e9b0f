/* The values that a key may have, as shipped profiles state them behind its number:
 *
 *     conv2d.vector = 8 [1 2 4 8 16]          only these
 *     conv2d.tile = 4 [1..16: 1 2 4 8 14]     any from 1 to 16; those behind the colon are worth
 *                                             trying
 *     batchnorm.splits = 512 [1..1M]          any of them; nothing to try
 */
#ifndef PP_PROFILE_RANGE_H
#define PP_PROFILE_RANGE_H

#include <stdbool.h>
#include <stddef.h>

enum { PP__RANGE_CANDIDATES = 16 };

typedef struct pp__range {
    size_t least, most;
    size_t candidates[PP__RANGE_CANDIDATES]; /* ascending */
    size_t candidate_count;
    bool listed; /* the candidates alone are allowed */
} pp__range;

/* Reads what stands in the brackets, these included. False: it is none of the forms above, or the
 * numbers are not ascending or lie outside. */
bool pp__range_read(const char *text, size_t length, pp__range *range_out);

bool pp__range_holds(const pp__range *range, size_t value);

/* "1 to 16", or "one of 1 2 4 8 16", cut to fit; with K, M and G where `in_bytes`. */
void pp__range_print(const pp__range *range, bool in_bytes, char *text, size_t capacity);

/* A number as a profile writes it: with K, M or G where `in_bytes` and it is a multiple. */
typedef struct pp__number_text {
    char text[32];
} pp__number_text;
pp__number_text pp__number_print(size_t value, bool in_bytes);

#endif
