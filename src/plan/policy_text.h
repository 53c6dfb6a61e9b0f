/* A policy as text, a line for each decision: what pp_plan_print_policy writes (plan.h). */
#ifndef PP_PLAN_POLICY_TEXT_H
#define PP_PLAN_POLICY_TEXT_H

#include "plan/plan.h"

typedef struct pp__policy_text {
    pp_engine *engine;
    char *words; /* the text, cut into the words that everything below points to */
    const char *codec;
    pp_codec_override *overrides;
    size_t override_count, override_capacity;
    pp_band *bands;
    size_t band_count, band_capacity;
    pp_span *recompute;
    size_t recompute_count, recompute_capacity;
} pp__policy_text;

/* Options with the text's decisions in front of options->policy's owner's own: an override of the
 * application's wins. They borrow from *text, which pp__policy_text_release frees (also after a
 * failure). PP_ERROR_INVALID_ARGUMENT: the line, what was found and what was expected. */
pp_status pp__policy_text_read(pp_engine *engine, const pp_plan_options *options,
                               pp__policy_text *text, pp_plan_options *options_out);
void pp__policy_text_release(pp__policy_text *text); /* accepts a zeroed one */

#endif
