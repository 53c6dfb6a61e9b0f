/* Every kernel file builds alone behind common.cl: with its default values, and with every
 * profile's. */
#include <string.h>

#include "device/program.h"
#include "profile/profile.h"
#include "support/support.h"
#include "util/embedded.h"

enum { FOLDER_LENGTH = sizeof "platforms/" - 1, OPTIONS_CAPACITY = 4096 };

static bool is_profile(const char *name) {
    return strncmp(name, "platforms/", FOLDER_LENGTH) == 0;
}

static const char *stem_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* The same options are built once: the device keeps its programs. */
static void build(const char *file, const char *profile_name) {
    char options[OPTIONS_CAPACITY] = "";
    if (profile_name) {
        pp_profile *profile;
        TEST_OK(pp_profile_load(test_engine(), profile_name, &profile));
        size_t length = pp__profile_defines(profile, "common", options, sizeof options);
        length +=
            pp__profile_defines(profile, stem_of(file), options + length, sizeof options - length);
        ck_assert(length < sizeof options);
        pp_profile_destroy(profile);
    }
    const char *files[] = {"rng", file};
    size_t skipped = strcmp(file, "rng") == 0;
    pp__program *program;
    TEST_OK(pp__program_get(test_device(), files + skipped, 2 - skipped, options, &program));
}

START_TEST(builds_alone) {
    size_t file_count = 0;
    for (size_t i = 0; i < pp__embedded_count; i++) {
        const char *file = pp__embedded_files[i].name;
        if (is_profile(file) || strcmp(file, "common") == 0) continue;
        file_count++;
        build(file, NULL);
        for (size_t j = 0; j < pp__embedded_count; j++)
            if (is_profile(pp__embedded_files[j].name))
                build(file, pp__embedded_files[j].name + FOLDER_LENGTH);
    }
    ck_assert(file_count > 0);
}
END_TEST

int main(void) {
    TCase *kernels = tcase_create("kernels");
    tcase_add_test(kernels, builds_alone);
    Suite *suite = suite_create("kernels");
    suite_add_tcase(suite, kernels);
    return test_run(suite);
}
