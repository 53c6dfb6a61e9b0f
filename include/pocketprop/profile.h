/* profile.h: the numbers that differ between devices: tile sizes, work-group shapes, alignment,
 * allocation cap. A plan needs a profile, not a device, so one can plan for a phone on a laptop:
 *
 *     pp_profile *profile = NULL;
 *     pp_profile_load(engine, "mali", &profile);
 *
 * Profiles are text (platforms/README.md). The shipped ones are built in: default, pocl-cpu, mali,
 * adreno, intel, discrete. The environment variable POCKETPROP_LIMITS tightens whatever is loaded,
 * for testing a small device anywhere (README.md lists its keys).
 *
 * A user may have profiles of his own, made by hand or by `pocketprop tune`. The library reads them
 * only when it is told to:
 *
 *     char *path = NULL;
 *     pp_profile_find(engine, pp_device_describe(device), NULL, &path);
 *     pp_profile_for_device(device, path, &profile);    // a NULL path: the shipped one
 *     pp_text_free(engine, path);
 */
#ifndef POCKETPROP_PROFILE_H
#define POCKETPROP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include <pocketprop/device.h>
#include <pocketprop/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_profile pp_profile;

/* `name_or_path`: a shipped profile's name, or the path of a file if it holds a '/' or ends in
 * ".profile". The caller owns *profile_out. PP_ERROR_INVALID_ARGUMENT: no such profile (the message
 * lists them); PP_ERROR_IO, PP_ERROR_CORRUPT_DATA: the file, its line, what was expected. */
PP_API pp_status pp_profile_load(pp_engine *engine, const char *name_or_path,
                                 pp_profile **profile_out);

/* The best-matching profile for an open device, with the device's own limits (largest allocation,
 * base alignment, work-group size) folded in. `name_or_path` may be NULL: match by the device. */
PP_API pp_status pp_profile_for_device(pp_device *device, const char *name_or_path,
                                       pp_profile **profile_out);

PP_API const char *pp_profile_name(const pp_profile *profile); /* borrowed */
PP_API void pp_profile_destroy(pp_profile *profile);           /* accepts NULL */

/* The folder of the user's own profiles: $POCKETPROP_CONFIG_DIR/profiles, else
 * $XDG_CONFIG_HOME/pocketprop/profiles, else ~/.config/pocketprop/profiles. It need not exist.
 * PP_ERROR_UNSUPPORTED: none of the three variables is set. Free with pp_text_free. */
PP_API pp_status pp_profile_folder(pp_engine *engine, char **path_out);

/* The user's profile that fits a device: of the files in `folder` whose names end in ".profile" and
 * whose match strings fit, the one with the most ancestors, and of several of these the first by
 * name. `folder` may be NULL: pp_profile_folder. *path_out is NULL, and that is no failure, when
 * there is none or no folder; free it with pp_text_free. PP_ERROR_IO: a file that cannot be read.
 */
PP_API pp_status pp_profile_find(pp_engine *engine, const pp_device_info *device,
                                 const char *folder, char **path_out);

/* The numbers that are worth trying on a device, in the order in which they are expected to matter:
 * those to which default.profile gives candidates. */
typedef struct pp_tunable {
    const char *key; /* "conv2d.tile"; borrowed, as the candidates are */
    size_t value;
    size_t least, most; /* what it may be */
    bool listed;        /* it may be one of the candidates only */
    bool in_bytes;
    const size_t *candidates; /* ascending; `value` need not be among them */
    size_t candidate_count;
} pp_tunable;
PP_API size_t pp_profile_tunable_count(const pp_profile *profile);
PP_API void pp_profile_read_tunable(const pp_profile *profile, size_t index,
                                    pp_tunable *tunable_out);

/* Changes any number of the profile. Plans and sessions that exist do not notice.
 * PP_ERROR_INVALID_ARGUMENT: no such key, or a value that it may not have; the message says which
 * it may. */
PP_API pp_status pp_profile_set(pp_profile *profile, const char *key, size_t value);

/* Writes the profile as a file for this very device (`device` may be NULL: for none by itself): its
 * shipped parent, match strings, and the numbers that pp_profile_set changed or its own file gave.
 * `comment` stands at the top, each line behind a #; NULL: nothing. Folders are made, and a file of
 * that name is replaced as a whole or not at all. PP_ERROR_IO. */
PP_API pp_status pp_profile_save(const pp_profile *profile, const pp_device_info *device,
                                 const char *comment, const char *path);

#ifdef __cplusplus
}
#endif

#endif
