#include "cli/bench_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/output.h"

enum { DUMPED_STEPS = 3, PATH_CAPACITY = 4096 };

static int fail_write(const cli_setup *setup, const char *path) {
    return cli_fail(setup->command, "--dump: '%s' could not be written: %s", path, strerror(errno));
}

/* NULL after one line on stderr. */
static FILE *open_file(const cli_setup *setup, const char *folder, const char *name,
                       char path[PATH_CAPACITY]) {
    int length = snprintf(path, PATH_CAPACITY, "%s/%s", folder, name);
    FILE *file = NULL;
    errno = ENAMETOOLONG;
    if (length > 0 && length < PATH_CAPACITY) file = fopen(path, "wb");
    if (!file) fail_write(setup, path);
    return file;
}

static int close_file(const cli_setup *setup, FILE *file, const char *path) {
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? fail_write(setup, path) : CLI_OK;
}

/* Words of 32 bits, the lowest byte first on every machine. Errors stay with the file. */
static void write_words(FILE *file, const void *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const char *)words + i * sizeof word, sizeof word);
        const unsigned char bytes[4] = {(unsigned char)word, (unsigned char)(word >> 8),
                                        (unsigned char)(word >> 16), (unsigned char)(word >> 24)};
        fwrite(bytes, 1, sizeof bytes, file);
    }
}

static int write_file(const cli_setup *setup, const char *folder, const char *name,
                      const void *words, size_t count) {
    char path[PATH_CAPACITY];
    FILE *file = open_file(setup, folder, name, path);
    if (!file) return CLI_BAD_INPUT;
    write_words(file, words, count);
    return close_file(setup, file, path);
}

/* What the device makes of bytes; batches of `bench` are of floats or of bytes. */
static int write_inputs(const cli_setup *setup, const char *folder, const pp_batch *batch,
                        size_t count, uint32_t channels) {
    static const char name[] = "inputs.f32";
    if (batch->inputs) return write_file(setup, folder, name, batch->inputs, count);
    const pp_pixels *pixels = &setup->pixels;
    float *values = calloc(count, sizeof *values);
    if (!values) {
        cli_fail(setup->command, "no host memory for a batch of %" PRIu32 " inputs", batch->count);
        return CLI_FAILURE;
    }
    for (size_t i = 0; i < count; i++) {
        const size_t c = i % channels;
        values[i] = (float)(((double)batch->pixels[i] / pixels->maximum - (double)pixels->mean[c]) /
                            (double)pixels->deviation[c]);
    }
    int code = write_file(setup, folder, name, values, count);
    free(values);
    return code;
}

static int write_parameter(const cli_setup *setup, size_t index, FILE *file) {
    pp_parameter_info info;
    pp_plan_read_parameter(setup->plan, index, &info);
    float *values = calloc(info.elem_count, sizeof *values);
    if (!values) {
        cli_fail(setup->command, "no host memory for the %zu elements of %s", info.elem_count,
                 info.name);
        return CLI_FAILURE;
    }
    int code =
        cli_check(setup, pp_session_read_parameter(setup->session, index, values, info.elem_count));
    if (!code) write_words(file, values, info.elem_count);
    free(values);
    return code;
}

static int write_parameters(const cli_setup *setup, const char *folder) {
    char path[PATH_CAPACITY];
    FILE *file = open_file(setup, folder, "parameters.f32", path);
    if (!file) return CLI_BAD_INPUT;
    int code = CLI_OK;
    for (size_t i = 0; !code && i < pp_plan_parameter_count(setup->plan); i++)
        code = write_parameter(setup, i, file);
    int closed = close_file(setup, file, path);
    return code ? code : closed;
}

static int run_steps(const cli_setup *setup, const pp_batch *batch, float learning_rate,
                     double losses[DUMPED_STEPS]) {
    for (size_t i = 0; i < DUMPED_STEPS; i++) {
        pp_metrics metrics;
        int code = cli_check(setup, pp_session_reset_metrics(setup->session));
        if (!code) code = cli_check(setup, pp_session_step(setup->session, batch, learning_rate));
        if (!code) code = cli_check(setup, pp_session_read_metrics(setup->session, &metrics));
        if (code) return code;
        losses[i] = metrics.loss_sum / (double)metrics.count;
    }
    return CLI_OK;
}

static void write_parameter_rows(pp__json *json, const pp_plan *plan) {
    pp__json_open_array(json, "parameters");
    for (size_t i = 0; i < pp_plan_parameter_count(plan); i++) {
        pp_parameter_info info;
        pp_plan_read_parameter(plan, i, &info);
        pp__json_open_object(json, NULL);
        pp__json_text(json, "name", info.name);
        pp__json_open_array(json, "shape");
        for (uint32_t axis = 0; axis < info.axis_count; axis++)
            pp__json_integer(json, NULL, info.extents[axis]);
        pp__json_close(json);
        pp__json_bool(json, "trainable", info.trainable);
        pp__json_bool(json, "decayed", info.decayed);
        pp__json_close(json);
    }
    pp__json_close(json);
}

static int write_description(const cli_setup *setup, const pp_model_options *shape,
                             float learning_rate, const double losses[DUMPED_STEPS],
                             const char *folder) {
    const cli_settings *settings = setup->settings;
    char path[PATH_CAPACITY];
    FILE *file = open_file(setup, folder, "step.json", path);
    if (!file) return CLI_BAD_INPUT;
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, file, 2);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "model", settings->model);
    pp__json_text(&json, "codec", cli_policy_name(settings));
    pp__json_integer(&json, "batch", setup->summary.batch);
    pp__json_integer(&json, "height", shape->height);
    pp__json_integer(&json, "width", shape->width);
    pp__json_integer(&json, "channels", shape->channels);
    pp__json_integer(&json, "classes", shape->classes);
    pp__json_text(&json, "optimizer", settings->optimizer);
    pp__json_real(&json, "learning_rate", (double)learning_rate);
    pp__json_real(&json, "momentum", settings->momentum);
    pp__json_bool(&json, "nesterov", settings->nesterov);
    pp__json_real(&json, "weight_decay", settings->weight_decay);
    pp__json_open_array(&json, "losses");
    for (size_t i = 0; i < DUMPED_STEPS; i++) pp__json_real(&json, NULL, losses[i]);
    pp__json_close(&json);
    write_parameter_rows(&json, setup->plan);
    pp__json_close(&json);
    bool written = pp__json_end(&json);
    int closed = close_file(setup, file, path);
    return written ? closed : fail_write(setup, path);
}

int cli_bench_dump(const cli_setup *setup, const pp_model_options *shape, const pp_batch *batch,
                   float learning_rate, const char *folder) {
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return fail_write(setup, folder);
    const size_t input_elems =
        (size_t)batch->count * shape->height * shape->width * shape->channels;
    double losses[DUMPED_STEPS];
    int code = write_parameters(setup, folder);
    if (!code) code = write_inputs(setup, folder, batch, input_elems, shape->channels);
    if (!code) code = write_file(setup, folder, "labels.i32", batch->labels, batch->count);
    if (!code) code = run_steps(setup, batch, learning_rate, losses);
    if (!code) code = write_description(setup, shape, learning_rate, losses, folder);
    return code;
}
