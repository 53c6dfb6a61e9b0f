/* pocketprop plan: every byte of a training step, without a device. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/outfile.h"
#include "cli/output.h"
#include "cli/plan_page.h"
#include "cli/setup.h"

enum { TOP_ROWS = 12 };

static void write_piece(pp__json *json, const pp_plan_piece *piece) {
    pp__json_open_object(json, NULL);
    pp__json_integer(json, "first_image", piece->first_image);
    pp__json_integer(json, "image_count", piece->image_count);
    pp__json_integer(json, "bytes", piece->bytes);
    pp__json_integer(json, "first_step", piece->first_step);
    pp__json_integer(json, "last_step", piece->last_step);
    pp__json_integer(json, "chunk", piece->chunk);
    pp__json_integer(json, "offset", piece->offset_bytes);
    pp__json_close(json);
}

static void write_row(pp__json *json, const pp_plan *plan, size_t index) {
    pp_plan_row of_plan;
    const pp_plan_row *row = &of_plan;
    pp_plan_read_row(plan, index, &of_plan);
    pp__json_open_object(json, NULL);
    pp__json_text(json, "name", row->name);
    pp__json_text(json, "class", pp_memory_class_name(row->memory_class));
    pp__json_text(json, "codec", row->codec);
    pp__json_text(json, "kind", row->kind);
    pp__json_text(json, "views", row->views);
    pp__json_integer(json, "raw_bytes", row->raw_bytes);
    pp__json_integer(json, "stored_bytes", row->stored_bytes);
    pp__json_integer(json, "first_step", row->first_step);
    pp__json_integer(json, "last_step", row->last_step);
    pp__json_integer(json, "chunk", row->chunk);
    pp__json_integer(json, "offset", row->offset_bytes);
    pp__json_open_array(json, "pieces");
    for (size_t i = 0; row->piece_count > 1 && i < row->piece_count; i++) {
        pp_plan_piece piece;
        pp_plan_read_piece(plan, index, i, &piece);
        write_piece(json, &piece);
    }
    pp__json_close(json);
    pp__json_close(json);
}

/* Of the values that backward reads, on average: what planning within a budget keeps small. */
static double expected_error(const pp_plan *plan) {
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        if (strcmp(row.kind, "normalised") != 0 && strcmp(row.kind, "activation") != 0) continue;
        sum += row.error;
        count++;
    }
    return count ? sum / (double)count : 0;
}

static void write_plan(const cli_setup *setup) {
    const pp_plan_summary *summary = &setup->summary;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", setup->settings->model);
    pp__json_integer(&json, "batch", summary->batch);
    pp__json_text(&json, "codec", cli_policy_name(setup->settings));
    pp__json_text(&json, "profile", pp_profile_name(setup->profile));
    pp__json_text(&json, "optimizer", setup->settings->optimizer);
    pp__json_bool(&json, "inference", setup->settings->inference);
    pp__json_integer(&json, "parameters", summary->parameter_elems);
    pp__json_integer(&json, "peak_bytes", summary->peak_bytes);
    pp__json_integer(&json, "lower_bound_bytes", summary->lower_bound_bytes);
    pp__json_open_object(&json, "by_class");
    for (int i = 0; i < PP_MEMORY_CLASS_COUNT; i++)
        pp__json_integer(&json, pp_memory_class_name((pp_memory_class)i), summary->class_bytes[i]);
    pp__json_close(&json);
    pp__json_integer(&json, "saved_raw_bytes", summary->saved_raw_bytes);
    pp__json_integer(&json, "saved_stored_bytes", summary->saved_stored_bytes);
    pp__json_real(&json, "expected_error", expected_error(setup->plan));
    pp__json_integer(&json, "step_count", summary->step_count);
    pp__json_integer(&json, "peak_step", summary->peak_step);
    pp__json_text(&json, "peak_step_name", summary->peak_step_name);
    pp__json_integer(&json, "chunk_count", summary->chunk_count);
    pp__json_open_array(&json, "values");
    for (size_t i = 0; i < pp_plan_row_count(setup->plan); i++) write_row(&json, setup->plan, i);
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

/* The largest first; equal ones in the plan's order, so that the same plan prints the same text. */
typedef struct sized_row {
    size_t index, stored_bytes;
} sized_row;

static int by_size(const void *left, const void *right) {
    const sized_row *a = left, *b = right;
    if (a->stored_bytes != b->stored_bytes) return a->stored_bytes < b->stored_bytes ? 1 : -1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int print_rows(const cli_setup *setup) {
    size_t count = pp_plan_row_count(setup->plan);
    sized_row *order = calloc(count ? count : 1, sizeof *order);
    if (!order) {
        cli_fail(setup->command, "no host memory for %zu rows", count);
        return CLI_FAILURE;
    }
    for (size_t i = 0; i < count; i++) {
        pp_plan_row row;
        pp_plan_read_row(setup->plan, i, &row);
        order[i] = (sized_row){i, row.stored_bytes};
    }
    bool all = setup->settings->all_rows;
    if (!all) qsort(order, count, sizeof *order, by_size);
    size_t shown = all || count < TOP_ROWS ? count : TOP_ROWS;
    printf("\n%-36s %-11s %-12s %11s %11s  %s\n", all ? "value" : "largest values", "class",
           "codec", "raw", "stored", "steps");
    for (size_t i = 0; i < shown; i++) {
        pp_plan_row row;
        pp_plan_read_row(setup->plan, order[i].index, &row);
        printf("%-36s %-11s %-12s %11s %11s  %zu-%zu\n", row.name,
               pp_memory_class_name(row.memory_class), row.codec[0] ? row.codec : "-",
               cli_bytes_text(row.raw_bytes).text, cli_bytes_text(row.stored_bytes).text,
               row.first_step, row.last_step);
    }
    if (shown < count) printf("... and %zu more (--rows)\n", count - shown);
    free(order);
    return CLI_OK;
}

static int print_plan(const cli_setup *setup) {
    const pp_plan_summary *summary = &setup->summary;
    const cli_settings *settings = setup->settings;
    printf("%s, batch %" PRIu32 ", %s, profile %s: %zu parameters, %zu steps%s\n\n",
           settings->model, summary->batch, cli_policy_name(settings),
           pp_profile_name(setup->profile), summary->parameter_elems, summary->step_count,
           settings->inference ? ", inference" : "");
    printf("%-14s%11s   %zu bytes in %zu allocation%s\n", "peak",
           cli_bytes_text(summary->peak_bytes).text, summary->peak_bytes, summary->chunk_count,
           summary->chunk_count == 1 ? "" : "s");
    printf("%-14s%11s   step %zu, %s\n", "most live",
           cli_bytes_text(summary->lower_bound_bytes).text, summary->peak_step,
           summary->peak_step_name);
    for (int i = 0; i < PP_MEMORY_CLASS_COUNT; i++)
        if (summary->class_bytes[i])
            printf("  %-12s%11s\n", pp_memory_class_name((pp_memory_class)i),
                   cli_bytes_text(summary->class_bytes[i]).text);
    if (summary->saved_stored_bytes)
        printf("%-14s%11s   of %s in float32, %.2f times less\n", "saved",
               cli_bytes_text(summary->saved_stored_bytes).text,
               cli_bytes_text(summary->saved_raw_bytes).text,
               (double)summary->saved_raw_bytes / (double)summary->saved_stored_bytes);
    return print_rows(setup);
}

/* --html: the plan as a page. */
static int write_page(const cli_setup *setup) {
    const cli_settings *settings = setup->settings;
    cli_outfile file = {0};
    if (!settings->html) return CLI_OK;
    int code = cli_outfile_open(&file, setup->command, "--html", settings->html);
    if (!code) {
        char title[256];
        snprintf(title, sizeof title, "%.200s: a plan", settings->model);
        cli_page page;
        cli_page_begin(&page, file.file, title);
        cli_page_markup(&page, "<table class=\"facts\">\n");
        cli_page_plan_facts(&page, setup);
        cli_page_markup(&page, "</table>\n");
        code = cli_page_plan(&page, setup);
        cli_page_end(&page);
    }
    if (!code) code = cli_outfile_finish(&file);
    cli_outfile_discard(&file);
    return code;
}

static int plan(cli_setup *setup) {
    int code = cli_setup_plan(setup, setup->settings->inference);
    if (!code) code = write_page(setup);
    if (!code) cli_setup_ready(setup);
    if (!code && setup->settings->json) write_plan(setup);
    return code || setup->settings->json ? code : print_plan(setup);
}

static int run(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = cli_compare_check(command, settings);
    if (!code) code = cli_setup_profile(&setup);
    if (!code) code = cli_setup_graph(&setup);
    if (!code) code = settings->compare ? cli_compare(&setup) : plan(&setup);
    cli_setup_end(&setup);
    return code;
}

static const cli_group report_options = {
    "Report", (const cli_option[]){
                  {"inference", NULL, "forward only: nothing saved, no gradients", CLI_FLAG,
                   .offset = offsetof(cli_settings, inference)},
                  {"rows", NULL, "print every value in the plan's order, not only the largest",
                   CLI_FLAG, .offset = offsetof(cli_settings, all_rows)},
                  {"html", "FILE",
                   "write the plan as a page: a map of the memory over the steps, classes, layers "
                   "and which of their gradients are exact",
                   CLI_TEXT, .offset = offsetof(cli_settings, html)},
                  {"compare", "POLICY,...",
                   "policies and budgets side by side, e.g. raw,norm:4,64M; blanks between them "
                   "where one has commas itself",
                   CLI_TEXT, .offset = offsetof(cli_settings, compare)},
                  {0}}};

const cli_command cli_plan = {
    .name = "plan",
    .summary =
        "Show the memory that training a network takes, before anything runs; needs no device.",
    .groups =
        (const cli_group *const[]){&cli_network_options, &cli_shape_options, &cli_plan_options,
                                   &cli_profile_options, &cli_codec_options, &cli_optimizer_options,
                                   &report_options, &cli_output_options, NULL},
    .run = run,
};
