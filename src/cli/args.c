#include "cli/args.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/parse.h"

enum {
    OPTION_CAPACITY = 64, /* rows of one command */
    NAME_CAPACITY = 128,  /* names among which the nearest is sought, their length included */
    FIRST_VALUE = 256,    /* getopt_long's value of row 0, past every character */
    HELP_COLUMN = 28,
    HELP_WIDTH = 96
};

/* A command's rows, one after the other, as getopt_long and the messages need them. */
typedef struct option_list {
    const cli_option *rows[OPTION_CAPACITY];
    bool given[OPTION_CAPACITY];
    size_t count;
} option_list;

int cli_fail(const cli_command *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "pocketprop%s%s: ", command ? " " : "", command ? command->name : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CLI_BAD_INPUT;
}

/* Levenshtein's distance, one row of the table at a time. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[NAME_CAPACITY], b_length = strlen(b);
    if (b_length >= NAME_CAPACITY || strlen(a) >= NAME_CAPACITY) return NAME_CAPACITY;
    for (size_t j = 0; j <= b_length; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            if (row[j] + 1 < best) best = row[j] + 1;
            diagonal = row[j + 1];
            if (diagonal + 1 < best) best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[b_length];
}

const char *cli_nearest(const char *text, const char *const *names, size_t name_count) {
    const char *nearest = NULL;
    size_t least = strlen(text) / 3 + 1; /* one wrong letter in three is no typing error any more */
    for (size_t i = 0; i < name_count; i++) {
        size_t distance = edit_distance(text, names[i]);
        if (distance <= least && (!nearest || distance < least)) {
            nearest = names[i];
            least = distance;
        }
    }
    return nearest;
}

static option_list list_options(const cli_command *command) {
    option_list list = {.count = 0};
    for (const cli_group *const *group = command->groups; *group; group++)
        for (const cli_option *row = (*group)->options; row->name && list.count < OPTION_CAPACITY;
             row++)
            list.rows[list.count++] = row;
    return list;
}

/* Numbers: the first character must begin a number, so that blanks, signs where none belong, "inf"
 * and hexadecimal are refused, which the C library would take. */
static bool read_count(const char *text, const cli_option *row, uint64_t *value_out) {
    if (text[0] < '0' || text[0] > '9') return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || value > UINT64_MAX) return false;
    *value_out = value;
    return row->least == row->most || ((double)value >= row->least && (double)value <= row->most);
}

static bool read_real(const char *text, const cli_option *row, double *value_out,
                      const char **end_out) {
    size_t length = strspn(text, "0123456789.+-eE");
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || end != text + length || !isfinite(value)) return false;
    *value_out = value;
    *end_out = end;
    return value >= row->least && value <= row->most;
}

static bool read_triple(const char *text, const cli_option *row, cli_triple *triple_out) {
    triple_out->count = 0;
    for (const char *rest = text;; rest++) {
        double value;
        if (triple_out->count == 3 || !read_real(rest, row, &value, &rest)) return false;
        triple_out->values[triple_out->count++] = (float)value;
        if (!*rest) return true;
        if (*rest != ',') return false;
    }
}

static bool is_choice(const char *text, const char *words) {
    size_t length = strlen(text);
    for (const char *word = words;; word++) {
        size_t word_length = strcspn(word, "|");
        if (word_length == length && !strncmp(word, text, length)) return true;
        word += word_length;
        if (!*word) return false;
    }
}

static int fail_number(const cli_command *command, const cli_option *row, const char *text,
                       const char *what) {
    if (row->least == row->most)
        return cli_fail(command, "--%s: found '%s', expected %s", row->name, text, what);
    return cli_fail(command, "--%s: found '%s', expected %s from %.10g to %.10g", row->name, text,
                    what, row->least, row->most);
}

static int read_override(const cli_command *command, const cli_option *row, char *text,
                         cli_overrides *overrides) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return cli_fail(command, "--%s: found '%s', expected PATTERN=CODEC, e.g. 'layer1.*=raw'",
                        row->name, text);
    if (overrides->count == CLI_OVERRIDE_CAPACITY)
        return cli_fail(command, "--%s: found more than %d of them, expected at most so many",
                        row->name, CLI_OVERRIDE_CAPACITY);
    *equals = '\0';
    overrides->items[overrides->count++] =
        (pp_codec_override){.pattern = text, .codec = equals + 1};
    return CLI_OK;
}

static int read_rename(const cli_command *command, const cli_option *row, char *text,
                       cli_renames *renames) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return cli_fail(command, "--%s: found '%s', expected FROM=TO, e.g. 'backbone.*=*'",
                        row->name, text);
    if (renames->count == CLI_OVERRIDE_CAPACITY)
        return cli_fail(command, "--%s: found more than %d of them, expected at most so many",
                        row->name, CLI_OVERRIDE_CAPACITY);
    *equals = '\0';
    renames->items[renames->count++] = (pp_rename){.from = text, .to = equals + 1};
    return CLI_OK;
}

static int read_band(const cli_command *command, const cli_option *row, char *text,
                     cli_bands *bands) {
    char *dots = strstr(text, ".."), *equals = strrchr(text, '='), *end = text;
    unsigned long images = 0;
    bool good = dots && dots > text && dots[2] && dots + 2 != equals;
    if (good && equals) {
        images = strtoul(equals + 1, &end, 10);
        good = equals[1] >= '1' && equals[1] <= '9' && !*end && images <= UINT32_MAX;
    }
    if (!good)
        return cli_fail(command, "--%s: found '%s', expected FIRST..LAST or FIRST..LAST=IMAGES",
                        row->name, text);
    if (bands->count == CLI_BAND_CAPACITY)
        return cli_fail(command, "--%s: found more than %d of them, expected at most so many",
                        row->name, CLI_BAND_CAPACITY);
    *dots = '\0';
    if (equals) *equals = '\0';
    bands->items[bands->count++] =
        (pp_band){.first = text, .last = dots + 2, .images = (uint32_t)images};
    return CLI_OK;
}

static int read_span(const cli_command *command, const cli_option *row, char *text,
                     cli_spans *spans) {
    char *dots = strstr(text, "..");
    if (!dots || dots == text || !dots[2])
        return cli_fail(command, "--%s: found '%s', expected FIRST..LAST", row->name, text);
    if (spans->count == CLI_BAND_CAPACITY)
        return cli_fail(command, "--%s: found more than %d of them, expected at most so many",
                        row->name, CLI_BAND_CAPACITY);
    *dots = '\0';
    spans->items[spans->count++] = (pp_span){.first = text, .last = dots + 2};
    return CLI_OK;
}

/* What may be trained, frozen and at which rate is said in one list, in the order given. */
static int read_rule(const cli_command *command, const cli_option *row, char *text,
                     cli_rules *rules) {
    pp_parameter_rule rule = {.kind = row->kind == CLI_FREEZE ? PP_RULE_FREEZE : PP_RULE_TRAIN,
                              .pattern = text};
    if (row->kind == CLI_RATE) {
        char *equals = strrchr(text, '='), *end = text;
        const double rate = equals ? strtod(equals + 1, &end) : 0;
        if (!equals || equals == text || end == equals + 1 || *end || !(rate > 0 && rate <= 1e6))
            return cli_fail(command,
                            "--%s: found '%s', expected PATTERN=X with X above 0 and at most 1e6, "
                            "e.g. 'linear.*=10'",
                            row->name, text);
        *equals = '\0';
        rule.kind = PP_RULE_RATE;
        rule.rate = (float)rate;
    }
    if (rules->count == CLI_OVERRIDE_CAPACITY)
        return cli_fail(command, "--%s: found more than %d rules, expected at most so many",
                        row->name, CLI_OVERRIDE_CAPACITY);
    rules->items[rules->count++] = rule;
    return CLI_OK;
}

/* Stores one option's argument (NULL for a flag) where its row says. */
static int store(const cli_command *command, const cli_option *row, char *text,
                 cli_settings *settings) {
    void *member = (char *)settings + row->offset;
    const char *end = "";
    if (text && !*text)
        return cli_fail(command, "--%s: found an empty argument, expected %s", row->name,
                        row->argument);
    switch (row->kind) {
        case CLI_FLAG: *(bool *)member = true; return CLI_OK;
        case CLI_TEXT: *(const char **)member = text; return CLI_OK;
        case CLI_OVERRIDE: return read_override(command, row, text, member);
        case CLI_BAND: return read_band(command, row, text, member);
        case CLI_SPAN: return read_span(command, row, text, member);
        case CLI_RENAME: return read_rename(command, row, text, member);
        case CLI_FREEZE:
        case CLI_TRAIN:
        case CLI_RATE: return read_rule(command, row, text, member);
        case CLI_COUNT:
            if (row->word && !strcmp(text, row->word)) {
                *(uint64_t *)member = 0;
                return CLI_OK;
            }
            if (read_count(text, row, member)) return CLI_OK;
            return fail_number(command, row, text, "a whole number");
        case CLI_BYTES:
            if (pp__parse_bytes(text, strlen(text), member) && *(uint64_t *)member) return CLI_OK;
            return cli_fail(command, "--%s: found '%s', expected bytes, e.g. 64M", row->name, text);
        case CLI_REAL:
            if (read_real(text, row, member, &end) && !*end) return CLI_OK;
            return fail_number(command, row, text, "a number");
        case CLI_TRIPLE:
            if (read_triple(text, row, member)) return CLI_OK;
            return fail_number(command, row, text,
                               "one to three numbers with commas between them, each");
        case CLI_CHOICE:
            *(const char **)member = text;
            if (is_choice(text, row->argument)) return CLI_OK;
            return cli_fail(command, "--%s: found '%s', expected %s", row->name, text,
                            row->argument);
    }
    return CLI_OK;
}

/* getopt_long returned '?': say what was wrong with argv[optind - 1]. */
static int fail_unknown(const cli_command *command, const option_list *list, const char *found) {
    if (optopt >= FIRST_VALUE)
        return cli_fail(command, "--%s takes no argument, found '%s'",
                        list->rows[optopt - FIRST_VALUE]->name, found);
    /* `found` may be the word in front of a cluster of letters, which getopt has not left yet. */
    if (optopt)
        return cli_fail(command, "unknown option '-%c', expected one that --help lists", optopt);
    const char *names[OPTION_CAPACITY];
    size_t length = strcspn(found + 2, "=");
    for (size_t i = 0; i < list->count; i++) names[i] = list->rows[i]->name;
    for (size_t i = 0; i < list->count; i++)
        if (length && !strncmp(names[i], found + 2, length))
            return cli_fail(command, "option '%s' could be more than one, --%s among them", found,
                            names[i]);
    char name[NAME_CAPACITY];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             found + 2);
    const char *nearest = cli_nearest(name, names, list->count);
    if (nearest)
        return cli_fail(command, "unknown option '%s', did you mean --%s?", found, nearest);
    return cli_fail(command, "unknown option '%s', expected one that --help lists", found);
}

int cli_parse(const cli_command *command, int argc, char **argv, cli_settings *settings_out) {
    option_list list = list_options(command);
    struct option table[OPTION_CAPACITY + 1] = {{0}};
    for (size_t i = 0; i < list.count; i++) {
        table[i].name = list.rows[i]->name;
        table[i].has_arg = list.rows[i]->argument ? required_argument : no_argument;
        table[i].val = FIRST_VALUE + (int)i;
    }
    *settings_out = cli_defaults;
    opterr = 0;
    for (optind = 1;;) {
        optopt = 0;
        int value = getopt_long(argc, argv, ":h", table, NULL);
        if (value == -1) break;
        if (value == 'h') {
            settings_out->help = true;
            continue;
        }
        if (value == '?') return fail_unknown(command, &list, argv[optind - 1]);
        size_t index = (size_t)((value == ':' ? optopt : value) - FIRST_VALUE);
        const cli_option *row = list.rows[index];
        if (value == ':')
            return cli_fail(command, "--%s lacks its argument, expected %s", row->name,
                            row->argument);
        list.given[index] = true;
        int code = store(command, row, optarg, settings_out);
        if (code) return code;
    }
    if (settings_out->help) return CLI_OK;
    if (optind < argc)
        return cli_fail(command, "unexpected argument '%s', expected only options", argv[optind]);
    for (size_t i = 0; i < list.count; i++)
        if (list.rows[i]->required && !list.given[i])
            return cli_fail(command, "--%s is missing, expected --%s %s: %s", list.rows[i]->name,
                            list.rows[i]->name, list.rows[i]->argument, list.rows[i]->help);
    return CLI_OK;
}

/* " (default 64)", or nothing where there is none to show. */
static void print_default(const cli_option *row, char *text, size_t capacity) {
    const void *member = (const char *)&cli_defaults + row->offset;
    text[0] = '\0';
    if (row->kind == CLI_COUNT) {
        uint64_t value = *(const uint64_t *)member;
        if (row->least == row->most || ((double)value >= row->least && (double)value <= row->most))
            snprintf(text, capacity, " (default %" PRIu64 ")", value);
    } else if (row->kind == CLI_REAL) {
        double value = *(const double *)member;
        if (value >= row->least && value <= row->most)
            snprintf(text, capacity, " (default %g)", value);
    } else if (row->kind == CLI_TEXT || row->kind == CLI_CHOICE) {
        const char *value = *(const char *const *)member;
        if (value) snprintf(text, capacity, " (default %s)", value);
    }
}

/* Prints words from `column` on and breaks lines at HELP_WIDTH. */
static void print_wrapped(const char *text, size_t column) {
    size_t used = column;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (used > column && used + 1 + length > HELP_WIDTH) {
            printf("\n%*s", (int)column, "");
            used = column;
        }
        int printed = printf("%s%.*s", used > column ? " " : "", (int)length, text);
        used += printed > 0 ? (size_t)printed : 0;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const cli_option *row) {
    char left[64], help[512], fallback[64];
    snprintf(left, sizeof left, "  --%s %s", row->name, row->argument ? row->argument : "");
    print_default(row, fallback, sizeof fallback);
    snprintf(help, sizeof help, "%s%s%s", row->help, fallback, row->required ? " (required)" : "");
    if (strlen(left) >= HELP_COLUMN)
        printf("%s\n%*s", left, HELP_COLUMN, "");
    else
        printf("%-*s", HELP_COLUMN, left);
    print_wrapped(help, HELP_COLUMN);
}

void cli_print_help(const cli_command *command) {
    printf("usage: pocketprop %s%s%s", command->name, command->topic ? " " : "",
           command->topic ? command->topic : "");
    option_list list = list_options(command);
    for (size_t i = 0; i < list.count; i++)
        if (list.rows[i]->required) printf(" --%s %s", list.rows[i]->name, list.rows[i]->argument);
    printf(" [options]\n\n");
    print_wrapped(command->summary, 0);
    for (const cli_group *const *group = command->groups; *group; group++) {
        printf("\n%s\n", (*group)->title);
        for (const cli_option *row = (*group)->options; row->name; row++) print_option(row);
    }
}
