/* Profiles: loading and matching a file, tuned or made by hand, and writing what was read. The same
 * text serves as POCKETPROP_LIMITS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "profile/limits.h"
#include "profile/match.h"

/* What was saved is read again with the same numbers. */
static void save_and_load(const pp_profile *profile) {
    char path[128];
    snprintf(path, sizeof path, "%s/saved", fuzz_folder());
    pp_profile *again = NULL;
    const bool saved = fuzz_check(pp_profile_save(profile, NULL, "kept", path));
    fuzz_expect(saved, "a profile is saved");
    fuzz_expect(fuzz_check(pp_profile_load(fuzz_engine(), path, &again)),
                "a saved profile is read again");
    const size_t count = pp_profile_tunable_count(profile);
    fuzz_expect(count == pp_profile_tunable_count(again), "a saved profile has the same keys");
    for (size_t i = 0; i < count; i++) {
        pp_tunable had, has;
        pp_profile_read_tunable(profile, i, &had);
        pp_profile_read_tunable(again, i, &has);
        fuzz_expect(!strcmp(had.key, has.key) && had.value == has.value,
                    "a saved profile has the same numbers");
    }
    pp_profile_destroy(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static const pp__profile_subject subject = {"a device", "a platform", "a vendor", "gpu", 4};
    pp_engine *engine = fuzz_engine();
    const char *path = fuzz_file(bytes, count);
    pp_profile *profile = NULL;
    if (fuzz_check(pp_profile_load(engine, path, &profile))) save_and_load(profile);
    pp_profile_destroy(profile);

    char *text = fuzz_text(bytes, count);
    (void)pp__profile_fits(text, &subject);
    fuzz_expect(pp__profile_depth(text) < 64, "ancestors come to an end");
    pp__limits limits;
    fuzz_check(pp__limits_read(engine, text, &limits));
    free(text);
    fuzz_end();
    return 0;
}
