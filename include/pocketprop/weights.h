/* weights.h: parameters and running statistics from safetensors files and into them, by PyTorch's
 * names and layouts (library pocketprop_data).
 *
 *     pp_session_create(device, plan, profile, NULL, &session);
 *     pp_weights_load(session, "resnet20.safetensors", NULL, NULL);
 *     ...
 *     pp_weights_save(session, "tuned.safetensors", NULL);
 *
 * A file's tensor belongs to the parameter of the same name: "conv1.weight", "bn1.running_mean". The
 * built-in networks are called as in torchvision, and the CIFAR ResNets as in their usual PyTorch
 * code. Layouts are converted on the way:
 *
 *     convolution   [out, in / groups, h, w]               here [h, w, in / groups, out]
 *     dense         [out, in], in counting c, h, w          here [in, out], in counting h, w, c
 *     vectors       [c]                                     the same
 *
 * Elements may be F32, F16, BF16 or F64; they become float32, F64 to the nearest. Tensors called
 * "*.num_batches_tracked" are PyTorch's own bookkeeping and left alone.
 */
#ifndef POCKETPROP_WEIGHTS_H
#define POCKETPROP_WEIGHTS_H

#include <pocketprop/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A file's name that matches `from`, a pattern with at most one *, becomes `to`, whose * stands for
 * what that one matched: "backbone.*" and "*". */
typedef struct pp_rename {
    const char *from, *to;
} pp_rename;

/* Zeroed members are the defaults: every parameter must be in the file, and nothing else. */
typedef struct pp_weights_options {
    /* Of each tensor's name; the first that matches counts. Where without them no parameter is
     * found, a prefix that all names share, such as "module.", is taken off by itself. */
    const pp_rename *renames;
    size_t rename_count;
    /* Load what fits: parameters that the file lacks, or has in another shape (a head for other
     * classes), stay as they are, and tensors that belong to none are left out. */
    bool partial;
} pp_weights_options;

typedef enum pp_weights_match {
    PP_WEIGHTS_LOADED,
    PP_WEIGHTS_MISSING, /* a parameter that the file does not have */
    PP_WEIGHTS_UNUSED,  /* a tensor that belongs to no parameter */
    PP_WEIGHTS_SHAPE    /* a tensor of another shape than its parameter */
} pp_weights_match;

typedef struct pp_weights_row {
    pp_weights_match match;
    const char *name;     /* the parameter's, or an unused tensor's */
    const char *in_file;  /* the tensor's name in the file; "" of a missing one */
    const char *found;    /* the tensor's shape in the file's layout, "[16, 3, 3, 3]", or "" */
    const char *expected; /* the parameter's in the same layout, or "" */
} pp_weights_row;

/* What a file had for a session. */
typedef struct pp_weights_report pp_weights_report;
PP_API size_t pp_weights_report_count(const pp_weights_report *report); /* of rows */
PP_API void pp_weights_report_read(const pp_weights_report *report, size_t index,
                                   pp_weights_row *row_out); /* texts live as long as the report */
PP_API size_t pp_weights_report_matches(const pp_weights_report *report, pp_weights_match match);
/* What was taken off by itself, behind the renames: "module.", or "" where names matched as they
 * are. Lives as long as the report. */
PP_API const char *pp_weights_report_prefix(const pp_weights_report *report);
PP_API void pp_weights_report_destroy(pp_weights_report *report); /* accepts NULL */

/* Reads a file into the session's parameters and running statistics. The whole file is read and
 * checked first, so that after a failure the session is as it was. `options` and `report_out` may be
 * NULL; the caller owns *report_out, which is there also after PP_ERROR_SHAPE. Waits for the device.
 * PP_ERROR_SHAPE: without `partial`, something is missing, unused or of another shape; with it,
 * nothing fits at all. The message names the first such tensor. PP_ERROR_CORRUPT_DATA: not a
 * safetensors file, or a parameter's elements are no floats. PP_ERROR_IO; PP_ERROR_OUT_OF_MEMORY;
 * PP_ERROR_DEVICE. */
PP_API pp_status pp_weights_load(pp_session *session, const char *path,
                                 const pp_weights_options *options, pp_weights_report **report_out);

/* Zeroed members are the defaults. */
typedef struct pp_weights_save_options {
    bool half; /* F16, rounded to the nearest even; what lies beyond 65504 becomes infinite */
} pp_weights_save_options;

/* Writes all parameters and running statistics in PyTorch's layouts. The file is written under
 * another name, synced and then renamed, so that after a failure an older file is still there.
 * `options` may be NULL. Waits for the device. PP_ERROR_IO; PP_ERROR_OUT_OF_MEMORY;
 * PP_ERROR_DEVICE. */
PP_API pp_status pp_weights_save(pp_session *session, const char *path,
                                 const pp_weights_save_options *options);

#ifdef __cplusplus
}
#endif

#endif
