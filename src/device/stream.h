/* A stream's inside: the recorded commands. */
#ifndef PP_DEVICE_STREAM_H
#define PP_DEVICE_STREAM_H

#include <stdbool.h>

#include "device/gemm.h"
#include "device/launch.h"
#include "device/opencl_library.h"

typedef enum pp__command_kind {
    PP__COMMAND_KERNEL,
    PP__COMMAND_COPY,
    PP__COMMAND_ZERO,
    PP__COMMAND_GEMM
} pp__command_kind;

typedef struct pp__command {
    pp__command_kind kind;
    size_t label; /* in the stream's labels */
    /* PP__COMMAND_KERNEL: an object of its own, with its arguments set. */
    cl_kernel kernel;
    size_t extent[3], local[3];
    bool exact; /* no other group than `local` */
    /* PP__COMMAND_COPY and PP__COMMAND_ZERO */
    pp__ref from, to;
    size_t bytes;
    /* PP__COMMAND_GEMM */
    pp__gemm gemm;
} pp__command;

/* Different launches of one probe that are remembered. */
enum { PP__STREAM_PROBED = 16 };

struct pp__stream {
    pp_device *device;
    const pp_profile *profile;
    pp__command *commands;
    size_t command_count, command_capacity;
    char **labels; /* the last one names what is recorded next */
    size_t label_count, label_capacity;
    bool probing; /* launches only leave their mark in `programs` (device/self_test.h) */
    uint64_t programs, probed[PP__STREAM_PROBED];
    size_t probed_count;
};

/* Adds a command under the present label; the stream takes ownership of its kernel, also on
 * failure. */
pp_status pp__stream_append(pp__stream *stream, const pp__command *command);

/* Adds a launch, as the texts that tell it from others, to the number that a probe finds. */
void pp__probe_add(pp__stream *stream, const char *const *texts, size_t count);

/* Enqueues a product / forgets what the library keeps for the device. */
pp_status pp__gemm_run(pp__stream *stream, const pp__command *command);
void pp__gemm_close(pp_device *device);

/* The present label; "the stream" before there is one. */
const char *pp__stream_label_text(const pp__stream *stream, size_t label);

#endif
