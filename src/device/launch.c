/* Building launches. This is the only place that sets kernel arguments and chooses work-groups. */
#include "device/launch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "device/clerror.h"
#include "device/device.h"
#include "device/program.h"
#include "device/stream.h"
#include "profile/lookup.h"
#include "profile/profile.h"
#include "util/size.h"

enum { OPTIONS_CAPACITY = 4096 };

/* Poisons the launch; the first sentence stays. */
static void fail(pp__launch *launch, const char *format, ...) PP_PRINTF(2, 3);
static void fail(pp__launch *launch, const char *format, ...) {
    if (launch->status != PP_OK) return;
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    launch->status =
        pp__fail(launch->stream->device->engine, PP_ERROR_INTERNAL, "%s, kernel %s: %s",
                 pp__stream_label_text(launch->stream, launch->stream->label_count - 1),
                 launch->kernel, what);
}

void pp__launch_begin(pp__launch *launch, pp__stream *stream, const char *file,
                      const char *kernel) {
    memset(launch, 0, sizeof *launch);
    launch->stream = stream;
    launch->kernel = kernel;
    launch->files[0] = file;
    launch->file_count = 1;
}

/* A file that is there already is not joined twice. */
void pp__launch_prefix(pp__launch *launch, const char *file) {
    if (launch->status != PP_OK) return;
    for (size_t i = 0; i < launch->file_count; i++)
        if (strcmp(launch->files[i], file) == 0) return;
    if (launch->file_count == PP__LAUNCH_FILES) {
        fail(launch, "more than %d files with %s", PP__LAUNCH_FILES, file);
        return;
    }
    launch->files[launch->file_count] = launch->files[launch->file_count - 1];
    launch->files[launch->file_count - 1] = file;
    launch->file_count++;
}

/* Where " -Dname=" begins in the options, or NULL. */
static const char *find_define(const char *options, const char *name, size_t name_length) {
    for (const char *at = options; (at = strstr(at, " -D")); at++)
        if (strncmp(at + 3, name, name_length) == 0 && at[3 + name_length] == '=') return at;
    return NULL;
}

static void add_define(pp__launch *launch, const char *name, const char *value) {
    if (launch->status != PP_OK) return;
    char text[128];
    int length = snprintf(text, sizeof text, " -D%s=%s", name, value);
    const char *before = find_define(launch->options, name, strlen(name));
    if (before) {
        bool same = strncmp(before, text, (size_t)length) == 0 &&
                    (before[length] == 0 || before[length] == ' ');
        if (!same) fail(launch, "%s is defined twice, now as %s", name, value);
        return;
    }
    size_t used = strlen(launch->options);
    if (length < 0 || (size_t)length >= sizeof text ||
        used + (size_t)length >= sizeof launch->options) {
        fail(launch, "no room for the define %s", name);
        return;
    }
    memcpy(launch->options + used, text, (size_t)length + 1);
}

void pp__launch_define(pp__launch *launch, const char *name, uint32_t value) {
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)value);
    add_define(launch, name, text);
}

/* Written by hand, because printf's %a follows the locale's decimal point. */
void pp__launch_define_f32(pp__launch *launch, const char *name, float value) {
    if (!isfinite(value)) {
        fail(launch, "%s is not finite", name);
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 23 & 0xFF);
    uint32_t fraction = (bits & 0x7FFFFF) << 1; /* 24 bits, six hexadecimal digits */
    char text[32];
    snprintf(text, sizeof text, "%s0x%d.%06xp%df", bits >> 31 ? "-" : "", exponent != 0,
             (unsigned)fraction, exponent ? exponent - 127 : -126);
    add_define(launch, name, text);
}

void pp__launch_group(pp__launch *launch, size_t x, size_t y, size_t z) {
    launch->group[0] = x;
    launch->group[1] = y;
    launch->group[2] = z;
}

static void add_argument(pp__launch *launch, pp__memory *memory, uint32_t word) {
    if (launch->status != PP_OK) return;
    if (launch->argument_count == PP__LAUNCH_ARGUMENTS) {
        fail(launch, "more than %d arguments", PP__LAUNCH_ARGUMENTS);
        return;
    }
    launch->arguments[launch->argument_count].memory = memory;
    launch->arguments[launch->argument_count].word = word;
    launch->argument_count++;
}

void pp__launch_tensor(pp__launch *launch, pp__ref tensor, size_t elem_bytes) {
    if (launch->status != PP_OK) return;
    size_t offset_elems = 0;
    if (tensor.memory && !launch->stream->probing) {
        if (tensor.offset_bytes % elem_bytes || tensor.offset_bytes > tensor.memory->bytes) {
            fail(launch,
                 "argument %zu: offset %zu does not fit elements of %zu bytes in a buffer of %zu",
                 launch->argument_count, tensor.offset_bytes, elem_bytes, tensor.memory->bytes);
            return;
        }
        offset_elems = tensor.offset_bytes / elem_bytes;
    }
    if (offset_elems > UINT32_MAX) {
        fail(launch, "argument %zu: offset %zu does not fit 32 bits", launch->argument_count,
             offset_elems);
        return;
    }
    add_argument(launch, tensor.memory ? tensor.memory : &launch->stream->device->placeholder, 0);
    add_argument(launch, NULL, (uint32_t)offset_elems);
}

void pp__launch_u32(pp__launch *launch, uint32_t value) {
    add_argument(launch, NULL, value);
}

void pp__launch_i32(pp__launch *launch, int32_t value) {
    add_argument(launch, NULL, (uint32_t)value);
}

void pp__launch_f32(pp__launch *launch, float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    add_argument(launch, NULL, word);
}

static const char *stem_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* Appends the profile's defines for one file, but for those that the launch gives itself. */
static void add_profile_defines(pp__launch *launch, const char *stem,
                                char options[OPTIONS_CAPACITY]) {
    char defines[2048];
    size_t length = pp__profile_defines(launch->stream->profile, stem, defines, sizeof defines);
    size_t used = strlen(options);
    if (length >= sizeof defines || used + length >= OPTIONS_CAPACITY) {
        fail(launch, "no room for the profile's defines of %s", stem);
        return;
    }
    for (const char *at = defines; *at;) {
        size_t token = 1 + strcspn(at + 1, " ");
        const char *name = at + strlen(" -D");
        if (!find_define(launch->options, name, strcspn(name, "="))) {
            memcpy(options + used, at, token);
            used += token;
        }
        at += token;
    }
    options[used] = 0;
}

static void make_options(pp__launch *launch, char options[OPTIONS_CAPACITY]) {
    snprintf(options, OPTIONS_CAPACITY, "%s", launch->options);
    add_profile_defines(launch, "common", options);
    for (size_t i = 0; i < launch->file_count; i++)
        add_profile_defines(launch, stem_of(launch->files[i]), options);
}

/* What empty refs pass: a buffer that the launch holds anyway, so that they cost no device
 * memory. */
static const pp__memory *any_memory(const pp__launch *launch) {
    const pp__memory *placeholder = &launch->stream->device->placeholder;
    for (size_t i = 0; i < launch->argument_count; i++) {
        const pp__memory *memory = launch->arguments[i].memory;
        if (memory && memory != placeholder) return memory;
    }
    return placeholder; /* no buffer at all: a null handle, which OpenCL 1.2 allows for a pointer */
}

static pp_status set_arguments(const pp__launch *launch, cl_kernel kernel) {
    pp_engine *engine = launch->stream->device->engine;
    const char *label = pp__stream_label_text(launch->stream, launch->stream->label_count - 1);
    cl_uint expected = 0;
    cl_int code = clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof expected, &expected, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(engine, "clGetKernelInfo", code, " in %s, kernel %s", label,
                           launch->kernel);
    if (expected != launch->argument_count)
        return pp__fail(engine, PP_ERROR_INTERNAL,
                        "%s, kernel %s takes %u arguments; the launch has %zu", label,
                        launch->kernel, (unsigned)expected, launch->argument_count);
    for (size_t i = 0; i < launch->argument_count; i++) {
        const pp__memory *memory = launch->arguments[i].memory;
        if (memory == &launch->stream->device->placeholder) memory = any_memory(launch);
        code = memory ? clSetKernelArg(kernel, (cl_uint)i, sizeof memory->handle, &memory->handle)
                      : clSetKernelArg(kernel, (cl_uint)i, sizeof launch->arguments[i].word,
                                       &launch->arguments[i].word);
        if (code != CL_SUCCESS)
            return pp__cl_fail(engine, "clSetKernelArg", code, " in %s, kernel %s, argument %zu",
                               label, launch->kernel, i);
    }
    return PP_OK;
}

static size_t smaller(size_t limit, size_t other) {
    return other && other < limit ? other : limit;
}

/* The most work-items that a group of this kernel may have, and a check of its local memory. */
static pp_status read_group_limit(const pp__launch *launch, cl_kernel kernel, size_t *limit_out) {
    const pp_device *device = launch->stream->device;
    const pp_profile *profile = launch->stream->profile;
    size_t of_kernel = 0;
    cl_ulong local_bytes = 0;
    cl_int code = clGetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                           sizeof of_kernel, &of_kernel, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_LOCAL_MEM_SIZE,
                                        sizeof local_bytes, &local_bytes, NULL);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clGetKernelWorkGroupInfo", code, " for kernel %s",
                           launch->kernel);
    uint64_t available = device->info.local_memory_bytes;
    size_t of_profile = pp__profile_bytes(profile, "launch.local_memory_bytes");
    if (of_profile && of_profile < available) available = of_profile;
    if (local_bytes > available)
        return pp__fail(device->engine, PP_ERROR_UNSUPPORTED,
                        "kernel %s needs %llu bytes of local memory; there are %llu",
                        launch->kernel, (unsigned long long)local_bytes,
                        (unsigned long long)available);
    size_t limit = smaller(device->info.max_work_group_size, of_kernel);
    limit = smaller(limit, pp__profile_u32(profile, "launch.max_work_group_size"));
    *limit_out = limit ? limit : 1;
    return PP_OK;
}

/* The shape that the kernel insists on. */
static pp_status check_group(const pp__launch *launch, cl_kernel kernel, size_t local_out[3]) {
    const pp_device *device = launch->stream->device;
    size_t limit;
    PP_TRY(read_group_limit(launch, kernel, &limit));
    bool fits = launch->group[0] * launch->group[1] * launch->group[2] <= limit;
    for (size_t d = 0; d < 3; d++) {
        local_out[d] = launch->group[d];
        fits = fits && local_out[d] <= device->max_group[d];
    }
    if (fits) return PP_OK;
    return pp__fail(device->engine, PP_ERROR_UNSUPPORTED,
                    "kernel %s needs groups of %zux%zux%zu work-items; %zu is the most",
                    launch->kernel, local_out[0], local_out[1], local_out[2], limit);
}

/* The profile's shape, cut to the extents and to what device and kernel allow. A side is halved
 * while the half still covers its extent, so a group never has more idle work-items than busy ones
 * along a side. */
static pp_status choose_group(const pp__launch *launch, cl_kernel kernel, const size_t extent[3],
                              size_t local_out[3]) {
    const pp__stream *stream = launch->stream;
    static const char *const common_keys[3] = {"launch.group_x", "launch.group_y",
                                               "launch.group_z"};
    const char *stem = stem_of(launch->files[launch->file_count - 1]);
    size_t limit = 1;
    PP_TRY(read_group_limit(launch, kernel, &limit));
    for (size_t d = 0; d < 3; d++) {
        char key[96];
        snprintf(key, sizeof key, "%s.group_%c", stem, "xyz"[d]);
        size_t side;
        if (!pp__profile_find(stream->profile, key, &side))
            side = pp__profile_u32(stream->profile, common_keys[d]);
        side = smaller(side, stream->device->max_group[d]);
        while (side > 1 && side / 2 >= extent[d]) side /= 2;
        local_out[d] = side;
    }
    while (local_out[0] * local_out[1] * local_out[2] > limit) {
        size_t longest = 0;
        for (size_t d = 1; d < 3; d++)
            if (local_out[d] > local_out[longest]) longest = d;
        local_out[longest] /= 2;
    }
    return pp__profile_status(stream->profile);
}

pp_status pp__launch_cover(pp__launch *launch, size_t nx, size_t ny, size_t nz) {
    if (launch->status != PP_OK || nx == 0 || ny == 0 || nz == 0) return launch->status;
    pp__stream *stream = launch->stream;
    char options[OPTIONS_CAPACITY];
    make_options(launch, options);
    PP_TRY(launch->status);
    if (stream->probing) {
        const char *texts[PP__LAUNCH_FILES + 2];
        size_t count = 0;
        for (size_t i = 0; i < launch->file_count; i++) texts[count++] = launch->files[i];
        texts[count++] = launch->kernel;
        texts[count++] = options;
        pp__probe_add(stream, texts, count);
        return PP_OK;
    }
    pp__program *program;
    PP_TRY(pp__program_get(stream->device, launch->files, launch->file_count, options, &program));
    program->driver_keeps = pp__profile_u32(stream->profile, "launch.driver_cache") != 0;
    pp__command command = {
        .kind = PP__COMMAND_KERNEL, .extent = {nx, ny, nz}, .exact = launch->group[0] != 0};
    PP_TRY(pp__program_kernel(stream->device, program, launch->kernel, &command.kernel));
    pp_status status = set_arguments(launch, command.kernel);
    if (status == PP_OK)
        status = command.exact
                     ? check_group(launch, command.kernel, command.local)
                     : choose_group(launch, command.kernel, command.extent, command.local);
    if (status == PP_OK) return pp__stream_append(stream, &command);
    cl_int code = clReleaseKernel(command.kernel);
    if (code != CL_SUCCESS)
        pp__log(stream->device->engine, PP_LOG_WARNING, "clReleaseKernel: %s (%d)",
                pp__cl_name(code), (int)code);
    return status;
}

pp_status pp__launch_cover_octets(pp__launch *launch, size_t pixels, uint32_t channels) {
    const pp_profile *profile = launch->stream->profile;
    uint32_t octets = pp__divide_up(channels, 8), most = pp__profile_u32(profile, "common.octets"),
             across = octets < most ? octets : most,
             height = across ? pp__profile_u32(profile, "common.chunk") / across : 1;
    if (!height) height = 1;
    pp__launch_define(launch, "COMMON_WHOLE", channels % 8 == 0);
    pp__launch_u32(launch, (uint32_t)pixels);
    pp__launch_u32(launch, channels);
    return pp__launch_cover(launch, pp__divide_up(octets, most),
                            pixels / height + (pixels % height != 0), 1);
}

pp_status pp__launch_cover_elems(pp__launch *launch, size_t elems) {
    size_t each = (size_t)8 * pp__profile_u32(launch->stream->profile, "common.chunk");
    pp__launch_define(launch, "COMMON_WHOLE", elems % 8 == 0);
    pp__launch_u32(launch, (uint32_t)elems);
    return pp__launch_cover(launch, elems / each + (elems % each != 0), 1, 1);
}
