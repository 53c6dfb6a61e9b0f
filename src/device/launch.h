/* Launches: one kernel, its arguments, the area to cover. Compiles without OpenCL.
 *
 * An operator builds a launch by appending typed arguments in the kernel's order and then says what
 * to cover:
 *
 *     pp__launch l;
 *     pp__launch_begin(&l, stream, "op/relu", "relu_forward");
 *     pp__launch_tensor(&l, x, sizeof(float));
 *     pp__launch_tensor(&l, y, sizeof(float));
 *     pp__launch_u32(&l, pixels);
 *     pp__launch_u32(&l, channels);
 *     return pp__launch_cover(&l, octets, pixel_chunks, 1);
 *
 * The builder is sticky: the first failure poisons it, and pp__launch_cover reports it. Covering
 * *records* the launch in its stream; pp__stream_run enqueues everything recorded, any number of
 * times, without a host allocation. Tunables of the kernel's file (profile keys "relu.*") become
 * defines by themselves, and "relu.group_x/y/z" is the wished work-group shape: the launch clamps
 * it to what the device and the kernel allow and rounds the global size up, so a kernel returns at
 * once outside of its extents.
 */
#ifndef PP_DEVICE_LAUNCH_H
#define PP_DEVICE_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include <pocketprop/device.h>
#include <pocketprop/profile.h>

/* One device allocation; its inside belongs to device/. */
typedef struct pp__memory pp__memory;

/* Where a tensor begins. memory NULL: there is none. */
typedef struct pp__ref {
    pp__memory *memory;
    size_t offset_bytes;
} pp__ref;

typedef struct pp__stream pp__stream;

/* A stream of one device; `profile` gives the tunables and is borrowed until the last launch is
 * recorded. */
pp_status pp__stream_create(pp_device *device, const pp_profile *profile, pp__stream **stream_out);
void pp__stream_destroy(pp__stream *stream); /* accepts NULL */
pp_engine *pp__stream_engine(const pp__stream *stream);
const pp_profile *pp__stream_profile(const pp__stream *stream);

/* Names the commands recorded from now on, for errors and traces; the text is copied. */
pp_status pp__stream_label(pp__stream *stream, const char *label);

enum { PP__LAUNCH_ARGUMENTS = 48, PP__LAUNCH_FILES = 4, PP__LAUNCH_OPTIONS = 1024 };

typedef struct pp__launch {
    pp__stream *stream;
    pp_status status;
    const char *kernel;
    /* In the order in which they are joined; the kernel's own is last. */
    const char *files[PP__LAUNCH_FILES];
    size_t file_count;
    char options[PP__LAUNCH_OPTIONS];
    size_t group[3]; /* 0: as the profile wishes */
    size_t argument_count;
    struct {
        pp__memory *memory; /* NULL: a scalar of four bytes in `word` */
        uint32_t word;
    } arguments[PP__LAUNCH_ARGUMENTS];
} pp__launch;

/* `file` is a path below cl/ without its ending ("op/conv2d"); both texts are borrowed until the
 * launch is covered. Every program begins with cl/common.cl. */
void pp__launch_begin(pp__launch *launch, pp__stream *stream, const char *file, const char *kernel);

/* Puts another file in front of the kernel's own ("codec/norm"): functions that it calls. */
void pp__launch_prefix(pp__launch *launch, const char *file);

/* Adds -Dname=value. Defines given here win over the profile's. */
void pp__launch_define(pp__launch *launch, const char *name, uint32_t value);
/* Exact: a hexadecimal float. */
void pp__launch_define_f32(pp__launch *launch, const char *name, float value);

/* The kernel takes groups of exactly this shape, and covering fails with PP_ERROR_UNSUPPORTED where
 * kernel, device or profile allow fewer work-items. */
void pp__launch_group(pp__launch *launch, size_t x, size_t y, size_t z);

/* Appends two kernel arguments: the pointer, and the offset in elements as uint. An empty ref
 * passes a valid pointer that the kernel must not use. The offset must be a multiple of
 * `elem_bytes`; it fits 32 bits in every plan (plan/plan.c). */
void pp__launch_tensor(pp__launch *launch, pp__ref tensor, size_t elem_bytes);
void pp__launch_u32(pp__launch *launch, uint32_t value);
void pp__launch_i32(pp__launch *launch, int32_t value);
void pp__launch_f32(pp__launch *launch, float value);

/* Records the launch over nx * ny * nz work-items. Covering nothing (a zero extent) records
 * nothing. */
pp_status pp__launch_cover(pp__launch *launch, size_t nx, size_t ny, size_t nz);

/* For kernels that work on octets (cl/common.cl): appends pixels and channels as the last two
 * arguments and covers shares of common.octets octets across, common.chunk octets altogether. */
pp_status pp__launch_cover_octets(pp__launch *launch, size_t pixels, uint32_t channels);

/* For kernels that treat all elements alike: appends their number as the last argument and covers
 * common.chunk octets each. */
pp_status pp__launch_cover_elems(pp__launch *launch, size_t elems);

/* Records a device-to-device copy / a fill with zero bytes. */
pp_status pp__stream_copy(pp__stream *stream, pp__ref from, pp__ref to, size_t bytes);
pp_status pp__stream_zero(pp__stream *stream, pp__ref to, size_t bytes);

/* Enqueues everything that was recorded, in order. Does not wait. */
pp_status pp__stream_run(pp__stream *stream);

#endif
