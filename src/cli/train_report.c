#include "cli/train_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/plan_page.h"
#include "cli/report.h"

enum { MOST_ROWS = 200 }; /* of the table of epochs */

int cli_train_report_open(cli_train_report *report, const cli_setup *setup,
                          const cli_adapt *adapt) {
    *report = (cli_train_report){.setup = setup, .adapt = adapt};
    const char *path = setup->settings->report;
    return path ? cli_outfile_open(&report->file, setup->command, "--report", path) : CLI_OK;
}

int cli_train_report_add(cli_train_report *report, const cli_epoch *epoch) {
    if (!report->file.file) return CLI_OK;
    if (report->count == report->capacity) {
        size_t capacity = report->capacity ? 2 * report->capacity : 64;
        cli_epoch *epochs = realloc(report->epochs, capacity * sizeof *epochs);
        if (!epochs) {
            cli_fail(report->setup->command, "no host memory for %zu epochs of the report",
                     capacity);
            return CLI_FAILURE;
        }
        report->epochs = epochs;
        report->capacity = capacity;
    }
    report->epochs[report->count++] = *epoch;
    return CLI_OK;
}

static void write_facts(cli_page *page, const cli_train_report *report) {
    const cli_setup *setup = report->setup;
    const cli_settings *settings = setup->settings;
    char text[512];
    cli_page_markup(page, "<table class=\"facts\">\n");
    cli_page_fact(page, "data", settings->data);
    snprintf(text, sizeof text, "%zu of %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", %" PRIu32 " classes",
             setup->data_info.count, setup->data_info.height, setup->data_info.width,
             setup->data_info.channels, setup->data_info.classes);
    cli_page_fact(page, "training samples", text);
    cli_page_fact(page, "device", pp_device_describe(setup->device)->name);
    snprintf(text, sizeof text, "%zu of %" PRIu64 " epochs are whole; schedule %s, seed %" PRIu64,
             report->count, settings->epochs, settings->schedule, settings->seed);
    cli_page_fact(page, "run", text);
    if (report->count) {
        const cli_epoch *last = &report->epochs[report->count - 1];
        snprintf(text, sizeof text, "%s %% (loss %s); training %s %% (loss %s)",
                 cli_real_text(last->test_top1, 2).text, cli_real_text(last->test_loss, 4).text,
                 cli_real_text(last->train_top1, 2).text, cli_real_text(last->train_loss, 4).text);
        cli_page_fact(page, "test accuracy", text);
        snprintf(text, sizeof text, "%s images/s in the last epoch",
                 cli_real_text(last->images_per_second, 0).text);
        cli_page_fact(page, "speed", text);
    }
    cli_page_plan_facts(page, setup);
    const uint64_t peak = cli_peak_bytes(setup);
    snprintf(text, sizeof text, "%s, %" PRIu64 " bytes%s", cli_bytes_text(peak).text, peak,
             peak == setup->summary.peak_bytes ? ", as planned" : "");
    cli_page_fact(page, "real peak", text);
    cli_page_markup(page, "</table>\n");
}

/* A member of cli_epoch over all epochs. */
static void gather(const cli_train_report *report, size_t offset, double *values) {
    for (size_t i = 0; i < report->count; i++)
        memcpy(&values[i], (const char *)&report->epochs[i] + offset, sizeof *values);
}

static const struct {
    const char *heading, *y_name;
    struct {
        const char *name;
        size_t offset;
    } series[2]; /* the second's name may be NULL */
    bool from_zero;
} curves[] = {
    {"Loss",
     "mean loss",
     {{"training", offsetof(cli_epoch, train_loss)}, {"test", offsetof(cli_epoch, test_loss)}},
     false},
    {"Accuracy",
     "top-1, percent",
     {{"training", offsetof(cli_epoch, train_top1)}, {"test", offsetof(cli_epoch, test_top1)}},
     false},
    {"Speed",
     "per second",
     {{"training images", offsetof(cli_epoch, images_per_second)}, {NULL, 0}},
     true},
};

static bool write_curves(cli_page *page, const cli_train_report *report) {
    double *values = calloc(report->count, 3 * sizeof *values);
    if (!values) return false;
    for (size_t i = 0; i < report->count; i++) values[i] = (double)(i + 1);
    for (size_t c = 0; c < sizeof curves / sizeof curves[0]; c++) {
        cli_plot plot = {.x_name = "epoch",
                         .y_name = curves[c].y_name,
                         .x = values,
                         .count = report->count,
                         .from_zero = curves[c].from_zero,
                         .x_is_whole = true};
        for (size_t s = 0; s < 2 && curves[c].series[s].name; s++) {
            double *y = values + (s + 1) * report->count;
            gather(report, curves[c].series[s].offset, y);
            plot.series[plot.series_count].name = curves[c].series[s].name;
            plot.series[plot.series_count++].y = y;
        }
        cli_page_section(page, curves[c].heading);
        cli_page_plot(page, &plot);
    }
    free(values);
    return true;
}

/* Of very many epochs every few, and the last. */
static void write_epochs(cli_page *page, const cli_train_report *report) {
    const size_t stride = (report->count + MOST_ROWS - 1) / MOST_ROWS;
    cli_page_section(page, "Epochs");
    cli_page_markup(page,
                    "<div class=\"scroll\"><table><tr><th class=\"n\">epoch</th>"
                    "<th class=\"n\">training loss</th><th class=\"n\">top-1, %%</th>"
                    "<th class=\"n\">test loss</th><th class=\"n\">top-1, %%</th>"
                    "<th class=\"n\">images/s</th><th class=\"n\">learning rate</th>"
                    "<th class=\"n\">seconds</th></tr>\n");
    for (size_t i = 0; i < report->count; i++) {
        const cli_epoch *epoch = &report->epochs[i];
        if (i % stride && i + 1 < report->count) continue;
        const cli_text cells[] = {cli_real_text(epoch->train_loss, 4),
                                  cli_real_text(epoch->train_top1, 2),
                                  cli_real_text(epoch->test_loss, 4),
                                  cli_real_text(epoch->test_top1, 2),
                                  cli_real_text(epoch->images_per_second, 0),
                                  cli_real_text(epoch->learning_rate, 6),
                                  cli_real_text(epoch->seconds, 1)};
        cli_page_markup(page, "<tr><td class=\"n\">%zu</td>", i + 1);
        for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++)
            cli_page_markup(page, "<td class=\"n\">%s</td>", cells[c].text);
        cli_page_markup(page, "</tr>\n");
    }
    cli_page_markup(page, "</table></div>\n");
}

int cli_train_report_write(cli_train_report *report) {
    if (!report->file.file) return CLI_OK;
    const cli_settings *settings = report->setup->settings;
    char title[512];
    cli_page page;
    snprintf(title, sizeof title, "%.200s on %.200s", settings->model, settings->data);
    cli_page_begin(&page, report->file.file, title);
    write_facts(&page, report);
    if (report->count) {
        if (!write_curves(&page, report)) {
            cli_fail(report->setup->command, "no host memory for the report's curves");
            return CLI_FAILURE;
        }
        write_epochs(&page, report);
    }
    cli_adapt_page(report->adapt, &page);
    int code = cli_page_plan(&page, report->setup);
    cli_page_end(&page);
    return code ? code : cli_outfile_finish(&report->file);
}

void cli_train_report_close(cli_train_report *report) {
    cli_outfile_discard(&report->file);
    free(report->epochs);
    *report = (cli_train_report){0};
}
