/* The text of a search for a device's numbers, which `tune` takes up again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

/* A search that was taken up prints as one that can be taken up. */
static void resume_printed(const char *text) {
    pp_engine *engine = fuzz_engine();
    pp_profile *profile = NULL;
    pp_tuner *tuner = NULL;
    char *printed = NULL;
    fuzz_expect(fuzz_check(pp_profile_load(engine, "default", &profile)), "default is there");
    fuzz_expect(fuzz_check(pp_tuner_create(engine, profile, &tuner)), "there is a tuner");
    fuzz_expect(pp_tuner_resume(tuner, text), "a printed search is taken up");
    if (fuzz_check(pp_tuner_print(tuner, &printed)))
        fuzz_expect(!strcmp(printed, text), "a search prints as it was printed");
    pp_text_free(engine, printed);
    pp_tuner_destroy(tuner);
    pp_profile_destroy(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    pp_engine *engine = fuzz_engine();
    pp_profile *profile = NULL;
    pp_tuner *tuner = NULL;
    char *text = fuzz_text(bytes, count), *printed = NULL;
    fuzz_expect(fuzz_check(pp_profile_load(engine, "default", &profile)), "default is there");
    fuzz_expect(fuzz_check(pp_tuner_create(engine, profile, &tuner)), "there is a tuner");
    if (pp_tuner_resume(tuner, text)) {
        pp_tuner_summary summary;
        pp_tuner_summarize(tuner, &summary);
        fuzz_expect(summary.progress >= 0 && summary.progress <= 1, "progress is a share");
        if (fuzz_check(pp_tuner_print(tuner, &printed))) resume_printed(printed);
    }
    pp_trial trial;
    if (pp_tuner_propose(tuner, &trial)) fuzz_check(pp_tuner_report(tuner, 0, NULL));
    pp_text_free(engine, printed);
    free(text);
    pp_tuner_destroy(tuner);
    pp_profile_destroy(profile);
    fuzz_end();
    return 0;
}
