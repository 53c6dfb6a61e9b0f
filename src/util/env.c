#include "util/env.h"

#include <stdlib.h>

const char *pp__env(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}
