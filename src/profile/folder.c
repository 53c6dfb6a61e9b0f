/* The folder of the user's own profiles. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "profile/match.h"
#include "util/env.h"
#include "util/file.h"
#include "util/text.h"

pp_status pp_profile_folder(pp_engine *engine, char **path_out) {
    *path_out = NULL;
    const char *root = pp__env("POCKETPROP_CONFIG_DIR"), *rest = "/profiles";
    if (!root) root = pp__env("XDG_CONFIG_HOME"), rest = "/pocketprop/profiles";
    if (!root) root = pp__env("HOME"), rest = "/.config/pocketprop/profiles";
    if (!root)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                        "no folder for profiles: expected one of POCKETPROP_CONFIG_DIR, "
                        "XDG_CONFIG_HOME and HOME in the environment");
    pp__text text = {.engine = engine};
    pp__text_add(&text, "%s%s", root, rest);
    return pp__text_take(&text, path_out);
}

/* The best so far. */
typedef struct choice {
    char *path;
    size_t depth;
} choice;

static bool is_better(const choice *best, const char *path, size_t depth) {
    if (!best->path || depth != best->depth) return !best->path || depth > best->depth;
    return strcmp(path, best->path) < 0;
}

/* Takes `path`, which becomes the choice's or is released. */
static pp_status consider(pp_engine *engine, const pp__profile_subject *subject, char *path,
                          choice *best) {
    char *text;
    size_t length;
    pp_status status = pp__file_read(engine, path, &text, &length);
    if (status == PP_OK && pp__profile_fits(text, subject) &&
        is_better(best, path, pp__profile_depth(text))) {
        pp__release(engine, best->path);
        *best = (choice){path, pp__profile_depth(text)};
        path = NULL;
    }
    if (status == PP_OK) pp__release(engine, text);
    pp__release(engine, path);
    return status;
}

static bool is_profile(const char *file) {
    static const char ending[] = ".profile";
    size_t length = strlen(file), ending_length = sizeof ending - 1;
    return file[0] != '.' && length > ending_length &&
           strcmp(file + length - ending_length, ending) == 0;
}

static pp_status search(pp_engine *engine, const char *folder, const pp_device_info *device,
                        choice *best) {
    DIR *listing = opendir(folder);
    if (!listing && (errno == ENOENT || errno == ENOTDIR)) return PP_OK;
    if (!listing)
        return pp__fail(engine, PP_ERROR_IO, "%s: cannot read the folder: %s", folder,
                        pp__system_reason(errno).text);
    pp__profile_subject subject = pp__profile_subject_of(device);
    pp_status status = PP_OK;
    for (struct dirent *item; status == PP_OK && (item = readdir(listing));) {
        if (!is_profile(item->d_name)) continue;
        pp__text text = {.engine = engine};
        pp__text_add(&text, "%s/%s", folder, item->d_name);
        char *path;
        status = pp__text_take(&text, &path);
        if (status == PP_OK) status = consider(engine, &subject, path, best);
    }
    closedir(listing);
    return status;
}

pp_status pp_profile_find(pp_engine *engine, const pp_device_info *device, const char *folder,
                          char **path_out) {
    *path_out = NULL;
    char *own = NULL;
    if (!folder) {
        bool known =
            pp__env("POCKETPROP_CONFIG_DIR") || pp__env("XDG_CONFIG_HOME") || pp__env("HOME");
        if (!known) return PP_OK;
        PP_TRY(pp_profile_folder(engine, &own));
    }
    choice best = {0};
    pp_status status = search(engine, folder ? folder : own, device, &best);
    pp__release(engine, own);
    if (status == PP_OK)
        *path_out = best.path;
    else
        pp__release(engine, best.path);
    return status;
}
