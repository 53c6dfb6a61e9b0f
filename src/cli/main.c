/* pocketprop: finds the command, reads its options, runs it. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"

static const cli_command *const commands[] = {&cli_devices, &cli_plan, &cli_train, &cli_eval,
                                              &cli_bench};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static int print_overview(void) {
    printf(
        "usage: pocketprop COMMAND [options]\n\nPocketprop %s trains convolutional networks on "
        "small OpenCL "
        "devices.\n\n",
        pp_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s%s\n", commands[i]->name, commands[i]->summary);
    printf(
        "\n'pocketprop COMMAND --help' lists the options of one. Exit status: 0 done, 1 the device "
        "or the\n"
        "memory failed, 2 an option or a file is not what was expected, 130 interrupted.\n");
    return CLI_OK;
}

static int fail_command(const char *found) {
    const char *names[COMMAND_COUNT];
    char list[128] = "";
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t used = strlen(list);
        names[i] = commands[i]->name;
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = cli_nearest(found, names, COMMAND_COUNT);
    if (nearest)
        return cli_fail(NULL, "unknown command '%s', did you mean %s? There are: %s", found,
                        nearest, list);
    return cli_fail(NULL, "unknown command '%s', expected one of: %s", found, list);
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
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(name, commands[i]->name)) return run_command(commands[i], argc - 1, argv + 1);
    return fail_command(name);
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
