#include "cli/adapt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

int cli_adapt_open(cli_adapt *adapt, cli_setup *setup) {
    *adapt = (cli_adapt){.setup = setup, .is_done = !setup->settings->adapt};
    if (adapt->is_done || setup->settings->budget) return CLI_OK;
    return cli_fail(setup->command,
                    "--adapt: found no --budget, expected one that the new plan is chosen within");
}

bool cli_adapt_is_due(const cli_adapt *adapt) {
    return !adapt->is_done &&
           pp_session_update_count(adapt->setup->session) >= adapt->setup->settings->adapt;
}

void cli_adapt_resume(cli_adapt *adapt) {
    if (pp_session_update_count(adapt->setup->session) > adapt->setup->settings->adapt)
        adapt->is_done = true;
}

/* Lines of `text` that `other` lacks. */
static size_t count_new_lines(const char *text, const char *other) {
    size_t count = 0;
    while (*text) {
        const size_t length = strcspn(text, "\n");
        const char *line = other;
        while (*line && (strcspn(line, "\n") != length || strncmp(line, text, length) != 0)) {
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
        count += !*line && length;
        text += length;
        text += *text == '\n';
    }
    return count;
}

/* The decisions before and after; the session is none of either's. */
static int replan(cli_adapt *adapt) {
    cli_setup *setup = adapt->setup;
    char *before = NULL, *after = NULL;
    size_t harm_count;
    const pp_harm *harms = pp_signals_harms(adapt->signals, &harm_count);
    int code = cli_check(setup, pp_plan_print_policy(setup->plan, &before));
    if (!code) code = cli_setup_replan(setup, harms, harm_count);
    if (code == CLI_BAD_INPUT) {
        /* The search by other harms ended above the budget; the plan at hand is within it. */
        fprintf(stderr, "pocketprop %s: --adapt: the plan stays\n", setup->command->name);
        code = CLI_OK;
    }
    if (!code) code = cli_check(setup, pp_plan_print_policy(setup->plan, &after));
    if (!code) adapt->changed_count = count_new_lines(after, before);
    pp_text_free(setup->engine, before);
    pp_text_free(setup->engine, after);
    return code;
}

static void print_change(const cli_adapt *adapt) {
    const cli_setup *setup = adapt->setup;
    fprintf(stderr,
            "adapted after %" PRIu64 " updates: %zu values measured on %" PRIu32
            " images (at most %s), %zu decisions changed, planned peak %s\n",
            setup->settings->adapt, pp_signals_count(adapt->signals),
            pp_signals_images(adapt->signals),
            cli_bytes_text(pp_signals_device_bytes(adapt->signals)).text, adapt->changed_count,
            cli_bytes_text(setup->summary.peak_bytes).text);
}

/* Without a session on the device. */
static int measure_and_replan(cli_adapt *adapt, const pp_state *state, const pp_batch *batch) {
    cli_setup *setup = adapt->setup;
    const pp_measure_options options = {.budget_bytes = (size_t)setup->settings->budget};
    const pp_status status = pp_measure(setup->device, setup->graph, setup->profile, state, batch,
                                        &options, &adapt->signals);
    if (status == PP_ERROR_OUT_OF_MEMORY) {
        fprintf(stderr, "pocketprop %s: --adapt: the plan stays: %s\n", setup->command->name,
                pp_engine_error(setup->engine));
        return CLI_OK;
    }
    int code = cli_check(setup, status);
    if (!code) code = replan(adapt);
    if (!code) print_change(adapt);
    return code;
}

int cli_adapt_run(cli_adapt *adapt, const pp_batch *batch) {
    cli_setup *setup = adapt->setup;
    pp_state *state = NULL;
    adapt->is_done = true;
    int code = cli_check(setup, pp_state_save(setup->session, &state));
    if (code) return code;
    pp_session_destroy(setup->session);
    setup->session = NULL;
    code = measure_and_replan(adapt, state, batch);
    if (!code) code = cli_setup_session(setup);
    if (!code) code = cli_check(setup, pp_state_load(state, setup->session));
    pp_state_destroy(state);
    return code;
}

/* What the plan stores a value in: the codec of the row that is named like it. A raw x-hat has none:
 * it is the layer's input, which goes by the name of the layer in front. */
static const char *codec_of(const pp_plan *plan, const pp_signal *signal) {
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        const size_t length = strlen(signal->value);
        if (!strcmp(row.kind, signal->kind) && !strncmp(row.name, signal->value, length) &&
            (row.name[length] == ' ' || !row.name[length]))
            return row.codec[0] ? row.codec : "raw";
    }
    return "raw";
}

static void write_number(cli_page *page, double number) {
    cli_page_markup(page, "<td class=\"n\">%.3g</td>", number);
}

/* One cell holds every code's error, for some values have none of some codecs. */
static void write_signal(const cli_adapt *adapt, cli_page *page, size_t index) {
    pp_signal signal;
    size_t harm_count;
    const pp_harm *harms = pp_signals_harms(adapt->signals, &harm_count);
    pp_signals_read(adapt->signals, index, &signal);
    cli_page_markup(page, "<tr><td>");
    cli_page_text(page, signal.value);
    cli_page_markup(page, "</td><td>%s</td><td>", signal.kind);
    cli_page_text(page, codec_of(adapt->setup->plan, &signal));
    cli_page_markup(page, "</td>");
    write_number(page, signal.square);
    write_number(page, signal.gradient);
    write_number(page, signal.weight);
    write_number(page, signal.kept2);
    write_number(page, signal.kept4);
    cli_page_markup(page, "<td>");
    for (size_t h = 0; h < signal.harm_count; h++) {
        const pp_harm *harm = &harms[signal.first_harm + h];
        if (harm->harm <= 0) continue;
        cli_page_text(page, harm->codec);
        cli_page_markup(page, " %.3g; ", harm->harm / signal.weight);
    }
    cli_page_markup(page, "</td></tr>\n");
}

void cli_adapt_page(const cli_adapt *adapt, cli_page *page) {
    if (!adapt->signals) return;
    cli_page_section(page, "Measured signals");
    cli_page_markup(page,
                    "<p class=\"faint\">After %" PRIu64 " updates, on %" PRIu32
                    " images of the running batch; %zu decisions changed. Weight: the harm of "
                    "losing the whole value, from its squares, its readers' gradients and their "
                    "taps, 1 on average. Kept: the share of energy in means over 2x2 and 4x4 "
                    "pixels. Errors are squared and relative to the value.</p>\n",
                    adapt->setup->settings->adapt, pp_signals_images(adapt->signals),
                    adapt->changed_count);
    cli_page_markup(page,
                    "<div class=\"scroll\"><table><tr><th>value</th><th>kind</th><th>codec</th>"
                    "<th class=\"n\">mean square</th><th class=\"n\">gradient's</th>"
                    "<th class=\"n\">weight</th><th class=\"n\">kept 2x2</th>"
                    "<th class=\"n\">kept 4x4</th><th>codecs' errors</th></tr>\n");
    for (size_t i = 0; i < pp_signals_count(adapt->signals); i++) write_signal(adapt, page, i);
    cli_page_markup(page, "</table></div>\n");
}

void cli_adapt_close(cli_adapt *adapt) {
    pp_signals_destroy(adapt->signals);
    *adapt = (cli_adapt){0};
}
