/* Options: one table row says an option's name, its argument, its help and where its value goes.
 * Parsing and
 * --help read the same rows, so they cannot disagree. */
#ifndef PP_CLI_ARGS_H
#define PP_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pocketprop/pocketprop.h>

#include "cli/settings.h"

/* How a run of the program ends: its exit status. */
enum {
    CLI_OK = 0,
    CLI_FAILURE = 1,      /* the device, memory, or a bug */
    CLI_BAD_INPUT = 2,    /* an option or a file that is not what was expected */
    CLI_INTERRUPTED = 130 /* Ctrl-C, as shells count it: 128 + SIGINT */
};

/* What the argument of an option is, and the type of the member of cli_settings that receives it.
 */
typedef enum cli_kind {
    CLI_FLAG,     /* no argument; bool */
    CLI_COUNT,    /* a whole number; uint64_t */
    CLI_BYTES,    /* a whole number with K, M or G behind it, of 1024; not 0; uint64_t */
    CLI_REAL,     /* a decimal number; double */
    CLI_TEXT,     /* const char *, borrowed from the command line */
    CLI_CHOICE,   /* one of the words in `argument`, which '|' separates; const char * */
    CLI_TRIPLE,   /* one to three decimal numbers with commas; cli_triple */
    CLI_OVERRIDE, /* PATTERN=CODEC, appended; cli_overrides */
    CLI_BAND,     /* FIRST..LAST[=N], appended; cli_bands */
    CLI_SPAN,     /* FIRST..LAST, appended; cli_spans */
    CLI_RENAME,   /* FROM=TO, appended; cli_renames */
    CLI_FREEZE,   /* PATTERN, appended; cli_rules */
    CLI_TRAIN,    /* likewise */
    CLI_RATE      /* PATTERN=X, appended; cli_rules */
} cli_kind;

typedef struct cli_option {
    const char *name;     /* without the two dashes */
    const char *argument; /* as --help shows it; NULL for a flag */
    const char *help;     /* --help adds the default where it lies between `least` and `most` */
    cli_kind kind;
    size_t offset;      /* of the member in cli_settings */
    double least, most; /* of a number, both included */
    bool required;
    const char *word; /* of a count: what stands for 0, or NULL */
} cli_option;

/* Rows under one heading of --help; the last row's name is NULL. */
typedef struct cli_group {
    const char *title;
    const cli_option *options;
} cli_group;

/* One command. `topic` is the word behind its name that tells it from others of that name ("step"
 * of bench), or NULL. */
typedef struct cli_command {
    const char *name, *topic, *summary;
    const cli_group *const *groups; /* ends with NULL */
    int (*run)(const struct cli_command *command, const cli_settings *settings);
} cli_command;

/* Fills *settings_out from the defaults and the command line; argv[0] is the command's name, or its topic. The
 * texts stay borrowed from argv, of which an override's '=' is overwritten. Returns CLI_OK, or
 * CLI_BAD_INPUT after one line on stderr. With --help nothing is required. */
int cli_parse(const cli_command *command, int argc, char **argv, cli_settings *settings_out);

/* Writes the command's help to stdout. */
void cli_print_help(const cli_command *command);

/* Writes "pocketprop COMMAND: ..." and a newline to stderr and returns CLI_BAD_INPUT. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
int cli_fail(const cli_command *command, const char *format, ...);

/* The entry of `names` most like `text`, or NULL when none is close: for "did you mean". */
const char *cli_nearest(const char *text, const char *const *names, size_t name_count);

#endif
