/* Pages: well-formed, complete, safe against names from outside, and there whole or not at all. And
 * the table that --compare prints. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "cli/memory_map.h"
#include "cli/plan_page.h"
#include "cli/program.h"
#include "cli/report.h"
#include "plan/plans.h"
#include "support/support.h"

enum { DEPTH = 64, PAGE_CAPACITY = 1 << 22 };

/* An element's name at `text`, lower-case letters and digits. */
static size_t name_length(const char *text) {
    size_t length = 0;
    while (isalnum((unsigned char)text[length])) length++;
    return length;
}

/* Behind a tag's attributes: name="value", where no value holds < or >. */
static const char *skip_attributes(const char *text) {
    for (;;) {
        text += strspn(text, " \n");
        if (*text == '>' || !strncmp(text, "/>", 2)) return text;
        const char *name = text;
        text += strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
        ck_assert_msg(text > name, "no attribute: %.40s", name);
        if (*text != '=') continue;
        ck_assert_msg(text[1] == '"', "no quotes: %.40s", name);
        text += 2 + strcspn(text + 2, "\"<>");
        ck_assert_msg(*text == '"', "no end of an attribute: %.40s", name);
        text++;
    }
}

static const char *skip_entity(const char *text) {
    size_t length = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
    ck_assert_msg(length && text[1 + length] == ';', "a bare &: %.40s", text);
    return text + length + 2;
}

/* Every element that is opened is closed, in order; attributes are quoted; & and < stand only where
 * they mean markup; nothing is fetched and no script runs. */
static void check_page(const char *page) {
    const char *open[DEPTH], *text = page;
    size_t depth = 0;
    ck_assert_msg(!strncmp(page, "<!doctype html>\n", 16), "no page: %.40s", page);
    for (text += 16; *text;) {
        if (*text == '&') {
            text = skip_entity(text);
        } else if (*text != '<') {
            text++;
        } else if (text[1] == '/') {
            size_t length = name_length(text + 2);
            ck_assert_msg(depth && length == name_length(open[depth - 1]) &&
                              !strncmp(text + 2, open[depth - 1], length) &&
                              text[2 + length] == '>',
                          "%.40s closes %.20s", text, depth ? open[depth - 1] : "nothing");
            depth--;
            text += length + 3;
        } else {
            const char *name = text + 1;
            size_t length = name_length(name);
            ck_assert_msg(length, "no element: %.40s", text);
            text = skip_attributes(name + length);
            bool is_void = *text == '/' || !strncmp(name, "meta", 4);
            text += *text == '/' ? 2 : 1;
            if (is_void) continue;
            ck_assert_msg(depth < DEPTH, "too deep: %.40s", name);
            open[depth++] = name;
            if (!strncmp(name, "style", 5)) text = strstr(text, "</style>");
            ck_assert_msg(text != NULL, "a style without an end");
        }
    }
    ck_assert_msg(!depth, "%.40s is not closed", open[depth ? depth - 1 : 0]);
    static const char *const foreign[] = {
        "http:", "https:", "<script", "src=", "<link", "@import", "url("};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        ck_assert_msg(!strstr(page, foreign[i]), "the page holds %s", foreign[i]);
}

/* A page on a plan, without a command round it. Borrowed until the next one. */
static const char *page_of(const pp_plan *plan, const char *title) {
    static char text[PAGE_CAPACITY];
    FILE *file = tmpfile();
    ck_assert(file != NULL);
    cli_page page;
    cli_page_begin(&page, file, title);
    ck_assert(cli_page_memory_map(&page, plan));
    cli_page_classes(&page, plan);
    ck_assert(cli_page_layers(&page, plan));
    cli_page_end(&page);
    ck_assert(!ferror(file));
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    ck_assert(fclose(file) == 0 && length < sizeof text - 1);
    check_page(text);
    return text;
}

static pp_plan *plan_model(const char *model, uint32_t batch, const char *codec) {
    return plan_and_drop(
        graph_of_model(model),
        &(pp_plan_options){.batch = batch, .codec = codec, .optimizer = {.momentum = 0.9f}});
}

START_TEST(every_value_is_drawn_once) {
    static const char *const codecs[] = {"raw", "norm:4", "avgpool:2"};
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        pp_plan *plan = plan_model("resnet20", 4, codecs[c]);
        const char *page = page_of(plan, "resnet20");
        for (size_t i = 0; i < pp_plan_row_count(plan); i++) {
            pp_plan_row row;
            char title[256];
            pp_plan_read_row(plan, i, &row);
            snprintf(title, sizeof title, "<title>%s\n%s", row.name,
                     pp_memory_class_name(row.memory_class));
            size_t count = count_parts(page, title);
            ck_assert_msg(row.kind[0] ? count == 1 : count >= 1, "%s: %s is there %zu times",
                          codecs[c], row.name, count);
        }
        ck_assert_msg(count_parts(page, ">peak</text>") == 1, "the peak is not marked");
        pp_plan_destroy(plan);
    }
}
END_TEST

typedef struct rectangle {
    double x, y, width, height;
} rectangle;

/* The values' rectangles, which alone have a title. */
static size_t read_rectangles(const char *page, rectangle *rectangles, size_t capacity) {
    size_t count = 0;
    for (const char *place = page; (place = strstr(place, "<rect class=\"f")); place++) {
        rectangle r;
        ck_assert(count < capacity);
        ck_assert(sscanf(strstr(place, " x="),
                         " x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"><title>", &r.x, &r.y,
                         &r.width, &r.height) == 4);
        rectangles[count++] = r;
    }
    return count;
}

/* What is drawn is a plan: values that live at the same time lie side by side. Coordinates are
 * rounded to hundredths. */
START_TEST(rectangles_do_not_overlap) {
    static rectangle all[4096];
    pp_plan *plan = plan_model("resnet20", 4, "norm:4");
    size_t count = read_rectangles(page_of(plan, "resnet20"), all, 4096);
    ck_assert_uint_eq(count, pp_plan_row_count(plan));
    for (size_t i = 0; i < count; i++) {
        ck_assert(all[i].width > 0 && all[i].height >= 0);
        for (size_t j = 0; j < i; j++) {
            double wide =
                fmin(all[i].x + all[i].width, all[j].x + all[j].width) - fmax(all[i].x, all[j].x);
            double high =
                fmin(all[i].y + all[i].height, all[j].y + all[j].height) - fmax(all[i].y, all[j].y);
            ck_assert_msg(wide < 0.03 || high < 0.03, "rectangles %zu and %zu: %g by %g", j, i,
                          wide, high);
        }
    }
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(large_plans_stay_small) {
    pp_plan *plan = plan_model("preresnet1001", 8, "norm:4");
    ck_assert(pp_plan_row_count(plan) > 10000);
    const char *page = page_of(plan, "preresnet1001");
    ck_assert_msg(strlen(page) < 2000000, "%zu bytes", strlen(page));
    size_t drawn = count_parts(page, "<rect class=\"f"), told = 0, of = 0;
    const char *note = strstr(page, "<p class=\"faint\">");
    ck_assert(note && sscanf(note, "<p class=\"faint\">%zu of the %zu values", &told, &of) == 2);
    ck_assert_uint_eq(of, pp_plan_row_count(plan));
    ck_assert_uint_eq(drawn + told, of);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(names_are_only_text) {
    static const char evil[] = "<b onload=\"x('y')\">&amp;</svg>\001";
    pp_graph *g = graph_new();
    pp_value x = pp_graph_input(g, "image", 8, 8, 4);
    x = pp_graph_relu(g, "relu", add_bn(g, "bn", add_conv(g, evil, x, 16)));
    add_head(g, x);
    pp_plan *plan = plan_and_drop(g, &(pp_plan_options){.batch = 2, .codec = "norm:4"});
    const char *page = page_of(plan, evil);
    ck_assert_msg(!strstr(page, "<b ") && !strstr(page, "x('y')") && !strchr(page, 1),
                  "not escaped");
    static const char text[] =
        "&lt;b onload=&quot;x(&#39;y&#39;)&quot;&gt;&amp;amp;&lt;/svg&gt;&#xfffd;";
    ck_assert_msg(count_parts(page, text) > 4, "the name is not there");
    pp_plan_destroy(plan);
}
END_TEST

/* Drawn by hand: gaps part lines, constants and single points get an axis, other texts are escaped. */
START_TEST(plots) {
    const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 2, NAN, 3, 4}, flat[] = {7, 7, 7, 7, 7};
    const double nothing[] = {NAN, INFINITY, NAN, NAN, NAN};
    static char text[1 << 16];
    FILE *file = tmpfile();
    cli_page page;
    cli_page_begin(&page, file, "plots");
    cli_plot plot = {.x_name = "<x>", .y_name = "&y", .x = x, .count = 5, .series_count = 2};
    plot.series[0].name = "rising";
    plot.series[0].y = y;
    plot.series[1].name = "flat";
    plot.series[1].y = flat;
    cli_page_plot(&page, &plot);
    plot.series[0].y = flat;
    plot.count = 1;
    cli_page_plot(&page, &plot);
    plot.series[0].y = plot.series[1].y = nothing;
    plot.count = 5;
    cli_page_plot(&page, &plot);
    cli_page_end(&page);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    check_page(text);
    ck_assert(!strstr(text, "nan") && !strstr(text, "inf"));
    const char *curve = strstr(text, "s0\" stroke-linecap=\"round\" d=\"");
    ck_assert(curve != NULL);
    char path[256];
    ck_assert(sscanf(curve, "s0\" stroke-linecap=\"round\" d=\"%255[^\"]", path) == 1);
    ck_assert_uint_eq(count_parts(path, "M"), 2);
    ck_assert_uint_eq(count_parts(path, "L"), 2);
    /* From the left edge, at the value's height between 1 below and 7 above, to the right one. */
    double first_x, first_y;
    ck_assert(sscanf(path, "M%lf %lf", &first_x, &first_y) == 2);
    ck_assert_double_eq_tol(first_x, 60, 0.06);
    ck_assert_double_eq_tol(first_y, 260 - 34, 0.06);
    ck_assert(strstr(path, "L1080.0 ") != NULL);
}
END_TEST

START_TEST(axis_steps) {
    static const struct {
        double span;
        size_t count;
        double step;
    } cases[] = {{10, 10, 1}, {10, 6, 2}, {10, 4, 5}, {11, 10, 2}, {1e6, 1, 1e6}, {0.3, 6, 0.05}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_double_eq_tol(cli_axis_step(cases[i].span, cases[i].count), cases[i].step,
                                1e-9 * cases[i].step);
}
END_TEST

static size_t entry_count(const char *folder) {
    DIR *directory = opendir(folder);
    ck_assert(directory != NULL);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

START_TEST(plan_writes_a_page) {
    static char page[PAGE_CAPACITY];
    char arguments[1024], path[300], profile[256];
    snprintf(profile, sizeof profile, "%s/<i>&.profile", test_scratch_folder());
    write_file(test_scratch_folder(), "<i>&.profile", "parent = default\n", 17);
    const char *folder = new_folder("pages");
    snprintf(path, sizeof path, "%s/plan.html", folder);
    snprintf(arguments, sizeof arguments,
             "plan --model resnet8-digits --batch 4 --codec norm:4 --override 'layer1.*=raw' "
             "--profile '%s' --html %s --json",
             profile, path);
    for (int i = 0; i < 2; i++) { /* the second time over the first */
        const outcome *found = run_with("OCL_ICD_VENDORS=/nowhere", arguments);
        ck_assert_msg(found->status == 0 && !found->err[0], "%s", found->err);
        check_json(found->out);
    }
    ck_assert_uint_eq(entry_count(folder), 1);
    read_text(path, page, sizeof page);
    check_page(page);
    static const char *const parts[] = {"norm:4; but raw for layer1.*",
                                        "&lt;i&gt;&amp;",
                                        "variance term",
                                        ">exact<",
                                        "planned peak",
                                        "prefers-color-scheme:dark",
                                        "override "};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ck_assert_msg(strstr(page, parts[i]), "no %s in the page", parts[i]);

    snprintf(arguments, sizeof arguments, "plan --model lenet --inference --html %s", path);
    ck_assert_int_eq(run(arguments)->status, 0);
    read_text(path, page, sizeof page);
    check_page(page);
    ck_assert(!strstr(page, "variance term") && strstr(page, "inference"));
}
END_TEST

/* A full disk is a limit on the size of files here. What was there before stays. */
START_TEST(pages_are_whole_or_not_there) {
    char arguments[1024], path[300], text[16];
    check_refused("plan --model lenet --html /nowhere/at/all.html", "/nowhere/at/all.html");
    check_refused("plan --model lenet --html /dev/null", "no regular file");
    check_refused("train --model resnet8-digits --data digits --report /nowhere/at/all.html",
                  "--report: found '/nowhere/at/all.html'");
    const char *folder = new_folder("full");
    snprintf(path, sizeof path, "%s/plan.html", folder);
    write_file(folder, "plan.html", "old\n", 4);
    snprintf(arguments, sizeof arguments, "plan --model resnet20 --html %s", path);
    const outcome *found = run_with("trap '' XFSZ; ulimit -f 16;", arguments);
    ck_assert_int_eq(found->status, 2);
    ck_assert_str_eq(found->out, "");
    ck_assert_msg(line_count(found->err) == 1 && test_contains(found->err, "--html"), "%s",
                  found->err);
    ck_assert_uint_eq(entry_count(folder), 1);
    read_text(path, text, sizeof text);
    ck_assert_str_eq(text, "old\n");
}
END_TEST

START_TEST(compares_policies) {
    const outcome *found =
        run_with("OCL_ICD_VENDORS=/nowhere",
                 "plan --model resnet20 --batch 32 --compare raw,norm:4,8M --json");
    ck_assert_msg(found->status == 0, "%s", found->err);
    check_json(found->out);
    static const char *const policies[] = {"raw", "norm:4", "8M"};
    double last_peak = INFINITY;
    for (size_t i = 0; i < 3; i++) {
        char policy[64];
        snprintf(policy, sizeof policy, "\"policy\": \"%s\"", policies[i]);
        const char *item = strstr(found->out, policy);
        ck_assert_msg(item != NULL, "no %s in %s", policy, found->out);
        ck_assert(member(item, "peak_bytes") < last_peak);
        ck_assert(member(item, "saved_stored_bytes_per_sample") ==
                  member(item, "saved_stored_bytes") / 32);
        last_peak = member(item, "peak_bytes");
    }
    ck_assert(last_peak <= 8 << 20);

    /* The same numbers as each plan by itself. */
    const double peak = member(strstr(found->out, "\"policy\": \"norm:4\""), "peak_bytes");
    found = run("plan --model resnet20 --batch 32 --codec norm:4 --json");
    ck_assert(member(found->out, "peak_bytes") == peak);

    found = run("plan --model resnet20 --compare 'norm:4,clip=3 raw'");
    ck_assert_msg(found->status == 0 && test_contains(found->out, "\nnorm:4,clip=3 "), "%s",
                  found->err);
    ck_assert_uint_eq(line_count(found->out), 5);
    check_refused("plan --model resnet20 --compare raw,zip", "zip");
    check_refused("plan --model resnet20 --compare ,", "expected policies");
    check_refused("plan --model resnet20 --compare raw --codec norm:4", "--codec");
    check_refused("plan --model resnet20 --compare raw --html x.html", "--html");
}
END_TEST

START_TEST(train_reports) {
    static char page[PAGE_CAPACITY];
    char arguments[1024], path[300];
    const char *folder = new_folder("reports");
    snprintf(path, sizeof path, "%s/run.html", folder);
    snprintf(arguments, sizeof arguments,
             "train --model resnet8-digits --data digits --limit 128 --epochs 3 --codec norm:4 "
             "--report %s --json",
             path);
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 0, "%s", found->err);
    check_json(found->out);
    ck_assert_uint_eq(entry_count(folder), 1);
    read_text(path, page, sizeof page);
    check_page(page);
    ck_assert_uint_eq(count_parts(page, "<svg "), 4);
    ck_assert_uint_eq(count_parts(page, "class=\"series "), 5);
    char accuracy[64];
    snprintf(accuracy, sizeof accuracy, ">%.2f %% (loss %.4f)", member(found->out, "test_top1"),
             member(found->out, "test_loss"));
    ck_assert_msg(strstr(page, accuracy) != NULL, "no %s in the page", accuracy);
    ck_assert(strstr(page, "bytes, as planned") && strstr(page, "3 of 3 epochs"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cli/report");
    TCase *cases = tcase_create("report");
    tcase_add_test(cases, every_value_is_drawn_once);
    tcase_add_test(cases, rectangles_do_not_overlap);
    tcase_add_test(cases, large_plans_stay_small);
    tcase_add_test(cases, names_are_only_text);
    tcase_add_test(cases, plots);
    tcase_add_test(cases, axis_steps);
    tcase_add_test(cases, plan_writes_a_page);
    tcase_add_test(cases, pages_are_whole_or_not_there);
    tcase_add_test(cases, compares_policies);
    tcase_add_test(cases, train_reports);
    suite_add_tcase(suite, cases);
    return test_run(suite);
}
