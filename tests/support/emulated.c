/* Stands in for a program of another architecture in a folder that is another system's root: runs
 * /emulated/<its name> under /emulator, with the same arguments. cross.sh puts it where PoCL calls a
 * linker, because an emulated program that starts another one starts it on the real machine. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    enum { MOST = 1024 };
    char program[256];
    char *arguments[MOST + 3] = {"/emulator", program};
    const char *slash = strrchr(argv[0], '/');
    if (argc > MOST) return 126;
    snprintf(program, sizeof program, "/emulated/%s", slash ? slash + 1 : argv[0]);
    for (int i = 1; i <= argc; i++) arguments[i + 1] = argv[i];
    execv(arguments[0], arguments);
    perror(program);
    return 127;
}
