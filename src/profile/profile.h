/* A profile in memory: keys and numbers, after inheritance and limits. */
#ifndef PP_PROFILE_PROFILE_H
#define PP_PROFILE_PROFILE_H

#include <pocketprop/profile.h>
#include <stddef.h>
#include <stdint.h>

#include "util/engine.h"

/* The number behind `key` ("conv2d.tile"). platforms/default.profile defines every key that host
 * code asks for, so a missing key is a bug: it is stored as an internal error in the engine and
 * reported by pp__profile_status; the call returns 1. */
uint32_t pp__profile_u32(const pp_profile *profile, const char *key);
size_t pp__profile_bytes(const pp_profile *profile, const char *key);
pp_status pp__profile_status(const pp_profile *profile);

/* Writes " -DCONV2D_TILE=8 -DCONV2D_..." for every key that starts with `stem` and a dot. Returns
 * the length that was needed, as snprintf does. */
size_t pp__profile_defines(const pp_profile *profile, const char *stem, char *text,
                           size_t capacity);

/* What profile matching looks at. */
typedef struct pp__profile_subject {
    const char *device_name, *platform_name, *vendor_name,
        *type_name;        /* type: "gpu", "cpu", "accelerator", "other" */
    uint32_t vector_float; /* the device's native vector, in floats */
} pp__profile_subject;

/* Texts are borrowed from `info`, whose `profile` is not looked at. */
pp__profile_subject pp__profile_subject_of(const pp_device_info *info);

/* The name of the best-matching shipped profile: the longest parent chain wins; "default" matches
 * all. */
const char *pp__profile_match(const pp__profile_subject *subject);

/* Sets or tightens a number of a loaded profile: keeps the smaller of the two (0 counts as no
 * limit), or the larger where `larger` is set (alignments). */
pp_status pp__profile_tighten(pp_profile *profile, const char *key, size_t value, bool larger);

#endif
