/* profile.h: the numbers that differ between devices: tile sizes, work-group shapes, alignment,
 * allocation cap. A plan needs a profile, not a device, so one can plan for a phone on a laptop:
 *
 *     pp_profile *profile = NULL;
 *     pp_profile_load(engine, "mali", &profile);
 *
 * Profiles are text (platforms/README.md). The shipped ones are built in: default, pocl-cpu, mali,
 * adreno, intel, discrete. The environment variable POCKETPROP_LIMITS tightens whatever is loaded,
 * for testing a small device anywhere (README.md lists its keys).
 */
#ifndef POCKETPROP_PROFILE_H
#define POCKETPROP_PROFILE_H

#include <pocketprop/device.h>
#include <pocketprop/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_profile pp_profile;

/* `name_or_path`: a shipped profile's name, or the path of a file if it holds a '/' or ends in
 * ".profile". The caller owns *profile_out. PP_ERROR_INVALID_ARGUMENT: no such profile (the message
 * lists them); PP_ERROR_IO, PP_ERROR_CORRUPT_DATA: the file, its line, what was expected. */
pp_status pp_profile_load(pp_engine *engine, const char *name_or_path, pp_profile **profile_out);

/* The best-matching profile for an open device, with the device's own limits (largest allocation,
 * base alignment, work-group size) folded in. `name_or_path` may be NULL: match by the device. */
pp_status pp_profile_for_device(pp_device *device, const char *name_or_path,
                                pp_profile **profile_out);

const char *pp_profile_name(const pp_profile *profile); /* borrowed */
void pp_profile_destroy(pp_profile *profile);           /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
