/* pocketprop inspect: what is in a safetensors file. pocketprop convert: a copy under other names or in
 * another precision. Neither needs a device. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pocketprop/tensors.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/setup.h"

typedef struct shape_text {
    char text[PP_TENSOR_AXES * 21 + 3];
} shape_text;

static shape_text shape_of(const pp_tensor_info *info) {
    shape_text shape = {"["};
    size_t length = 1;
    for (uint32_t a = 0; a < info->axis_count; a++)
        length += (size_t)snprintf(shape.text + length, sizeof shape.text - length, "%s%" PRIu64,
                                   a ? ", " : "", info->extents[a]);
    snprintf(shape.text + length, sizeof shape.text - length, "]");
    return shape;
}

static void print_tensor(const pp_tensor_info *info, const pp_tensor_statistics *s) {
    printf("%-40s %-5s %-20s %10s", info->name, info->type, shape_of(info).text,
           cli_bytes_text(info->bytes).text);
    if (!isnan(s->mean))
        printf("  %11.4g to %-11.4g mean %-11.4g deviation %.4g", s->least, s->most, s->mean,
               s->deviation);
    if (s->nan_count) printf("  %" PRIu64 " NaN", s->nan_count);
    if (s->infinite_count) printf("  %" PRIu64 " infinite", s->infinite_count);
    printf("\n");
}

static void write_tensor(pp__json *json, const pp_tensor_info *info,
                         const pp_tensor_statistics *s) {
    pp__json_open_object(json, NULL);
    pp__json_text(json, "name", info->name);
    pp__json_text(json, "type", info->type);
    pp__json_open_array(json, "shape");
    for (uint32_t a = 0; a < info->axis_count; a++) pp__json_integer(json, NULL, info->extents[a]);
    pp__json_close(json);
    pp__json_integer(json, "bytes", info->bytes);
    pp__json_real(json, "least", s->least);
    pp__json_real(json, "most", s->most);
    pp__json_real(json, "mean", s->mean);
    pp__json_real(json, "deviation", s->deviation);
    pp__json_integer(json, "nan", s->nan_count);
    pp__json_integer(json, "infinite", s->infinite_count);
    pp__json_close(json);
}

static int measure(const cli_setup *setup, pp_tensors *tensors, size_t index,
                   pp_tensor_statistics *statistics) {
    const pp_status status = pp_tensors_measure(tensors, index, statistics);
    return status == PP_ERROR_UNSUPPORTED ? CLI_OK : cli_check(setup, status);
}

static int print_all(const cli_setup *setup, pp_tensors *tensors) {
    uint64_t elems = 0, bytes = 0;
    int code = CLI_OK;
    for (size_t i = 0; i < pp_tensors_count(tensors) && !code; i++) {
        pp_tensor_info info;
        pp_tensor_statistics statistics;
        pp_tensors_describe(tensors, i, &info);
        code = measure(setup, tensors, i, &statistics);
        if (!code) print_tensor(&info, &statistics);
        elems += info.elem_count;
        bytes += info.bytes;
    }
    const char *key, *note;
    for (size_t i = 0; !code && (note = pp_tensors_note(tensors, i, &key)); i++)
        printf("%s: %.200s\n", key, note);
    if (!code)
        printf("%zu tensors, %" PRIu64 " elements, %s\n", pp_tensors_count(tensors), elems,
               cli_bytes_text(bytes).text);
    return code;
}

static int write_all(const cli_setup *setup, pp_tensors *tensors) {
    pp__json json;
    const char *key, *note;
    int code = CLI_OK;
    pp__json_begin(&json, cli_write_to_file, stdout, 2);
    pp__json_open_object(&json, NULL);
    pp__json_open_array(&json, "tensors");
    for (size_t i = 0; i < pp_tensors_count(tensors) && !code; i++) {
        pp_tensor_info info;
        pp_tensor_statistics statistics;
        pp_tensors_describe(tensors, i, &info);
        code = measure(setup, tensors, i, &statistics);
        if (!code) write_tensor(&json, &info, &statistics);
    }
    pp__json_close(&json);
    pp__json_open_object(&json, "notes");
    for (size_t i = 0; (note = pp_tensors_note(tensors, i, &key)); i++)
        pp__json_text(&json, key, note);
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
    return code;
}

static int run_inspect(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    pp_tensors *tensors = NULL;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = cli_check(&setup, pp_tensors_open(setup.engine, settings->weights, &tensors));
    if (!code) code = settings->json ? write_all(&setup, tensors) : print_all(&setup, tensors);
    pp_tensors_close(tensors);
    cli_setup_end(&setup);
    return code;
}

/* How many names the copy has that are others than before, and the first of them. */
static int print_renames(const cli_setup *setup, const pp_tensors *before, const char *path) {
    pp_tensors *after = NULL;
    pp_tensor_info old, new, first[2];
    size_t renamed = 0;
    const int code = cli_check(setup, pp_tensors_open(setup->engine, path, &after));
    if (code) return code;
    for (size_t i = 0; i < pp_tensors_count(after); i++) {
        pp_tensors_describe(before, i, &old);
        pp_tensors_describe(after, i, &new);
        if (!strcmp(old.name, new.name) || renamed++) continue;
        first[0] = old;
        first[1] = new;
    }
    fprintf(stderr, "%zu of %zu names changed", renamed, pp_tensors_count(after));
    if (renamed) fprintf(stderr, ", %.200s to %.200s first", first[0].name, first[1].name);
    fputs("\n", stderr);
    pp_tensors_close(after);
    return CLI_OK;
}

static int run_convert(const cli_command *command, const cli_settings *settings) {
    cli_setup setup;
    pp_tensors *tensors = NULL;
    pp_tensors_copy_options options = {.renames = settings->renames.items,
                                       .rename_count = settings->renames.count};
    if (settings->floats && !strcmp(settings->floats, "32")) options.floats = PP_FLOATS_32;
    if (settings->floats && !strcmp(settings->floats, "16")) options.floats = PP_FLOATS_16;
    int code = cli_setup_begin(&setup, command, settings);
    if (!code) code = cli_check(&setup, pp_tensors_open(setup.engine, settings->weights, &tensors));
    if (!code) code = cli_check(&setup, pp_tensors_copy(tensors, settings->out, &options));
    if (!code && options.rename_count) code = print_renames(&setup, tensors, settings->out);
    pp_tensors_close(tensors);
    cli_setup_end(&setup);
    return code;
}

static const cli_group file_options = {
    "File", (const cli_option[]){{"weights", "FILE", "a safetensors file", CLI_TEXT,
                                  .offset = offsetof(cli_settings, weights), .required = true},
                                 {0}}};

static const cli_group copy_options = {
    "Copy",
    (const cli_option[]){
        {"out", "FILE", "where the copy is written", CLI_TEXT,
         .offset = offsetof(cli_settings, out), .required = true},
        {"rename", "FROM=TO",
         "tensors that shall be called otherwise, e.g. 'module.*=*'; may be given several times, "
         "the first match counts",
         CLI_RENAME, .offset = offsetof(cli_settings, renames)},
        {"floats", "keep|32|16", "the bits of all floats in the copy", CLI_CHOICE,
         .offset = offsetof(cli_settings, floats)},
        {0}}};

const cli_command cli_inspect = {
    .name = "inspect",
    .summary = "List the tensors of a safetensors file with their ranges.",
    .groups = (const cli_group *const[]){&file_options, &cli_output_options, NULL},
    .run = run_inspect,
};

const cli_command cli_convert = {
    .name = "convert",
    .summary = "Copy a safetensors file under other names or in another precision.",
    .groups = (const cli_group *const[]){&file_options, &copy_options, &cli_output_options, NULL},
    .run = run_convert,
};
