/* Pages for people: one HTML file with its style and its drawings in it, which asks for nothing
 * else, neither a network nor a script, and follows the reader's light or dark setting.
 *
 *     cli_page page;
 *     cli_page_begin(&page, file, "resnet20");
 *     cli_page_section(&page, "Loss");
 *     cli_page_plot(&page, &plot);
 *     cli_page_end(&page);
 *
 * Failed writes stay marked on the file (cli_outfile_finish sees them). Names, paths and everything
 * else that comes from outside goes through cli_page_text.
 */
#ifndef PP_CLI_REPORT_H
#define PP_CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_page {
    FILE *file; /* borrowed */
} cli_page;

void cli_page_begin(cli_page *page, FILE *file, const char *title);
void cli_page_end(cli_page *page);

/* A heading; what follows belongs to it. */
void cli_page_section(cli_page *page, const char *heading);

/* Markup as it stands. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cli_page_markup(cli_page *page, const char *format, ...);

/* Text, escaped for the inside of an element or of a quoted attribute. */
void cli_page_text(cli_page *page, const char *text);

/* "21.3 MiB", with the exact number of bytes on hover. */
void cli_page_bytes(cli_page *page, uint64_t bytes);

/* A row of a table of facts: a name and a text. Between cli_page_markup's "<table class=facts>" and
 * "</table>". */
void cli_page_fact(cli_page *page, const char *name, const char *text);

/* A bar of `part` in `whole` (both at least 0), in one of the page's colours, below. */
void cli_page_bar(cli_page *page, double part, double whole, size_t colour);

/* The page's colours are numbered; as a CSS class "f0" fills with one, "s0" strokes with it. */
enum { CLI_PAGE_COLOURS = 8 };

/* A line per series over common x positions, which rise. NaN: nothing there. */
enum { CLI_PLOT_SERIES = 8 };
typedef struct cli_plot {
    const char *x_name, *y_name;
    const double *x;
    size_t count;
    struct {
        const char *name;
        const double *y;
    } series[CLI_PLOT_SERIES];
    size_t series_count;
    bool from_zero;  /* the y axis begins at 0 */
    bool x_is_whole; /* no marks between whole numbers */
} cli_plot;
void cli_page_plot(cli_page *page, const cli_plot *plot);

/* The distance between an axis's marks: 1, 2 or 5 times a power of ten, so that `span` (more than 0)
 * holds at most `count`. */
double cli_axis_step(double span, size_t count);

#endif
