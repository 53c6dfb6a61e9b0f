#include "device/opencl_library.h"

#ifndef PP_OPENCL_DLOPEN

pp_status pp__opencl_open(pp_engine *engine) {
    (void)engine;
    return PP_OK;
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/env.h"

#if UINTPTR_MAX > UINT32_MAX
#define LIB "lib64"
#else
#define LIB "lib"
#endif

/* An application on Android 12 or newer sees a vendor's library only where its manifest names it
 * (uses-native-library); older systems allow the paths. */
static const char *const places[] = {
    "libOpenCL.so.1",
    "libOpenCL.so",
    "/vendor/" LIB "/libOpenCL.so",
    "/system/vendor/" LIB "/libOpenCL.so",
    "/system/" LIB "/libOpenCL.so",
    "libOpenCL-pixel.so",
    "/vendor/" LIB "/libOpenCL-pixel.so",
    "libGLES_mali.so",
    "/vendor/" LIB "/egl/libGLES_mali.so",
    "/system/vendor/" LIB "/egl/libGLES_mali.so",
    "libmali.so.1",
    "libmali.so",
    "libPVROCL.so",
    "/vendor/" LIB "/libPVROCL.so",
    "/system/vendor/" LIB "/libPVROCL.so",
    "libpocl.so.2",
    "libpocl.so",
};

pp__opencl_table pp__opencl;

/* What opening came to; written once, with the table. */
static struct {
    pthread_once_t once;
    const char *only; /* the environment's */
    const char *incomplete,
        *lacking; /* a library that was opened, and the first function it lacks */
    bool open;
} opening = {.once = PTHREAD_ONCE_INIT};

/* Fills the table from an open library; the first function that it lacks, or NULL. */
static const char *fill(void *library, pp__opencl_table *table) {
    const char *lacking = NULL;
    void *address;
    /* ISO C has no conversion from an object's address to a function's; POSIX says they are alike. */
#define PP__CL(name)                                     \
    address = dlsym(library, #name);                     \
    memcpy(&table->fn_##name, &address, sizeof address); \
    if (!address && !lacking) lacking = #name;
#include "device/opencl_list.inc"
#undef PP__CL
    return lacking;
}

static void try_place(const char *place) {
    void *library = dlopen(place, RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    pp__opencl_table table;
    const char *lacking = fill(library, &table);
    if (lacking) {
        if (!opening.incomplete) opening.incomplete = place, opening.lacking = lacking;
        dlclose(library);
        return;
    }
    pp__opencl = table;
    opening.open = true;
}

static void open_once(void) {
    opening.only = pp__env("POCKETPROP_OPENCL_LIBRARY");
    if (opening.only) {
        try_place(opening.only);
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places && !opening.open; i++)
        try_place(places[i]);
}

pp_status pp__opencl_open(pp_engine *engine) {
    pthread_once(&opening.once, open_once);
    if (opening.open) return PP_OK;
    char tried[1024] = "", incomplete[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && !opening.only; i++)
        used +=
            (size_t)snprintf(tried + used, sizeof tried - used, "%s%s", i ? ", " : "", places[i]);
    if (opening.incomplete)
        snprintf(incomplete, sizeof incomplete, " (%s has no %s)", opening.incomplete,
                 opening.lacking);
    return pp__fail(engine, PP_ERROR_DEVICE,
                    "no OpenCL 1.2 library: tried %s%s; POCKETPROP_OPENCL_LIBRARY may name one",
                    opening.only ? opening.only : tried, incomplete);
}

#endif
