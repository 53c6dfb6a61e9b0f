/* Coordinate descent over a profile's tunables. The searcher walks one number at a time; `quiet`
 * counts the numbers that were walked since the last one that moved, and the search is over when
 * that is all of them. */
#include <pocketprop/tune.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/entry.h"
#include "util/text.h"

/* Medians of a few steps repeat to about one percent on a quiet machine. */
static const double least_gain = 1.015;

typedef struct report {
    size_t tunable, value;
    double gain;
} report;

struct pp_tuner {
    pp_engine *engine;
    pp_profile *profile; /* borrowed */
    size_t count;        /* of the tunables */
    size_t *starts;      /* their first values */
    size_t quiet;
    size_t at;      /* the tunable that is walked */
    bool downwards; /* below the value that it had */
    bool moved;     /* in this walk */
    bool waits;     /* a trial is out */
    size_t trial, from;
    report *reports;
    size_t report_count, report_capacity;
    size_t kept_count;
    double gain;
};

pp_status pp_tuner_create(pp_engine *engine, pp_profile *profile, pp_tuner **tuner_out) {
    *tuner_out = NULL;
    pp_tuner *tuner;
    PP_TRY(pp__allocate(engine, 1, sizeof *tuner, &tuner));
    tuner->engine = engine;
    tuner->profile = profile;
    tuner->gain = 1;
    tuner->count = pp_profile_tunable_count(profile);
    pp_status status = pp__allocate(engine, tuner->count, sizeof *tuner->starts, &tuner->starts);
    if (status != PP_OK) {
        pp__release(engine, tuner);
        return status;
    }
    for (size_t i = 0; i < tuner->count; i++) {
        pp_tunable tunable;
        pp_profile_read_tunable(profile, i, &tunable);
        tuner->starts[i] = tunable.value;
    }
    *tuner_out = tuner;
    return PP_OK;
}

/* Both values were the profile's before, so neither can be refused. */
static void undo(pp_tuner *tuner) {
    pp_tunable tunable;
    pp_profile_read_tunable(tuner->profile, tuner->at, &tunable);
    (void)pp_profile_set(tuner->profile, tunable.key, tuner->from);
    tuner->waits = false;
}

void pp_tuner_destroy(pp_tuner *tuner) {
    if (!tuner) return;
    if (tuner->waits) undo(tuner);
    pp__release(tuner->engine, tuner->starts);
    pp__release(tuner->engine, tuner->reports);
    pp__release(tuner->engine, tuner);
}

/* The candidate next to the value, on the side that is walked; false at the end of the row. */
static bool next_candidate(const pp_tunable *tunable, bool downwards, size_t *value_out) {
    bool found = false;
    for (size_t i = 0; i < tunable->candidate_count; i++) {
        size_t candidate = tunable->candidates[i];
        if (downwards ? candidate >= tunable->value : candidate <= tunable->value) continue;
        if (found && !downwards) break;
        *value_out = candidate;
        found = true;
    }
    return found;
}

static void end_walk(pp_tuner *tuner) {
    tuner->quiet++;
    tuner->at = (tuner->at + 1) % tuner->count;
    tuner->downwards = tuner->moved = false;
}

/* No way on in this direction: the other one, unless the walk has come from there. */
static void turn(pp_tuner *tuner) {
    if (tuner->downwards || tuner->moved)
        end_walk(tuner);
    else
        tuner->downwards = true;
}

bool pp_tuner_propose(pp_tuner *tuner, pp_trial *trial_out) {
    pp_tunable tunable;
    while (!tuner->waits && tuner->quiet < tuner->count) {
        pp_profile_read_tunable(tuner->profile, tuner->at, &tunable);
        size_t value;
        if (next_candidate(&tunable, tuner->downwards, &value) &&
            pp_profile_set(tuner->profile, tunable.key, value) == PP_OK) {
            tuner->from = tunable.value;
            tuner->trial = value;
            tuner->waits = true;
        } else {
            turn(tuner);
        }
    }
    if (!tuner->waits) return false;
    pp_profile_read_tunable(tuner->profile, tuner->at, &tunable);
    *trial_out = (pp_trial){tunable.key, tuner->trial, tuner->from, tunable.in_bytes};
    return true;
}

/* As it is printed, so that a search that is taken up again decides the same. */
static double rounded(double gain) {
    return gain >= 0 && gain < 1e6 ? round(gain * 1e4) / 1e4 : 0;
}

pp_status pp_tuner_report(pp_tuner *tuner, double gain, bool *kept_out) {
    if (kept_out) *kept_out = false;
    if (!tuner->waits)
        return pp__fail(tuner->engine, PP_ERROR_INVALID_ARGUMENT,
                        "a gain was reported without a trial that was proposed");
    PP_TRY(pp__grow(tuner->engine, &tuner->reports, &tuner->report_capacity,
                    tuner->report_count + 1, sizeof *tuner->reports));
    gain = rounded(gain);
    tuner->reports[tuner->report_count++] = (report){tuner->at, tuner->trial, gain};
    if (gain > least_gain) {
        tuner->waits = false;
        tuner->moved = true;
        tuner->quiet = 0;
        tuner->kept_count++;
        tuner->gain *= gain;
        if (kept_out) *kept_out = true;
    } else {
        undo(tuner);
        turn(tuner);
    }
    return PP_OK;
}

void pp_tuner_summarize(const pp_tuner *tuner, pp_tuner_summary *summary_out) {
    *summary_out = (pp_tuner_summary){
        .trial_count = tuner->report_count,
        .kept_count = tuner->kept_count,
        .gain = tuner->gain,
        .progress = tuner->count ? (double)tuner->quiet / (double)tuner->count : 1};
}

static const char *key_of(const pp_tuner *tuner, size_t index, bool *in_bytes_out) {
    pp_tunable tunable;
    pp_profile_read_tunable(tuner->profile, index, &tunable);
    *in_bytes_out = tunable.in_bytes;
    return tunable.key;
}

static void print_starts(const pp_tuner *tuner, pp__text *text) {
    for (size_t i = 0; i < tuner->count; i++) {
        bool in_bytes;
        const char *key = key_of(tuner, i, &in_bytes);
        pp__text_add(text, "begin %s %s\n", key, pp__number_print(tuner->starts[i], in_bytes).text);
    }
}

pp_status pp_tuner_print(const pp_tuner *tuner, char **text_out) {
    pp__text text = {.engine = tuner->engine};
    print_starts(tuner, &text);
    for (size_t i = 0; i < tuner->report_count; i++) {
        const report *r = &tuner->reports[i];
        bool in_bytes;
        const char *key = key_of(tuner, r->tunable, &in_bytes);
        pp__text_add(&text, "trial %s %s %.4f\n", key, pp__number_print(r->value, in_bytes).text,
                     r->gain);
    }
    return pp__text_take(&text, text_out);
}

/* Reads the line's gain; false when it is no trial or another one than `trial`. */
static bool read_report(const char *line, const pp_trial *trial, double *gain_out) {
    char expected[PP__PROFILE_KEY + 48], *end;
    int length = snprintf(expected, sizeof expected, "trial %s %s ", trial->key,
                          pp__number_print(trial->value, trial->in_bytes).text);
    if (strncmp(line, expected, (size_t)length) != 0) return false;
    *gain_out = strtod(line + length, &end);
    return end != line + length && *end == '\n' && *gain_out >= 0;
}

bool pp_tuner_resume(pp_tuner *tuner, const char *text) {
    pp__text starts = {.engine = tuner->engine};
    print_starts(tuner, &starts);
    char *expected;
    if (pp__text_take(&starts, &expected) != PP_OK) return false;
    size_t length = strlen(expected);
    bool same = strncmp(text, expected, length) == 0;
    pp__release(tuner->engine, expected);
    if (!same) return false;
    pp_trial trial;
    double gain;
    for (text += length; *text && pp_tuner_propose(tuner, &trial); text = strchr(text, '\n') + 1)
        if (!read_report(text, &trial, &gain) || pp_tuner_report(tuner, gain, NULL) != PP_OK) break;
    return true;
}
