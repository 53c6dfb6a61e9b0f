/* A growing text for dumps. Sticky: after a failed allocation further additions do nothing and
 * pp__text_take reports the failure. */
#ifndef PP_UTIL_TEXT_H
#define PP_UTIL_TEXT_H

#include "util/engine.h"

typedef struct pp__text {
    pp_engine *engine;
    char *characters; /* terminated */
    size_t length, capacity;
    pp_status status;
} pp__text;

void pp__text_add(pp__text *text, const char *format, ...) PP_PRINTF(2, 3);

/* Hands the text over to the caller, who releases it; "" when nothing was added. */
pp_status pp__text_take(pp__text *text, char **text_out);

#endif
