/* What stands in for tune.c in a build without the tuner (POCKETPROP_WITHOUT): no tuner can be
 * made, so the other functions are never handed one. */
#include <pocketprop/tune.h>

#include <string.h>

#include "util/engine.h"

pp_status pp_tuner_create(pp_engine *engine, pp_profile *profile, pp_tuner **tuner_out) {
    (void)profile;
    *tuner_out = NULL;
    return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                    "this build has no tuner (CMake option POCKETPROP_WITHOUT)");
}

void pp_tuner_destroy(pp_tuner *tuner) {
    (void)tuner;
}

bool pp_tuner_propose(pp_tuner *tuner, pp_trial *trial_out) {
    (void)tuner;
    memset(trial_out, 0, sizeof *trial_out);
    return false;
}

pp_status pp_tuner_report(pp_tuner *tuner, double gain, bool *kept_out) {
    (void)tuner, (void)gain, (void)kept_out;
    return PP_ERROR_UNSUPPORTED;
}

void pp_tuner_summarize(const pp_tuner *tuner, pp_tuner_summary *summary_out) {
    (void)tuner;
    memset(summary_out, 0, sizeof *summary_out);
}

pp_status pp_tuner_print(const pp_tuner *tuner, char **text_out) {
    (void)tuner;
    *text_out = NULL;
    return PP_ERROR_UNSUPPORTED;
}

bool pp_tuner_resume(pp_tuner *tuner, const char *text) {
    (void)tuner, (void)text;
    return false;
}
