#include "cli/fidelity_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "cli/plan_page.h"
#include "cli/report.h"

/* What the sums come to; NaN: not to be had. */
typedef struct result {
    double cosine, least_cosine, error, mean_error, bias, spread;
} result;

static result result_of(const cli_match *m) {
    const bool has_cosine = m->cosine_count != 0;
    const double bias = m->mean_error - m->chance;
    return (result){
        .cosine = has_cosine ? m->cosines / (double)m->cosine_count : NAN,
        .least_cosine = has_cosine ? m->least_cosine : NAN,
        .error = sqrt(m->error / m->exact),
        .mean_error = sqrt(m->mean_error / m->exact),
        /* Chance may leave an estimate of nothing below 0. */
        .bias = sqrt((bias < 0 ? 0 : bias) / m->exact),
        .spread = sqrt(m->spread / m->exact),
    };
}

static void write_match(pp__json *json, const cli_match *m) {
    const result r = result_of(m);
    pp__json_real(json, "cosine", r.cosine);
    pp__json_real(json, "least_cosine", r.least_cosine);
    pp__json_real(json, "error", r.error);
    pp__json_real(json, "bias", r.bias);
    pp__json_real(json, "spread", r.spread);
    pp__json_real(json, "mean_error", r.mean_error);
    pp__json_real(json, "gradient_norm", sqrt(m->exact));
    pp__json_close(json);
}

static void write_result(const cli_gradients *found) {
    const cli_setup *setup = found->setup;
    const cli_settings *settings = setup->settings;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", settings->model);
    pp__json_text(&json, "data", settings->data);
    pp__json_text(&json, "codec", cli_policy_name(settings));
    pp__json_integer(&json, "batch", setup->summary.batch);
    pp__json_integer(&json, "batches", settings->batches);
    pp__json_integer(&json, "warm_up", settings->warm_up);
    pp__json_real(&json, "warm_up_loss", found->warm_up_loss);
    pp__json_integer(&json, "draws", found->draws_done);
    pp__json_bool(&json, "draws_differ", found->draws_differ);
    pp__json_integer(&json, "seed", settings->seed);
    pp__json_text(&json, "device", pp_device_describe(setup->device)->name);
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_integer(&json, "planned_peak_bytes", setup->summary.peak_bytes);
    pp__json_integer(&json, "saved_raw_bytes", setup->summary.saved_raw_bytes);
    pp__json_integer(&json, "saved_stored_bytes", setup->summary.saved_stored_bytes);
    pp__json_open_object(&json, "overall");
    pp__json_integer(&json, "elements", found->elem_count);
    write_match(&json, &found->overall);
    pp__json_open_array(&json, "parameters");
    for (size_t i = 0; i < found->count; i++) {
        const cli_gradient *g = &found->items[i];
        pp__json_open_object(&json, NULL);
        pp__json_text(&json, "name", g->name);
        pp__json_integer(&json, "elements", g->elem_count);
        pp__json_text(&json, "codec", g->codec);
        write_match(&json, &g->match);
    }
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

static const char *draws_text(const cli_gradients *found) {
    return found->draws_differ      ? "codecs round at random"
           : found->draws_done == 1 ? "one draw: bias and spread cannot be told apart"
                                    : "the draws agree bit for bit: the error is all bias";
}

static void print_match(const char *name, size_t elems, const char *codec, const cli_match *m) {
    const result r = result_of(m);
    printf("%-34s %9zu %-18s %9s %9s %9s %9s\n", name, elems, codec,
           cli_real_text(r.cosine, 6).text, cli_real_text(r.error, 6).text,
           cli_real_text(r.bias, 6).text, cli_real_text(r.spread, 6).text);
}

static void print_result(const cli_gradients *found) {
    const pp_plan_summary *summary = &found->setup->summary;
    printf("%-34s %9s %-18s %9s %9s %9s %9s\n", "gradient of", "elements", "taken from", "cosine",
           "error", "bias", "spread");
    for (size_t i = 0; i < found->count; i++) {
        const cli_gradient *g = &found->items[i];
        print_match(g->name, g->elem_count, g->codec[0] ? g->codec : "-", &g->match);
    }
    print_match("all together", found->elem_count, cli_policy_name(found->setup->settings),
                &found->overall);
    printf("\n%zu draw%s of each batch; %s\n", found->draws_done, found->draws_done == 1 ? "" : "s",
           draws_text(found));
    printf("saved %s of %s in float32\n", cli_bytes_text(summary->saved_stored_bytes).text,
           cli_bytes_text(summary->saved_raw_bytes).text);
}

static void write_facts(cli_page *page, const cli_gradients *found) {
    const cli_settings *settings = found->setup->settings;
    const result all = result_of(&found->overall);
    char text[256];
    cli_page_markup(page, "<table class=\"facts\">\n");
    cli_page_fact(page, "data", settings->data);
    cli_page_fact(page, "device", pp_device_describe(found->setup->device)->name);
    snprintf(text, sizeof text, "%" PRIu64 " batches after %" PRIu64 " steps of exact training",
             settings->batches, settings->warm_up);
    cli_page_fact(page, "measured on", text);
    snprintf(text, sizeof text, "%zu of each batch; %s", found->draws_done, draws_text(found));
    cli_page_fact(page, "draws", text);
    snprintf(text, sizeof text, "cosine %s, error %s, bias %s, spread %s",
             cli_real_text(all.cosine, 6).text, cli_real_text(all.error, 6).text,
             cli_real_text(all.bias, 6).text, cli_real_text(all.spread, 6).text);
    cli_page_fact(page, "all gradients together", text);
    cli_page_plan_facts(page, found->setup);
    cli_page_markup(page, "</table>\n");
}

/* The parameters in the plan's order, as the table numbers them. */
static bool write_plots(cli_page *page, const cli_gradients *found) {
    const size_t count = found->count;
    double *x = calloc(count + 1, 5 * sizeof *x);
    if (!x) return false;
    double *cosine = x + count, *error = cosine + count, *bias = error + count,
           *spread = bias + count;
    for (size_t i = 0; i < count; i++) {
        const result r = result_of(&found->items[i].match);
        x[i] = (double)(i + 1);
        cosine[i] = r.cosine, error[i] = r.error, bias[i] = r.bias, spread[i] = r.spread;
    }
    cli_plot plot = {.x_name = "parameter, from the input on",
                     .y_name = "cosine",
                     .x = x,
                     .count = count,
                     .series_count = 1,
                     .x_is_whole = true};
    plot.series[0].name = "cosine with the exact gradient";
    plot.series[0].y = cosine;
    cli_page_section(page, "Direction");
    cli_page_plot(page, &plot);
    plot.y_name = "of the exact gradient's norm";
    plot.from_zero = true;
    plot.series_count = 3;
    plot.series[0].name = "error", plot.series[0].y = error;
    plot.series[1].name = "bias", plot.series[1].y = bias;
    plot.series[2].name = "spread", plot.series[2].y = spread;
    cli_page_section(page, "Error");
    cli_page_plot(page, &plot);
    free(x);
    return true;
}

static void write_table(cli_page *page, const cli_gradients *found) {
    cli_page_section(page, "Parameters");
    cli_page_markup(page,
                    "<div class=\"scroll\"><table><tr><th class=\"n\">number</th><th>gradient of"
                    "</th><th>taken from</th><th class=\"n\">elements</th><th class=\"n\">cosine"
                    "</th><th class=\"n\">error</th><th class=\"n\">bias</th><th class=\"n\">spread"
                    "</th></tr>\n");
    for (size_t i = 0; i < found->count; i++) {
        const cli_gradient *g = &found->items[i];
        const result r = result_of(&g->match);
        cli_page_markup(page, "<tr><td class=\"n\">%zu</td><td>", i + 1);
        cli_page_text(page, g->name);
        cli_page_markup(page, "</td><td>");
        cli_page_text(page, g->codec[0] ? g->codec : "-");
        cli_page_markup(page,
                        "</td><td class=\"n\">%zu</td><td class=\"n\">%s</td><td class=\"n\">%s"
                        "</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
                        g->elem_count, cli_real_text(r.cosine, 6).text,
                        cli_real_text(r.error, 6).text, cli_real_text(r.bias, 6).text,
                        cli_real_text(r.spread, 6).text);
    }
    cli_page_markup(page, "</table></div>\n");
}

static int write_page(const cli_gradients *found, cli_outfile *file) {
    const cli_settings *settings = found->setup->settings;
    char title[512];
    cli_page page;
    snprintf(title, sizeof title, "%.200s on %.200s: gradients", settings->model, settings->data);
    cli_page_begin(&page, file->file, title);
    write_facts(&page, found);
    if (!write_plots(&page, found)) {
        cli_fail(found->setup->command, "no host memory for the plots of %zu parameters",
                 found->count);
        return CLI_FAILURE;
    }
    write_table(&page, found);
    cli_page_end(&page);
    return cli_outfile_finish(file);
}

int cli_fidelity_report(const cli_gradients *found, cli_outfile *page) {
    if (found->setup->settings->json)
        write_result(found);
    else
        print_result(found);
    return page->file ? write_page(found, page) : CLI_OK;
}
