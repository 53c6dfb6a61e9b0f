#include "cli/progress.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/output.h"

static const double redraw_seconds = 0.1;
static const double first_measure_seconds = 0.1, measure_seconds = 0.5;
static const double plain_line_seconds = 10.0;

void cli_progress_begin(cli_progress *progress, FILE *stream, uint64_t run_total) {
    *progress = (cli_progress){.stream = stream, .run_total = run_total};
    progress->is_terminal = isatty(fileno(stream)) == 1;
}

void cli_progress_begin_epoch(cli_progress *progress, const char *label, uint64_t epoch_total) {
    snprintf(progress->label, sizeof progress->label, "%s", label);
    progress->epoch_total = epoch_total;
    progress->epoch_done = progress->epoch_skipped = 0;
    progress->epoch_started = progress->shown = progress->measured = cli_seconds();
    progress->loss = progress->top1_percent = progress->images_per_second = NAN;
}

bool cli_progress_wants_metrics(const cli_progress *progress) {
    double every = isnan(progress->loss) ? first_measure_seconds : measure_seconds;
    return cli_seconds() - progress->measured >= every;
}

void cli_progress_measure(cli_progress *progress, const pp_metrics *metrics) {
    progress->measured = cli_seconds();
    if (!metrics->count) return;
    double count = (double)metrics->count, seconds = progress->measured - progress->epoch_started;
    double own = count + (double)metrics->not_finite - (double)progress->epoch_skipped;
    progress->loss = metrics->loss_sum / count;
    progress->top1_percent = 100 * (double)metrics->correct / count;
    progress->images_per_second = seconds > 0 && own > 0 ? own / seconds : NAN;
}

/* "0:07", "12:30", "3:05:00"; "-:--" before the speed is known. */
static cli_text time_left(const cli_progress *progress) {
    cli_text result = {"-:--"};
    uint64_t left = progress->run_total - progress->run_done;
    double seconds = (double)left / progress->images_per_second;
    if (!(seconds < 1e8)) return result;
    uint64_t whole = (uint64_t)(seconds + 0.5), hours = whole / 3600;
    if (hours)
        snprintf(result.text, sizeof result.text, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours,
                 whole / 60 % 60, whole % 60);
    else
        snprintf(result.text, sizeof result.text, "%" PRIu64 ":%02" PRIu64, whole / 60, whole % 60);
    return result;
}

static int terminal_columns(FILE *stream) {
    struct winsize size = {0};
    bool known = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col;
    return known ? size.ws_col : 80;
}

/* The bar takes what the numbers leave of the line; a narrow terminal gets the numbers only, cut.
 */
static void draw_bar(cli_progress *progress, const char *numbers) {
    enum { LONGEST = 40, SHORTEST = 8 };
    int columns = terminal_columns(progress->stream);
    int room = columns - (int)strlen(progress->label) - (int)strlen(numbers) - 6;
    int width = room > LONGEST ? LONGEST : room;
    fputs("\r\033[K", progress->stream);
    if (width < SHORTEST) {
        fprintf(progress->stream, "%.*s", columns - 1, numbers);
    } else {
        int filled = (int)((uint64_t)width * progress->epoch_done / progress->epoch_total);
        fprintf(progress->stream, "%s [", progress->label);
        for (int i = 0; i < width; i++)
            fputc(i < filled ? '=' : i == filled ? '>' : ' ', progress->stream);
        fprintf(progress->stream, "] %s", numbers);
    }
    progress->is_drawn = true;
}

static void draw_line(cli_progress *progress, const char *numbers) {
    if (progress->is_terminal)
        draw_bar(progress, numbers);
    else
        fprintf(progress->stream, "%s: %s\n", progress->label, numbers);
    fflush(progress->stream);
}

static void draw(cli_progress *progress) {
    char numbers[256];
    snprintf(numbers, sizeof numbers, "%3" PRIu64 " %%  loss %s  top-1 %s %%  %s images/s  %s left",
             100 * progress->epoch_done / progress->epoch_total,
             cli_real_text(progress->loss, 4).text, cli_real_text(progress->top1_percent, 2).text,
             cli_real_text(progress->images_per_second, 0).text, time_left(progress).text);
    draw_line(progress, numbers);
}

void cli_progress_show(cli_progress *progress, uint64_t done, const char *numbers) {
    progress->epoch_done = done < progress->epoch_total ? done : progress->epoch_total;
    draw_line(progress, numbers);
}

void cli_progress_skip(cli_progress *progress, uint64_t samples) {
    progress->epoch_skipped = samples;
    progress->run_done += samples;
    progress->epoch_done += samples;
}

void cli_progress_advance(cli_progress *progress, uint64_t samples) {
    progress->run_done += samples;
    progress->epoch_done += samples;
    double now = cli_seconds();
    double every = progress->is_terminal ? redraw_seconds : plain_line_seconds;
    if (now - progress->shown < every || !progress->epoch_total) return;
    progress->shown = now;
    draw(progress);
}

void cli_progress_clear(cli_progress *progress) {
    if (!progress->is_drawn) return;
    fputs("\r\033[K", progress->stream);
    fflush(progress->stream);
    progress->is_drawn = false;
}
