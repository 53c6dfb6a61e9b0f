#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>

#include <pocketprop/graph.h>

void pp__text_add(pp__text *text, const char *format, ...) {
    if (text->status != PP_OK) return;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        text->status = pp__grow(text->engine, &text->characters, &text->capacity,
                                text->length + (size_t)length + 1, 1);
        if (text->status == PP_OK) {
            vsnprintf(text->characters + text->length, (size_t)length + 1, format, again);
            text->length += (size_t)length;
        }
    }
    va_end(again);
}

pp_status pp__text_take(pp__text *text, char **text_out) {
    *text_out = NULL;
    if (text->status == PP_OK && !text->characters)
        text->status = pp__allocate(text->engine, 1, 1, &text->characters);
    if (text->status != PP_OK) {
        pp__release(text->engine, text->characters);
        return text->status;
    }
    *text_out = text->characters;
    return PP_OK;
}

void pp_text_free(pp_engine *engine, char *text) {
    pp__release(engine, text);
}
