/* What stands in for blockmean.c, beside its name in absent.c, in a build without block means
 * (POCKETPROP_WITHOUT): there is no pooled code, so nobody asks for its means. */
#include "codec/blockmean.h"

pp__stored pp__blockmean_means(const pp__stored *stored) {
    return *stored;
}
