#include <pocketprop/optimizer.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

/* The place of `name` among `names`; false where it is not one of them. */
static bool find_name(const char *name, const char *const *names, size_t name_count,
                      size_t *place_out) {
    for (size_t i = 0; name && i < name_count; i++) {
        if (strcmp(name, names[i])) continue;
        *place_out = i;
        return true;
    }
    return false;
}

static const char *const optimizer_names[] = {
    [PP_OPTIMIZER_SGD] = "sgd",
    [PP_OPTIMIZER_ADAM] = "adam",
    [PP_OPTIMIZER_ADAMW] = "adamw",
};

bool pp_optimizer_kind_read(const char *name, pp_optimizer_kind *kind_out) {
    size_t place;
    if (!find_name(name, optimizer_names, sizeof optimizer_names / sizeof *optimizer_names, &place))
        return false;
    *kind_out = (pp_optimizer_kind)place;
    return true;
}

const char *pp_optimizer_kind_name(pp_optimizer_kind kind) {
    return optimizer_names[kind];
}

bool pp_schedule_kind_read(const char *name, pp_schedule_kind *kind_out) {
    static const char *const names[] = {
        [PP_SCHEDULE_CONSTANT] = "constant",
        [PP_SCHEDULE_STEP] = "step",
        [PP_SCHEDULE_COSINE] = "cosine",
    };
    size_t place;
    if (!find_name(name, names, sizeof names / sizeof *names, &place)) return false;
    *kind_out = (pp_schedule_kind)place;
    return true;
}

/* Drops count from step 0, warm-up included. Without a total there is no half of it to drop at. */
static double step_factor(const pp_schedule *schedule, uint64_t step) {
    double gamma = schedule->gamma == 0 ? 0.1 : (double)schedule->gamma;
    uint64_t total = schedule->total_steps;
    if (schedule->step_every) return pow(gamma, (double)(step / schedule->step_every));
    if (!total) return 1;
    uint64_t half = total - total / 2, three_quarters = total - total / 4; /* rounded up */
    return pow(gamma, (step >= half) + (step >= three_quarters));
}

/* Half a period of the cosine between the warm-up's end and the total (Loshchilov & Hutter, "SGDR",
 * 2017, equation 5 with one run and no least rate). */
static double cosine_factor(const pp_schedule *schedule, uint64_t step) {
    const double pi = 3.14159265358979323846;
    if (step >= schedule->total_steps) return 0;
    double done = (double)(step - schedule->warmup_steps);
    return 0.5 * (1 + cos(pi * done / (double)(schedule->total_steps - schedule->warmup_steps)));
}

float pp_schedule_rate(const pp_schedule *schedule, uint64_t step) {
    double base = schedule->base;
    if (step < schedule->warmup_steps)
        return (float)(base * ((double)step + 1) / (double)schedule->warmup_steps);
    switch (schedule->kind) {
        case PP_SCHEDULE_STEP: return (float)(base * step_factor(schedule, step));
        case PP_SCHEDULE_COSINE: return (float)(base * cosine_factor(schedule, step));
        case PP_SCHEDULE_CONSTANT: break;
    }
    return schedule->base;
}
