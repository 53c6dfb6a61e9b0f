/* pocketprop: finds the command, reads its options, runs it. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"

static const cli_command *const commands[] = {
    &cli_devices, &cli_plan, &cli_train,      &cli_eval,      &cli_fidelity,  &cli_inspect,
    &cli_convert, &cli_tune, &cli_bench_step, &cli_bench_ops, &cli_bench_peak};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_summary(const cli_command *command) {
    char name[32];
    snprintf(name, sizeof name, "%s%s%s", command->name, command->topic ? " " : "",
             command->topic ? command->topic : "");
    printf("  %-12s%s\n", name, command->summary);
}

static int print_overview(void) {
    printf(
        "usage: pocketprop COMMAND [options]\n\nPocketprop %s trains convolutional networks on "
        "small OpenCL "
        "devices.\n\n",
        pp_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++) print_summary(commands[i]);
    printf(
        "\n'pocketprop COMMAND --help' lists the options of one. Exit status: 0 done, 1 the device "
        "or the\n"
        "memory failed, 2 an option or a file is not what was expected, 130 interrupted.\n");
    return CLI_OK;
}

/* The names of all commands, or the topics of the one called `name`, each once. */
static size_t list_names(const char *name, const char *names[COMMAND_COUNT], char *list,
                         size_t capacity) {
    size_t count = 0, used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < COMMAND_COUNT && used < capacity; i++) {
        if (name && strcmp(commands[i]->name, name) != 0) continue;
        const char *found = name ? commands[i]->topic : commands[i]->name;
        if (!found || (count && !strcmp(names[count - 1], found))) continue;
        used += (size_t)snprintf(list + used, capacity - used, "%s%s", count ? ", " : "", found);
        names[count++] = found;
    }
    return count;
}

static int fail_command(const char *found) {
    const char *names[COMMAND_COUNT];
    char list[128];
    size_t count = list_names(NULL, names, list, sizeof list);
    const char *nearest = cli_nearest(found, names, count);
    if (nearest)
        return cli_fail(NULL, "unknown command '%s', did you mean %s? There are: %s", found,
                        nearest, list);
    return cli_fail(NULL, "unknown command '%s', expected one of: %s", found, list);
}

/* A command of several topics without one, or with another. */
static int fail_topic(const cli_command *command, const char *found) {
    const char *names[COMMAND_COUNT];
    char list[128];
    list_names(command->name, names, list, sizeof list);
    if (found && (!strcmp(found, "--help") || !strcmp(found, "-h"))) {
        printf("usage: pocketprop %s TOPIC [options]\n\n", command->name);
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            if (!strcmp(commands[i]->name, command->name)) print_summary(commands[i]);
        printf("\n'pocketprop %s TOPIC --help' lists the options of one, --json among them.\n",
               command->name);
        return CLI_OK;
    }
    if (!found || found[0] == '-')
        return cli_fail(command, "nothing says what to measure, expected one of: %s", list);
    return cli_fail(command, "found '%s', expected one of: %s", found, list);
}

static int run_command(const cli_command *command, int argc, char **argv) {
    cli_settings settings;
    int code = cli_parse(command, argc, argv, &settings);
    if (code) return code;
    if (settings.help) {
        cli_print_help(command);
        return CLI_OK;
    }
    return command->run(command, &settings);
}

static int dispatch(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name)
        return cli_fail(NULL, "no command given, expected one that 'pocketprop --help' lists");
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return print_overview();
    if (!strcmp(name, "--version")) {
        printf("pocketprop %s\n", pp_version());
        return CLI_OK;
    }
    const cli_command *namesake = NULL;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) != 0) continue;
        namesake = commands[i];
        if (!namesake->topic) return run_command(namesake, argc - 1, argv + 1);
        if (argc > 2 && !strcmp(argv[2], namesake->topic))
            return run_command(namesake, argc - 2, argv + 2);
    }
    return namesake ? fail_topic(namesake, argc > 2 ? argv[2] : NULL) : fail_command(name);
}

int main(int argc, char **argv) {
    int code = dispatch(argc, argv);
    /* A full disk behind standard output shows up here at the latest. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK) {
        cli_fail(NULL, "standard output could not be written");
        return CLI_FAILURE;
    }
    return code;
}
