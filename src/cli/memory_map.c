#include "cli/memory_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

/* The drawing, in its own units, which a wide window shows as pixels: what is live at the top, the
 * arena below it, steps along both. */
enum {
    WIDTH = 1160,
    LEFT = 70,
    RIGHT = 10,
    SPAN = WIDTH - LEFT - RIGHT,
    LIVE_TOP = 18,
    LIVE_HEIGHT = 150,
    MAP_TOP = LIVE_TOP + LIVE_HEIGHT + 24,
    MAP_HEIGHT = 480,
    MAP_BOTTOM = MAP_TOP + MAP_HEIGHT,
    HEIGHT = MAP_BOTTOM + 34
};
enum { BYTE_MARKS = 8, STEP_MARKS = 12, EDGED = 3 /* rectangles from this size on have an edge */ };

/* From the bottom up: what stays, what backward waits for, what comes and goes. */
static const pp_memory_class stack[PP_MEMORY_CLASS_COUNT] = {
    PP_MEMORY_PARAMETERS, PP_MEMORY_OPTIMIZER, PP_MEMORY_STAGING,   PP_MEMORY_SAVED,
    PP_MEMORY_GRADIENTS,  PP_MEMORY_TRANSIENT, PP_MEMORY_WORKSPACE,
};

typedef struct map {
    const pp_plan *plan;
    pp_plan_summary summary;
    pp_plan_row *values; /* what has one place */
    size_t value_count;
    size_t *bases;       /* per chunk: where it begins, chunks put one behind the other */
    size_t bytes;        /* of all chunks */
    size_t *live;        /* [step][class] */
    unsigned char *thin; /* [y][x] of the map: class + 1 of a value thinner than a pixel, or 0 */
    size_t thin_count[PP_MEMORY_CLASS_COUNT];
} map;

typedef struct box {
    double x, y, width, height;
} box;

static void release(map *m) {
    free(m->values);
    free(m->bases);
    free(m->live);
    free(m->thin);
}

/* Each piece of a value as a value of its own. */
static void list_values(map *m) {
    for (size_t i = 0; i < pp_plan_row_count(m->plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(m->plan, i, &row);
        for (size_t k = 0; k < row.piece_count; k++) {
            pp_plan_piece piece;
            pp_plan_read_piece(m->plan, i, k, &piece);
            pp_plan_row *value = &m->values[m->value_count++];
            *value = row;
            value->raw_bytes = row.raw_bytes / row.piece_count;
            value->stored_bytes = piece.bytes;
            value->first_step = piece.first_step;
            value->last_step = piece.last_step;
            value->chunk = piece.chunk;
            value->offset_bytes = piece.offset_bytes;
        }
    }
}

static void place_chunks(map *m) {
    for (size_t i = 0; i < m->value_count; i++) {
        const pp_plan_row *row = &m->values[i];
        size_t end = row->offset_bytes + row->stored_bytes;
        if (end > m->bases[row->chunk]) m->bases[row->chunk] = end;
    }
    for (size_t c = 0; c < m->summary.chunk_count; c++) {
        size_t chunk_bytes = m->bases[c];
        m->bases[c] = m->bytes;
        m->bytes += chunk_bytes;
    }
}

/* Every value adds itself at its first step and takes itself off behind its last. */
static void sum_live(map *m) {
    const size_t steps = m->summary.step_count;
    for (size_t i = 0; i < m->value_count; i++) {
        const pp_plan_row *row = &m->values[i];
        m->live[row->first_step * PP_MEMORY_CLASS_COUNT + row->memory_class] += row->stored_bytes;
        if (row->last_step + 1 < steps)
            m->live[(row->last_step + 1) * PP_MEMORY_CLASS_COUNT + row->memory_class] -=
                row->stored_bytes;
    }
    for (size_t i = PP_MEMORY_CLASS_COUNT; i < steps * PP_MEMORY_CLASS_COUNT; i++)
        m->live[i] += m->live[i - PP_MEMORY_CLASS_COUNT];
}

static bool prepare(map *m, const pp_plan *plan) {
    *m = (map){.plan = plan};
    pp_plan_summarize(plan, &m->summary);
    size_t value_count = 0;
    for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
        pp_plan_row row;
        pp_plan_read_row(plan, i, &row);
        value_count += row.piece_count;
    }
    m->values = calloc(value_count + 1, sizeof *m->values);
    m->bases = calloc(m->summary.chunk_count + 1, sizeof *m->bases);
    m->live = calloc(m->summary.step_count, PP_MEMORY_CLASS_COUNT * sizeof *m->live);
    m->thin = calloc(MAP_HEIGHT, SPAN);
    if (!m->values || !m->bases || !m->live || !m->thin) return false;
    list_values(m);
    place_chunks(m);
    sum_live(m);
    return true;
}

static double step_place(const map *m, double step) {
    return LEFT + SPAN * step / (double)m->summary.step_count;
}

void cli_page_class_key(cli_page *page) {
    cli_page_markup(page, "<p class=\"key\">");
    for (size_t i = 0; i < PP_MEMORY_CLASS_COUNT; i++)
        cli_page_markup(page, "<i class=\"f%d\"></i>%s", (int)stack[i],
                        pp_memory_class_name(stack[i]));
    cli_page_markup(page, "</p>\n");
}

/* The step of a column that has the most live, and what lies below class `level` of the stack
 * there. */
static size_t column_step(const map *m, size_t column, size_t column_count) {
    const size_t steps = m->summary.step_count;
    size_t most = column * steps / column_count;
    for (size_t s = most; s < (column + 1) * steps / column_count; s++)
        if (pp_plan_live_bytes(m->plan, s) > pp_plan_live_bytes(m->plan, most)) most = s;
    return most;
}

static double stacked_place(const map *m, size_t step, size_t level) {
    size_t bytes = 0;
    for (size_t i = 0; i < level; i++) bytes += m->live[step * PP_MEMORY_CLASS_COUNT + stack[i]];
    double share = (double)bytes / (double)m->summary.lower_bound_bytes;
    return LIVE_TOP + LIVE_HEIGHT * (1 - share);
}

/* One outline: along the upper edge from left to right, and back along the lower one. Only changes
 * are written. */
static void draw_level(cli_page *page, const map *m, size_t level) {
    bool is_empty = true;
    for (size_t s = 0; s < m->summary.step_count && is_empty; s++)
        is_empty = !m->live[s * PP_MEMORY_CLASS_COUNT + stack[level]];
    if (is_empty) return;
    const size_t steps = m->summary.step_count, columns = steps < SPAN ? steps : SPAN;
    const double width = (double)SPAN / (double)columns;
    double last = -1;
    cli_page_markup(page, "<path class=\"f%d\" d=\"M%d %.1f", (int)stack[level], LEFT,
                    stacked_place(m, column_step(m, 0, columns), level));
    for (size_t c = 0; c < columns; c++) {
        double y = stacked_place(m, column_step(m, c, columns), level + 1);
        if (fabs(y - last) >= 0.05)
            cli_page_markup(page, "H%.1fV%.1f", LEFT + width * (double)c, y);
        last = y;
    }
    cli_page_markup(page, "H%d", LEFT + SPAN);
    last = -1;
    for (size_t c = columns; c-- > 0;) {
        double y = stacked_place(m, column_step(m, c, columns), level);
        if (fabs(y - last) >= 0.05)
            cli_page_markup(page, "H%.1fV%.1f", LEFT + width * (double)(c + 1), y);
        last = y;
    }
    cli_page_markup(page, "Z\"><title>%s</title></path>\n", pp_memory_class_name(stack[level]));
}

/* Marks of a whole number of KiB, MiB, ... from `bottom` up. */
static void draw_byte_axis(cli_page *page, size_t bytes, double bottom, double height,
                           size_t marks) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double scale = 1;
    for (; unit < 4 && (double)bytes >= 1024 * scale; unit++) scale *= 1024;
    const double step = cli_axis_step((double)bytes / scale, marks);
    for (double mark = 0; mark * scale <= (double)bytes; mark += step) {
        double y = bottom - height * mark * scale / (double)bytes;
        cli_page_markup(page, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                        LEFT, LEFT + SPAN, y, y);
        cli_page_markup(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g %s</text>\n",
                        LEFT - 6, y + 4, mark, units[unit]);
    }
}

static void draw_step_axis(cli_page *page, const map *m) {
    const double steps = (double)m->summary.step_count;
    const double step = fmax(1, cli_axis_step(steps, STEP_MARKS));
    for (double mark = 0; mark < steps; mark += step)
        cli_page_markup(page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                        step_place(m, mark + 0.5), MAP_BOTTOM + 15, mark);
    cli_page_markup(page, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step</text>\n", LEFT + SPAN,
                    HEIGHT - 4);
}

/* A dashed line through both drawings at a step, with a word beside it at height y. */
static void draw_mark(cli_page *page, const map *m, size_t step, const char *word, int y) {
    const double x = step_place(m, (double)step + 0.5);
    const bool is_right = x > LEFT + SPAN / 2;
    cli_page_markup(page, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x,
                    x, y - 9, MAP_BOTTOM);
    cli_page_markup(page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", is_right ? x - 4 : x + 4,
                    y, is_right ? "end" : "start");
    cli_page_text(page, word);
    cli_page_markup(page, "</text>\n");
}

static box box_of(const map *m, const pp_plan_row *row) {
    const double scale = MAP_HEIGHT / (double)m->bytes;
    const double left = step_place(m, (double)row->first_step);
    const double height = scale * (double)row->stored_bytes;
    const size_t offset = m->bases[row->chunk] + row->offset_bytes;
    return (box){.x = left,
                 .y = MAP_BOTTOM - scale * (double)offset - height,
                 .width = step_place(m, (double)row->last_step + 1) - left,
                 .height = height};
}

/* Name; what it is; bytes; life. A title's lines stay lines. */
static void write_title(cli_page *page, const map *m, const pp_plan_row *row) {
    cli_page_markup(page, "<title>");
    cli_page_text(page, row->name);
    cli_page_markup(page, "\n%s", pp_memory_class_name(row->memory_class));
    if (row->codec[0]) {
        cli_page_markup(page, ": ");
        cli_page_text(page, row->codec);
        cli_page_markup(page, " of %s, read as %s", row->kind, row->views);
    }
    cli_page_markup(page, "\n%s, %zu bytes", cli_bytes_text(row->stored_bytes).text,
                    row->stored_bytes);
    if (row->stored_bytes != row->raw_bytes)
        cli_page_markup(page, " (%s in float32)", cli_bytes_text(row->raw_bytes).text);
    cli_page_markup(page, "\nsteps %zu to %zu: ", row->first_step, row->last_step);
    cli_page_text(page, pp_plan_step_name(m->plan, row->first_step));
    cli_page_markup(page, " to ");
    cli_page_text(page, pp_plan_step_name(m->plan, row->last_step));
    cli_page_markup(page, "</title>");
}

static void draw_value(cli_page *page, const map *m, const pp_plan_row *row, const box *b) {
    const bool has_edge = b->width >= EDGED && b->height >= EDGED;
    cli_page_markup(
        page, "<rect class=\"f%d%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">",
        (int)row->memory_class, has_edge ? " edge" : "", b->x, b->y, b->width, b->height);
    write_title(page, m, row);
    cli_page_markup(page, "</rect>\n");
}

static size_t within(double place, size_t most) {
    return place < 0 ? 0 : place < (double)most ? (size_t)place : most;
}

/* Colours every pixel that the value touches, one at least. */
static void shade(map *m, pp_memory_class memory_class, const box *b) {
    const size_t left = within(floor(b->x - LEFT), SPAN - 1);
    const size_t top = within(floor(b->y - MAP_TOP), MAP_HEIGHT - 1);
    size_t right = within(ceil(b->x + b->width - LEFT), SPAN);
    size_t bottom = within(ceil(b->y + b->height - MAP_TOP), MAP_HEIGHT);
    if (right <= left) right = left + 1;
    if (bottom <= top) bottom = top + 1;
    for (size_t y = top; y < bottom; y++)
        memset(m->thin + y * SPAN + left, (int)memory_class + 1, right - left);
    m->thin_count[memory_class]++;
}

/* Whether a row of pixels is all of one colour. */
static bool is_filled(const unsigned char *pixels, size_t count, unsigned char colour) {
    for (size_t i = 0; i < count; i++)
        if (pixels[i] != colour) return false;
    return true;
}

/* The pixels of one class as one path: rectangles as wide, then as high as they go, which are taken
 * off as they are written. */
static void draw_thin(cli_page *page, map *m, pp_memory_class memory_class) {
    const unsigned char colour = (unsigned char)(memory_class + 1);
    if (!m->thin_count[memory_class]) return;
    cli_page_markup(page, "<path class=\"f%d\" d=\"", (int)memory_class);
    for (size_t y = 0; y < MAP_HEIGHT; y++)
        for (size_t x = 0; x < SPAN; x++) {
            unsigned char *corner = m->thin + y * SPAN + x;
            if (*corner != colour) continue;
            size_t width = 1, height = 1;
            while (x + width < SPAN && corner[width] == colour) width++;
            while (y + height < MAP_HEIGHT && is_filled(corner + height * SPAN, width, colour))
                height++;
            for (size_t i = 0; i < height; i++) memset(corner + i * SPAN, 0, width);
            cli_page_markup(page, "M%zu %zuh%zuv%zuh-%zuz", LEFT + x, MAP_TOP + y, width, height,
                            width);
        }
    cli_page_markup(page, "\"><title>%s: %zu values thinner than a pixel</title></path>\n",
                    pp_memory_class_name(memory_class), m->thin_count[memory_class]);
}

static size_t draw_values(cli_page *page, map *m) {
    size_t left_out = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < m->value_count; i++) {
            const pp_plan_row *row = &m->values[i];
            const box b = box_of(m, row);
            const bool is_thin = m->value_count > CLI_MAP_VALUES && (b.width < 1 || b.height < 1);
            left_out += pass == 0 && is_thin;
            if (pass == 0 && is_thin)
                shade(m, row->memory_class, &b);
            else if (pass == 1 && !is_thin)
                draw_value(page, m, row, &b);
        }
        for (int c = 0; c < PP_MEMORY_CLASS_COUNT && pass == 0; c++)
            draw_thin(page, m, (pp_memory_class)c);
    }
    return left_out;
}

static size_t first_backward_step(const pp_plan *plan, size_t step_count) {
    for (size_t s = 0; s < step_count; s++) {
        pp_plan_step_info info;
        pp_plan_describe_step(plan, s, &info);
        if (!strncmp(info.pass, "backward", 8)) return s;
    }
    return step_count;
}

static void draw(cli_page *page, map *m) {
    const size_t steps = m->summary.step_count;
    cli_page_markup(page, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    cli_page_markup(page, "<rect class=\"well\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                    LEFT, MAP_TOP, SPAN, MAP_HEIGHT);
    draw_byte_axis(page, m->summary.lower_bound_bytes, LIVE_TOP + LIVE_HEIGHT, LIVE_HEIGHT,
                   BYTE_MARKS / 2);
    for (size_t level = 0; level < PP_MEMORY_CLASS_COUNT; level++) draw_level(page, m, level);
    draw_byte_axis(page, m->bytes, MAP_BOTTOM, MAP_HEIGHT, BYTE_MARKS);
    const size_t left_out = draw_values(page, m);
    const size_t backward = first_backward_step(m->plan, steps);
    if (backward < steps) draw_mark(page, m, backward, "backward begins", MAP_TOP - 6);
    draw_mark(page, m, m->summary.peak_step, "peak", LIVE_TOP - 5);
    draw_step_axis(page, m);
    cli_page_markup(page, "</svg>\n");
    if (!left_out) return;
    cli_page_markup(
        page,
        "<p class=\"faint\">%zu of the %zu values are thinner than a pixel and are drawn "
        "together, by class; what backward reads of them stands in the table of "
        "layers.</p>\n",
        left_out, m->value_count);
}

bool cli_page_memory_map(cli_page *page, const pp_plan *plan) {
    map m;
    bool prepared = prepare(&m, plan);
    if (prepared) {
        cli_page_class_key(page);
        draw(page, &m);
    }
    release(&m);
    return prepared;
}
