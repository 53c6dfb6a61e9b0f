/* Building programs, from the on-disk cache where it has them.
 *
 * Programs are compiled without any fast-math option, so that a result depends on the device alone.
 * Binaries are written when the device is closed: by then kernels were created and run, and drivers
 * that compile only then (Mali, PoCL) put the finished code into the binary.
 */
#include "device/program.h"

#include <stdio.h>
#include <string.h>

#include "device/cache.h"
#include "device/clerror.h"
#include "device/device.h"

/* OpenCL C 1.2 and no warnings: some drivers print those to the application's stderr. */
static const char language[] = "-cl-std=CL1.2 -w";

static void release_program(pp_device *device, cl_program *handle) {
    if (!*handle) return;
    cl_int code = clReleaseProgram(*handle);
    if (code != CL_SUCCESS)
        pp__log(device->engine, PP_LOG_WARNING, "clReleaseProgram: %s (%d)", pp__cl_name(code),
                (int)code);
    *handle = NULL;
}

/* "common + codec/norm + op/batchnorm" */
static void print_files(const pp__program *program, char *text, size_t capacity) {
    size_t used = (size_t)snprintf(text, capacity, "common");
    for (size_t i = 0; i < program->file_count && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, " + %s", program->files[i]);
}

/* The log goes behind the sentence; the engine cuts it at its capacity. */
static pp_status fail_build(pp_device *device, const pp__program *program, cl_int code) {
    size_t bytes = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program->handle, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) ==
        CL_SUCCESS) {
        PP_TRY(pp__allocate(device->engine, bytes + 1, 1, &log));
        if (clGetProgramBuildInfo(program->handle, device->id, CL_PROGRAM_BUILD_LOG, bytes, log,
                                  NULL) != CL_SUCCESS)
            log[0] = 0;
    }
    char files[256];
    print_files(program, files, sizeof files);
    pp_status status = pp__fail(
        device->engine, PP_ERROR_DEVICE, "clBuildProgram: %s (%d) for cl/ %s with \"%s\":\n%s",
        pp__cl_name(code), (int)code, files, program->options, log ? log : "");
    pp__release(device->engine, log);
    return status;
}

static pp_status build_from_source(pp_device *device, pp__program *program) {
    char *text;
    PP_TRY(
        pp__source_join(device, (const char *const *)program->files, program->file_count, &text));
    const char *texts[] = {text};
    cl_int code;
    program->handle = clCreateProgramWithSource(device->context, 1, texts, NULL, &code);
    pp__release(device->engine, text);
    if (code != CL_SUCCESS)
        return pp__cl_fail(device->engine, "clCreateProgramWithSource", code, "%s", "");
    code = clBuildProgram(program->handle, 1, &device->id, program->options, NULL, NULL);
    if (code != CL_SUCCESS) { /* once more: drivers refuse a sound program when short of memory */
        (void)clFinish(device->queue);
        code = clBuildProgram(program->handle, 1, &device->id, program->options, NULL, NULL);
    }
    if (code != CL_SUCCESS) return fail_build(device, program, code);
    program->from_source = true;
    device->counters.programs_built++;
    return PP_OK;
}

/* Everything that a binary depends on, the width of pointers included: processes of both widths may
 * share a folder. */
static pp_status make_key(pp_device *device, const pp__program *program, char **key_out) {
    const pp_device_info *info = &device->info;
    char *text;
    PP_TRY(
        pp__source_join(device, (const char *const *)program->files, program->file_count, &text));
    size_t capacity = strlen(text) + strlen(program->options) + sizeof *info +
                      sizeof device->platform_version + 64;
    pp_status status = pp__allocate(device->engine, capacity, 1, key_out);
    if (status == PP_OK)
        snprintf(*key_out, capacity, "%zu\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n", sizeof(void *),
                 info->platform, device->platform_version, info->name, info->version,
                 info->driver_version, program->options, text);
    pp__release(device->engine, text);
    return status;
}

/* Leaves program->handle NULL when the cache has nothing that the driver takes. */
static pp_status build_from_cache(pp_device *device, pp__program *program) {
    if (!device->cache_dir) return PP_OK;
    char *key;
    PP_TRY(make_key(device, program, &key));
    unsigned char *binary = NULL;
    size_t bytes;
    pp_status status = pp__cache_load(device, key, &binary, &bytes);
    pp__release(device->engine, key);
    if (status != PP_OK || !binary) return status;
    const unsigned char *binaries[] = {binary};
    cl_int code, binary_status = CL_SUCCESS;
    program->handle = clCreateProgramWithBinary(device->context, 1, &device->id, &bytes, binaries,
                                                &binary_status, &code);
    pp__release(device->engine, binary);
    if (code == CL_SUCCESS) code = binary_status;
    if (code == CL_SUCCESS)
        code = clBuildProgram(program->handle, 1, &device->id, program->options, NULL, NULL);
    if (code == CL_SUCCESS) {
        device->counters.programs_loaded++;
        return PP_OK;
    }
    pp__log(device->engine, PP_LOG_INFO, "a cached program of %s is not taken: %s (%d)",
            program->files[program->file_count - 1], pp__cl_name(code), (int)code);
    release_program(device, &program->handle);
    return PP_OK;
}

static void destroy(pp_device *device, pp__program *program) {
    release_program(device, &program->handle);
    for (size_t i = 0; i < program->file_count; i++) pp__release(device->engine, program->files[i]);
    pp__release(device->engine, program->options);
    pp__release(device->engine, program);
}

static bool is_program(const pp__program *program, const char *const *files, size_t file_count,
                       const char *options) {
    if (program->file_count != file_count) return false;
    for (size_t i = 0; i < file_count; i++)
        if (strcmp(program->files[i], files[i]) != 0) return false;
    return strcmp(program->options + strlen(language), options) == 0;
}

pp_status pp__program_get(pp_device *device, const char *const *files, size_t file_count,
                          const char *options, pp__program **program_out) {
    *program_out = NULL;
    for (pp__program *p = device->programs; p; p = p->next)
        if (is_program(p, files, file_count, options)) {
            *program_out = p;
            return PP_OK;
        }
    pp__program *program;
    PP_TRY(pp__allocate(device->engine, 1, sizeof *program, &program));
    pp_status status;
    size_t capacity = strlen(language) + strlen(options) + 1;
    PP_TRY_GOTO(status, pp__allocate(device->engine, capacity, 1, &program->options), failed);
    snprintf(program->options, capacity, "%s%s", language, options);
    for (size_t i = 0; i < file_count; i++) {
        PP_TRY_GOTO(status, pp__copy_text(device->engine, files[i], &program->files[i]), failed);
        program->file_count++;
    }
    PP_TRY_GOTO(status, build_from_cache(device, program), failed);
    if (!program->handle) PP_TRY_GOTO(status, build_from_source(device, program), failed);
    program->next = device->programs;
    device->programs = program;
    *program_out = program;
    return PP_OK;

failed:
    destroy(device, program);
    return status;
}

pp_status pp__program_kernel(pp_device *device, pp__program *program, const char *name,
                             cl_kernel *kernel_out) {
    cl_int code;
    *kernel_out = clCreateKernel(program->handle, name, &code);
    if (code != CL_SUCCESS && !program->from_source) {
        release_program(device, &program->handle);
        PP_TRY(build_from_source(device, program));
        *kernel_out = clCreateKernel(program->handle, name, &code);
    }
    if (code == CL_SUCCESS) {
        program->has_kernel = true;
        return PP_OK;
    }
    *kernel_out = NULL;
    char files[256];
    print_files(program, files, sizeof files);
    return pp__cl_fail(device->engine, "clCreateKernel", code, " for %s in cl/ %s", name, files);
}

/* The cache is a convenience: whatever fails here is left out, and so are programs in an
 * application's context of several devices, of which drivers tell badly where they were built for
 * one. */
static void save(pp_device *device, pp__program *program) {
    size_t bytes = 0;
    cl_uint devices = 0;
    unsigned char *binary = NULL;
    char *key = NULL;
    cl_int code =
        clGetProgramInfo(program->handle, CL_PROGRAM_NUM_DEVICES, sizeof devices, &devices, NULL);
    if (code != CL_SUCCESS || devices != 1) return;
    code = clGetProgramInfo(program->handle, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL);
    if (code != CL_SUCCESS || bytes == 0) return;
    if (make_key(device, program, &key) == PP_OK &&
        pp__allocate(device->engine, bytes, 1, &binary) == PP_OK) {
        code = clGetProgramInfo(program->handle, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
        if (code == CL_SUCCESS) pp__cache_save(device, key, binary, bytes);
    }
    pp__release(device->engine, binary);
    pp__release(device->engine, key);
}

void pp__program_destroy_all(pp_device *device) {
    while (device->programs) {
        pp__program *program = device->programs;
        device->programs = program->next;
        if (device->cache_dir && program->from_source && program->has_kernel &&
            !program->driver_keeps)
            save(device, program);
        destroy(device, program);
    }
}
