#include "plan/policy_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/parse.h"
#include "util/text.h"

static pp_status fail_line(const pp__policy_text *text, size_t line, const char *found) {
    return pp__fail(text->engine, PP_ERROR_INVALID_ARGUMENT,
                    "policy, line %zu: found '%s', expected 'codec POLICY', 'override "
                    "PATTERN=CODEC', 'band FIRST..LAST=IMAGES' or 'recompute FIRST..LAST'",
                    line, found);
}

static pp_status add_override(pp__policy_text *text, const char *pattern, const char *codec) {
    PP_TRY(pp__grow(text->engine, &text->overrides, &text->override_capacity,
                    text->override_count + 1, sizeof *text->overrides));
    text->overrides[text->override_count++] = (pp_codec_override){pattern, codec};
    return PP_OK;
}

static pp_status add_band(pp__policy_text *text, pp_band band) {
    PP_TRY(pp__grow(text->engine, &text->bands, &text->band_capacity, text->band_count + 1,
                    sizeof *text->bands));
    text->bands[text->band_count++] = band;
    return PP_OK;
}

static pp_status add_recomputed(pp__policy_text *text, pp_span span) {
    PP_TRY(pp__grow(text->engine, &text->recompute, &text->recompute_capacity,
                    text->recompute_count + 1, sizeof *text->recompute));
    text->recompute[text->recompute_count++] = span;
    return PP_OK;
}

/* Ends the word in front of `mark` there and returns what stands behind; NULL where there is no
 * mark, or nothing on one side of it. */
static char *split(char *word, const char *mark) {
    char *at = strstr(word, mark);
    if (!at || at == word || !at[strlen(mark)]) return NULL;
    *at = '\0';
    return at + strlen(mark);
}

/* `line` is trimmed and not empty. */
static pp_status read_line(pp__policy_text *text, char *line, size_t number) {
    char found[128] = "";
    strncat(found, line, sizeof found - 1);
    char *argument = split(line, " ");
    while (argument && *argument == ' ') argument++;
    char *value = NULL;
    if (argument && !strcmp(line, "codec")) {
        text->codec = argument;
        return PP_OK;
    }
    if (argument && !strcmp(line, "override") && (value = split(argument, "=")))
        return add_override(text, argument, value);
    if (argument && !strcmp(line, "band") && (value = split(argument, "..")) && value) {
        char *images = split(value, "="), *end = NULL;
        unsigned long count =
            images && *images >= '1' && *images <= '9' ? strtoul(images, &end, 10) : 0;
        if (count && count <= UINT32_MAX && !*end)
            return add_band(text, (pp_band){argument, value, (uint32_t)count});
    }
    if (argument && !strcmp(line, "recompute") && (value = split(argument, "..")))
        return add_recomputed(text, (pp_span){argument, value});
    return fail_line(text, number, found);
}

static pp_status read_lines(pp__policy_text *text) {
    size_t number = 0;
    for (char *line = text->words; line;) {
        char *end = strchr(line, '\n'), *next = end ? end + 1 : NULL;
        if (end) *end = '\0';
        line[strcspn(line, "#\r")] = '\0';
        const char *begin = line;
        size_t length = strlen(line);
        pp__parse_trim(&begin, &length);
        char *trimmed = line + (begin - line);
        trimmed[length] = '\0';
        number++;
        if (length) PP_TRY(read_line(text, trimmed, number));
        line = next;
    }
    return PP_OK;
}

pp_status pp__policy_text_read(pp_engine *engine, const pp_plan_options *options,
                               pp__policy_text *text, pp_plan_options *options_out) {
    *text = (pp__policy_text){.engine = engine};
    *options_out = *options;
    options_out->policy = NULL;
    PP_TRY(pp__copy_text(engine, options->policy, &text->words));
    PP_TRY(read_lines(text));
    for (size_t i = 0; i < options->override_count; i++)
        PP_TRY(add_override(text, options->overrides[i].pattern, options->overrides[i].codec));
    for (size_t i = 0; i < options->band_count; i++) PP_TRY(add_band(text, options->bands[i]));
    for (size_t i = 0; i < options->recompute_count; i++)
        PP_TRY(add_recomputed(text, options->recompute[i]));
    if (!options_out->codec) options_out->codec = text->codec;
    options_out->overrides = text->overrides;
    options_out->override_count = text->override_count;
    options_out->bands = text->bands;
    options_out->band_count = text->band_count;
    options_out->recompute = text->recompute;
    options_out->recompute_count = text->recompute_count;
    return PP_OK;
}

void pp__policy_text_release(pp__policy_text *text) {
    if (!text->engine) return;
    pp__release(text->engine, text->words);
    pp__release(text->engine, text->overrides);
    pp__release(text->engine, text->bands);
    pp__release(text->engine, text->recompute);
}

pp_status pp_plan_print_policy(const pp_plan *plan, char **text_out) {
    *text_out = NULL;
    pp__text text = {.engine = plan->engine};
    pp__text_add(&text, "codec %s\n", plan->codec);
    for (size_t i = 0; i < plan->run_count; i++)
        pp__text_add(&text, "band %s..%s=%" PRIu32 "\n", plan->nodes[plan->runs[i].first].name,
                     plan->nodes[plan->runs[i].last].name, plan->runs[i].images);
    for (size_t i = 0; i < plan->recomputed_count; i++)
        pp__text_add(&text, "recompute %s..%s\n", plan->nodes[plan->recomputed[i].first].name,
                     plan->nodes[plan->recomputed[i].last].name);
    for (size_t i = 0; i < plan->saved_count; i++) {
        const pp__saved *saved = &plan->saved[i];
        if (saved->kind != PP__SAVED_INDEX)
            pp__text_add(&text, "override %s@%s=%s\n", plan->nodes[saved->node].name,
                         pp__saved_kind_name(saved->kind), saved->text);
    }
    return pp__text_take(&text, text_out);
}
