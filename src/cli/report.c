#include "cli/report.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "cli/output.h"

/* Colours by number for light and dark paper; memory classes use them in their order. */
static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#5c6670;--line:#d8dde3;"
    "--well:#f4f6f8;--good:#1a7f37;--warn:#a15c00;"
    "--c0:#4477aa;--c1:#d1495b;--c2:#8e5ea2;--c3:#e0932f;--c4:#3a9d8f;--c5:#8c6d46;--c6:#9aa3ad;"
    "--c7:#6b7a1f}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e3e7eb;--faint:#98a2ad;"
    "--line:#343b44;--well:#1d2126;--good:#5cc878;--warn:#e8a33d;"
    "--c0:#6699cc;--c1:#e8707f;--c2:#b08bc4;--c3:#eaae5a;--c4:#5cbfb0;--c5:#b39368;--c6:#7d8792;"
    "--c7:#a8b84a}}\n"
    "body{margin:0 auto;padding:1.5rem;max-width:76rem;background:var(--paper);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\n"
    "p{max-width:56rem}.faint{color:var(--faint)}\n"
    ".scroll{overflow:auto;max-height:40rem}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.15rem .7rem .15rem 0;text-align:left;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}\n"
    "th{color:var(--faint);font-weight:600;position:sticky;top:0;background:var(--paper)}\n"
    ".facts td{white-space:normal}.facts th{position:static;vertical-align:top}\n"
    ".n{text-align:right}.exact{color:var(--good)}.approximate{color:var(--warn)}\n"
    ".bars{width:100%}.bars td:last-child{width:60%}\n"
    ".bar{height:.8rem;min-width:1px}.bar+.bar{margin-top:1px;height:.35rem;opacity:.55}\n"
    ".key i{display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 1em;"
    "vertical-align:-.05em}\n"
    "svg{display:block;width:100%;height:auto;margin:.5rem 0}\n"
    "svg text{font:11px system-ui,sans-serif;fill:var(--faint)}\n"
    ".well{fill:var(--well)}.grid{stroke:var(--line);stroke-width:1}\n"
    ".mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:4 3;pointer-events:none}\n"
    ".edge{stroke:var(--paper);stroke-width:.6}rect:hover{filter:brightness(1.25)}\n"
    ".series{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    "pre{background:var(--well);padding:.7rem;overflow:auto;max-height:30rem}\n"
    "summary{cursor:pointer;color:var(--faint)}\n";

void cli_page_markup(cli_page *page, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(page->file, format, arguments);
    va_end(arguments);
}

static void put(cli_page *page, const char *text) {
    fputs(text, page->file);
}

void cli_page_text(cli_page *page, const char *text) {
    for (const char *c = text; *c; c++) {
        switch (*c) {
            case '&': put(page, "&amp;"); break;
            case '<': put(page, "&lt;"); break;
            case '>': put(page, "&gt;"); break;
            case '"': put(page, "&quot;"); break;
            case '\'': put(page, "&#39;"); break;
            default:
                /* Other control characters may not stand in a page at all. */
                if ((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t')
                    put(page, "&#xfffd;");
                else
                    fputc(*c, page->file);
        }
    }
}

void cli_page_begin(cli_page *page, FILE *file, const char *title) {
    *page = (cli_page){file};
    put(page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    cli_page_text(page, title);
    put(page, "</title>\n<style>\n");
    put(page, style);
    for (int i = 0; i < CLI_PAGE_COLOURS; i++)
        cli_page_markup(page,
                        ".f%d{fill:var(--c%d);background:var(--c%d)}.s%d{stroke:var(--c%d)}\n", i,
                        i, i, i, i);
    put(page, "</style>\n</head>\n<body>\n<h1>");
    cli_page_text(page, title);
    put(page, "</h1>\n");
}

void cli_page_end(cli_page *page) {
    put(page, "</body>\n</html>\n");
}

void cli_page_section(cli_page *page, const char *heading) {
    put(page, "<h2>");
    cli_page_text(page, heading);
    put(page, "</h2>\n");
}

void cli_page_bytes(cli_page *page, uint64_t bytes) {
    cli_page_markup(page, "<span title=\"%" PRIu64 " bytes\">%s</span>", bytes,
                    cli_bytes_text(bytes).text);
}

void cli_page_fact(cli_page *page, const char *name, const char *text) {
    put(page, "<tr><th>");
    cli_page_text(page, name);
    put(page, "</th><td>");
    cli_page_text(page, text);
    put(page, "</td></tr>\n");
}

void cli_page_bar(cli_page *page, double part, double whole, size_t colour) {
    double percent = whole > 0 ? 100 * part / whole : 0;
    cli_page_markup(page, "<div class=\"bar f%zu\" style=\"width:%.2f%%\"></div>", colour,
                    percent < 100 ? percent : 100);
}

double cli_axis_step(double span, size_t count) {
    double least = span / (double)(count ? count : 1);
    double power = pow(10, floor(log10(least)));
    static const double factors[] = {1, 2, 5};
    for (size_t i = 0; i < 3; i++)
        if (factors[i] * power >= least * (1 - 1e-9)) return factors[i] * power;
    return 10 * power;
}

/* A plot's frame, in the units of its drawing. */
enum { WIDTH = 1100, HEIGHT = 260, LEFT = 60, RIGHT = 20, TOP = 12, BOTTOM = 34 };
enum { MOST_POINTS = 2000, X_MARKS = 12, Y_MARKS = 6 };

typedef struct axis {
    double low, high, step;
} axis;

static axis axis_of(double low, double high, size_t marks) {
    if (low > high) low = 0, high = 1;
    double span = high - low;
    /* A constant gets some room round it, so that it has a place on the axis. */
    if (!(span > fabs(high) * 1e-9)) {
        span = high != 0 ? fabs(high) : 1;
        low -= span / 2;
        high += span / 2;
    }
    return (axis){low, high, cli_axis_step(high - low, marks)};
}

static double x_place(const axis *a, double x) {
    return LEFT + (x - a->low) / (a->high - a->low) * (WIDTH - LEFT - RIGHT);
}

static double y_place(const axis *a, double y) {
    return TOP + (a->high - y) / (a->high - a->low) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(cli_page *page, const cli_plot *plot, const axis *x, const axis *y) {
    for (double mark = ceil(y->low / y->step) * y->step; mark <= y->high; mark += y->step) {
        cli_page_markup(page, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                        LEFT, WIDTH - RIGHT, y_place(y, mark), y_place(y, mark));
        cli_page_markup(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                        LEFT - 6, y_place(y, mark) + 4, fabs(mark) < y->step / 2 ? 0 : mark);
    }
    for (double mark = ceil(x->low / x->step) * x->step; mark <= x->high; mark += x->step)
        cli_page_markup(page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n",
                        x_place(x, mark), HEIGHT - BOTTOM + 16, mark);
    cli_page_markup(page, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT,
                    HEIGHT - 4);
    cli_page_text(page, plot->x_name);
    put(page, "</text>\n");
}

/* Gaps part the line; a point between two gaps is a dot. Of very many points, evenly many stay. */
static void draw_series(cli_page *page, const cli_plot *plot, size_t series, const axis *x,
                        const axis *y) {
    const double *values = plot->series[series].y;
    const size_t stride = plot->count / MOST_POINTS + 1;
    bool pen_is_down = false;
    cli_page_markup(page, "<path class=\"series s%zu\" stroke-linecap=\"round\" d=\"", series);
    for (size_t i = 0; i < plot->count; i += stride) {
        if (!isfinite(values[i])) {
            pen_is_down = false;
            continue;
        }
        cli_page_markup(page, "%s%.1f %.1f", pen_is_down ? "L" : "M", x_place(x, plot->x[i]),
                        y_place(y, values[i]));
        if (!pen_is_down) put(page, "h0");
        pen_is_down = true;
    }
    put(page, "\"/>\n");
}

void cli_page_plot(cli_page *page, const cli_plot *plot) {
    double low = plot->from_zero ? 0 : DBL_MAX, high = -DBL_MAX;
    for (size_t s = 0; s < plot->series_count; s++)
        for (size_t i = 0; i < plot->count; i++) {
            double value = plot->series[s].y[i];
            if (!isfinite(value)) continue;
            low = fmin(low, value);
            high = fmax(high, value);
        }
    const axis y = axis_of(low, high, Y_MARKS);
    axis x = plot->count ? axis_of(plot->x[0], plot->x[plot->count - 1], X_MARKS)
                         : axis_of(1, 0, X_MARKS);
    if (plot->x_is_whole && x.step < 1) x.step = 1;
    put(page, "<p class=\"key\">");
    cli_page_text(page, plot->y_name);
    for (size_t s = 0; s < plot->series_count; s++) {
        cli_page_markup(page, "<i class=\"f%zu\"></i>", s);
        cli_page_text(page, plot->series[s].name);
    }
    cli_page_markup(page, "</p>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    cli_page_markup(page, "<rect class=\"well\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                    LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    draw_axes(page, plot, &x, &y);
    for (size_t s = 0; s < plot->series_count; s++) draw_series(page, plot, s, &x, &y);
    put(page, "</svg>\n");
}
