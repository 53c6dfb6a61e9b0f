#include "util/embedded.h"

#include <stdio.h>
#include <string.h>

#include "util/file.h"

#ifdef PP_SOURCE_DIR

pp_status pp__embedded_read(pp_engine *engine, const char *name, char **text_out) {
    *text_out = NULL;
    bool is_profile = strncmp(name, "platforms/", strlen("platforms/")) == 0;
    char path[1024];
    int length = snprintf(path, sizeof path, "%s/%s%s%s", PP_SOURCE_DIR, is_profile ? "" : "cl/",
                          name, is_profile ? ".profile" : ".cl");
    if (length < 0 || (size_t)length >= sizeof path) return PP_OK;
    if (!pp__file_exists(path)) return PP_OK;
    size_t bytes;
    return pp__file_read(engine, path, text_out, &bytes);
}

#else

pp_status pp__embedded_read(pp_engine *engine, const char *name, char **text_out) {
    *text_out = NULL;
    for (size_t i = 0; i < pp__embedded_count; i++)
        if (strcmp(pp__embedded_files[i].name, name) == 0)
            return pp__copy_text(engine, pp__embedded_files[i].text, text_out);
    return PP_OK;
}

#endif
