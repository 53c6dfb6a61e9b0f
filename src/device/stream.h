/* A stream's inside: the recorded commands. */
#ifndef PP_DEVICE_STREAM_H
#define PP_DEVICE_STREAM_H

#include <CL/cl.h>

#include "device/launch.h"

typedef enum pp__command_kind {
    PP__COMMAND_KERNEL,
    PP__COMMAND_COPY,
    PP__COMMAND_ZERO
} pp__command_kind;

typedef struct pp__command {
    pp__command_kind kind;
    size_t label; /* in the stream's labels */
    /* PP__COMMAND_KERNEL: an object of its own, with its arguments set. */
    cl_kernel kernel;
    size_t extent[3], local[3];
    /* PP__COMMAND_COPY and PP__COMMAND_ZERO */
    pp__ref from, to;
    size_t bytes;
} pp__command;

struct pp__stream {
    pp_device *device;
    const pp_profile *profile;
    pp__command *commands;
    size_t command_count, command_capacity;
    char **labels; /* the last one names what is recorded next */
    size_t label_count, label_capacity;
};

/* Adds a command under the present label; the stream takes ownership of its kernel, also on
 * failure. */
pp_status pp__stream_append(pp__stream *stream, const pp__command *command);

/* The present label; "the stream" before there is one. */
const char *pp__stream_label_text(const pp__stream *stream, size_t label);

#endif
