#include "cli/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "util/parse.h"

enum { ITEM_CAPACITY = 64, NAME_WIDTH = 18 };

typedef struct comparison {
    char *names; /* the items, each terminated */
    const char *items[ITEM_CAPACITY];
    pp_plan *plans[ITEM_CAPACITY];
    pp_plan_summary summaries[ITEM_CAPACITY];
    size_t count;
} comparison;

int cli_compare_check(const cli_command *command, const cli_settings *settings) {
    const char *other = settings->codec         ? "codec"
                        : settings->budget      ? "budget"
                        : settings->policy      ? "policy"
                        : settings->save_policy ? "save-policy"
                        : settings->html        ? "html"
                        : settings->all_rows    ? "rows"
                                                : NULL;
    if (settings->compare && !settings->batch)
        return cli_fail(command, "--compare: found --batch auto, expected a number");
    if (!settings->compare || !other) return CLI_OK;
    return cli_fail(command, "--compare: found --%s too, expected one of them", other);
}

/* Blanks separate the items where there are any, so that a policy may hold commas; else commas do. */
static int split(const cli_setup *setup, comparison *c) {
    const char *text = setup->settings->compare;
    const char *separators = strchr(text, ' ') ? " " : ",";
    c->names = malloc(strlen(text) + 1);
    if (!c->names) {
        cli_fail(setup->command, "no host memory for the names of policies");
        return CLI_FAILURE;
    }
    memcpy(c->names, text, strlen(text) + 1);
    for (char *place = c->names; *place;) {
        size_t length = strcspn(place, separators);
        bool is_last = !place[length];
        place[length] = '\0';
        if (length && c->count == ITEM_CAPACITY)
            return cli_fail(setup->command, "--compare: found more than %d policies",
                            ITEM_CAPACITY);
        if (length) c->items[c->count++] = place;
        place += length + !is_last;
    }
    if (c->count) return CLI_OK;
    return cli_fail(setup->command,
                    "--compare: found '%s', expected policies or budgets, e.g. raw,norm:4,64M",
                    text);
}

static int plan_item(const cli_setup *setup, comparison *c, size_t i) {
    pp_plan_options options;
    uint64_t budget;
    int code = cli_setup_plan_options(setup, setup->settings->inference, &options);
    if (code) return code;
    if (pp__parse_bytes(c->items[i], strlen(c->items[i]), &budget) && budget)
        options.budget_bytes = (size_t)budget;
    else
        options.codec = c->items[i];
    code =
        cli_check_plan(setup, pp_plan_create(setup->graph, setup->profile, &options, &c->plans[i]));
    if (!code) pp_plan_summarize(c->plans[i], &c->summaries[i]);
    return code;
}

static double per_sample(const pp_plan_summary *summary) {
    return (double)summary->saved_stored_bytes / summary->batch;
}

static void write_item(pp__json *json, const char *item, const pp_plan_summary *summary) {
    pp__json_open_object(json, NULL);
    pp__json_text(json, "policy", item);
    pp__json_integer(json, "peak_bytes", summary->peak_bytes);
    pp__json_integer(json, "lower_bound_bytes", summary->lower_bound_bytes);
    pp__json_open_object(json, "by_class");
    for (int i = 0; i < PP_MEMORY_CLASS_COUNT; i++)
        pp__json_integer(json, pp_memory_class_name((pp_memory_class)i), summary->class_bytes[i]);
    pp__json_close(json);
    pp__json_integer(json, "saved_raw_bytes", summary->saved_raw_bytes);
    pp__json_integer(json, "saved_stored_bytes", summary->saved_stored_bytes);
    pp__json_real(json, "saved_stored_bytes_per_sample", per_sample(summary));
    pp__json_integer(json, "step_count", summary->step_count);
    pp__json_integer(json, "peak_step", summary->peak_step);
    pp__json_text(json, "peak_step_name", summary->peak_step_name);
    pp__json_close(json);
}

static void write_comparison(const cli_setup *setup, const comparison *c) {
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", setup->settings->model);
    pp__json_integer(&json, "batch", c->summaries[0].batch);
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_text(&json, "optimizer", setup->settings->optimizer);
    pp__json_bool(&json, "inference", setup->settings->inference);
    pp__json_open_array(&json, "policies");
    for (size_t i = 0; i < c->count; i++) write_item(&json, c->items[i], &c->summaries[i]);
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

/* Classes that hold nothing under any policy get no column. */
static void print_comparison(const cli_setup *setup, const comparison *c) {
    bool is_shown[PP_MEMORY_CLASS_COUNT] = {false};
    for (size_t i = 0; i < c->count; i++)
        for (int k = 0; k < PP_MEMORY_CLASS_COUNT; k++)
            is_shown[k] |= c->summaries[i].class_bytes[k] != 0;
    printf("%s, batch %" PRIu32 ", profile %s%s; classes are live bytes at each one's peak\n\n",
           setup->settings->model, c->summaries[0].batch, pp_profile_name(setup->profile),
           setup->settings->inference ? ", inference" : "");
    printf("%-*s%11s%11s%11s%8s |", NAME_WIDTH, "policy", "peak", "saved", "per sample", "less");
    for (int k = 0; k < PP_MEMORY_CLASS_COUNT; k++)
        if (is_shown[k]) printf("%11s", pp_memory_class_name((pp_memory_class)k));
    printf("\n");
    for (size_t i = 0; i < c->count; i++) {
        const pp_plan_summary *summary = &c->summaries[i];
        char less[32] = "-";
        if (summary->saved_stored_bytes)
            snprintf(less, sizeof less, "%.2fx",
                     (double)summary->saved_raw_bytes / (double)summary->saved_stored_bytes);
        printf("%-*s%11s%11s", NAME_WIDTH, c->items[i], cli_bytes_text(summary->peak_bytes).text,
               cli_bytes_text(summary->saved_stored_bytes).text);
        printf("%11s%8s |", cli_bytes_text((uint64_t)(per_sample(summary) + 0.5)).text, less);
        for (int k = 0; k < PP_MEMORY_CLASS_COUNT; k++)
            if (is_shown[k]) printf("%11s", cli_bytes_text(summary->class_bytes[k]).text);
        printf("\n");
    }
}

int cli_compare(cli_setup *setup) {
    comparison c = {0};
    int code = split(setup, &c);
    for (size_t i = 0; i < c.count && !code; i++) code = plan_item(setup, &c, i);
    if (!code) cli_setup_ready(setup);
    if (!code && setup->settings->json)
        write_comparison(setup, &c);
    else if (!code)
        print_comparison(setup, &c);
    for (size_t i = 0; i < c.count; i++) pp_plan_destroy(c.plans[i]);
    free(c.names);
    return code;
}
