/* tune.h: which numbers suit a device, found by trial.
 *
 *     pp_tuner *tuner = NULL;
 *     pp_tuner_create(engine, profile, &tuner);       // begins with the profile's numbers
 *     pp_trial trial;
 *     while (pp_tuner_propose(tuner, &trial)) {       // the profile now has trial.value
 *         double gain = best_seconds / seconds_with(profile);
 *         if (pp_tuner_report(tuner, gain)) ...       // kept: the profile stays as it is
 *     }
 *     pp_profile_save(profile, ...);
 *
 * The tuner chooses, the application measures whatever it cares about: a plan and a session with
 * the changed profile, some steps of them and of the best so far in turn, so that a drift of the
 * clock touches both. One number changes at a time (coordinate descent), in the order of
 * pp_profile_read_tunable: upwards from candidate to candidate while that gains, else downwards; and
 * round again until no number moves any more. The choices depend on the reported gains alone, so a
 * search can be written down and taken up again later.
 */
#ifndef POCKETPROP_TUNE_H
#define POCKETPROP_TUNE_H

#include <pocketprop/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_tuner pp_tuner;

typedef struct pp_trial {
    const char *key;    /* borrowed from the profile */
    size_t value, from; /* in place of `from` */
    bool in_bytes;
} pp_trial;

/* Borrows the profile until the tuner is destroyed. The caller owns *tuner_out. */
PP_API pp_status pp_tuner_create(pp_engine *engine, pp_profile *profile, pp_tuner **tuner_out);
/* A trial without a report is undone. Accepts NULL. */
PP_API void pp_tuner_destroy(pp_tuner *tuner);

/* Changes the profile for the next trial, or for the same one again as long as it is without a
 * report. False: no number is left to try. */
PP_API bool pp_tuner_propose(pp_tuner *tuner, pp_trial *trial_out);

/* `gain`: how many times as fast as the best so far; 0 where the trial could not run. Keeps the
 * change where it gains more than the noise of a measurement, 1.5 %, and undoes it otherwise;
 * *kept_out tells which, and may be NULL. PP_ERROR_INVALID_ARGUMENT without a trial;
 * PP_ERROR_OUT_OF_MEMORY. */
PP_API pp_status pp_tuner_report(pp_tuner *tuner, double gain, bool *kept_out);

typedef struct pp_tuner_summary {
    size_t trial_count, kept_count;
    double gain;     /* of all that was kept, multiplied */
    double progress; /* 0 to 1: the share of the numbers that stand still */
} pp_tuner_summary;
PP_API void pp_tuner_summarize(const pp_tuner *tuner, pp_tuner_summary *summary_out);

/* The search so far as text: where it began and every trial with its gain. Free with pp_text_free.
 */
PP_API pp_status pp_tuner_print(const pp_tuner *tuner, char **text_out);

/* Takes up a printed search, without measuring anything again; call it on a new tuner. False, and
 * nothing has changed: the text belongs to a search that began with other numbers, or is none. What
 * stands behind the first trial that does not fit is forgotten. */
PP_API bool pp_tuner_resume(pp_tuner *tuner, const char *text);

#ifdef __cplusplus
}
#endif

#endif
