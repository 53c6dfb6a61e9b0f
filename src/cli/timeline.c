#include "cli/timeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"

/* Chrome's format knows processes and threads; the tracks are two threads of one process. */
enum { PROCESS = 1, DEVICE_TRACK = 1, HOST_TRACK = 2 };

int cli_timeline_open(cli_timeline *timeline, const cli_setup *setup) {
    *timeline = (cli_timeline){.setup = setup};
    const char *path = setup->settings->trace;
    return path ? cli_outfile_open(&timeline->file, setup->command, "--trace", path) : CLI_OK;
}

int cli_timeline_start(cli_timeline *timeline) {
    if (!timeline->file.file) return CLI_OK;
    return cli_check(timeline->setup, pp_device_clear_trace(timeline->setup->device));
}

int cli_timeline_add_step(cli_timeline *timeline, double began, double enqueued) {
    if (!timeline->file.file) return CLI_OK;
    timeline->steps[timeline->step_count].began = began;
    timeline->steps[timeline->step_count].enqueued = enqueued;
    if (++timeline->step_count < CLI_TIMELINE_STEPS) return CLI_OK;
    return cli_timeline_write(timeline);
}

static void write_track(pp__json *json, int track, const char *name) {
    pp__json_open_object(json, NULL);
    pp__json_text(json, "name", "thread_name");
    pp__json_text(json, "ph", "M");
    pp__json_integer(json, "pid", PROCESS);
    pp__json_integer(json, "tid", (uint64_t)track);
    pp__json_open_object(json, "args");
    pp__json_text(json, "name", name);
    pp__json_close(json);
    pp__json_close(json);
}

/* Opens one span; the caller may add members and closes it. Times are microseconds from the
 * timeline's beginning. */
static void open_span(pp__json *json, int track, const char *name, double begin, double end) {
    pp__json_open_object(json, NULL);
    pp__json_text(json, "name", name);
    pp__json_text(json, "ph", "X");
    pp__json_integer(json, "pid", PROCESS);
    pp__json_integer(json, "tid", (uint64_t)track);
    pp__json_real(json, "ts", begin);
    pp__json_real(json, "dur", end - begin);
}

/* Nanoseconds since `origin`, which may lie behind them by the clocks' inaccuracy. */
static double microseconds(uint64_t ns, uint64_t origin) {
    return 1e-3 * (double)(int64_t)(ns - origin);
}

static void write_command(pp__json *json, const pp_device_trace_event *event, uint64_t origin) {
    char name[sizeof event->label + sizeof event->kernel + 2];
    snprintf(name, sizeof name, "%s: %s", event->label, event->kernel);
    open_span(json, DEVICE_TRACK, name, microseconds(event->start_ns, origin),
              microseconds(event->end_ns, origin));
    pp__json_open_object(json, "args");
    pp__json_text(json, "step", event->label);
    pp__json_text(json, "kernel", event->kernel);
    pp__json_real(json, "queued_us", microseconds(event->queued_ns, origin));
    pp__json_real(json, "submitted_us", microseconds(event->submit_ns, origin));
    pp__json_real(json, "enqueue_call_us",
                  microseconds(event->enqueue_end_ns, event->enqueue_begin_ns));
    pp__json_close(json);
    pp__json_close(json);
}

static void write_events(const cli_timeline *timeline, const pp_device_trace_event *events,
                         size_t count) {
    const pp_device_info *device = pp_device_describe(timeline->setup->device);
    const double first = timeline->step_count ? timeline->steps[0].began : 0;
    const double last =
        timeline->step_count ? timeline->steps[timeline->step_count - 1].enqueued : 0;
    const uint64_t origin = (uint64_t)(1e9 * first), end = (uint64_t)(1e9 * last);
    char name[sizeof device->name + 16];
    pp__json json;
    pp__json_begin(&json, cli_write_to_file, timeline->file.file, 2);
    pp__json_open_object(&json, NULL);
    pp__json_text(&json, "displayTimeUnit", "ms");
    pp__json_open_array(&json, "traceEvents");
    snprintf(name, sizeof name, "device: %s", device->name);
    write_track(&json, DEVICE_TRACK, name);
    write_track(&json, HOST_TRACK, "host: enqueuing");
    for (size_t i = 0; i < timeline->step_count; i++) {
        snprintf(name, sizeof name, "step %zu", i + 1);
        open_span(&json, HOST_TRACK, name, 1e6 * (timeline->steps[i].began - first),
                  1e6 * (timeline->steps[i].enqueued - first));
        pp__json_close(&json);
    }
    for (size_t i = 0; i < count && events[i].enqueue_begin_ns < end; i++)
        write_command(&json, &events[i], origin);
    pp__json_close(&json);
    pp__json_close(&json);
    pp__json_end(&json);
}

int cli_timeline_read(const cli_setup *setup, pp_device_trace_event **events_out,
                      size_t *count_out) {
    size_t count;
    *events_out = NULL;
    int code = cli_check(setup, pp_device_read_trace(setup->device, NULL, 0, &count));
    if (code) return code;
    *events_out = calloc(count ? count : 1, sizeof **events_out);
    if (!*events_out) {
        cli_fail(setup->command, "no host memory for a trace of %zu commands", count);
        return CLI_FAILURE;
    }
    return cli_check(setup, pp_device_read_trace(setup->device, *events_out, count, count_out));
}

int cli_timeline_write(cli_timeline *timeline) {
    if (!timeline->file.file) return CLI_OK;
    const cli_setup *setup = timeline->setup;
    pp_device_trace_event *events;
    size_t count = 0;
    int code = cli_timeline_read(setup, &events, &count);
    if (!code) write_events(timeline, events, count);
    free(events);
    if (!code) code = cli_outfile_finish(&timeline->file);
    if (!code) code = cli_check(setup, pp_device_pause_trace(setup->device, true));
    return code ? code : cli_check(setup, pp_device_clear_trace(setup->device));
}

void cli_timeline_close(cli_timeline *timeline) {
    cli_outfile_discard(&timeline->file);
    *timeline = (cli_timeline){0};
}
