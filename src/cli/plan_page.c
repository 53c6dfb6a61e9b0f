#include "cli/plan_page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/memory_map.h"
#include "cli/output.h"

static void write_policy(cli_page *page, const cli_settings *settings) {
    const char *link = "";
    cli_page_text(page, cli_policy_name(settings));
    for (size_t i = 0; i < settings->overrides.count; i++, link = ", ") {
        cli_page_markup(page, "%s", i ? link : "; but ");
        cli_page_text(page, settings->overrides.items[i].codec);
        cli_page_markup(page, " for ");
        cli_page_text(page, settings->overrides.items[i].pattern);
    }
    for (size_t i = 0; i < settings->bands.count; i++) {
        const pp_band *band = &settings->bands.items[i];
        cli_page_markup(page, "; ");
        cli_page_text(page, band->first);
        cli_page_markup(page, " to ");
        cli_page_text(page, band->last);
        if (band->images)
            cli_page_markup(page, " in bands of %" PRIu32 " images", band->images);
        else
            cli_page_markup(page, " in bands of images");
    }
    for (size_t i = 0; i < settings->recompute.count; i++) {
        cli_page_markup(page, "; ");
        cli_page_text(page, settings->recompute.items[i].first);
        cli_page_markup(page, " to ");
        cli_page_text(page, settings->recompute.items[i].last);
        cli_page_markup(page, " computed again");
    }
    if (settings->budget)
        cli_page_markup(page, "; peak at most %s", cli_bytes_text(settings->budget).text);
    if (settings->policy) {
        cli_page_markup(page, "; decisions from ");
        cli_page_text(page, settings->policy);
    }
}

static void write_bytes_fact(cli_page *page, const char *name, size_t bytes, const char *more) {
    cli_page_markup(page, "<tr><th>%s</th><td>", name);
    cli_page_bytes(page, bytes);
    cli_page_text(page, more);
    cli_page_markup(page, "</td></tr>\n");
}

void cli_page_plan_facts(cli_page *page, const cli_setup *setup) {
    const pp_plan_summary *summary = &setup->summary;
    char text[256];
    cli_page_fact(page, "network", setup->settings->model);
    snprintf(text, sizeof text, "%zu trainable", summary->parameter_elems);
    cli_page_fact(page, "parameters", text);
    snprintf(text, sizeof text, "%" PRIu32 " samples, %zu steps", summary->batch,
             summary->step_count);
    cli_page_fact(page, "batch", text);
    cli_page_markup(page, "<tr><th>policy</th><td>");
    write_policy(page, setup->settings);
    cli_page_markup(page, "</td></tr>\n");
    cli_page_fact(page, "optimizer",
                  setup->settings->inference ? "none, inference" : setup->settings->optimizer);
    cli_page_fact(page, "profile", pp_profile_name(setup->profile));
    snprintf(text, sizeof text, ", %zu bytes in %zu allocation%s", summary->peak_bytes,
             summary->chunk_count, summary->chunk_count == 1 ? "" : "s");
    write_bytes_fact(page, "planned peak", summary->peak_bytes, text);
    snprintf(text, sizeof text, ", at step %zu, %.160s", summary->peak_step,
             summary->peak_step_name);
    write_bytes_fact(page, "most live", summary->lower_bound_bytes, text);
    if (!summary->saved_stored_bytes) return;
    snprintf(text, sizeof text, " of %s in float32, %.2f times less; %s per sample",
             cli_bytes_text(summary->saved_raw_bytes).text,
             (double)summary->saved_raw_bytes / (double)summary->saved_stored_bytes,
             cli_bytes_text(summary->saved_stored_bytes / summary->batch).text);
    write_bytes_fact(page, "kept for backward", summary->saved_stored_bytes, text);
}

/* What of a class a framework holds that computes in float32, has the whole model's gradient at
 * once, and keeps what METHODS B.4 counts. Its transients and scratch are its own affair. */
static size_t framework_bytes(const pp_plan *plan, const pp_plan_summary *summary,
                              pp_memory_class memory_class) {
    if (memory_class == PP_MEMORY_SAVED)
        return summary->saved_stored_bytes ? summary->saved_raw_bytes : 0;
    if (memory_class != PP_MEMORY_PARAMETERS && memory_class != PP_MEMORY_GRADIENTS &&
        memory_class != PP_MEMORY_OPTIMIZER)
        return 0;
    size_t bytes = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (row.memory_class == memory_class) bytes += row.raw_bytes;
    }
    return bytes;
}

void cli_page_classes(cli_page *page, const pp_plan *plan) {
    size_t framework[PP_MEMORY_CLASS_COUNT], most = 0, sum = 0;
    pp_plan_summary summary;
    pp_plan_summarize(plan, &summary);
    for (int c = 0; c < PP_MEMORY_CLASS_COUNT; c++) {
        framework[c] = framework_bytes(plan, &summary, (pp_memory_class)c);
        sum += framework[c];
        if (framework[c] > most) most = framework[c];
        if (summary.class_bytes[c] > most) most = summary.class_bytes[c];
    }
    cli_page_section(page, "Classes at the peak, beside a float32 framework");
    cli_page_markup(page,
                    "<table class=\"bars\"><tr><th>class</th><th class=\"n\">here</th>"
                    "<th class=\"n\">framework</th><th></th></tr>\n");
    for (int c = 0; c < PP_MEMORY_CLASS_COUNT; c++) {
        cli_page_markup(page, "<tr><td>%s</td><td class=\"n\">",
                        pp_memory_class_name((pp_memory_class)c));
        cli_page_bytes(page, summary.class_bytes[c]);
        cli_page_markup(page, "</td><td class=\"n\">");
        if (framework[c])
            cli_page_bytes(page, framework[c]);
        else
            cli_page_markup(page, "-");
        cli_page_markup(page, "</td><td>");
        cli_page_bar(page, (double)summary.class_bytes[c], (double)most, (size_t)c);
        if (framework[c]) cli_page_bar(page, (double)framework[c], (double)most, (size_t)c);
        cli_page_markup(page, "</td></tr>\n");
    }
    cli_page_markup(page, "<tr><td>sum</td><td class=\"n\">");
    cli_page_bytes(page, summary.lower_bound_bytes);
    cli_page_markup(page, "</td><td class=\"n\">");
    cli_page_bytes(page, sum);
    cli_page_markup(
        page,
        "</td><td></td></tr></table>\n<p class=\"faint\">Upper bars: live here at step "
        "%zu. Lower bars: parameters, the gradient of the whole model, moments and what "
        "backward needs, in float32, as a framework holds them; its transients and "
        "scratch come on top and are not counted.</p>\n",
        summary.peak_step);
}

/* Rows of one kind and codec, added up. */
typedef struct form {
    const char *kind, *codec;
    size_t count, raw_bytes, stored_bytes;
} form;
enum { FORM_CAPACITY = 256 };

static size_t gather_forms(const pp_plan *plan, form forms[FORM_CAPACITY]) {
    size_t count = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (!row.kind[0]) continue;
        size_t f = 0;
        while (f < count && (strcmp(forms[f].kind, row.kind) || strcmp(forms[f].codec, row.codec)))
            f++;
        if (f == FORM_CAPACITY) f--;
        if (f == count) forms[count++] = (form){.kind = row.kind, .codec = row.codec};
        forms[f].count++;
        forms[f].raw_bytes += row.raw_bytes;
        forms[f].stored_bytes += row.stored_bytes;
    }
    return count;
}

static void write_cell_bytes(cli_page *page, size_t bytes) {
    cli_page_markup(page, "<td class=\"n\">");
    if (bytes)
        cli_page_bytes(page, bytes);
    else
        cli_page_markup(page, "-");
    cli_page_markup(page, "</td>");
}

static void write_forms(cli_page *page, const pp_plan *plan) {
    form forms[FORM_CAPACITY];
    const size_t count = gather_forms(plan, forms);
    if (!count) return;
    cli_page_section(page, "What is kept for backward");
    cli_page_markup(page,
                    "<table><tr><th>kind</th><th>codec</th><th class=\"n\">values</th>"
                    "<th class=\"n\">in float32</th><th class=\"n\">stored</th></tr>\n");
    for (size_t f = 0; f < count; f++) {
        cli_page_markup(page, "<tr><td>%s</td><td>", forms[f].kind);
        cli_page_text(page, forms[f].codec[0] ? forms[f].codec : "float32");
        cli_page_markup(page, "</td><td class=\"n\">%zu</td>", forms[f].count);
        write_cell_bytes(page, forms[f].raw_bytes);
        write_cell_bytes(page, forms[f].stored_bytes);
        cli_page_markup(page, "</tr>\n");
    }
    cli_page_markup(page,
                    "</table>\n<p class=\"faint\">One code may stand for several float32 tensors: "
                    "x-hat, the ReLU's mask and the next layer's input are views of it.</p>\n");
}

/* What layer reads: the views of each place together, its codec, and the place's name where an
 * earlier layer brought it. */
static void write_reads(cli_page *page, const pp_plan *plan, const pp_plan_layer *layer,
                        const bool *is_known) {
    bool is_first = true;
    for (size_t r = 0; r < layer->read_count; r++) {
        bool is_repeated = false;
        for (size_t e = 0; e < r; e++) is_repeated |= layer->reads[e].row == layer->reads[r].row;
        if (is_repeated) continue;
        pp_plan_row row;
        pp_plan_read_row(plan, layer->reads[r].row, &row);
        cli_page_markup(page, "%s%s", is_first ? "" : "; ", layer->reads[r].view);
        for (size_t e = r + 1; e < layer->read_count; e++)
            if (layer->reads[e].row == layer->reads[r].row)
                cli_page_markup(page, ", %s", layer->reads[e].view);
        if (row.codec[0]) {
            cli_page_markup(page, ": ");
            cli_page_text(page, row.codec);
        }
        if (is_known[layer->reads[r].row]) {
            cli_page_markup(page, " (");
            cli_page_text(page, row.name);
            cli_page_markup(page, ")");
        }
        is_first = false;
    }
}

static void write_term(cli_page *page, pp_gradient_term term, const char *approximate) {
    switch (term) {
        case PP_TERM_ABSENT: cli_page_markup(page, "<td></td>"); break;
        case PP_TERM_EXACT: cli_page_markup(page, "<td class=\"exact\">exact</td>"); break;
        case PP_TERM_APPROXIMATE:
            cli_page_markup(page, "<td class=\"approximate\">%s</td>", approximate);
            break;
    }
}

/* The errors of what layer reads in lossy form, in the order of write_reads; exact places have
 * none. */
static void write_errors(cli_page *page, const pp_plan *plan, const pp_plan_layer *layer) {
    const char *link = "";
    cli_page_markup(page, "<td class=\"n\">");
    for (size_t r = 0; r < layer->read_count; r++) {
        bool is_repeated = false;
        for (size_t e = 0; e < r; e++) is_repeated |= layer->reads[e].row == layer->reads[r].row;
        pp_plan_row row;
        pp_plan_read_row(plan, layer->reads[r].row, &row);
        if (is_repeated || row.error <= 0) continue;
        cli_page_markup(page, "%s%.2g", link, row.error);
        link = "; ";
    }
    cli_page_markup(page, "</td>");
}

/* `is_known` marks the rows that layers above have read: a place counts where it is first needed. */
static void write_layer(cli_page *page, const pp_plan *plan, const pp_plan_layer *layer,
                        bool *is_known) {
    size_t stored_bytes = 0;
    cli_page_markup(page, "<tr><td>");
    cli_page_text(page, layer->name);
    cli_page_markup(page, "</td><td>%s</td>", layer->operator_name);
    write_cell_bytes(page, layer->framework_bytes);
    for (size_t r = 0; r < layer->read_count; r++) {
        bool is_new = !is_known[layer->reads[r].row];
        for (size_t e = 0; e < r; e++) is_new &= layer->reads[e].row != layer->reads[r].row;
        pp_plan_row row;
        pp_plan_read_row(plan, layer->reads[r].row, &row);
        if (is_new) stored_bytes += row.stored_bytes;
    }
    write_cell_bytes(page, stored_bytes);
    cli_page_markup(page, "<td>");
    write_reads(page, plan, layer, is_known);
    for (size_t r = 0; r < layer->read_count; r++) is_known[layer->reads[r].row] = true;
    cli_page_markup(page, "</td>");
    write_errors(page, plan, layer);
    write_term(page, layer->weight, "approximate");
    write_term(page, layer->bias, "approximate");
    write_term(page, layer->gamma, "approximate");
    write_term(page, layer->beta, "approximate");
    write_term(page, layer->input, "variance term");
    cli_page_markup(page, "</tr>\n");
}

bool cli_page_layers(cli_page *page, const pp_plan *plan) {
    bool *is_known = calloc(pp_plan_row_count(plan) + 1, sizeof *is_known);
    if (!is_known) return false;
    cli_page_section(page, "Layers, and which of their gradients are exact");
    cli_page_markup(
        page,
        "<p class=\"faint\">Exact: what float32 training computes from the same gradient "
        "of the layer's output. An approximate weight or gamma gradient reaches no "
        "other layer; of a batch-norm with a lossy x-hat, the variance term of the data "
        "gradient carries an error on to the layers below. Places count at the layer "
        "that needs them first; later readers name them. Error: the squared error that is "
        "expected of the codes, relative to typical values.</p>\n"
        "<div class=\"scroll\"><table><tr><th>layer</th><th>operator</th>"
        "<th class=\"n\">in float32</th><th class=\"n\">stored</th>"
        "<th>backward reads</th><th "
        "class=\"n\">error</th><th>dW</th><th>db</th><th>d&gamma;</th><th>d&beta;</th>"
        "<th>dX</th></tr>\n");
    for (size_t i = 0; i < pp_plan_layer_count(plan); i++) {
        pp_plan_layer layer;
        pp_plan_read_layer(plan, i, &layer);
        write_layer(page, plan, &layer, is_known);
    }
    cli_page_markup(page, "</table></div>\n");
    free(is_known);
    return true;
}

static int write_decisions(cli_page *page, const cli_setup *setup) {
    char *text = NULL;
    int code = cli_check(setup, pp_plan_print_policy(setup->plan, &text));
    if (!code && text[0]) {
        cli_page_markup(page, "<details><summary>Decisions, for --policy FILE</summary>\n<pre>");
        cli_page_text(page, text);
        cli_page_markup(page, "</pre></details>\n");
    }
    pp_text_free(setup->engine, text);
    return code;
}

int cli_page_plan(cli_page *page, const cli_setup *setup) {
    cli_page_section(page, "Memory over the steps of one training step");
    if (!cli_page_memory_map(page, setup->plan)) {
        cli_fail(setup->command, "no host memory for the memory map");
        return CLI_FAILURE;
    }
    cli_page_classes(page, setup->plan);
    write_forms(page, setup->plan);
    if (!setup->settings->inference && !cli_page_layers(page, setup->plan)) {
        cli_fail(setup->command, "no host memory for the table of layers");
        return CLI_FAILURE;
    }
    return setup->settings->inference ? CLI_OK : write_decisions(page, setup);
}
