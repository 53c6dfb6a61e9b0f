#include <pocketprop/engine.h>
#include <pocketprop/status.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *pp_status_name(pp_status status) {
    switch (status) {
        case PP_OK: return "ok";
        case PP_ERROR_INVALID_ARGUMENT: return "invalid argument";
        case PP_ERROR_SHAPE: return "bad shape";
        case PP_ERROR_UNSUPPORTED: return "unsupported";
        case PP_ERROR_OUT_OF_MEMORY: return "out of memory";
        case PP_ERROR_DEVICE: return "device error";
        case PP_ERROR_IO: return "input/output error";
        case PP_ERROR_CORRUPT_DATA: return "corrupt data";
        case PP_ERROR_INTERNAL: return "internal error";
    }
    return "unknown status";
}

const char *pp_version(void) {
    return TEXT(PP_VERSION_MAJOR) "." TEXT(PP_VERSION_MINOR) "." TEXT(PP_VERSION_PATCH);
}
